"""Run a sweep: send the chunks of its grid to workers, and their results to the store."""

from __future__ import annotations

import itertools
import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, wait
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from simulator.checks import InputError, at_least, check_batch_size
from simulator.data import Data, as_data
from simulator.measures import chosen_measures
from simulator.models import Model
from simulator.optimizers import GD, Optimizer
from simulator.schedules import Schedule, as_schedule
from simulator.sweeps.cluster import Cluster
from simulator.sweeps.cost import cells_in_a_chunk, refuse_large
from simulator.sweeps.destination import Destination
from simulator.sweeps.job import Job
from simulator.sweeps.layout import STATUS, Chunk
from simulator.sweeps.memory import Memory, Values
from simulator.sweeps.over import axes_of
from simulator.sweeps.spec import Region, Spec, first_seeds
from simulator.sweeps.store import ResultStore
from simulator.sweeps.threads import Threads
from simulator.sweeps.work import Done
from simulator.training import UpdateRule, check_measure

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["check", "cores", "execute", "rehearse", "sweep"]

log = logging.getLogger(__name__)

Progress = Callable[[int], None]

# Interrupted runs end within a step; only compilation takes longer, and is abandoned.
_PATIENCE_SECONDS = 1.0


def sweep(
    model: Model | type[Model] | str,
    data: Data | str | Path | None = None,
    *,
    optimizer: Optimizer | type[Optimizer] | str | None = None,
    eta_trgt: Sequence[float],
    eta_init: Sequence[float] = (0.0,),
    t_wrm: Sequence[int] = (1,),
    seeds: int | Sequence[int] = 1,
    steps: int = 512,
    eta_unit: str = "absolute",
    schedule: str | Schedule = "warmup",
    warmup_exponent: float | None = None,
    decay: str | None = None,
    delta: float | None = None,
    factor: float | None = None,
    batch_size: int | None = None,
    layer_rates: bool = False,
    sharpness_every: int = 16,
    sharpness_tol: float = 1e-3,
    curves: bool = False,
    dtype: str = "float64",
    measure: Sequence[str] = ("sharpness",),
    batches: int = 32,
    batch_accuracy: float | None = None,
    batch_every: int | None = None,
    workers: int | None = None,
    output: str | Path | None = None,
    resume: bool = False,
    overwrite: bool = False,
    grow: bool = False,
    large: bool = False,
    scheduler: str | None = None,
    over: Mapping[str, Any] | None = None,
) -> xr.Dataset:
    """Train on every cell of a grid.

    A cell's values depend on its own coordinates only, bit for bit: not on the rest of the grid,
    nor on the number of workers, nor on what ran before.

    Parameters
    ----------
    model, data, optimizer, steps, batch_size, sharpness_tol, dtype, measure, batches
        As in `simulate`.
    batch_accuracy, batch_every
        As in `simulate`.
    eta_trgt, eta_init, t_wrm : sequences of numbers
        The grid, with increasing values.
    seeds : int or sequence of int
        Number of seeds (0 ... seeds - 1), or increasing seeds.
    eta_unit : {"absolute", "critical"}
        ``critical``: learning rates are multiples of the optimizer's instability threshold at
        initialisation, per seed (GD: 2 / sharpness).
    schedule : str or Schedule
        `Warmup`, `ModifiedWarmup`, `PersistentCatapult`, `AtThreshold`, `CDAT` or `LossGap` by its
        name: "warmup", "modified", "persistent-catapult", "threshold", "cdat", "loss-gap"; or an
        object of these classes or of a user-defined one as a template: the grid replaces eta_init,
        eta_trgt and t_wrm. Other fields ``eta_…`` of the template are in ``eta_unit``, too.
    warmup_exponent, decay, delta, factor : optional
        Options of that schedule: ``exponent`` and ``decay`` of `Warmup`, ``delta`` of
        `PersistentCatapult`, ``factor`` of `AtThreshold`.
    layer_rates : bool
        Multiply the learning rate of each layer by the factor of the model's parameterization (muP
        with an adaptive optimizer).
    sharpness_every : int
        Updates between measurements of the sharpness; further ones are made at events in between
        and after the last update. 0 measures nothing.
    curves : bool
        Keep loss, sharpness, eta and threshold of every step.
    workers : int, optional
        Number of threads. Default: one per available core.
    output : path, optional
        Path of a Zarr store for the results. Default: keep them in memory.
    resume, overwrite, grow : bool
        Resume an existing store, replace it, or add the cells of a larger grid to it.
    large : bool
        Allow a sweep that takes days or 50 GB; otherwise it raises InputError.
    scheduler : str, optional
        Address of a Dask scheduler, whose workers do the runs.
    over : mapping, optional
        Further axes: a mapping from the name of an option to its values. Options of the model, the
        optimizer or the schedule, ``batch_size``, ``dtype``, ``layer_rates``, ``sharpness_every``,
        ``sharpness_tol``; or ``model``, ``optimizer`` and ``schedule`` themselves, as a list or as
        a mapping from labels to them. With ``eta_unit="critical"`` each combination has its own
        unit.

    Returns
    -------
    xarray.Dataset
        Its dimensions are those in ``over``, seed, eta_init, eta_trgt, t_wrm (and step), with a
        variable for each property of a run. Properties that a combination lacks, such as a
        preconditioned sharpness, are NaN.

    Raises
    ------
    InputError
        If an argument is invalid; nothing is written then.
    """
    spec = Spec(
        model=model,  # type: ignore[arg-type]
        optimizer=GD() if optimizer is None else optimizer,  # type: ignore[arg-type]
        eta_trgt=tuple(np.atleast_1d(eta_trgt)),
        eta_init=tuple(np.atleast_1d(eta_init)),
        t_wrm=tuple(np.atleast_1d(t_wrm)),
        seeds=tuple(seeds) if isinstance(seeds, Sequence) else first_seeds(seeds),
        steps=steps,
        eta_unit=eta_unit,
        schedule=_template(
            schedule, exponent=warmup_exponent, decay=decay, delta=delta, factor=factor
        ),
        batch_size=batch_size,
        layer_rates=layer_rates,
        sharpness_every=sharpness_every,
        measure=chosen_measures(measure),
        batches=batches,
        batch_accuracy=batch_accuracy,
        batch_every=batch_every,
        sharpness_tol=sharpness_tol,
        curves=curves,
        dtype=dtype,
        over=axes_of(over or {}),
    )
    path = None if output is None else Path(output)
    where = Destination(path, resume=resume, overwrite=overwrite, grow=grow)
    return execute(
        spec,
        as_data(data),
        where,
        workers=workers,
        scheduler=scheduler,
        large=large,
        in_memory=True,
    )  # fmt: skip


