"""The results of a sweep for which no output is asked: arrays, in the layout of a store."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from simulator.data import Data
from simulator.sweeps.declare import attributes, coordinate_attributes, coordinates
from simulator.sweeps.layout import STATUS, Chunk, Layout
from simulator.sweeps.spec import Region, Spec

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["Memory"]


class Memory:
    """What `ResultStore` is on disk; it has the methods that doing a sweep needs."""

    def __init__(self, spec: Spec, data: Data | None, chunk_shape: tuple[int, ...]) -> None:
        self.spec, self.layout, self.chunk_shape = spec, Layout(spec, data), chunk_shape
        self.seconds = dict.fromkeys(("compile", "step", "curvature", "store"), 0.0)
        self._values = self.layout.blank(spec.shape)
        self._attributes = attributes(spec, data, chunk_shape, None)

    def regions(self, share: tuple[int, int] = (1, 1)) -> Iterator[Region]:
        """The chunks, each as slices of the grid; there are no shares of a sweep in memory."""
        assert share == (1, 1)
        return self.spec.regions(self.chunk_shape)

    def read(self, region: Region) -> Chunk:
        """A copy of one chunk."""
        return {name: values[region].copy() for name, values in self._values.items()}

    def write(self, region: Region, values: Chunk) -> None:
        """Keep one chunk."""
        for name, chunk in values.items():
            self._values[name][region] = chunk

    def finish(self) -> bool:
        """Note that every cell has been run, if it has."""
        whole = bool((self._values[STATUS.name] == "done").all())
        self._attributes["complete"] = whole
        return whole

    def close(self) -> None:
        """Nothing: nobody else has it."""

    def dataset(self) -> xr.Dataset:
        """What xarray would read from such a store."""
        import xarray as xr

        axes = self.spec.axes
        return xr.Dataset(
            {
                variable.name: (
                    (*axes, "step") if variable in self.layout.curves else axes,
                    _as_read(self._values[variable.name]),
                    {"units": variable.units, "long_name": variable.long_name},
                )
                for variable in sorted(self.layout, key=lambda one: one.name)
            },
            {
                name: (name, _as_read(values), coordinate_attributes(self.spec, name))
                for name, values in sorted(coordinates(self.spec).items())
            },
            self._attributes,
        )


def _as_read(values: NDArray[Any]) -> NDArray[Any]:
    """With strings as Zarr reads them."""
    if values.dtype != object:
        return values
    first = values.flat[0]
    found = np.empty(values.shape, np.dtypes.StringDType())
    # Most sweeps are done throughout: to repeat one string takes a fifth of the time.
    found[...] = first if (values == first).all() else values
    return found
