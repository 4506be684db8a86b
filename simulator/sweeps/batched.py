"""Train the runs of a chunk at once, if they can share vector registers."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulator.data import Data
from simulator.models import Array, BatchedModel
from simulator.schedules import Warmup
from simulator.sweeps.job import Job
from simulator.sweeps.layout import STATUS, Chunk
from simulator.sweeps.spec import Region, Spec
from simulator.training import Interrupted
from simulator.training.ensemble import Ensemble, train_batched
from simulator.training.metrics import test_metrics
from simulator.training.single import batched_run

__all__ = ["run_batched"]

log = logging.getLogger(__name__)

# A call of the kernel cannot be interrupted, so it lasts about a twentieth of a second.
_MOST_UPDATES = 16_000_000
# Largest number of schedules times updates of a call: 32 MB.
_MOST_WEIGHTS = 2_000_000


class _Start(NamedTuple):
    """The shared part of a seed's runs: `seed_constants`, the unit of eta, the first state."""

    known: dict[str, float]
    unit: float
    state: Array


def run_batched(
    job: Job,
    region: Region,
    chunk: Chunk,
    failures: list[str],
    *,
    stop: Callable[[], bool],
    on_progress: Callable[[int], None],
) -> None:
    """Fill ``chunk`` with the runs of ``region`` that are not done.

    The arrays of the chunk are contiguous.
    """
    batched = job.spec.model.batched(job.data)
    assert batched is not None
    todo = chunk[STATUS.name] != "done"
    starts = dict[int, _Start]()

    def fail(places: NDArray[np.bool_], seeds: list[int], error: Exception) -> None:
        # As for a single run: a failure is named and recorded, and the others continue.
        named = (job.spec.seeds[region[0].start + seed] for seed in seeds)
        failures.extend(f"the runs of seed {seed} failed: {error!r}" for seed in named)
        log.debug("its traceback", exc_info=True)
        chunk[STATUS.name][places] = "failed"
        on_progress(int(places.sum()))

    for seed in map(int, np.flatnonzero(todo.any(axis=(1, 2, 3)))):
        if stop():
            raise Interrupted
        try:
            starts[seed] = _start(job, batched, region[0].start + seed)
        except Exception as error:
            lost = np.zeros_like(todo)
            lost[seed], todo[seed] = todo[seed], False
            fail(lost, [seed], error)
    for places in _batches(todo, job.spec.steps):
        if stop():
            raise Interrupted
        try:
            _fill(job, batched, region, places, starts, chunk)
        except Exception as error:
            lost = np.zeros_like(todo)
            lost[places] = True
            fail(lost, np.unique(places[0]).tolist(), error)
        else:
            on_progress(len(places[0]))


def _start(job: Job, batched: BatchedModel, seed: int) -> _Start:
    """Of the seed at this index."""
    spec = job.spec
    known = job.known(spec.seeds[seed])
    theta = spec.model.init(job.data, spec.seeds[seed], spec.dtype)
    return _Start(known, spec.unit(known["eta_critical"]), batched.begin(theta[None])[:, 0])


def _batches(todo: NDArray[np.bool_], steps: int) -> Iterator[tuple[NDArray[np.intp], ...]]:
    """The indices along `AXES` of the missing runs, by calls of the kernel.

    Neighbours have the same t_wrm, and values of eta_trgt that diverge at about the same time,
    which is fastest for a block.
    """
    wrm, seed, init, trgt = np.nonzero(todo.transpose(3, 0, 1, 2))
    most, schedules = max(1, _MOST_UPDATES // steps), max(1, _MOST_WEIGHTS // steps)
    start = 0
    while start < len(wrm):
        end = min(start + most, int(np.searchsorted(wrm, wrm[start] + schedules)))
        yield seed[start:end], init[start:end], trgt[start:end], wrm[start:end]
        start = end


def _fill(
    job: Job,
    batched: BatchedModel,
    region: Region,
    places: tuple[NDArray[np.intp], ...],
    starts: dict[int, _Start],
    chunk: Chunk,
) -> None:
    """Put the runs at these indices of a chunk into it."""
    spec, data = job.spec, job.data
    assert data is not None
    seed, init, trgt, wrm = (part.start + at for part, at in zip(region, places, strict=True))
    (seeds, of_seed), (wrms, schedule) = (np.unique(i, return_inverse=True) for i in (seed, wrm))
    begun = [starts[index - region[0].start] for index in seeds]
    known = {
        name: np.array([start.known[name] for start in begun])[of_seed] for name in begun[0].known
    }
    unit = np.array([start.unit for start in begun])[of_seed]
    ensemble = train_batched(
        batched, np.stack([start.state for start in begun], axis=1)[:, of_seed],
        np.stack([np.array(spec.eta_init)[init] * unit, np.array(spec.eta_trgt)[trgt] * unit]),
        np.stack([_weights(spec, int(index)) for index in wrms]), schedule, spec.optimizer,
        measured=spec.follows_sharpness, constant_loss=spec.model.constant_loss(data),
        stride=1 if spec.curves else 0,
    )  # fmt: skip
    if data.classes or data.test:
        ensemble = _with_test_metrics(ensemble, spec, data, batched, seed)
    cells = {name: _by_run(values) for name, values in chunk.items()}
    at = np.ravel_multi_index(places, chunk[STATUS.name].shape)
    job.layout.fill(cells, at, ensemble, known)
    for run in ensemble.unsettled:
        cell = int(seed[run]), int(init[run]), int(trgt[run]), int(wrm[run])
        start = starts[int(places[0][run])]
        theta = spec.model.init(data, spec.seeds[cell[0]], spec.dtype)
        experiment = spec.at(cell, start.known["eta_critical"])
        alone = batched_run(experiment, data, spec.seeds[cell[0]], batched, theta)
        job.layout.fill(cells, at[run], alone, start.known)


def _by_run(values: Array) -> Array:
    """A view of the cells as one row."""
    cells = values.view()
    cells.shape = (-1, *values.shape[4:])  # type: ignore[misc]  # never a copy
    return cells


def _weights(spec: Spec, wrm: int) -> Array:
    """Of the schedule of this t_wrm; see `Warmup.weights`."""
    schedule = spec.schedule.at(1.0, t_wrm=spec.t_wrm[wrm])
    assert isinstance(schedule, Warmup)
    return schedule.weights(spec.steps)


def _with_test_metrics(
    ensemble: Ensemble, spec: Spec, data: Data, batched: BatchedModel, seed: NDArray[np.intp]
) -> Ensemble:
    """The ensemble with the test metrics of its networks."""
    objective = spec.model.bind(data, spec.dtype)
    metrics = np.full((3, ensemble.runs), np.nan)
    for index in np.unique(seed):
        theta = spec.model.init(data, spec.seeds[index], spec.dtype)
        for run in np.flatnonzero((seed == index) & ~ensemble.diverged):
            ended = batched.end(theta[None], ensemble.states[:, run : run + 1])[0]
            metrics[:, run] = test_metrics(spec.model, objective, ended, data)
    return replace(ensemble, metrics=metrics)
