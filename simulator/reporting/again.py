"""The curves of a store's runs: as it keeps them, or of the same runs, done again."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from simulator.checks import InputError
from simulator.data import Data
from simulator.sweeps import cores, is_recorded, load
from simulator.sweeps.cost import cells_in_a_chunk, core_seconds
from simulator.sweeps.job import Job
from simulator.sweeps.layout import STATUS, Chunk, Variable, curves
from simulator.sweeps.spec import Region, Spec
from simulator.sweeps.threads import Threads
from simulator.sweeps.work import Done, do

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["chunks_with_curves", "refuse_slow"]

# What `simulator.explain` reads of a run and no store has; a batched run has neither.
_GRADIENT = Variable(
    "gradient_final", "float64", "1", "", lambda r: getattr(r, "gradient_final", np.nan)
)
_CONVERGED = Variable(
    "converged", "bool", "1", "", lambda r: getattr(r, "converged", True), missing=True
)

# A page is waited for: what takes longer is asked for as a sweep with curves.
_LONGEST_SECONDS = 600.0
_SOON_SECONDS = 60.0


def refuse_slow(spec: Spec, data: Data | None, runs: int) -> None:
    """Refuse to do so many runs again if that takes more than ten minutes."""
    if spec.curves:
        return
    seconds = _seconds(spec, data, runs) / cores()
    if seconds > _LONGEST_SECONDS:
        raise InputError(
            "curves", "not in the store",
            f"doing its {runs} runs again takes about {seconds / 60:.0f} minutes; "
            "give --no-curves, or sweep with --curves",
        )  # fmt: skip


def _seconds(spec: Spec, data: Data | None, runs: int) -> float:
    """An estimate for so many runs on one core."""
    each = [core_seconds(part, data) for _, part in spec.parts()]
    return runs * sum(each) / len(each)


def chunks_with_curves(
    dataset: xr.Dataset,
    spec: Spec,
    data: Data | None,
    path: Path,
    on_progress: Callable[[int], None] = lambda runs: None,
) -> Generator[tuple[Region, Chunk]]:
    """Chunks of the grid, in any order, with the curves of every run that is done.

    Of runs done again a chunk has all other variables too, to be compared with the store's.

    Parameters
    ----------
    dataset : xarray.Dataset
        Of `open_store`.
    path : path
        Of the store.
    on_progress : callable
        Called, from any thread, with how many more runs are done.
    """
    if not spec.curves:
        yield from _again(dataset, spec, data, on_progress)
        return
    names = [curve.name for curve in curves(spec, data)]
    uncertain = _uncertain(dataset, spec, data)
    # A user-defined model of a store cannot be trained.
    job = _Job(spec, data) if uncertain.any() else None
    for region in spec.regions(dataset.attrs["chunk_shape"]):
        part = dataset[names].isel(dict(zip(spec.axes, region, strict=True)))
        part = load(part.transpose(*spec.axes, "step"), path)
        beside = _gradients(job, region, uncertain[region]) if job else {}
        on_progress(int((dataset[STATUS.name].values[region] == "done").sum()))
        yield region, beside | {name: part[name].values for name in names}


def _gradients(job: _Job, region: Region, which: NDArray[np.bool_]) -> Chunk:
    """What a store does not keep of ``which`` runs."""
    again = job.layout.blank(which.shape)
    again[STATUS.name][~which] = "done"
    if which.any():
        do(job, region, again)
    return {variable.name: again[variable.name] for variable in (_GRADIENT, _CONVERGED)}


def _uncertain(dataset: xr.Dataset, spec: Spec, data: Data | None) -> NDArray[np.bool_]:
    """Which runs to repeat, if that is soon done: `simulator.explain` reads more of them."""
    # Stores of earlier layouts have no counts of unconverged measurements.
    stuck = (dataset["outcome"] == "stuck") | (dataset.get("n_unconverged", 0) > 0)
    found: NDArray[np.bool_] = stuck.values & (dataset[STATUS.name] == "done").values
    user_defined = any(
        is_recorded(thing) for _, part in spec.parts() for thing in (part.model, part.schedule)
    )
    if user_defined or _seconds(spec, data, int(found.sum())) > _SOON_SECONDS:
        return np.zeros_like(found)
    return found


class _Job(Job):
    """A job whose runs keep all that `simulator.explain` reads."""

    def __init__(self, spec: Spec, data: Data | None) -> None:
        super().__init__(spec, data)
        self.layout.variables += (_GRADIENT,)
        self.layout.curves += (_CONVERGED,)


def _again(
    dataset: xr.Dataset, spec: Spec, data: Data | None, on_progress: Callable[[int], None]
) -> Iterator[tuple[Region, Chunk]]:
    spec = replace(spec, curves=True)
    job = _Job(spec, data)
    regions = spec.regions(spec.chunk_shape(cells_in_a_chunk(spec, data)))
    running: dict[Future[Done], Region] = {}
    with Threads(job, cores(), on_progress) as crew:
        try:
            while True:
                for region in itertools.islice(regions, crew.room - len(running)):
                    left_out = dataset[STATUS.name].values[region] != "done"
                    chunk = job.layout.blank(left_out.shape)
                    # A worker passes by what is done: so it does what has not been in the sweep.
                    chunk[STATUS.name][left_out] = "done"
                    running[crew.submit(region, chunk)] = region
                if not running:
                    return
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    yield running.pop(future), crew.collect(future).chunk
        except BaseException:
            crew.stop()
            raise
