"""Sweeps on one core and on all: throughput, and whether cost is linear in runs and steps.

``mlp``: 64 runs of a small network. ``uv``: side by side, with the sharpness of every step. A ratio
``cores`` is the time with one worker over that with all of them. ``runs`` and ``steps`` are the
time of twice as many over twice the time: 1 is linear.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable

os.environ |= {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}

import numpy as np

import simulator as sim

CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def mlp(runs: int, steps: int, workers: int) -> None:
    """Stable runs, all of one length."""
    data = sim.load_data("digits", samples=256)
    sim.sweep(
        sim.MLP(width=32), data, eta_trgt=np.linspace(0.1, 0.9, runs), t_wrm=[steps // 4],
        steps=steps, eta_unit="critical", workers=workers,
    )  # fmt: skip


def uv(runs: int, steps: int, workers: int) -> None:
    """The same of networks that share vector registers."""
    sim.sweep(
        sim.UV(width=100), sim.Data([[1.0]], [[0.3]]), eta_trgt=np.linspace(0.1, 0.9, runs),
        t_wrm=[steps // 4], steps=steps, eta_unit="critical", sharpness_every=1, workers=workers,
    )  # fmt: skip


def ratios(sweep: Callable[[int, int, int], None], runs: int, steps: int, rounds: int) -> None:
    """Print each ratio, of all rounds."""
    contests = {
        "cores": ((runs, steps, 1), (runs, steps, CORES), 1),
        "runs": ((2 * runs, steps, 1), (runs, steps, 1), 2),
        "steps": ((runs, 2 * steps, 1), (runs, steps, 1), 2),
    }
    for name, (first, second, twice) in contests.items():
        found = []
        for _ in range(rounds):
            seconds = []
            for arguments in (first, second):
                start = time.perf_counter()
                sweep(*arguments)
                seconds.append(time.perf_counter() - start)
            found.append(seconds[0] / seconds[1] / twice)
        middle, least, most = statistics.median(found), min(found), max(found)
        print(f"{sweep.__name__:4} {name:6} {middle:.3f} [{least:.3f}, {most:.3f}]", flush=True)


def main() -> None:
    """Compile, then measure."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5, help="(5)")
    rounds = parser.parse_args().rounds
    print(f"{CORES} cores")
    for sweep, runs, steps in ((mlp, 64, 1024), (uv, 262144, 10000)):
        sweep(4, 8, 1)
        ratios(sweep, runs, steps, rounds)


if __name__ == "__main__":
    main()
