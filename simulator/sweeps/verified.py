"""A Zarr store on disk that returns only what its writer wrote."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zarr.storage import LocalStore

from simulator.files import replace_file
from simulator.sweeps.digests import DAMAGE, FOLDER, ORIGIN, DamageError, Manifest
from simulator.sweeps.layout import STATUS

if TYPE_CHECKING:
    from zarr.abc.store import ByteRequest
    from zarr.core.buffer import Buffer, BufferPrototype

__all__ = ["VerifiedStore"]


class VerifiedStore(LocalStore):
    """Zarr's store for a folder, with the digests of `Manifest`.

    A chunk without its digests or its ``status`` reads as missing values, that is as not run. A
    file that does not match its digest raises `DamageError`. Arrays that the manifest does not name
    are hidden.

    The digests of a chunk are lists of the accepted ones. ``null`` accepts a missing file: Zarr
    then reads missing values, and xarray removes files with only such when it writes to a store.
    """

    def __init__(self, root: Path | str, *, manifest: Manifest, read_only: bool = False) -> None:
        super().__init__(root, read_only=read_only)
        self.manifest = manifest
        self._written: dict[str, dict[str, list[str | None]]] = {}
        self._known: dict[str, dict[str, Any]] = {}

    def with_read_only(self, read_only: bool = False) -> VerifiedStore:
        """The same folder, read-only or not."""
        return VerifiedStore(self.root, manifest=self.manifest, read_only=read_only)

    async def get(
        self,
        key: str,
        prototype: BufferPrototype | None = None,
        byte_range: ByteRequest | None = None,
    ) -> Buffer | None:
        """The content of a file; None if there is none, or its chunk is not finished."""
        value = await super().get(key, prototype, byte_range)
        if key == "zarr.json" and value is not None:
            return type(value).from_bytes(self._group(value.to_bytes()))
        at = self.manifest.place(key)
        if at is None:
            return value
        name, place = at
        digests = self.digests(place)
        if digests is not None and self._digest(key, value) not in digests[name]:
            # A writer may be writing this chunk, and has removed or replaced its digests.
            digests = self.digests(place, again=True)
            value = await super().get(key, prototype, byte_range)
            if digests is not None and self._digest(key, value) not in digests[name]:
                raise self._damage(name, key)
        return None if digests is None else value

    async def set(self, key: str, value: Buffer) -> None:
        """Write a file, and note its digest for `commit`."""
        await super().set(key, value)
        at = self.manifest.place(key)
        if at is not None:
            self._written[at[1]][at[0]] = [self._digest(key, value)]

    def _digest(self, key: str, value: Buffer | None) -> str | None:
        return None if value is None else self.manifest.digest(key, value.to_bytes())

    def _damage(self, name: str, key: str) -> DamageError:
        if (self.root / key).exists():
            return DamageError(f"{key} differs from what was written")
        return DamageError(f"it lacks a part of {name}, {key}")

    def _group(self, content: bytes) -> bytes:
        """The group's metadata with the attributes and arrays of the manifest."""
        document = json.loads(content)
        attributes = {"complete": False, **document.get("attributes", {})}
        document["attributes"] = attributes | self.manifest.attributes
        document["consolidated_metadata"] = {
            "kind": "inline", "must_understand": False, "metadata": self.manifest.arrays,
        }  # fmt: skip
        return json.dumps(document).encode()

    def digests(self, place: str, *, again: bool = False) -> dict[str, Any] | None:
        """The digests of one chunk, by variable; None if it is not run. Raises `DamageError`."""
        if place in self._known and not again:
            return self._known[place]
        self._known.pop(place, None)
        if not (self.root / self.manifest.file(STATUS.name, place)).is_file():
            return None
        key = f"{FOLDER}/{place}"
        try:
            found = json.loads((self.root / key).read_bytes())
        except FileNotFoundError:
            return None
        except DAMAGE:
            found = None
        right = isinstance(found, dict) and found.keys() == self.manifest.variables
        if not right or not all(isinstance(entry, list) for entry in found.values()):
            raise DamageError(f"{key} differs from what was written")
        # Tuples of strings are cheap for the garbage collector; a large store has many.
        self._known[place] = {name: tuple(entry) for name, entry in found.items()}
        return self._known[place]

    def revoke(self, place: str) -> None:
        """Begin to write a chunk, which is not finished until `commit`."""
        self._known.pop(place, None)
        (self.root / FOLDER).mkdir(exist_ok=True)
        (self.root / FOLDER / place).unlink(missing_ok=True)
        self._written[place] = {}

    def commit(self, place: str, missing: Collection[str]) -> None:
        """Write the digests of a chunk whose files are all written.

        ``missing``: its variables that hold missing values only.
        """
        digests = self._written.pop(place)
        for name in missing:
            digests[name].append(None)
        # In one order, whichever was written first.
        replace_file(self.root / FOLDER / place, json.dumps(digests, sort_keys=True).encode())

    def check_files(self, place: str) -> None:
        """Raise `DamageError` if a file of a chunk is missing."""
        digests = self.digests(place) or {}
        for name, entry in digests.items():
            key = self.manifest.file(name, place)
            if None not in entry and not (self.root / key).is_file():
                raise self._damage(name, key)

    def others(self) -> list[str]:
        """The names of arrays and groups here that the manifest does not name."""
        ours = {ORIGIN, *self.manifest.arrays}
        return sorted({file.parent.name for file in self.root.glob("*/zarr.json")} - ours)

    def set_complete(self) -> None:
        """Mark the store as complete in the group's own file, and keep its other content."""
        file = self.root / "zarr.json"
        document = json.loads(file.read_bytes())
        attributes = document.get("attributes", {}) | self.manifest.attributes
        document["attributes"] = attributes | {"complete": True}
        replace_file(file, json.dumps(document, indent=2).encode())
