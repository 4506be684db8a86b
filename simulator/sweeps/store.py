"""The result store: a Zarr v3 group that ``xarray.open_zarr`` opens.

Each chunk of each variable is one file with a checksum, written beside its place and renamed into
it. A chunk's ``status`` is written after everything else of it, so ``done`` means that the whole
cell is there; a chunk that was never written reads as ``not_run``. A store is made beside its place
too: what is there is whole, whenever its writer dies.
"""

from __future__ import annotations

import itertools
import json
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from simulator.checks import InputError
from simulator.data import Data
from simulator.sweeps.entries import remove_partial_files
from simulator.sweeps.layout import STATUS, Chunk, Layout, Variable
from simulator.sweeps.lock import LOCK, Lock
from simulator.sweeps.origin import machine, numerics, versions
from simulator.sweeps.placing import begin, clear, discard, settle
from simulator.sweeps.reading import DAMAGE, FORMAT, open_group
from simulator.sweeps.spec import AXES, CONVENTIONS, Region, Spec

if TYPE_CHECKING:
    import xarray as xr
    import zarr

__all__ = ["ResultStore", "StoreMovedError", "describe", "hold"]


class StoreMovedError(OSError):
    """A store was moved, removed or replaced while it was written."""

    def __init__(self, path: Path) -> None:
        super().__init__(None, f"{path} was moved, removed or replaced while it was written")