def _template(schedule: str | Schedule, **given: Any) -> Schedule:
    """A schedule from an object or a name, with the given options that are not None."""
    schedule = as_schedule(schedule)
    options = {name: value for name, value in given.items() if value is not None}
    for name, value in options.items():
        if name not in schedule.options():
            raise InputError(
                name, value, f"the schedule {schedule.name} has no such option; leave it out"
            )
    return schedule.with_options(**options)


def execute(
    spec: Spec,
    data: Data | None,
    where: Destination | None = None,
    *,
    workers: int | None = None,
    scheduler: str | None = None,
    large: bool = False,
    command: str | None = None,
    chunk_cells: int | None = None,
    progress: Progress | None = None,
    seconds: dict[str, float] | None = None,
    in_memory: bool = False,
) -> xr.Dataset:
    """Run the missing cells of a spec; the results as a lazy Dataset.

    ``in_memory``: return a loaded Dataset. This process does not read its own results again, so it
    cannot be used with a share.

    ``chunk_cells``: approximate number of cells per task and per write; by default
    `cells_in_a_chunk`. ``progress`` is called, from any thread, with the number of further runs
    that are done or found done. ``seconds`` receives the times of all runs and threads together,
    under the names of a `Run`, and ``store`` for writing.

    On `KeyboardInterrupt` running cells are abandoned, and finished ones are kept.
    """
    where = where or Destination()
    check(spec, data, where, workers, large=large)
    on_progress, job = progress or (lambda runs: None), Job(spec, data)
    crew: Threads | Cluster
    if scheduler is None:
        crew = Threads(job, workers or cores(), on_progress)
    else:
        crew = Cluster(scheduler, job, on_progress)
    with crew, closing(_open(spec, data, where, chunk_cells, command)) as store:
        on_disk = isinstance(store, ResultStore)
        kept = Values(store.spec, store.layout) if in_memory and on_disk else None
        _run_all(_missing(store, where.share, on_progress, kept), store, crew, kept)
        store.finish()
        if seconds is not None:
            seconds.update(store.seconds)
        return kept.as_dataset(store.attributes()) if kept else store.dataset()


