"""What every contest shares: one core for everybody, alternating rounds, ratios with their spread.

Import this before anything else. It starts the program again with the environment in which all
contestants run: one core, one thread for every BLAS and for XLA, and no OPENBLAS_CORETYPE, which
makes OpenBLAS run the kernels of another processor. With ``BENCHMARK_ALL_CORES`` in the environment
it does not: contestants are commands there.
"""

from __future__ import annotations

import os
import sys

_THREADS = ("OPENBLAS", "OMP", "MKL", "NUMBA", "VECLIB", "NPROC")
ENVIRONMENT = {f"{name}_NUM_THREADS": "1" for name in _THREADS} | {
    "NPROC": "1",
    "JAX_PLATFORMS": "cpu",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
}
REMOVED = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")


def _pin() -> None:
    if "BENCHMARK_ALL_CORES" in os.environ:
        return
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    wanted = {k: v for k, v in os.environ.items() if k not in REMOVED} | ENVIRONMENT
    if wanted != dict(os.environ):
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], wanted)


_pin()

import argparse
import importlib
import json
import platform
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import scipy.linalg  # noqa: F401  (the BLAS that numba calls)
from threadpoolctl import threadpool_info

Times = dict[str, np.ndarray]


def options(description: str | None, **more: Any) -> argparse.ArgumentParser:
    """The command line of a contest; ``more``: further numbers, each with its default."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=7, help="alternating rounds (default 7)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results there too")
    for name, default in more.items():
        parser.add_argument(f"--{name}", type=type(default), default=default, help=f"({default})")
    return parser


def optional(package: str) -> Any:
    """The package, or None and one line saying that its contestants are left out."""
    try:
        return importlib.import_module(package)
    except ImportError as error:
        print(f"{package}: left out ({error})")
        return None


def machine() -> dict[str, Any]:
    """Processor, versions, and the kernels that each loaded BLAS runs."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    flags = next((line.split() for line in lines if line.startswith("flags")), [])
    packages = ("numpy", "scipy", "numba", "jax", "torch")
    blas = sorted(
        f"{i['internal_api']} {i['version']} {i.get('architecture')} x{i['num_threads']}"
        for i in threadpool_info()
        if i["user_api"] == "blas"
    )
    return {
        "cpu": names[0] if names else platform.processor(),
        "vectors": next((f for f in ("avx512f", "avx2", "asimd") if f in flags), "unknown"),
        "python": platform.python_version(),
        **{p: sys.modules[p].__version__ for p in packages if p in sys.modules},
        "blas": blas,
    }


def agree(title: str, results: Mapping[str, Any], tolerance: float) -> float:
    """Largest deviation from the first result, relative to its largest entry; exits if too large.

    Where the first is not finite, the others must not be either.
    """
    (first, reference), *others = ((k, np.asarray(v, dtype=float)) for k, v in results.items())
    finite = np.isfinite(reference)
    worst = 0.0
    for name, value in others:
        if (np.isfinite(value) != finite).any():
            sys.exit(f"{title}: {name} and {first} are not finite in the same places")
        off = np.abs(value - reference)[finite].max() / np.abs(reference[finite]).max()
        if not off <= tolerance:
            sys.exit(f"{title}: {name} and {first} differ by {off:.1e}, beyond {tolerance:.0e}")
        worst = max(worst, float(off))
    return worst


def alternate(
    contestants: Mapping[str, Callable[[], Any]],
    rounds: int,
    least: float = 0.02,
    clock: Callable[[], float] = time.perf_counter,
) -> Times:
    """Seconds a call of each contestant, shape (rounds,).

    In every round each one runs once, for at least ``least`` seconds, in an order that rotates.
    With ``least`` 0 it is called once a round, and must have been warmed up.
    """
    names, repeats = list(contestants), dict.fromkeys(contestants, 1)
    for name, call in contestants.items() if least else ():
        call()
        start = time.perf_counter()
        call()
        repeats[name] += int(least / (time.perf_counter() - start))
    times = {name: np.empty(rounds) for name in names}
    for turn in range(rounds):
        at = turn % len(names)
        for name in names[at:] + names[:at]:
            call, count = contestants[name], repeats[name]
            start = clock()
            for _ in range(count):
                call()
            times[name][turn] = (clock() - start) / count
    return times


def spread(values: np.ndarray) -> dict[str, float]:
    """Median, least and most."""
    return {
        "median": float(np.median(values)), "min": float(values.min()), "max": float(values.max())
    }  # fmt: skip


def show(value: Mapping[str, float]) -> str:
    """A spread as text: median [min, max]."""
    return "{median:.3g} [{min:.3g}, {max:.3g}]".format(**value)


def table(head: list[str], rows: list[list[str]]) -> None:
    """Print columns, the first to the left and the others to the right."""
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    for row in (head, ["-" * width for width in widths], *rows):
        first, *others = zip(row, widths, strict=True)
        cells = [first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)]
        print("  ".join(cells).rstrip(), flush=True)


def finish(file: Path | None, results: Any) -> None:
    """Print the machine last, when all libraries are loaded; write everything to ``file``."""
    about = machine()
    print()
    for key, value in about.items():
        print(f"{key}: {', '.join(value) if isinstance(value, list) else value}")
    if file is not None:
        file.write_text(json.dumps({"machine": about, "results": results}, indent=1) + "\n")
