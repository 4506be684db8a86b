"""Run the cells of a chunk, on a thread or on another machine."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from simulator.data import Data
from simulator.runs import Run
from simulator.sweeps.batched import run_batched
from simulator.sweeps.job import Job
from simulator.sweeps.layout import STATUS, Chunk
from simulator.sweeps.spec import Region, Spec
from simulator.timing import Stopwatch
from simulator.training import Interrupted, Snapshot, train
from simulator.training.ensemble import batched_for

__all__ = ["Done", "do", "run_cell"]

log = logging.getLogger(__name__)


class Done(NamedTuple):
    """A chunk with its runs, their time, and the failed runs as text."""

    chunk: Chunk
    seconds: dict[str, float]
    failures: list[str]


def do(
    job: Job,
    region: Region,
    chunk: Chunk,
    *,
    stop: Callable[[], bool] = lambda: False,
    on_progress: Callable[[int], None] = lambda runs: None,
) -> Done:
    """Run the cells of ``chunk`` that are not done; its values are filled in.

    If ``stop`` returns True the rest is not run. A run that fails is named and recorded, and the
    others continue.
    """
    watch, curvature, failures = Stopwatch(), 0.0, list[str]()
    # A chunk belongs to one combination of the options that vary; its cells are views.
    first = len(job.spec.over)
    index = tuple(part.start for part in region[:first])
    part, where = job.part(index), region[first:]
    cells = {name: values[(0,) * first] for name, values in chunk.items()}
    try:
        if batched_for(part.spec, part.data):
            run_batched(part, where, cells, failures, stop=stop, on_progress=on_progress)
        else:
            for at in np.argwhere(cells[STATUS.name] != "done"):
                curvature += _run(part, where, cells, tuple(map(int, at)), failures, stop)
                on_progress(1)
    except Interrupted:
        pass
    if index:
        named = (
            f"{axis.name} {axis.labels[i]}" for axis, i in zip(job.spec.over, index, strict=True)
        )
        with_options = ", ".join(named)
        failures = [f"with {with_options}, {failure}" for failure in failures]
    return Done(chunk, watch.seconds(curvature), failures)


def _run(
    job: Job,
    region: Region,
    chunk: Chunk,
    at: tuple[int, ...],
    failures: list[str],
    stop: Callable[[], bool],
) -> float:
    """One run; the seconds of its curvature."""
    spec = job.spec
    cell = tuple(part.start + offset for part, offset in zip(region, at, strict=True))
    try:
        known = job.known(spec.seeds[cell[0]])
        run = run_cell(spec, job.data, cell, known["eta_critical"], stop=stop)
    except Interrupted:
        raise
    except Exception as error:
        failures.append(f"the run at {spec.coordinates_of(cell)} failed: {error!r}")
        log.debug("its traceback", exc_info=True)
        chunk[STATUS.name][at] = "failed"
        return 0.0
    job.layout.fill(chunk, at, run, known)
    return run.seconds["curvature"]


def run_cell(
    spec: Spec,
    data: Data | None,
    cell: Sequence[int],
    eta_critical: float,
    *,
    stop: Callable[[], bool] | None = None,
    callback: Callable[[Snapshot], None] | None = None,
) -> Run:
    """The run at these indices along ``AXES``; ``eta_critical`` is that of its seed."""
    seed = spec.seeds[cell[0]]
    return train(spec.at(cell, eta_critical), data, seed, stop=stop, callback=callback)
