"""Open a store of any origin; its content is checked before use."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from simulator.checks import InputError
from simulator.sweeps.declare import FORMAT, coordinates
from simulator.sweeps.digests import DAMAGE, ORIGIN, DamageError, Manifest, attributes_of, place_of
from simulator.sweeps.earlier import EARLIER, WITHOUT_DIGESTS
from simulator.sweeps.entries import check_entries
from simulator.sweeps.layout import CURVES, STATUS, VARIABLES
from simulator.sweeps.placing import bring_back, resolved
from simulator.sweeps.spec import Spec

if TYPE_CHECKING:
    import xarray as xr
    import zarr

__all__ = [
    "check_layout", "described", "load", "open_group", "open_store", "recorded", "tally",
    "wrong_coordinates",
]  # fmt: skip

# NumPy's names of the variables' types.
_KINDS = {"float64": "f", "int64": "i", "bool": "b", "str": "OTU"}

_TABLES = ("data", "versions", "numerics", "machine", "conventions")


def check_layout(path: Path, option: str, layouts: Collection[int] | None = None) -> int:
    """The layout of the store at a path that ``option`` named, if it is one of ``layouts``.

    Raises `InputError` if it is not a store.
    """
    bring_back(resolved(path, option), option)
    if not path.exists():
        raise InputError(option, path, "does not exist; make one with warmup sweep")
    if path.is_dir():
        check_entries(path, option)
    known = list[Any]()
    for group in ("", ORIGIN):
        with suppress(DamageError):
            known.append(attributes_of(path, group).get("format"))
    if not known:
        raise InputError(option, path, "is not a Zarr store; name one, or remove it")
    found = next((layout for layout in known if isinstance(layout, int)), None)
    if not isinstance(found, int):
        raise InputError(option, path, "was not made by warmup sweep; name a store that was")
    if layouts is not None and found not in layouts:
        can = (
            f"which this version reads but does not write (it writes {FORMAT}); use another output"
            if found in EARLIER
            else f"this version reads {EARLIER[0]} to {FORMAT}; sweep again, or install the other"
        )
        raise InputError(option, path, f"has layout {found}, {can}")
    return found


def open_group(
    path: Path,
    mode: Any,
    option: str = "store",
    *,
    at: Path | None = None,
    layouts: Collection[int] = (FORMAT,),
) -> zarr.Group:
    """The Zarr group at a path that ``option`` named, with its metadata as written.

    ``at``: another path of the same folder to use. ``layouts``: the accepted ones.
    """
    import zarr

    from simulator.sweeps.verified import VerifiedStore

    layout = check_layout(path, option, layouts)
    root = at or path
    try:
        if layout == WITHOUT_DIGESTS:
            return zarr.open_group(root, mode="r", zarr_format=3)
        files = VerifiedStore(root, manifest=Manifest.read(root), read_only=mode == "r")
        return zarr.open_group(files, mode=mode, zarr_format=3)
    except DAMAGE as error:
        raise InputError(
            option, path, f"is damaged ({error}); restore it, or sweep again with --overwrite"
        ) from None


def open_store(path: Path, option: str = "store") -> tuple[xr.Dataset, Spec, dict[str, Any]]:
    """Open a store: its results, the spec that made it, and the source of its data.

    Parameters
    ----------
    path : path
        Path of the store.
    option : str
        What a refusal calls it.

    Returns
    -------
    dataset : xarray.Dataset
        Not yet in memory; see `load`.
    spec : Spec
    description : dict
        Name, samples, shape and digest of the data.

    Raises
    ------
    InputError
        If it is not a store, is of another version, or is damaged.
    """
    import xarray as xr

    group = open_group(path, "r", option, layouts=(*EARLIER, FORMAT))
    spec, description = described(path, group, option)
    with _mended_by_resuming(path, option):
        wrong = wrong_coordinates(group, spec)
        if wrong:
            raise DamageError(f"its {wrong[0]} differs from what was written")
        lengths: Any = group.attrs["chunk_shape"]
        for region in spec.regions(lengths) if group.attrs["format"] != WITHOUT_DIGESTS else ():
            group.store.check_files(place_of(region, lengths))  # type: ignore[attr-defined]
        return xr.open_zarr(group.store, chunks=None), spec, description


def recorded(path: Path, option: str) -> tuple[Spec, dict[str, Any]]:
    """Spec and data of a store at a path that ``option`` named; its runs may be damaged."""
    return described(path, open_group(path, "r", option), option)


def described(path: Path, group: zarr.Group, option: str) -> tuple[Spec, dict[str, Any]]:
    """Spec and data of a store, according to its attributes."""
    attributes = group.attrs
    try:
        spec = Spec.from_dict(json.loads(str(attributes["spec"])))
        tables = [json.loads(str(attributes[name])) for name in _TABLES]
        lengths = list(attributes["chunk_shape"])  # type: ignore[arg-type]
        right = (
            all(isinstance(table, dict) for table in tables)
            and type(attributes["complete"]) is bool
            and isinstance(attributes["command"], str)
            and len(lengths) == len(spec.axes)
            and all(type(c) is int and 0 < c <= n for c, n in zip(lengths, spec.shape, strict=True))
        )
    except InputError:
        raise
    except DAMAGE:
        right = False
    if not right:
        raise InputError(option, path, "has no readable spec; sweep again")
    _check_arrays(path, group, spec, option)
    return spec, tables[0]


def _check_arrays(path: Path, group: zarr.Group, spec: Spec, option: str) -> None:
    """Raise InputError for arrays that do not match the spec, since both may be forged."""
    lengths = tuple(group.attrs["chunk_shape"])  # type: ignore[arg-type]
    along_axes, along_steps = (
        (spec.shape, lengths),
        ((*spec.shape, spec.steps), (*lengths, spec.steps)),
    )
    points = coordinates(spec)
    curves = CURVES if spec.curves else ()
    known = {variable.name: variable for variable in (*VARIABLES, *curves, STATUS)}
    arrays = dict(group.arrays())
    made_here = group.attrs["format"] == FORMAT
    for name in (*points, *(v.name for v in known.values() if made_here and not v.needs)):
        if name not in arrays:
            raise InputError(option, path, f"has no {name}; sweep again")
    for name, array in arrays.items():
        shapes = array.shape, array.chunks
        if name in points:
            right = array.shape == points[name].shape
        else:
            right = shapes in (along_axes, along_steps) and (
                name not in known or (shapes == along_steps) == (known[name] in curves)
            )
        if not right:
            raise InputError(option, path, f"has a {name} of another shape; sweep again")
        kinds = _KINDS[known[name].dtype] if name in known else array.dtype.kind
        if array.dtype.kind not in (kinds if name not in points else _of_a_point(points[name])):
            raise InputError(option, path, f"has a {name} of another kind; sweep again")


def _of_a_point(values: NDArray[Any]) -> str:
    """The kinds of arrays that may hold these coordinates."""
    return {"O": _KINDS["str"], "b": "b"}.get(values.dtype.kind, "fi")


def wrong_coordinates(group: zarr.Group, spec: Spec) -> list[str]:
    """The dimensions whose coordinates differ from the spec's."""
    return [name for name, values in coordinates(spec).items() if not _holds(group[name], values)]


