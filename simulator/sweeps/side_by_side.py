"""Doing a chunk of a sweep at once, where its runs can share vector registers."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.data import Data
from simulator.models import Array, Lanes
from simulator.runs import Run
from simulator.schedules import Warmup
from simulator.sweeps.spec import Region, Spec
from simulator.sweeps.store import ResultStore
from simulator.training import Interrupted
from simulator.training.ensemble import Ensemble, can_go_side_by_side, train_side_by_side
from simulator.training.scores import scores
from simulator.training.single import run_in_a_lane

__all__ = ["goes_side_by_side", "run_side_by_side"]

log = logging.getLogger(__name__)

# A call of the kernel cannot be interrupted: it lasts a tenth of a second or so.
_MOST_UPDATES = 50_000_000


def goes_side_by_side(spec: Spec, data: Data | None) -> bool:
    """Whether every run of the sweep does."""
    plain = (
        spec.schedule == Warmup.name
        and not spec.layer_rates
        and (spec.batch_size is None or (data is not None and spec.batch_size == data.samples))
    )
    lanes = spec.model.lanes(data) if plain else None
    return can_go_side_by_side(spec.optimizer, lanes, spec.dtype)


def run_side_by_side(
    store: ResultStore,
    data: Data,
    known: Callable[[int], Mapping[str, float]],
    region: Region,
    chunk: dict[str, NDArray[Any]],
    *,
    stop: Callable[[], bool],
    tell: Callable[[int], None],
) -> None:
    """Fill ``chunk`` with all runs of ``region``; ``known`` is of a seed."""
    spec = store.spec
    lanes = spec.model.lanes(data)
    assert lanes is not None
    for seed in range(region[0].start, region[0].stop):
        for wrm in range(region[3].start, region[3].stop):
            for cells in _batches(spec, region):
                if stop():
                    raise Interrupted
                at = (
                    np.full(len(cells), seed - region[0].start),
                    cells[:, 0] - region[1].start,
                    cells[:, 1] - region[2].start,
                    np.full(len(cells), wrm - region[3].start),
                )
                try:
                    _fill(store, data, lanes, known(spec.seeds[seed]), seed, cells, wrm, chunk, at)
                except Exception as error:
                    # As of a run alone: a failure is a result once it is named; the others go on.
                    log.warning("the runs of seed %s failed: %r", spec.seeds[seed], error)
                    log.debug("its traceback", exc_info=True)
                    chunk["status"][at] = "failed"
                tell(len(cells))


def _batches(spec: Spec, region: Region) -> Iterator[NDArray[np.intp]]:
    """Indices (runs, 2) of eta_init and eta_trgt, neighbours in eta_trgt together.

    Neighbours diverge at about the same time, which costs a block least.
    """
    inits, trgts = (np.arange(part.start, part.stop) for part in region[1:3])
    pairs = np.stack(np.meshgrid(inits, trgts, indexing="ij"), axis=-1).reshape(-1, 2)
    most = max(1, _MOST_UPDATES // spec.steps)
    for start in range(0, len(pairs), most):
        yield pairs[start : start + most]


def _fill(
    store: ResultStore,
    data: Data,
    lanes: Lanes,
    before: Mapping[str, float],
    seed: int,
    cells: NDArray[np.intp],
    wrm: int,
    chunk: dict[str, NDArray[Any]],
    at: tuple[NDArray[np.intp], ...],
) -> None:
    spec = store.spec
    theta = spec.model.init(data, spec.seeds[seed], spec.dtype)

    def schedule(cell: NDArray[np.intp]) -> Warmup:
        at = seed, int(cell[0]), int(cell[1]), wrm
        warmup = spec.schedule_at(at, before["eta_critical"])
        assert isinstance(warmup, Warmup)
        return warmup

    def alone(cell: NDArray[np.intp]) -> Run:
        return run_in_a_lane(
            spec.model, data, lanes, theta, optimizer=spec.optimizer, schedule=schedule(cell),
            steps=spec.steps, sharpness_every=spec.sharpness_every,
        )  # fmt: skip

    unit = before["eta_critical"] if spec.eta_unit == "critical" else 1.0
    ends = np.stack([
        np.array(spec.eta_init)[cells[:, 0]] * unit, np.array(spec.eta_trgt)[cells[:, 1]] * unit,
    ])  # fmt: skip
    ensemble = train_side_by_side(
        lanes, np.repeat(lanes.begin(theta[None]), len(cells), axis=1), ends,
        schedule(cells[0]).weights(spec.steps), spec.optimizer,
        sharpness_every=spec.sharpness_every, constant_loss=spec.model.constant_loss(data),
        stride=1 if spec.curves else 0,
    )  # fmt: skip
    if data.classes or data.test:
        ensemble = _scored(ensemble, spec, data, lanes, theta)
    store.fill(chunk, at, ensemble, before)
    for run in ensemble.unsettled:
        store.fill(chunk, tuple(int(index[run]) for index in at), alone(cells[run]), before)


def _scored(ensemble: Ensemble, spec: Spec, data: Data, lanes: Lanes, theta: Array) -> Ensemble:
    """The ensemble with what its networks are worth beyond their training loss."""
    objective = spec.model.bind(data, spec.dtype)
    worth = np.full((3, ensemble.runs), np.nan)
    for run in np.flatnonzero(~ensemble.diverged):
        ended = lanes.end(theta[None], ensemble.states[:, run : run + 1])[0]
        worth[:, run] = scores(spec.model, objective, ended, data)
    return replace(ensemble, worth=worth)
