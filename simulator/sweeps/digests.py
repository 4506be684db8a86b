"""Digests that tie each part of a store to its place: what was swapped, edited or lost is noticed.

A chunk's checksum covers its content only. Here each file of a chunk of runs has a digest of its
bytes together with its variable, its place and the spec; those of one chunk are one file in
``digests/``, written last. The metadata of the arrays and the attributes have digests in the
attributes of the group.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from simulator.sweeps.spec import AXES, Region

__all__ = ["DAMAGE", "FOLDER", "DamageError", "Manifest", "place_of", "replace_file", "sealed"]

FOLDER = "digests"
# What Zarr and `json` raise for a file that is cut short, changed, or not there.
DAMAGE = (
    ValueError, TypeError, LookupError, AttributeError, ArithmeticError, OSError, RuntimeError,
)  # fmt: skip

_ATTRIBUTES = (
    "format", "spec", "data", "conventions", "versions", "numerics", "machine", "command",
    "chunk_shape",
)  # fmt: skip
# The same for every store of the same sweep: a chunk may come from any of them.
_SAME_SWEEP = ("spec", "numerics", "chunk_shape")


class DamageError(ValueError):
    """A part of a store that is not as it was written; the message names it."""


def sealed(attributes: Mapping[str, Any], arrays: Mapping[str, Any]) -> dict[str, str]:
    """The attributes that hold the digests of the others, and of the metadata of the arrays."""
    digests = json.dumps({name: _digest(document) for name, document in arrays.items()})
    return {"array_digests": digests, "digest": _of_attributes(attributes, digests)}


def _of_attributes(attributes: Mapping[str, Any], array_digests: object) -> str:
    return _digest([*(attributes[name] for name in _ATTRIBUTES), array_digests])


def _digest(document: object) -> str:
    return _hex(hashlib.sha256(json.dumps(document, sort_keys=True).encode()))


def _hex(digest: Any) -> str:
    return str(digest.hexdigest()[:32])


def place_of(region: Region, chunk_shape: Sequence[int]) -> str:
    """What the file with the digests of a chunk is called."""
    return ".".join(str(part.start // c) for part, c in zip(region, chunk_shape, strict=True))


def replace_file(path: Path, content: bytes) -> None:
    """Write a file beside its place and rename it: at any moment it is whole."""
    beside = path.with_name(f"{path.name}.{uuid.uuid4().hex}.partial")
    try:
        beside.write_bytes(content)
        beside.replace(path)
    except OSError:
        beside.unlink(missing_ok=True)
        raise


class Manifest(NamedTuple):
    """The parts that a store was made with, as far as its metadata says.

    Attributes
    ----------
    arrays : mapping
        The metadata of each array, by its name. Others in the same folder are somebody else's.
    sweep : str
        A digest of what every store of the same sweep shares.
    """

    arrays: Mapping[str, Any]
    sweep: str

    @classmethod
    def read(cls, path: Path) -> Manifest:
        """Of the store at a path; raises `DamageError`."""
        document = _json_of(path, "zarr.json")
        try:
            attributes = document["attributes"]
            expected = json.loads(attributes["array_digests"])
            same = [attributes[name] for name in _SAME_SWEEP]
            sweep = _digest([*same, json.loads(attributes["data"]).get("digest")])
            whole = attributes["digest"] == _of_attributes(attributes, attributes["array_digests"])
            copies = (document.get("consolidated_metadata") or {}).get("metadata") or {}
            whole = whole and {*AXES} < {*expected} and all(map(str.isidentifier, expected))
        except DAMAGE:
            whole = False
        if not whole:
            raise DamageError("zarr.json is not as it was written")
        arrays = {name: _json_of(path, f"{name}/zarr.json") for name in expected}
        for name, found in arrays.items():
            if _digest(found) != expected[name]:
                raise DamageError(f"{name}/zarr.json is not as it was written")
            # xarray reads the copies in the group's own file, if there are some.
            if copies and copies.get(name) != found:
                raise DamageError(f"zarr.json is not as it was written, where it describes {name}")
        return cls(arrays, sweep)

    @property
    def variables(self) -> frozenset[str]:
        """The names of the arrays that hold runs."""
        return frozenset(self.arrays) - {*AXES, "step"}

    def place(self, key: str) -> tuple[str, str] | None:
        """Variable and place of a chunk's file, if it holds runs of ours."""
        name, _, place = key.partition("/c/")
        if not place or name not in self.variables:
            return None
        return name, ".".join(place.split("/")[: len(AXES)])

    def files(self, place: str) -> dict[str, str]:
        """The keys of a chunk's files, by variable."""
        start = place.replace(".", "/")
        return {
            name: f"{name}/c/{start}" + "/0" * (len(self.arrays[name]["shape"]) - len(AXES))
            for name in self.variables
        }

    def digest(self, key: str, content: bytes) -> str:
        """Of a chunk's file: its content, its variable and place, and the sweep."""
        digest = hashlib.sha256(f"{self.sweep} {key}\n".encode())
        digest.update(content)
        return _hex(digest)


def _json_of(path: Path, key: str) -> Any:
    file = path / key
    if not file.is_file():
        raise DamageError(f"it has lost {key}")
    try:
        return json.loads(file.read_bytes())
    except DAMAGE:
        raise DamageError(f"{key} is not as it was written") from None
