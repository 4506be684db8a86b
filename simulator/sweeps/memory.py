"""The results of a sweep for which no output is asked: arrays, in the layout of a store."""

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
        """What xarray would read from a store of them."""
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
    """What `ResultStore` is on disk; it has the methods that doing a sweep needs."""

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
        """A blank chunk: each is read once, before it is run."""
        return self.layout.blank(tuple(part.stop - part.start for part in region))

    def write(self, region: Region, values: Chunk) -> None:
        """Keep one chunk."""
        self.put(region, values)

    def finish(self) -> bool:
        """Note that every cell has been run, if it has."""
        whole = bool((self._values[STATUS.name] == "done").all())
        self._attributes["complete"] = whole
        return whole

    def close(self) -> None:
        """Nothing: nobody else has it."""

    def attributes(self) -> dict[str, Any]:
        """What a store would say of itself."""
        return self._attributes

    def dataset(self) -> xr.Dataset:
        """The results."""
        return self.as_dataset(self._attributes)


def _as_read(values: NDArray[Any]) -> NDArray[Any]:
    """With strings as Zarr reads them."""
    if values.dtype != object:
        return values
    strings = np.empty(values.shape, np.dtypes.StringDType())
    strings[...] = _one_for_all(values)
    return strings


def _one_for_all(values: NDArray[Any]) -> Any:
    """Strings, or the one that all of them are: to repeat it takes a fifth of the time."""
    first = values.flat[0]
    return first if values.dtype == object and (values == first).all() else values
