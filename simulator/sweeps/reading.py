"""Opening a store that another made: nothing in it is believed before it is checked."""

from __future__ import annotations

import json
import warnings
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simulator.checks import InputError
from simulator.sweeps.entries import check_entries
from simulator.sweeps.placing import bring_back, resolved
from simulator.sweeps.spec import AXES, Spec

if TYPE_CHECKING:
    import xarray as xr
    import zarr

__all__ = ["DAMAGE", "FORMAT", "described", "load", "open_group", "open_store", "tally"]

FORMAT = 2
# What Zarr raises for a file that is cut short, changed, or not there.
DAMAGE = (
    ValueError, TypeError, LookupError, AttributeError, ArithmeticError, OSError, RuntimeError,
)  # fmt: skip

_TABLES = ("data", "versions", "numerics", "machine", "conventions")


def open_group(
    path: Path,
    mode: Any,
    option: str = "store",
    *,
    any_layout: bool = False,
    at: Path | None = None,
) -> zarr.Group:
    """The Zarr group at a path that ``option`` named, if it is a store; of this layout.

    ``at``: another path of the same folder, to go through.
    """
    import zarr

    bring_back(resolved(path, option), option)
    if not path.exists():
        raise InputError(option, path, "does not exist; make one with warmup sweep")
    if not path.is_dir():
        raise InputError(option, path, "is no Zarr store")
    check_entries(path, option)
    try:
        group = zarr.open_group(str(at or path), mode=mode, zarr_format=3)
    except DAMAGE:
        raise InputError(option, path, "is no Zarr store") from None
    found = group.attrs.get("format")
    if found != FORMAT and not (any_layout and isinstance(found, int)):
        raise InputError(
            option, path,
            f"has layout {found}, this version reads {FORMAT}; sweep again, or install the other"
            if isinstance(found, int) else "was not made by warmup sweep; name a store that was",
        )  # fmt: skip
    return group


def open_store(path: Path, option: str = "store") -> tuple[xr.Dataset, Spec, dict[str, Any]]:
    """Open a store: what it holds, the spec that made it, and where its data is from.

    Parameters
    ----------
    path : path
        Of the store.
    option : str
        What a refusal calls it.

    Returns
    -------
    dataset : xarray.Dataset
        Nothing of it read yet: see `load`.
    spec : Spec
    description : dict
        Name, samples, shape and digest of the data.

    Raises
    ------
    InputError
        For what is no store, is another version's, or is damaged.
    """
    import xarray as xr

    group = open_group(path, "r", option)
    spec, description = described(path, group, option)
    try:
        with warnings.catch_warnings():
            # Zarr's, of files that are no arrays: the lock is one.
            warnings.simplefilter("ignore")
            _check_arrays(path, group, spec, option)
            return xr.open_zarr(str(path), chunks=None), spec, description
    except InputError:
        raise
    except DAMAGE:
        raise InputError(option, path, "is damaged; sweep again with --overwrite") from None


def described(path: Path, group: zarr.Group, option: str) -> tuple[Spec, dict[str, Any]]:
    """Spec and data of a store, as it says itself."""
    attributes = group.attrs
    try:
        spec = Spec.from_dict(json.loads(str(attributes["spec"])))
        tables = [json.loads(str(attributes[name])) for name in _TABLES]
        lengths = list(attributes["chunk_shape"])  # type: ignore[arg-type]
        right = (
            all(isinstance(table, dict) for table in tables)
            and type(attributes["complete"]) is bool
            and isinstance(attributes["command"], str)
            and len(lengths) == len(AXES)
            and all(type(c) is int and 0 < c <= n for c, n in zip(lengths, spec.shape, strict=True))
        )
    except InputError:
        raise
    except DAMAGE:
        right = False
    if not right:
        raise InputError(option, path, "has no readable spec; sweep again")
    return spec, tables[0]


def _check_arrays(path: Path, group: zarr.Group, spec: Spec, option: str) -> None:
    """Refuse arrays of other shapes than the spec's, and chunks that have been lost."""
    arrays = {name: array for name, array in group.arrays() if name not in (*AXES, "step")}
    written = arrays["status"].nchunks_initialized
    for name, array in arrays.items():
        if array.shape not in (spec.shape, (*spec.shape, spec.steps)):
            raise InputError(option, path, f"has a {name} of another shape; sweep again")
        if array.nchunks_initialized < written:
            raise InputError(
                option, path, f"has lost a part of {name}; warmup sweep --resume mends it"
            )


def load(dataset: xr.Dataset, path: Path, option: str = "store") -> xr.Dataset:
    """Read a dataset of `open_store`, or a part of it, into memory.

    Parameters
    ----------
    dataset : xarray.Dataset
    path : path
        Of its store.
    option : str
        What a refusal calls it.

    Returns
    -------
    xarray.Dataset

    Raises
    ------
    InputError
        Where a checksum does not fit, or a file is missing.
    """
    try:
        return dataset.load()
    except DAMAGE as error:
        raise InputError(
            option, path, f"is damaged ({error}); warmup sweep --resume mends it"
        ) from None


def tally(dataset: xr.Dataset, name: str, path: Path) -> dict[str, int]:
    """How often each word stands in a variable, read a chunk at a time; "" is none."""
    spec = Spec.from_dict(json.loads(dataset.attrs["spec"]))
    counts = Counter[str]()
    for region in spec.regions(dataset.attrs["chunk_shape"]):
        part = load(dataset[[name]].isel(dict(zip(AXES, region, strict=True))), path)
        counts.update(part[name].values.ravel().tolist())
    return {word: counts[word] for word in sorted(counts) if word}
