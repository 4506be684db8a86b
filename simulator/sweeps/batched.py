"""The runs of a chunk at once, where its runs can share vector registers."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from simulator.data import Data
from simulator.experiment import Experiment
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

# A call of the kernel cannot be interrupted: it lasts a tenth of a second or so.
_MOST_UPDATES = 50_000_000


def run_batched(
    job: Job,
    region: Region,
    chunk: Chunk,
    failures: list[str],
    *,
    stop: Callable[[], bool],
    on_progress: Callable[[int], None],
) -> None:
    """Fill ``chunk`` with the runs of ``region`` that are not done yet."""
    todo = chunk[STATUS.name] != "done"
    for seed, wrm in np.argwhere(todo.any(axis=(1, 2))):
        # Neighbours in eta_trgt diverge at about the same time, which costs a block least.
        pairs = np.argwhere(todo[seed, :, :, wrm])
        most = max(1, _MOST_UPDATES // job.spec.steps)
        for cells in (pairs[start : start + most] for start in range(0, len(pairs), most)):
            if stop():
                raise Interrupted
            at = np.full(len(cells), seed), cells[:, 0], cells[:, 1], np.full(len(cells), wrm)
            try:
                _fill(job, region, at, chunk)
            except Exception as error:
                # As of a run alone: a failure is a result once it is named; the others go on.
                which = job.spec.seeds[region[0].start + seed]
                failures.append(f"the runs of seed {which} failed: {error!r}")
                log.debug("its traceback", exc_info=True)
                chunk[STATUS.name][at] = "failed"
            on_progress(len(cells))


def _fill(job: Job, region: Region, at: tuple[NDArray[np.intp], ...], chunk: Chunk) -> None:
    """Put the runs at these places of a chunk, of one seed and one t_wrm, into it."""
    spec, data = job.spec, job.data
    assert data is not None
    batched = spec.model.batched(data)
    assert batched is not None
    cells = np.stack([part.start + places for part, places in zip(region, at, strict=True)], axis=1)
    seed = spec.seeds[cells[0, 0]]
    before = job.known(seed)
    theta = spec.model.init(data, seed, spec.dtype)

    def experiment(cell: NDArray[np.intp]) -> Experiment:
        return spec.at(tuple(map(int, cell)), before["eta_critical"])

    warmup = experiment(cells[0]).schedule
    assert isinstance(warmup, Warmup)
    unit = spec.unit(before["eta_critical"])
    eta_ends = np.stack([
        np.array(spec.eta_init)[cells[:, 1]] * unit, np.array(spec.eta_trgt)[cells[:, 2]] * unit,
    ])  # fmt: skip
    ensemble = train_batched(
        batched, np.repeat(batched.begin(theta[None]), len(cells), axis=1), eta_ends,
        warmup.weights(spec.steps), spec.optimizer,
        measured=spec.sharpness_every > 0, constant_loss=spec.model.constant_loss(data),
        stride=1 if spec.curves else 0,
    )  # fmt: skip
    if data.classes or data.test:
        ensemble = _scored(ensemble, spec, data, batched, theta)
    job.layout.fill(chunk, at, ensemble, before)
    for run in ensemble.unsettled:
        place = tuple(int(index[run]) for index in at)
        alone = batched_run(experiment(cells[run]), data, seed, batched, theta)
        job.layout.fill(chunk, place, alone, before)


def _scored(
    ensemble: Ensemble, spec: Spec, data: Data, batched: BatchedModel, theta: Array
) -> Ensemble:
    """The ensemble with what its networks are worth beyond their training loss."""
    objective = spec.model.bind(data, spec.dtype)
    metrics = np.full((3, ensemble.runs), np.nan)
    for run in np.flatnonzero(~ensemble.diverged):
        ended = batched.end(theta[None], ensemble.states[:, run : run + 1])[0]
        metrics[:, run] = test_metrics(spec.model, objective, ended, data)
    return replace(ensemble, metrics=metrics)
