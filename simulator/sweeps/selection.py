"""One part of a store in which more options vary than seed, eta_init, eta_trgt and t_wrm."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from simulator.checks import InputError
from simulator.sweeps.layout import CURVES, VARIABLES
from simulator.sweeps.spec import Spec

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["one_part"]


def one_part(dataset: xr.Dataset, spec: Spec, where: Mapping[str, Any]) -> tuple[xr.Dataset, Spec]:
    """The grid along ``AXES`` at some coordinates along the others, and its spec.

    Parameters
    ----------
    dataset : xarray.Dataset
        Of `open_store`.
    where : mapping
        A coordinate for each of the other axes that has more than one value.

    Raises
    ------
    InputError
        For coordinates that are not on the grid, and axes without one.
    """
    for axis in spec.over:
        if axis.name not in where and len(axis.labels) > 1:
            some = ", ".join(map(str, axis.labels[:20]))
            raise InputError("where", f"without {axis.name}", f"give {axis.name}=…, one of {some}")
    places = spec.places(where, "where")
    names = [axis.name for axis in spec.over]
    for name in places:
        if name not in names:
            raise InputError("where", name, "is on the page already; leave it out")
    index = [places.get(name, 0) for name in names]
    part = spec.part(index)
    # What this part has not is NaN where another has it.
    lacking = [
        v.name for v in (*VARIABLES, *CURVES)
        if "preconditioner" in v.needs and not part.preconditions and v.name in dataset
    ]  # fmt: skip
    chosen = dataset.isel(dict(zip(names, index, strict=True)), drop=True).drop_vars(lacking)
    lengths = dataset.attrs["chunk_shape"][len(names) :]
    return chosen.assign_attrs(chunk_shape=lengths), part
