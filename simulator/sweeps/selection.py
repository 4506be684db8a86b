"""A part of a store with further axes than seed, eta_init, eta_trgt and t_wrm."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from simulator.checks import InputError
from simulator.sweeps.over import Axis
from simulator.sweeps.spec import AXES, Spec

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["selected"]


def selected(dataset: xr.Dataset, spec: Spec, where: Mapping[str, Any]) -> tuple[xr.Dataset, Spec]:
    """A store at given values of the axes in ``over``, which keep one value each, and its spec.

    Parameters
    ----------
    dataset : xarray.Dataset
        Dataset of `open_store`.
    where : mapping
        Coordinates by axis.

    Raises
    ------
    InputError
        If coordinates are not on the grid, or are along ``AXES``.
    """
    places = spec.places(where, "where")
    for name in places:
        if name in AXES:
            raise InputError("where", name, "is shown on the page in any case; leave it out")
    over = tuple(_only(axis, places[axis.name]) if axis.name in places else axis
                 for axis in spec.over)  # fmt: skip
    return dataset.isel({name: [i] for name, i in places.items()}), replace(spec, over=over)


def _only(axis: Axis, place: int) -> Axis:
    return Axis(axis.name, (axis.values[place],), (axis.labels[place],))
