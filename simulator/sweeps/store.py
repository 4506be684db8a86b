"""The result store: a Zarr v3 group that ``xarray.open_zarr`` opens.

Each chunk of each variable is one file with a checksum, written beside its place and renamed into
it. A chunk's ``status`` is written last, so ``done`` means that the cell is complete; a chunk that
was never written reads as ``not_run``. The digests of all these files come last, and a chunk that
does not match them is not used. A store is also made under another name first, so it is complete
whenever its writer dies.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from simulator.checks import InputError
from simulator.data import Data
from simulator.sweeps.declare import coordinates, declare
from simulator.sweeps.digests import DAMAGE, place_of
from simulator.sweeps.entries import remove_partial_files
from simulator.sweeps.layout import STATUS, Chunk, Layout
from simulator.sweeps.lock import Lock
from simulator.sweeps.placing import begin, clear, discard, settle
from simulator.sweeps.reading import open_group, wrong_coordinates
from simulator.sweeps.spec import Region, Spec

if TYPE_CHECKING:
    import xarray as xr
    import zarr

    from simulator.sweeps.verified import VerifiedStore

__all__ = ["ResultStore", "StoreMovedError", "hold"]


class StoreMovedError(OSError):
    """A store was moved, removed or replaced while being written."""

    def __init__(self, path: Path) -> None:
        super().__init__(None, f"{path} was moved, removed or replaced while it was written")


class ResultStore:
    """A sweep's results on disk; `Memory` holds those in memory.

    It is locked, exclusively or shared with writers of other chunks, until `close`.
    """

    def __init__(
        self,
        group: zarr.Group,
        path: Path,
        spec: Spec,
        data: Data | None,
        lock: Lock,
    ) -> None:
        self._group, self._path, self.lock, self.spec = group, path, lock, spec
        self._open: dict[str, Any] = {}
        # Chunks known to be done, which need not be read again.
        self._done: set[str] = set()
        self.layout = Layout(spec, data)
        # The time of the runs, as they report it, and of writing.
        self.seconds = dict.fromkeys(("compile", "step", "curvature", "store"), 0.0)

    @classmethod
    def create(
        cls,
        path: Path,
        spec: Spec,
        data: Data | None,
        chunk_shape: tuple[int, ...],
        *,
        command: str | None = None,
        shared: bool = False,
        replace: Lock | None = None,
        fill: Callable[[ResultStore], None] = lambda store: None,
    ) -> ResultStore:
        """A new store at ``path``, with every array declared.

        Parameters
        ----------
        command : str, optional
            The command line that made it; kept.
        shared : bool
            Whether other processes write, too.
        replace : Lock, optional
            The lock of the store that it replaces.
        fill : callable
            Called with the store before it is in its place.
        """
        with ExitStack() as unless_settled:
            try:
                beside, lock = begin(path, shared=shared)
                unless_settled.callback(discard, beside)
                unless_settled.enter_context(closing(lock))
                declare(lock.root, spec, data, chunk_shape, command)
                group = open_group(beside, "r+", "output", at=lock.root)
                fill(cls(group, beside, spec, data, lock))
                settle(beside, path, replace)
                lock.follow(path)
            except OSError as error:
                raise InputError(
                    "output", path, f"cannot be written: {error.strerror or error}"
                ) from None
            unless_settled.pop_all()
        return cls(open_group(path, "r+", "output", at=lock.root), path, spec, data, lock)

    @classmethod
    def reopen(
        cls, path: Path, spec: Spec, data: Data | None, *, shared: bool = False
    ) -> ResultStore:
        """Open an existing store of this spec for writing."""
        with ExitStack() as unless_opened:
            lock = unless_opened.enter_context(closing(hold(path, shared=shared)))
            group = open_group(path, "r+", "output", at=lock.root)
            store = cls(group, path, spec, data, lock)
            if not shared:
                remove_partial_files(lock.root)
            values = coordinates(spec)
            for name in wrong_coordinates(group, spec):
                store._array_of(name)[:] = values[name]
            unless_opened.pop_all()
        return store

    def close(self) -> None:
        """Release the lock."""
        self.lock.close()

    @property
    def chunk_shape(self) -> list[int]:
        """Cells of a chunk, along each of ``AXES``."""
        return list(self._group.attrs["chunk_shape"])  # type: ignore[arg-type]

    def regions(self, share: tuple[int, int] = (1, 1)) -> Iterator[Region]:
        """The chunks, each as slices of the grid; of share I of N, every N-th.

        Neighbours cost about the same, so each share has some of all kinds.
        """
        regions = self.spec.regions(self.chunk_shape)
        return itertools.islice(regions, share[0] - 1, None, share[1])

    def write(self, region: Region, values: Chunk) -> None:
        """Commit one chunk: its variables, its status, and their digests."""
        began = time.perf_counter()
        place, files = place_of(region, self.chunk_shape), self._files
        with self._in_place():
            files.revoke(place)
        *results, status = (variable.name for variable in self.layout)
        for names in (results, [status]):
            with self._in_place():
                self._put(names, region, values)
        with self._in_place():
            files.commit(place, [v.name for v in self.layout if v.is_missing(values[v.name])])
        self._note(place, values)
        self.seconds["store"] += time.perf_counter() - began

    def _put(self, names: Sequence[str], region: Region, values: Chunk) -> None:
        """Write these variables of a chunk concurrently, because each mostly waits."""
        from zarr.core.sync import sync

        arrays = [self._array_of(name).async_array for name in names]

        async def put() -> None:
            writes = (a.setitem(region, values[n]) for a, n in zip(arrays, names, strict=True))
            done = await asyncio.gather(*writes, return_exceptions=True)
            for failure in done:
                if failure is not None:
                    raise failure

        sync(put())

    @contextmanager
    def _in_place(self) -> Iterator[None]:
        """Write only if the store is still in place; raise `StoreMovedError` otherwise."""
        self._check_place()
        try:
            yield
        except OSError:
            self._check_place()
            raise

    def _check_place(self) -> None:
        # Removing a folder may start with any of its files.
        if not (self.lock.is_at(self._path) and (self.lock.root / "zarr.json").is_file()):
            raise StoreMovedError(self._path)

    def _array_of(self, name: str) -> Any:
        if name not in self._open:
            # A chunk of missing values is written too, so that plain xarray has all files.
            array = self._group[name]
            self._open[name] = array.with_config({"write_empty_chunks": True})  # type: ignore[union-attr]
        return self._open[name]

    def others(self) -> list[str]:
        """The names of arrays and groups that others added to the store."""
        return self._files.others()

    @property
    def _files(self) -> VerifiedStore:
        """The folder of the chunks."""
        return self._group.store  # type: ignore[return-value]

    def read(self, region: Region) -> Chunk:
        """One chunk as written; blank if any part of it is missing or damaged.

        Only finished cells keep their values; the others are to be run.
        """
        shape = tuple(part.stop - part.start for part in region)
        chunk = self.layout.blank(shape)
        try:
            place = place_of(region, self.chunk_shape)
            if self._files.digests(place) is None:
                return chunk
            there = {name: np.asarray(self._array_of(name)[region]) for name in chunk}
        except DAMAGE:
            return chunk
        done = there[STATUS.name] == "done"
        for name, values in there.items():
            chunk[name][done] = values[done]
        self._note(place, chunk)
        return chunk

    def _note(self, place: str, chunk: Chunk) -> None:
        if (chunk[STATUS.name] == "done").all():
            self._done.add(place)

    def _is_done(self, region: Region) -> bool:
        """Whether every cell of a chunk has been run, by this process or another."""
        if place_of(region, self.chunk_shape) in self._done:
            return True
        return bool((np.asarray(self._array_of(STATUS.name)[region]) == "done").all())

    def finish(self) -> bool:
        """Mark the store as complete if every cell has been run."""
        whole = all(map(self._is_done, self.regions()))
        with self._in_place():
            if whole and not self._group.attrs["complete"]:
                self._files.set_complete()
        self._clear()
        return whole

    def _clear(self) -> None:
        """Remove the leftovers of dead writers if this is the last; nothing is written after."""
        if self.lock.become_only():
            remove_partial_files(self.lock.root)
            clear(self._path)

    def attributes(self) -> dict[str, Any]:
        """The attributes of the store on disk."""
        self._check_place()
        return dict(open_group(self._path, "r", "output").attrs)

    def dataset(self) -> xr.Dataset:
        """The store as xarray reads it."""
        import xarray as xr

        self._check_place()
        # Use its public path: that of the lock is invalid once the store is closed.
        return xr.open_zarr(open_group(self._path, "r", "output").store, chunks=None)


def hold(path: Path, *, shared: bool = False) -> Lock:
    """The lock of an existing store."""
    try:
        return Lock(path, shared=shared)
    except OSError as error:
        raise InputError("output", path, f"cannot be written: {error.strerror}") from None
