"""Break each formula on purpose, and see a test fail: ``python tests/mutants``.

Not a test itself: it takes a while. Each mutant is one replacement in one file of a copy of the
checkout, and one or two test files that must notice it, or the laws of its topic. Prints what was
caught; exit code 1 if a mutant lives. Names on the command line choose the mutants whose file they
occur in; ``1/10`` before them takes every tenth.
"""

import concurrent.futures
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import adaptive_and_warmup
import critical_rates
import curvature_and_norm
import linear_and_widths
import one_example
import quadratics
import rules

ROOT = Path(__file__).parents[2]
GROUPS = (
    rules, quadratics, one_example, linear_and_widths, adaptive_and_warmup, critical_rates,
    curvature_and_norm,
)  # fmt: skip
MUTANTS = [mutant for group in GROUPS for mutant in group.MUTANTS]


def caught(mutant):
    """Whether the tests fail on a copy of the checkout with this mutant in it."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "checkout"
        leave = shutil.ignore_patterns(".git", "__pycache__", ".*", "*.zarr")
        shutil.copytree(ROOT, copy, ignore=leave)
        target = copy / mutant.path
        text = target.read_text()
        if text.count(mutant.old) != 1:
            raise SystemExit(f"{mutant.path} holds {mutant.old!r} {text.count(mutant.old)} times")
        target.write_text(text.replace(mutant.old, mutant.new))
        files = [mutant.tests.split()]
        if (copy / "simulator/laws" / target.name).is_file() and "/theory/" in mutant.path:
            files.append(["tests/test_laws.py", "-k", f"holds and {target.stem}"])
        return any(fails(copy, some) for some in files)


def fails(copy, tests):
    """Whether a test does; a test file that cannot be run is an error."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-n0", "-p", "no:cacheprovider"]
    command += ["--seeds", "2"]
    found = subprocess.run(
        [*command, *tests], cwd=copy, capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": str(copy), "HYPOTHESIS_PROFILE": "usual"}, check=False,
    )  # fmt: skip
    if found.returncode not in (0, 1):
        raise SystemExit(f"{tests} did not run: {found.stdout[-2000:]}")
    return found.returncode == 1


def main(names):
    """Try the mutants in files that these names occur in; all of them without a name."""
    every = int(names.pop(0).partition("/")[2]) if names and names[0].startswith("1/") else 1
    chosen = [m for m in MUTANTS if not names or any(name in m.path for name in names)][::every]
    lived = 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for mutant, dead in zip(chosen, pool.map(caught, chosen), strict=True):
            lived += not dead
            verdict = "caught" if dead else "LIVES "
            print(f"{verdict}  {mutant.path}: {mutant.old!r} -> {mutant.new!r}", flush=True)
    print(f"{len(chosen) - lived} of {len(chosen)} caught")
    return 1 if lived else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
