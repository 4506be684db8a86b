"""Digests that bind each part of a store to its place, to detect swaps, edits and losses.

A chunk's checksum covers its content only. Here each file of a chunk of runs has a digest of its
bytes together with its variable, its place and the spec; those of one chunk are one file in
``digests/``, written last. The empty group ``origin`` repeats the attributes of the store, with
digests of them and of the metadata of each array, because xarray may replace the attributes when it
adds a variable.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from simulator.sweeps.spec import Region

__all__ = [
    "DAMAGE",
    "FOLDER",
    "ORIGIN",
    "DamageError",
    "Manifest",
    "attributes_of",
    "place_of",
    "sealed",
]

FOLDER, ORIGIN = "digests", "origin"
# Exceptions of Zarr and `json` for a file that is truncated, changed or missing.
DAMAGE = (
    ValueError, TypeError, LookupError, AttributeError, ArithmeticError, OSError, RuntimeError,
)  # fmt: skip

# These are the same for every store of a sweep: a chunk may come from any of them.
_SAME_SWEEP = ("spec", "numerics", "chunk_shape")


class DamageError(ValueError):
    """A part of a store that differs from what was written; the message names it."""


def sealed(attributes: Mapping[str, Any], arrays: Mapping[str, Any]) -> dict[str, Any]:
    """The attributes of ``origin``, from those of a new store and the metadata of its arrays."""
    lasting = {name: value for name, value in attributes.items() if name != "complete"}
    lasting["arrays"] = {name: _digest(document) for name, document in arrays.items()}
    return lasting | {"digest": _digest(lasting)}


def attributes_of(path: Path, group: str = "") -> dict[str, Any]:
    """The attributes of a group of the store at a path; raises `DamageError`."""
    key = f"{group}/zarr.json".lstrip("/")
    document = _json_of(path, key)
    if not isinstance(document, dict) or not isinstance(document.get("attributes", {}), dict):
        raise DamageError(f"{key} differs from what was written")
    return document.get("attributes", {})


def _digest(document: object) -> str:
    return _hex(hashlib.sha256(json.dumps(document, sort_keys=True).encode()))


def _hex(digest: Any) -> str:
    return str(digest.hexdigest()[:32])


def place_of(region: Region, chunk_shape: Sequence[int]) -> str:
    """The name of the file with the digests of a chunk."""
    return ".".join(str(part.start // c) for part, c in zip(region, chunk_shape, strict=True))


@dataclass(frozen=True)
class Manifest:
    """The parts of a store when it was made, according to its metadata.

    Attributes
    ----------
    attributes : dict
        The attributes of the group, as written.
    arrays : mapping
        The metadata of each array, by its name. Other arrays in the folder belong to others.
    sweep : str
        A digest that is the same for every store of a sweep.
    """

    attributes: dict[str, Any]
    arrays: Mapping[str, Any]
    sweep: str

    @classmethod
    def read(cls, path: Path) -> Manifest:
        """The manifest of the store at a path; raises `DamageError`."""
        lasting = attributes_of(path, ORIGIN)
        try:
            digest, expected = lasting.pop("digest"), lasting["arrays"]
            same = [lasting[name] for name in _SAME_SWEEP]
            sweep = _digest([*same, json.loads(lasting["data"]).get("digest")])
            whole = digest == _digest(lasting) and "status" in expected
            whole = whole and all(map(str.isidentifier, expected))
        except DAMAGE:
            whole = False
        if not whole:
            raise DamageError(f"{ORIGIN}/zarr.json differs from what was written")
        del lasting["arrays"]
        found = attributes_of(path)
        if not lasting.keys().isdisjoint(found):
            for name, value in lasting.items():
                if found.get(name) != value:
                    raise DamageError(f"zarr.json differs from what was written, in its {name}")
        # xarray reads the copies in the group's own file, if any.
        copies = _json_of(path, "zarr.json").get("consolidated_metadata") or {}
        copies = copies.get("metadata") if isinstance(copies, dict) else copies
        arrays = {name: _json_of(path, f"{name}/zarr.json") for name in expected}
        for name, document in arrays.items():
            if _digest(document) != expected[name]:
                raise DamageError(f"{name}/zarr.json differs from what was written")
            if copies and (not isinstance(copies, dict) or copies.get(name) != document):
                raise DamageError(
                    f"zarr.json differs from what was written, where it describes {name}"
                )
        return cls(lasting, arrays, sweep)

    @cached_property
    def variables(self) -> frozenset[str]:
        """The names of the arrays that hold runs."""
        return frozenset(self.arrays) - {*self.dimensions, "step"}

    @cached_property
    def dimensions(self) -> tuple[str, ...]:
        """The dimensions of every run."""
        return _dimensions(self.arrays)

    def place(self, key: str) -> tuple[str, str] | None:
        """Variable and place of a chunk's file, if it holds runs of this sweep."""
        name, *place = key.split("/")
        if name not in self.variables or place[0] != "c":
            return None
        return name, ".".join(place[1 : 1 + len(self.dimensions)])

    def file(self, name: str, place: str) -> str:
        """The key of a variable's file of a chunk."""
        is_curve = len(self.arrays[name]["shape"]) > len(self.dimensions)
        return f"{name}/c/{place.replace('.', '/')}" + "/0" * is_curve

    def digest(self, key: str, content: bytes) -> str:
        """The digest of a chunk's file: of its content, its variable and place, and the sweep."""
        digest = hashlib.sha256(f"{self.sweep} {key}\n".encode())
        digest.update(content)
        return _hex(digest)


def _dimensions(arrays: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(arrays["status"]["dimension_names"])


def _json_of(path: Path, key: str) -> Any:
    file = path / key
    if not file.is_file():
        raise DamageError(f"it lacks {key}")
    try:
        return json.loads(file.read_bytes())
    except DAMAGE:
        raise DamageError(f"{key} differs from what was written") from None