def _open(
    spec: Spec, data: Data | None, where: Destination, chunk_cells: int | None, command: str | None
) -> ResultStore | Memory:
    shape = spec.chunk_shape(chunk_cells or cells_in_a_chunk(spec, data))
    return where.open(spec, data, shape, command)


def cores() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def check(
    spec: Spec,
    data: Data | None,
    where: Destination | None = None,
    workers: int | None = None,
    *,
    large: bool = False,
) -> None:
    """Refuse what `execute` would refuse; nothing is written."""
    if workers is not None:
        at_least("workers", workers, 1)
    where = where or Destination()
    if not large:
        # First: a rehearsal takes memory too.
        refuse_large(spec, data, (workers or cores()) * where.share[1])
    rehearse(spec, data)
    where.check(spec, data)


def rehearse(spec: Spec, data: Data | None) -> None:
    """Refuse now what every run of a part would refuse: nothing may be half-written."""
    for _, part in spec.parts():
        _rehearse(part, data)


def _rehearse(spec: Spec, data: Data | None) -> None:
    objective = spec.model.bind(data, spec.dtype)
    if spec.batch_size is not None:
        check_batch_size(spec.batch_size, objective.samples)
    check_measure(spec.measure, objective.samples)
    spec.model.init(data, spec.seeds[-1], spec.dtype)
    spec.at((0, 0, 0, 0), 1.0).schedule.values(spec.steps)
    UpdateRule(spec.optimizer, spec.model, objective, spec.rates(data), spec.seeds[0])


def _missing(
    store: ResultStore | Memory,
    share: tuple[int, int],
    on_progress: Progress,
    kept: Values | None,
) -> Iterator[tuple[Region, Chunk]]:
    """The chunks of a share in which something is left to do, with what is done of them."""
    for region in store.regions(share):
        chunk = store.read(region)
        done = chunk[STATUS.name] == "done"
        on_progress(int(done.sum()))
        if not done.all():
            yield region, chunk
        elif kept is not None:
            kept.put(region, chunk)


def _run_all(
    todo: Iterator[tuple[Region, Chunk]],
    store: ResultStore | Memory,
    crew: Threads | Cluster,
    kept: Values | None,
) -> None:
    """Keep every worker busy, with a bounded number of chunks on the way."""
    running: dict[Future[Done], Region] = {}

    def keep(future: Future[Done]) -> None:
        chunk, seconds, failures = crew.collect(future)
        region = running.pop(future)
        store.write(region, chunk)
        if kept is not None:
            kept.put(region, chunk)
        for name, more in seconds.items():
            store.seconds[name] += more
        for failure in failures:
            log.warning("%s", failure)

    try:
        while True:
            for region, chunk in itertools.islice(todo, max(0, crew.room - len(running))):
                running[crew.submit(region, chunk)] = region
            if not running:
                return
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                keep(future)
    except BaseException:
        crew.stop()
        for future in wait(running, timeout=_PATIENCE_SECONDS).done:
            # The first exception is the one to report.
            with suppress(Exception, CancelledError):
                keep(future)
        raise