class ResultStore:
    """A sweep's results, on disk or in memory.

    On disk it is locked: exclusively, or beside others that write other chunks. `close` lets go.
    """

    def __init__(
        self,
        group: zarr.Group,
        path: Path | None,
        spec: Spec,
        data: Data | None,
        lock: Lock | None = None,
    ) -> None:
        self._group, self._path, self.lock, self.spec = group, path, lock, spec
        self._open: dict[str, Any] = {}
        self.layout = Layout(spec, data)
        # Where the time went: what the runs say, and writing.
        self.seconds = dict.fromkeys(("compile", "step", "curvature", "store"), 0.0)

    @classmethod
    def create(
        cls,
        path: Path | None,
        spec: Spec,
        data: Data | None,
        chunk_shape: tuple[int, ...],
        *,
        command: str | None = None,
        shared: bool = False,
        replace: Lock | None = None,
        fill: Callable[[ResultStore], None] = lambda store: None,
    ) -> ResultStore:
        """A new store at ``path``, or in memory, with every array declared.

        Parameters
        ----------
        command : str, optional
            What was typed to make it; kept.
        shared : bool
            Beside other writers.
        replace : Lock, optional
            Of the store whose place it takes.
        fill : callable
            Given the store before it is in its place.
        """
        attributes = _attributes(spec, data, chunk_shape, command)
        if path is None:
            store = cls(_new_group(None, attributes), None, spec, data)
            store._declare(chunk_shape)
            return store
        with ExitStack() as unless_settled:
            try:
                beside, lock = begin(path, shared=shared)
                unless_settled.callback(discard, beside)
                unless_settled.enter_context(closing(lock))
                store = cls(_new_group(lock.root, attributes), beside, spec, data, lock)
                store._declare(chunk_shape)
                fill(store)
                settle(beside, path, replace)
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
        """An existing store of this spec, to be written to."""
        lock = hold(path, shared=shared)
        store = cls(open_group(path, "r+", "output", at=lock.root), path, spec, data, lock)
        if not shared:
            remove_partial_files(lock.root)
            # Whatever has become of them: chunks are looked at one by one, later.
            for name, values in store._coordinates():
                store._array_of(name)[:] = values
        return store

    def close(self) -> None:
        """Let others write."""
        if self.lock is not None:
            self.lock.close()

    @property
    def chunk_shape(self) -> list[int]:
        """Cells of a chunk, along each of ``AXES``."""
        return list(self._group.attrs["chunk_shape"])  # type: ignore[arg-type]

    def regions(self, share: tuple[int, int] = (1, 1)) -> Iterator[Region]:
        """The chunks, each as slices of the grid; of share I of N, every N-th.

        Neighbours cost alike: each share has some of all.
        """
        regions = self.spec.regions(self.chunk_shape)
        return itertools.islice(regions, share[0] - 1, None, share[1])

    def _declare(self, chunk_shape: tuple[int, ...]) -> None:
        spec = self.spec
        for name, values in self._coordinates():
            self._coordinate(name, values)
        for variable in (*self.layout.variables, STATUS):
            self._array(variable, spec.shape, chunk_shape, AXES)
        for variable in self.layout.curves:
            shape, chunks = (*spec.shape, spec.steps), (*chunk_shape, spec.steps)
            self._array(variable, shape, chunks, (*AXES, "step"))
        self._consolidate()

    def _coordinates(self) -> Iterator[tuple[str, NDArray[Any]]]:
        for name, values in self.spec.coordinates().items():
            yield name, np.array(values)
        if self.layout.curves:
            yield "step", np.arange(self.spec.steps)

    def _coordinate(self, name: str, values: NDArray[Any]) -> None:
        from zarr.codecs import Crc32cCodec

        self._group.create_array(
            name, shape=values.shape, dtype=values.dtype, dimension_names=(name,),
            compressors=[Crc32cCodec()], attributes=self._coordinate_attributes(name),
        )  # fmt: skip
        self._array_of(name)[:] = values

    def _coordinate_attributes(self, name: str) -> dict[str, Any]:
        unit = "eta_critical" if self.spec.eta_unit == "critical" else "1"
        texts = {
            "seed": ("1", "seed of initial parameters and batches"),
            "eta_init": (unit, "learning rate before the first update"),
            "eta_trgt": (unit, "learning rate at the end of warmup"),
            "t_wrm": ("updates", "length of warmup; 1 is none"),
            "step": ("updates", "updates done before"),
        }
        units, long_name = texts[name]
        return {"units": units, "long_name": long_name}

    def _array(
        self,
        variable: Variable,
        shape: tuple[int, ...],
        chunks: tuple[int, ...],
        dimensions: tuple[str, ...],
    ) -> None:
        from zarr.codecs import Crc32cCodec, ZstdCodec

        self._group.create_array(
            variable.name,
            shape=shape,
            chunks=chunks,
            dtype=variable.dtype,
            fill_value=variable.missing,
            compressors=[ZstdCodec(), Crc32cCodec()],
            dimension_names=dimensions,
            attributes={"units": variable.units, "long_name": variable.long_name},
        )

    def _consolidate(self) -> None:
        import zarr

        with warnings.catch_warnings():
            # Zarr warns that the specification does not have this yet, and of the lock's file.
            warnings.filterwarnings("ignore", message="Consolidated metadata")
            warnings.filterwarnings("ignore", message=f"Object at {LOCK}")
            zarr.consolidate_metadata(self._group.store)

    def write(self, region: Region, values: Chunk) -> None:
        """Commit one chunk: its variables, then its status."""
        began = time.perf_counter()
        for variable in self.layout:
            with self._in_place():
                self._array_of(variable.name)[region] = values[variable.name]
        self.seconds["store"] += time.perf_counter() - began

    @contextmanager
    def _in_place(self) -> Iterator[None]:
        """Write only where the store still is; raise `StoreMovedError` otherwise."""
        self._check_place()
        try:
            yield
        except OSError:
            self._check_place()
            raise

    def _check_place(self) -> None:
        if self._path is None or self.lock is None:
            return
        # Who removes a folder may have begun with any of its files.
        if not (self.lock.is_at(self._path) and (self.lock.root / "zarr.json").is_file()):
            raise StoreMovedError(self._path)

    def _array_of(self, name: str) -> Any:
        if name not in self._open:
            # A chunk of missing values is written too: one that is not there has been lost.
            array = self._group[name]
            self._open[name] = array.with_config({"write_empty_chunks": True})  # type: ignore[union-attr]
        return self._open[name]

    def read(self, region: Region) -> Chunk:
        """One chunk as it was written; blank if any part of it is lost, cut short or changed.

        Only cells that are done keep their values: the others are to be run.
        """
        shape = tuple(part.stop - part.start for part in region)
        chunk = self.layout.blank(shape)
        if not all(self._is_there(variable, region) for variable in reversed(tuple(self.layout))):
            return chunk
        try:
            there = {name: np.asarray(self._array_of(name)[region]) for name in chunk}
        except DAMAGE:
            return chunk
        done = there[STATUS.name] == "done"
        for name, values in there.items():
            chunk[name][done] = values[done]
        return chunk

    def _is_there(self, variable: Variable, region: Region) -> bool:
        """Whether its file is: Zarr reads one that is lost as one of missing values."""
        if self._path is None:
            return True
        starts = [*(part.start for part in region), 0]
        # A curve is whole in its chunk.
        length = [*self.chunk_shape, 1]
        index = [str(start // c) for start, c in zip(starts, length, strict=True)]
        index = index[: len(AXES) + (variable in self.layout.curves)]
        root = self._path if self.lock is None else self.lock.root
        return root.joinpath(variable.name, "c", *index).is_file()

    def finish(self) -> bool:
        """Say that every cell has been run, if it has."""
        whole = all(
            (np.asarray(self._array_of(STATUS.name)[region]) == "done").all()
            for region in self.regions()
        )
        with self._in_place():
            if whole and not self._group.attrs["complete"]:
                self._group.attrs["complete"] = True
                self._consolidate()
        self._clear()
        return whole

    def _clear(self) -> None:
        """As the last of several writers, remove what dead ones left. Nothing is written after."""
        if self._path is not None and self.lock is not None and self.lock.become_only():
            remove_partial_files(self.lock.root)
            clear(self._path)

    def dataset(self) -> xr.Dataset:
        """The store as xarray sees it."""
        import xarray as xr

        self._check_place()
        return xr.open_zarr(self._group.store if self._path is None else self._path, chunks=None)


def _attributes(
    spec: Spec, data: Data | None, chunk_shape: tuple[int, ...], command: str | None
) -> dict[str, Any]:
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


def _new_group(path: Path | None, attributes: dict[str, Any]) -> zarr.Group:
    import zarr
    from zarr.storage import MemoryStore

    target = MemoryStore() if path is None else str(path)
    return zarr.create_group(target, zarr_format=3, attributes=attributes)


def hold(path: Path, *, shared: bool = False) -> Lock:
    """The lock of a store that is there."""
    try:
        return Lock(path, shared=shared)
    except OSError as error:
        raise InputError("output", path, f"cannot be written: {error.strerror}") from None


def describe(data: Data | None) -> dict[str, Any]:
    """Where the data came from, and its fingerprint."""
    if data is None:
        return {"name": "none"}
    shape = [data.samples, data.inputs, data.outputs]
    return {**data.source, "shape": shape, "digest": data.digest}
