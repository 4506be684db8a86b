"""The results of a sweep without output: arrays in the layout of a store."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from simulator.data import Data
from simulator.sweeps.declare import attributes, coordinate_attributes, coordinates
from simulator.sweeps.layout import STATUS, Chunk, Layout
from simulator.sweeps.spec import Region, Spec

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["Memory", "Values"]


class Values:
    """All cells of a sweep as arrays."""

    def __init__(self, spec: Spec, layout: Layout) -> None:
        self.spec, self.layout = spec, layout
        self._values = {name: _as_read(values) for name, values in layout.blank(spec.shape).items()}

    def put(self, region: Region, chunk: Chunk) -> None:
        """Keep the cells of one chunk."""
        for name, values in chunk.items():
            self._values[name][region] = _one_for_all(values)

    def as_dataset(self, attributes: Mapping[str, Any]) -> xr.Dataset:
        """The Dataset that xarray would read from a store with these values."""
        import xarray as xr

        axes = self.spec.axes
        return xr.Dataset(
            {
                variable.name: (
                    (*axes, "step") if variable in self.layout.curves else axes,
                    self._values[variable.name],
                    {"units": variable.units, "long_name": variable.long_name},
                )
                for variable in sorted(self.layout, key=lambda one: one.name)
            },
            {
                name: (name, _as_read(values), coordinate_attributes(self.spec, name))
                for name, values in sorted(coordinates(self.spec).items())
            },
            attributes,
        )


class Memory(Values):
    """The counterpart of `ResultStore` in memory, with the methods that a sweep needs."""

    def __init__(self, spec: Spec, data: Data | None, chunk_shape: tuple[int, ...]) -> None:
        super().__init__(spec, Layout(spec, data))
        self.chunk_shape = chunk_shape
        self.seconds = dict.fromkeys(("compile", "step", "curvature", "store"), 0.0)
        self._attributes = attributes(spec, data, chunk_shape, None)

    def regions(self, share: tuple[int, int] = (1, 1)) -> Iterator[Region]:
        """The chunks, each as slices of the grid; there are no shares of a sweep in memory."""
        assert share == (1, 1)
        return self.spec.regions(self.chunk_shape)

    def read(self, region: Region) -> Chunk:
        """A blank chunk, since each is read once, before it is run."""
        return self.layout.blank(tuple(part.stop - part.start for part in region))

    def write(self, region: Region, values: Chunk) -> None:
        """Keep one chunk."""
        self.put(region, values)

    def finish(self) -> bool:
        """Mark the sweep as complete if every cell has been run."""
        whole = bool((self._values[STATUS.name] == "done").all())
        self._attributes["complete"] = whole
        return whole

    def close(self) -> None:
        """Do nothing: there is no lock."""

    def attributes(self) -> dict[str, Any]:
        """The attributes that a store would have."""
        return self._attributes

    def dataset(self) -> xr.Dataset:
        """The results."""
        return self.as_dataset(self._attributes)


def _as_read(values: NDArray[Any]) -> NDArray[Any]:
    """The Dataset with strings in the form that Zarr reads."""
    if values.dtype != object:
        return values
    strings = np.empty(values.shape, np.dtypes.StringDType())
    strings[...] = _one_for_all(values)
    return strings


def _one_for_all(values: NDArray[Any]) -> Any:
    """Strings, or a broadcast of one string that all are equal to, which is faster."""
    first = values.flat[0]
    return first if values.dtype == object and (values == first).all() else values
