"""Doing the runs: threads over chunks of the grid, one run at a time on each."""

from __future__ import annotations

import itertools
import logging
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from simulator.blas import one_blas_thread
from simulator.catapult_search import DELTA
from simulator.checks import at_least
from simulator.data import Data
from simulator.models import Model
from simulator.optimizers import GD, Optimizer
from simulator.runs import Run
from simulator.seconds import Stopwatch
from simulator.sweeps.chunks import cells_in_a_chunk
from simulator.sweeps.foreknowledge import foreknowledge
from simulator.sweeps.side_by_side import goes_side_by_side, run_side_by_side
from simulator.sweeps.spec import Region, Spec, first_seeds
from simulator.sweeps.store import ResultStore, check_output
from simulator.training import Interrupted, Rule, check_batch_size, simulate

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["cores", "execute", "run_cell", "sweep"]

log = logging.getLogger(__name__)

Progress = Callable[[int], None]
# One array for each variable, and the seconds of its thread.
Chunk = tuple[dict[str, NDArray[Any]], dict[str, float]]


def sweep(
    model: Model,
    data: Data | None = None,
    *,
    optimizer: Optimizer | None = None,
    eta_trgt: Sequence[float],
    eta_init: Sequence[float] = (0.0,),
    t_wrm: Sequence[int] = (1,),
    seeds: int = 1,
    steps: int = 512,
    eta_unit: str = "absolute",
    warmup_exponent: float = 1.0,
    decay: str = "none",
    schedule: str = "warmup",
    delta: float = DELTA,
    factor: float = 1.0,
    batch_size: int | None = None,
    layer_rates: bool = False,
    sharpness_every: int = 16,
    accuracy: float = 1e-5,
    curves: bool = False,
    dtype: str = "float64",
    workers: int | None = None,
    output: str | Path | None = None,
    resume: bool = False,
    overwrite: bool = False,
) -> xr.Dataset:
    """Train on every cell of a grid.

    A cell's values depend on its own coordinates only, bit for bit: not on the rest of the grid,
    nor on the number of workers, nor on what ran before.

    Parameters
    ----------
    model, data, optimizer, steps, batch_size, accuracy, dtype
        As in `simulate`.
    eta_trgt, eta_init, t_wrm : sequences of numbers
        The grid, each rising.
    seeds : int
        Seeds 0 ... seeds - 1.
    eta_unit : {"absolute", "critical"}
        ``critical``: learning rates are multiples of the optimizer's instability threshold at
        initialisation, per seed (GD: 2 / sharpness).
    warmup_exponent, decay
        As ``exponent`` and ``decay`` of `Warmup`.
    schedule : {"warmup", "modified", "persistent-catapult", "threshold"}
        `Warmup`, `ModifiedWarmup`, `PersistentCatapult` with ``delta``, or `AtThreshold` with
        ``factor``.
    layer_rates : bool
        Each layer at the learning-rate factor of the model's parameterization: muP under an
        adaptive optimizer.
    sharpness_every : int
        Measure before every so many updates and after the last; 0 is never.
    curves : bool
        Keep loss, sharpness, eta and threshold of every step.
    workers : int, optional
        Threads; default one for every core this process may use.
    output : path, optional
        Write a Zarr store there while running; default in memory.
    resume, overwrite : bool
        Continue, or replace, a store that exists.

    Returns
    -------
    xarray.Dataset
        Dimensions seed, eta_init, eta_trgt, t_wrm (and step), one variable for each property of
        a run.

    Raises
    ------
    InputError
        For input that cannot be used, before anything is written.
    """
    spec = Spec(
        model=model,
        optimizer=optimizer or GD(),
        eta_trgt=tuple(np.atleast_1d(eta_trgt)),
        eta_init=tuple(np.atleast_1d(eta_init)),
        t_wrm=tuple(np.atleast_1d(t_wrm)),
        seeds=first_seeds(seeds),
        steps=steps,
        eta_unit=eta_unit,
        warmup_exponent=warmup_exponent,
        decay=decay,
        schedule=schedule,
        delta=delta,
        factor=factor,
        batch_size=batch_size,
        layer_rates=layer_rates,
        sharpness_every=sharpness_every,
        accuracy=accuracy,
        curves=curves,
        dtype=dtype,
    )
    path = None if output is None else Path(output)
    return execute(
        spec, data, path=path, workers=workers, resume=resume, overwrite=overwrite
    ).load()


def execute(
    spec: Spec,
    data: Data | None,
    *,
    path: Path | None = None,
    workers: int | None = None,
    resume: bool = False,
    overwrite: bool = False,
    chunk_cells: int | None = None,
    progress: Progress | None = None,
    seconds: dict[str, float] | None = None,
) -> xr.Dataset:
    """Run what a spec asks for and is not in the store yet; the results as a lazy dataset.

    ``chunk_cells``: about how many cells a task computes and writes at once; by default
    `cells_in_a_chunk`. ``progress`` is told, from any thread, how many more runs are done or found
    done. ``seconds`` is given what all runs and threads together took, by the names that a `Run`
    uses, and ``store`` for writing.

    On `KeyboardInterrupt` running cells are given up, whole chunks are kept.
    """
    check(spec, data, path, workers, resume=resume, overwrite=overwrite)
    workers = workers or cores()
    if resume and path is not None and path.exists():
        store = ResultStore.reopen(path, spec, data)
    else:
        shape = spec.chunk_shape(chunk_cells or cells_in_a_chunk(spec, data))
        store = ResultStore.create(path, spec, data, shape)
    tell = progress or (lambda runs: None)
    with one_blas_thread():
        failed = _run_all(_missing(store, tell), store, data, workers, tell)
    if seconds is not None:
        seconds.update(store.seconds)
    if not failed:
        store.finish()
    return store.dataset()


