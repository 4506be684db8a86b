"""The resources of a study: seeds, data, and stored measurements."""

from __future__ import annotations

import hashlib
import shutil
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from simulator.blas import one_blas_thread
from simulator.data import Data, load_data
from simulator.sweeps import cores
from simulator.sweeps.origin import numerics

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["SET_ON", "Lab"]

# Seeds and slices of the digits on which the tolerances of claims were set. The pages show others.
SET_ON = {
    range(10): (0, 1, 2, 3, 4, 5, 6, 7, 11), range(40, 45): (3,), range(60, 65): (3,),
}  # fmt: skip


@dataclass(frozen=True)
class Lab:
    """The resources of a study.

    Attributes
    ----------
    count, first : int
        Number of seeds of each measurement, and the first seed.
    quick : bool
        Fewer seeds, coarser grids: minutes become seconds.
    dataset, slice : str, int
        The data, by the names of `simulator.load_data`, and the part of it (data_seed). Claims must
        not depend on the part on which they were found.
    stores : path, optional
        Folder of stored measurements; None stores none.
    workers : int, optional
        Number of threads.
    """

    count: int = 5
    quick: bool = False
    dataset: str = "digits"
    slice: int = 0
    stores: Path | None = None
    workers: int | None = None
    first: int = 0

    @property
    def seeds(self) -> range:
        """first ... first + count - 1."""
        return range(self.first, self.first + self.count)

    def networks(self, each: int) -> range:
        """Seeds of ``count`` networks for each of `seeds`, different for each."""
        return range(self.first * each, (self.first + self.count) * each)

    def data(self, samples: int) -> Data:
        """The study's data with so many samples."""
        return load_data(self.dataset, samples, self.slice)

    def parity(self, samples: int) -> Data:
        """The same inputs, one output: 1 for odd classes, -1 for even ones.

        Of data without classes, the sign of its first target.
        """
        data = self.data(samples)
        odd = data.y % 2 > 0 if data.classes else data.targets[:, 0] > 0
        return Data(data.x, np.where(odd, 1.0, -1.0)[:, None])

    def each(self, work: Callable[..., Any], *over: Any) -> list[Any]:
        """``map`` of ``work``, on all cores; runs release the interpreter."""
        with one_blas_thread(), ThreadPoolExecutor(self.workers or cores()) as pool:
            return list(pool.map(work, *over))

    def keep(self, name: str, source: str, measure: Callable[[], xr.Dataset]) -> xr.Dataset:
        """The result of ``measure``, from the store if the same was measured before.

        The same means equal ``source``, seeds, data and `numerics`.
        """
        import xarray as xr

        if self.stores is None:
            return measure()
        what = (source, numerics(), self.count, self.quick, self.dataset, self.slice, self.first)
        digest = hashlib.sha256(repr(what).encode()).hexdigest()[:12]
        path = self.stores / f"{name}-{digest}.zarr"
        if path.exists():
            return xr.open_zarr(path, chunks=None, consolidated=False).load()
        began = time.monotonic()
        found = measure().assign_attrs(seconds=time.monotonic() - began)
        # Names as texts of any length: those of a fixed one have no place in Zarr v3.
        names = {n: c.astype(object) for n, c in found.coords.items() if c.dtype.kind == "U"}
        found = found.assign_coords(names)
        # Written beside and renamed: a store that is there is whole.
        beside = path.with_suffix(".part")
        shutil.rmtree(beside, ignore_errors=True)
        self.stores.mkdir(parents=True, exist_ok=True)
        found.to_zarr(beside, mode="w", zarr_format=3, consolidated=False)
        beside.rename(path)
        return found
