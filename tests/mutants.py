"""Break each formula on purpose, and see a test fail: ``python tests/mutants.py``.

Not a test itself: it takes a while. Each mutant is one replacement in one file of a copy of the
checkout, and one or two test files that must notice it. Prints what was caught; exit code 1 if a
mutant lives. Names on the command line choose the mutants whose file they occur in.
"""

import concurrent.futures
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]


class Mutant(NamedTuple):
    """A formula made wrong, and where that must be noticed."""

    path: str
    old: str
    new: str
    tests: str


def _of(path, tests, *changes):
    return [Mutant(path, old, new, tests) for old, new in changes]


MUTANTS = [
    *_of(
        "simulator/optimizers/moments.py", "tests/test_optimizers.py",
        ("1.0 / (1.0 - self.beta1**t), 1.0 / (1.0 - self.beta2**t)",
         "1.0 / (1.0 - self.beta1 ** (t + 1)), 1.0 / (1.0 - self.beta2**t)"),
        ("1.0 / (1.0 - self.beta1**t), 1.0 / (1.0 - self.beta2**t)",
         "1.0 / (1.0 - self.beta1**t), 1.0"),
        ("v = self.beta2 * state[1] + (1.0 - self.beta2) * gradient**2", "v = state[1]"),
        ("(1.0 - self.beta1**t) * root", "root"),
        ("np.sqrt(v / (1.0 - self.beta2**t)) + self.eps", "np.sqrt(v / (1.0 - self.beta2**t))"),
        ("heavy_ball_limit(self.beta1, self.beta1)", "heavy_ball_limit(self.beta1)"),
        ("Limit(2.0 / (1.0 - self.beta1))", "Limit(2.0 / (1.0 + self.beta1))"),
    ),
    *_of(
        "simulator/optimizers/gi_adam.py", "tests/test_optimizers.py",
        ("gradient**2", "abs(gradient)"),
        ("gradient**2", "0.0 * gradient"),
    ),
    *_of(
        "simulator/optimizers/ri_adam.py", "tests/test_optimizers.py",
        ("np.linalg.norm(gradient) / np.linalg.norm(r)", "1.0 / np.linalg.norm(r)"),
    ),
    *_of(
        "simulator/optimizers/radam.py", "tests/test_optimizers.py",
        ("rho - 2.0 * t * power", "rho - 2.0 * power"),
        ("_TRACTABLE = 5.0", "_TRACTABLE = 4.0"),
        ("super().preconditioner(gradient, state, t) / gradient.dtype.type(r)",
         "super().preconditioner(gradient, state, t) * gradient.dtype.type(r)"),
    ),
    *_of(
        "simulator/optimizers/adamw.py", "tests/test_optimizers.py",
        ("out += theta.dtype.type(self.weight_decay) * theta",
         "out -= theta.dtype.type(self.weight_decay) * theta"),
    ),
    *_of(
        "simulator/optimizers/adamw.py", "tests/test_optimizers.py tests/test_stability.py",
        ("borne = (1.0 + self.beta1) / (1.0 - self.beta1)", "borne = 1.0 / (1.0 - self.beta1)"),
    ),
    *_of(
        "simulator/optimizers/momentum.py", "tests/test_optimizers.py",
        ("return 1.0 if t == 1 and not self.ema", "return 1.0 if t == 2 and not self.ema"),
        ("return self.beta if self.ema", "return 1.0 - self.beta if self.ema"),
    ),
    *_of(
        "simulator/optimizers/nesterov.py", "tests/test_optimizers.py",
        ("Limit(2.0 / (1.0 + self.beta))", "Limit(2.0)"),
    ),
    *_of(
        "simulator/optimizers/rmsprop.py", "tests/test_optimizers.py",
        ("return Limit(2.0)", "return Limit(2.02)"),
        ("self.beta2 * state[0] + (1.0 - self.beta2) * gradient**2", "state[0]"),
    ),
    *_of(
        "simulator/numerics/updates.py", "tests/test_optimizers.py",
        ("np.sqrt(second * v[i]) + eps", "np.sqrt(second * v[i] + eps)"),
        ("out[i] = gradient[i] + beta * velocity[i]", "out[i] = velocity[i]"),
    ),
    *_of(
        "simulator/numerics/updates.py", "tests/test_preconditioned.py",
        ("theta[i] -= eta * rates[i] * update[i]", "theta[i] -= eta * update[i]"),
    ),
    *_of(
        "simulator/training/rule.py", "tests/test_preconditioned.py",
        ("held_where_zero(p / self._rates)", "held_where_zero(p * self._rates)"),
    ),
    *_of(
        "simulator/training/record.py", "tests/test_preconditioned.py",
        ("self._measure_preconditioned(step + 1)", "self._measure_preconditioned(step + 2)"),
        ("self._measure_preconditioned(len(self.loss) + 1)",
         "self._measure_preconditioned(len(self.loss))"),
    ),
    *_of(
        "simulator/parameterizations.py", "tests/test_preconditioned.py",
        ("return 1.0 / sqrt(fan_out) if first else 1.0 / fan_in",
         "return 1.0 / sqrt(fan_out) if first else 1.0 / sqrt(fan_in)"),
    ),
    *_of(
        "simulator/schedules.py", "tests/test_schedules.py",
        ("t = np.arange(1, steps + 1)", "t = np.arange(steps)"),
        ("eta[after] = self.eta_trgt", "eta[after] = self.eta_init"),
        ("(t[after] - self.t_wrm) / (steps - self.t_wrm)", "(t[after] - self.t_wrm) / steps"),
    ),
    *_of(
        "simulator/models/uv.py", "tests/test_uv.py",
        ("-0.5 * (1.0 - self.s)", "-0.5 * self.s"),
        ("freedom = rows - np.arange(columns, dtype=float)",
         "freedom = rows + np.arange(columns, dtype=float)"),
    ),
]  # fmt: skip


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
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-n0", "-p", "no:cacheprovider"]
        found = subprocess.run(
            [*command, *mutant.tests.split()], cwd=copy, capture_output=True, text=True,
            env={**os.environ, "PYTHONPATH": str(copy)}, check=False,
        )  # fmt: skip
        if found.returncode not in (0, 1):
            raise SystemExit(f"{mutant.tests} did not run: {found.stdout[-2000:]}")
        return found.returncode == 1


def main(names):
    """Try the mutants in files that these names occur in; all of them without a name."""
    chosen = [m for m in MUTANTS if not names or any(name in m.path for name in names)]
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