def _holds(array: Any, values: NDArray[Any]) -> bool:
    try:
        return np.array_equal(array[:], values)
    except DAMAGE:
        return False


@contextmanager
def _mended_by_resuming(path: Path, option: str) -> Iterator[None]:
    try:
        yield
    except DAMAGE as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            option, path, f"is damaged ({error}); warmup sweep --resume repairs it"
        ) from None


def load(dataset: xr.Dataset, path: Path, option: str = "store") -> xr.Dataset:
    """Read a Dataset of `open_store`, or a part of it, into memory.

    Parameters
    ----------
    dataset : xarray.Dataset
    path : path
        Path of its store.
    option : str
        What a refusal calls it.

    Returns
    -------
    xarray.Dataset

    Raises
    ------
    InputError
        If a file is missing or differs from what was written.
    """
    with _mended_by_resuming(path, option):
        return dataset.load()


def tally(dataset: xr.Dataset, name: str, path: Path) -> dict[str, int]:
    """The number of times each string occurs in a variable, read by chunks; "" is missing."""
    spec = Spec.from_dict(json.loads(dataset.attrs["spec"]))
    counts = Counter[str]()
    for region in spec.regions(dataset.attrs["chunk_shape"]):
        part = load(dataset[[name]].isel(dict(zip(spec.axes, region, strict=True))), path)
        counts.update(part[name].values.ravel().tolist())
    return {word: counts[word] for word in sorted(counts) if word}