def cores() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def check(
    spec: Spec,
    data: Data | None,
    path: Path | None = None,
    workers: int | None = None,
    *,
    resume: bool = False,
    overwrite: bool = False,
) -> None:
    """Refuse what `execute` would refuse; nothing is written."""
    if workers is not None:
        at_least("workers", workers, 1)
    rehearse(spec, data)
    if path is not None:
        if resume and path.exists():
            ResultStore.reopen(path, spec, data)
        else:
            check_output(path, spec, overwrite=overwrite)


def rehearse(spec: Spec, data: Data | None) -> None:
    """Refuse now what every run would refuse: nothing may be half-written."""
    objective = spec.model.bind(data, spec.dtype)
    if spec.batch_size is not None:
        check_batch_size(spec.batch_size, objective.samples)
    spec.model.init(data, spec.seeds[-1], spec.dtype)
    spec.schedule_at((0, 0, 0, 0), 1.0).values(spec.steps)
    Rule(spec.optimizer, spec.model, objective, spec.rates(data), spec.seeds[0])


def _missing(store: ResultStore, tell: Progress) -> Iterator[Region]:
    for region in store.regions():
        if store.is_complete(region):
            tell(_cells(region))
        else:
            yield region


def _cells(region: Region) -> int:
    return int(np.prod([part.stop - part.start for part in region]))


def _run_all(
    regions: Iterator[Region], store: ResultStore, data: Data | None, workers: int, tell: Progress
) -> bool:
    """Keep every worker busy, with a bounded number of chunks in flight; whether a run failed."""
    spec, stop, failed = store.spec, threading.Event(), False
    with ThreadPoolExecutor(workers) as pool:
        running: dict[Future[Chunk], Region] = {}
        known = cache(partial(foreknowledge, spec, data))
        work = partial(_run_chunk, store, data, known, stop=stop.is_set, tell=tell)
        try:
            for region in itertools.islice(regions, 2 * workers):
                running[pool.submit(work, region)] = region
            while running:
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    chunk, seconds = future.result()
                    store.write(running.pop(future), chunk)
                    for name, more in seconds.items():
                        store.seconds[name] += more
                    failed |= bool((chunk["status"] == "failed").any())
                    for region in itertools.islice(regions, 1):
                        running[pool.submit(work, region)] = region
        except BaseException:
            stop.set()
            for future, region in running.items():
                if not future.cancel() and future.exception() is None:
                    store.write(region, future.result()[0])
            raise
    return failed


def _run_chunk(
    store: ResultStore,
    data: Data | None,
    known: Callable[[int], Mapping[str, float]],
    region: Region,
    *,
    stop: Callable[[], bool],
    tell: Progress,
) -> Chunk:
    """All cells of a chunk, and what they took; ``known`` is of a seed."""
    spec, watch, curvature = store.spec, Stopwatch(), 0.0
    shape = tuple(part.stop - part.start for part in region)
    chunk = store.blank(shape)
    if goes_side_by_side(spec, data):
        assert data is not None
        run_side_by_side(store, data, known, region, chunk, stop=stop, tell=tell)
        return chunk, watch.seconds()
    for at in np.ndindex(shape):
        cell = tuple(part.start + offset for part, offset in zip(region, at, strict=True))
        try:
            before = known(spec.seeds[cell[0]])
            run = run_cell(spec, data, cell, before["eta_critical"], stop=stop)
        except Interrupted:
            raise
        except Exception as error:
            # A cell that fails is a result too, once it is named; the others go on.
            log.warning("the run at %s failed: %r", spec.coordinates_of(cell), error)
            log.debug("its traceback", exc_info=True)
            chunk["status"][at] = "failed"
        else:
            store.fill(chunk, at, run, before)
            curvature += run.seconds["curvature"]
        tell(1)
    return chunk, watch.seconds(curvature)


def run_cell(
    spec: Spec,
    data: Data | None,
    cell: Sequence[int],
    eta_critical: float,
    *,
    top_k: int = 1,
    stop: Callable[[], bool] | None = None,
) -> Run:
    """The run at these indices along ``AXES``; ``eta_critical`` is its seed's."""
    return simulate(
        spec.model,
        data,
        optimizer=spec.optimizer,
        schedule=spec.schedule_at(cell, eta_critical),
        steps=spec.steps,
        seed=spec.seeds[cell[0]],
        batch_size=spec.batch_size,
        rates=spec.rates(data),
        sharpness_every=spec.sharpness_every,
        top_k=top_k,
        accuracy=spec.accuracy,
        dtype=spec.dtype,
        stop=stop,
    )
