"""Declare the arrays and attributes of a new store."""

from __future__ import annotations

import json
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from simulator.data import Data
from simulator.sweeps.digests import FOLDER, ORIGIN, sealed
from simulator.sweeps.layout import STATUS, Layout, Variable
from simulator.sweeps.origin import machine, numerics, versions
from simulator.sweeps.spec import CONVENTIONS, Spec

if TYPE_CHECKING:
    import zarr

__all__ = [
    "FORMAT", "attributes", "coordinate_attributes", "coordinates", "declare", "describe",
]  # fmt: skip

FORMAT = 4


def declare(
    path: Path,
    spec: Spec,
    data: Data | None,
    chunk_shape: tuple[int, ...],
    command: str | None,
) -> zarr.Group:
    """Make a group with every array, in an empty folder."""
    import zarr

    about = attributes(spec, data, chunk_shape, command)
    group = zarr.create_group(str(path), zarr_format=3, attributes=about)
    for name, values in coordinates(spec).items():
        _coordinate(group, spec, name, values)
    layout = Layout(spec, data)
    for variable in (*layout.variables, STATUS):
        _array(group, variable, spec.shape, chunk_shape, spec.axes)
    for variable in layout.curves:
        shape, chunks = (*spec.shape, spec.steps), (*chunk_shape, spec.steps)
        _array(group, variable, shape, chunks, (*spec.axes, "step"))
    with warnings.catch_warnings():
        # Zarr warns about types outside its specification, and about the lock's file.
        warnings.simplefilter("ignore")
        group = zarr.consolidate_metadata(group.store)
    arrays = group.metadata.to_dict()["consolidated_metadata"]["metadata"]  # type: ignore[index,call-overload]
    group.create_group(ORIGIN, attributes=sealed(about, arrays))
    (path / FOLDER).mkdir()
    return group


def coordinates(spec: Spec) -> dict[str, NDArray[Any]]:
    """The values of every dimension."""
    found = {name: _array_of(values) for name, values in spec.coordinates().items()}
    return found | ({"step": np.arange(spec.steps)} if spec.curves else {})


def _array_of(values: Sequence[Any]) -> NDArray[Any]:
    return np.array(values, dtype=object if isinstance(values[0], str) else None)


def _coordinate(group: zarr.Group, spec: Spec, name: str, values: NDArray[Any]) -> None:
    from zarr.codecs import Crc32cCodec

    array = group.create_array(
        name, shape=values.shape, dtype="str" if values.dtype == object else values.dtype,
        dimension_names=(name,),
        compressors=[Crc32cCodec()], attributes=coordinate_attributes(spec, name),
    )  # fmt: skip
    array.with_config({"write_empty_chunks": True})[:] = values


def coordinate_attributes(spec: Spec, name: str) -> dict[str, Any]:
    """Unit and meaning of a dimension."""
    unit = "eta_critical" if spec.eta_unit == "critical" else "1"
    texts = {
        "seed": ("1", "seed of initial parameters and batches"),
        "eta_init": (unit, "learning rate before the first update"),
        "eta_trgt": (unit, "learning rate at the end of warmup"),
        "t_wrm": ("updates", "length of warmup; 1 is none"),
        "step": ("updates", "updates done before"),
        "batch_size": ("samples", "samples that an update sees; 0 is all of them"),
    }
    units, long_name = texts.get(name, ("1", f"{name.replace('_', ' ')} of the run"))
    return {"units": units, "long_name": long_name}


def _array(
    group: zarr.Group,
    variable: Variable,
    shape: tuple[int, ...],
    chunks: tuple[int, ...],
    dimensions: tuple[str, ...],
) -> None:
    from zarr.codecs import Crc32cCodec, ZstdCodec

    group.create_array(
        variable.name,
        shape=shape,
        chunks=chunks,
        dtype=variable.dtype,
        fill_value=variable.missing,
        compressors=[ZstdCodec(), Crc32cCodec()],
        dimension_names=dimensions,
        attributes={"units": variable.units, "long_name": variable.long_name},
    )


def attributes(
    spec: Spec, data: Data | None, chunk_shape: tuple[int, ...], command: str | None
) -> dict[str, Any]:
    """The attributes of an empty store."""
    return {
        "spec": json.dumps(spec.as_dict()),
        "data": json.dumps(describe(data)),
        "conventions": json.dumps(CONVENTIONS),
        "versions": json.dumps(versions()),
        "numerics": json.dumps(numerics()),
        "machine": json.dumps(machine()),
        "command": command or "",
        "chunk_shape": list(chunk_shape),
        "format": FORMAT,
        "complete": False,
    }


def describe(data: Data | None) -> dict[str, Any]:
    """The source of the data, and its digest."""
    if data is None:
        return {"name": "none"}
    shape = [data.samples, data.inputs, data.outputs]
    return {**data.source, "shape": shape, "digest": data.digest}
