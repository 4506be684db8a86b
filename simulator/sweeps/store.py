"""The result store: a Zarr v3 group that ``xarray.open_zarr`` opens, its layout as data.

Each chunk of each variable is one file with a checksum. A chunk's ``status`` is written after
everything else of it, so ``done`` means that the whole cell is there; a chunk that was never
written reads as ``not_run``.
"""

from __future__ import annotations

import json
import os
import shutil
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from simulator.checks import InputError
from simulator.data import Data
from simulator.regimes import NATURAL_PHASES, OUTCOMES
from simulator.runs import Run
from simulator.sweeps.foreknowledge import is_linear, is_one_example
from simulator.sweeps.spec import AXES, CONVENTIONS, Region, Spec
from simulator.training.ensemble import Ensemble

if TYPE_CHECKING:
    import xarray as xr
    import zarr

__all__ = ["CURVES", "STATUS", "VARIABLES", "ResultStore", "Variable", "open_store"]

STATUS = ("not_run", "done", "failed")
_FORMAT = 1
_PACKAGES = ("warmup-simulator", "numpy", "scipy", "numba", "zarr", "xarray")


@dataclass(frozen=True)
class Variable:
    """One array of the store: its name, type, meaning, and where a run keeps it.

    Without ``of`` it is the seed's: see `foreknowledge`. ``needs`` names what a sweep must have.
    """

    name: str
    dtype: str
    units: str
    long_name: str
    of: Callable[[Any], Any] | None = None
    needs: str = ""
    missing: Any = np.nan


def _names(vocabulary: Mapping[str, str]) -> str:
    return ", ".join(vocabulary)


VARIABLES = (
    Variable("eta_critical", "float64", "1", "learning rate whose threshold is the sharpness at initialisation"),
    Variable("loss_init", "float64", "1", "training loss before the first update", lambda r: r.loss_init),
    Variable("loss_max", "float64", "1", "largest finite loss", lambda r: r.loss_max),
    Variable("loss_final", "float64", "1", "training loss after the last update", lambda r: r.loss_final),
    Variable("sharpness_init", "float64", "1", "top Hessian eigenvalue before the first update", lambda r: r.sharpness_init),
    Variable("sharpness_max", "float64", "1", "largest top Hessian eigenvalue measured", lambda r: r.sharpness_max),
    Variable("sharpness_final", "float64", "1", "top Hessian eigenvalue after the last update", lambda r: r.sharpness_final),
    Variable("preconditioned_sharpness_init", "float64", "1", "top eigenvalue of P^-1 H of the first update", lambda r: r.preconditioned_sharpness_init, needs="preconditioner"),
    Variable("preconditioned_sharpness_max", "float64", "1", "largest top eigenvalue of P^-1 H measured", lambda r: r.preconditioned_sharpness_max, needs="preconditioner"),
    Variable("preconditioned_sharpness_final", "float64", "1", "top eigenvalue of P^-1 H after the last update", lambda r: r.preconditioned_sharpness_final, needs="preconditioner"),
    Variable("diverged", "bool", "1", "whether the loss stopped being finite", lambda r: r.diverged, missing=False),
    Variable("diverged_step", "int64", "updates", "updates after which the loss was not finite; -1: it was", lambda r: r.diverged_step, missing=-1),
    Variable("n_catapults", "int64", "1", "catapults: excursions of the loss above threshold that came back", lambda r: r.n_catapults, missing=-1),
    Variable("natural_phase", "str", "1", f"trend of the sharpness before the first crossing: {_names(NATURAL_PHASES)}", lambda r: r.natural_phase, missing=""),
    Variable("outcome", "str", "1", f"how the run ended: {_names(OUTCOMES)}", lambda r: r.outcome, missing=""),
    Variable("trainable", "bool", "1", "finite, and 10 % better than the best constant output", lambda r: r.trainable, missing=False),
    Variable("accuracy_final", "float64", "1", "training accuracy after the last update", lambda r: r.accuracy_final, needs="classes"),
    Variable("test_loss_final", "float64", "1", "test loss after the last update", lambda r: r.test_loss_final, needs="test"),
    Variable("test_accuracy_final", "float64", "1", "test accuracy after the last update", lambda r: r.test_accuracy_final, needs="classes test"),
    Variable("forward_passes", "int64", "1", "losses that the schedule asked for, besides those of the updates", lambda r: r.forward_passes, needs="probes", missing=-1),
    Variable("theory_eta_max", "float64", "1", "largest constant learning rate that is survived, in closed form", needs="closed_form"),
    Variable("theory_eta_ceiling", "float64", "1", "learning rate beyond which no warmup helps, in closed form", needs="one_example"),
    Variable("theory_sharpness_flow", "float64", "1", "sharpness at the end of gradient flow, in closed form", needs="one_example"),
)  # fmt: skip

CURVES = (
    Variable("loss", "float64", "1", "loss before each update", lambda r: r.loss),
    Variable("sharpness", "float64", "1", "top Hessian eigenvalue before each update", lambda r: r.sharpness),
    Variable("preconditioned_sharpness", "float64", "1", "top eigenvalue of P^-1 H of each update", lambda r: r.preconditioned_sharpness, needs="preconditioner"),
    Variable("eta", "float64", "1", "learning rate of each update", lambda r: r.eta),
    Variable("threshold", "float64", "1", "sharpness (pre-conditioned, if there is such a thing) above which a quadratic is unstable", lambda r: r.threshold),
)  # fmt: skip

_STATUS = Variable(
    "status", "str", "1", f"what this cell holds: {', '.join(STATUS)}", missing=STATUS[0]
)


def variables(spec: Spec, data: Data | None) -> tuple[Variable, ...]:
    """The per-run variables that this sweep can fill."""
    return _possible(VARIABLES, spec, data)


def curves(spec: Spec, data: Data | None) -> tuple[Variable, ...]:
    """The curves that this sweep can fill."""
    return _possible(CURVES, spec, data)


def _possible(wanted: tuple[Variable, ...], spec: Spec, data: Data | None) -> tuple[Variable, ...]:
    has = {
        "classes": bool(data and data.classes),
        "test": bool(data and data.test),
        "preconditioner": spec.preconditions,
        "probes": spec.probes,
        "closed_form": is_linear(spec) or is_one_example(spec, data),
        "one_example": is_one_example(spec, data),
    }
    return tuple(v for v in wanted if all(has[need] for need in v.needs.split()))


class ResultStore:
    """A sweep's results, on disk or in memory; one writer at a time."""

    def __init__(self, group: zarr.Group, path: Path | None, spec: Spec, data: Data | None) -> None:
        self._group, self._path, self.spec = group, path, spec
        self._open: dict[str, Any] = {}
        self.variables = variables(spec, data)
        self.curves = curves(spec, data) if spec.curves else ()
        # Where the time went: what the runs say, and writing.
        self.seconds = dict.fromkeys(("compile", "step", "curvature", "store"), 0.0)

    @classmethod
    def create(
        cls, path: Path | None, spec: Spec, data: Data | None, chunk_shape: tuple[int, ...]
    ) -> ResultStore:
        """A new store at ``path``, or in memory, with every array declared and none written.

        What is there already is replaced: see `check_output`.
        """
        import zarr
        from zarr.storage import MemoryStore

        attributes: dict[str, Any] = {
            "spec": json.dumps(spec.as_dict()),
            "data": json.dumps(describe(data)),
            "conventions": json.dumps(CONVENTIONS),
            "versions": json.dumps(_versions()),
            "chunk_shape": list(chunk_shape),
            "format": _FORMAT,
            "complete": False,
        }
        try:
            if path is not None and path.exists():
                shutil.rmtree(path)
            target = MemoryStore() if path is None else str(path)
            group = zarr.open_group(target, mode="w-", zarr_format=3, attributes=attributes)
            store = cls(group, path, spec, data)
            store._declare(chunk_shape)
        except OSError as error:
            raise InputError(
                "output", path, f"cannot be written: {error.strerror or error}"
            ) from None
        return store

    @classmethod
    def reopen(cls, path: Path, spec: Spec, data: Data | None) -> ResultStore:
        """An existing store of the same sweep, to be continued."""
        group = _open_group(path, "r+", "output")
        _, their_spec, their_data = _described(path, group, "output")
        # Where the data came from may have another path by now: the digest is what counts.
        digest = {"digest": describe(data).get("digest")}
        for theirs, ours in ((their_spec.as_dict(), spec.as_dict()), (their_data, digest)):
            for name, value in ours.items():
                if theirs.get(name) != value:
                    raise InputError(
                        "resume", path,
                        f"was made with {name} {theirs.get(name)}, not {value}; "
                        "use the same, or another output",
                    )  # fmt: skip
        return cls(group, path, spec, data)

    def regions(self) -> Iterator[Region]:
        """The chunks, each as slices of the grid."""
        return self.spec.regions(self._group.attrs["chunk_shape"])  # type: ignore[arg-type]

    def _declare(self, chunk_shape: tuple[int, ...]) -> None:
        spec = self.spec
        for name, values in spec.coordinates().items():
            self._coordinate(name, np.array(values))
        for variable in (*self.variables, _STATUS):
            self._array(variable, spec.shape, chunk_shape, AXES)
        if self.curves:
            self._coordinate("step", np.arange(spec.steps))
            for variable in self.curves:
                shape, chunks = (*spec.shape, spec.steps), (*chunk_shape, spec.steps)
                self._array(variable, shape, chunks, (*AXES, "step"))
        self._consolidate()

    def _coordinate(self, name: str, values: NDArray[Any]) -> None:
        from zarr.codecs import Crc32cCodec

        array = self._group.create_array(
            name, shape=values.shape, dtype=values.dtype, dimension_names=(name,),
            compressors=[Crc32cCodec()], attributes=self._coordinate_attributes(name),
        )  # fmt: skip
        array[:] = values

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
            # Zarr warns that the specification does not have this yet; xarray asks for it.
            warnings.filterwarnings("ignore", message="Consolidated metadata")
            zarr.consolidate_metadata(self._group.store)

    def blank(self, shape: tuple[int, ...]) -> dict[str, NDArray[Any]]:
        """Arrays for a chunk of this shape, nothing in them yet."""
        chunk = {}
        for variable in (*self.variables, *self.curves, _STATUS):
            full = (*shape, self.spec.steps) if variable in self.curves else shape
            dtype = object if variable.dtype == "str" else variable.dtype
            chunk[variable.name] = np.full(full, variable.missing, dtype)
        return chunk

    def fill(
        self,
        chunk: dict[str, NDArray[Any]],
        at: tuple[Any, ...],
        run: Run | Ensemble,
        known: Mapping[str, float],
    ) -> None:
        """Put one run into its place in a chunk, and beside it what was known before.

        Or many runs at once: an index is an array then.
        """
        for variable in (*self.variables, *self.curves):
            of = variable.of
            chunk[variable.name][at] = known[variable.name] if of is None else of(run)
        chunk[_STATUS.name][at] = "done"

    def write(self, region: Region, values: Mapping[str, NDArray[Any]]) -> None:
        """Commit one chunk: its variables, then its status."""
        began = time.perf_counter()
        for name in sorted(values, key=lambda name: name == _STATUS.name):
            if name not in self._open:
                # A chunk of missing values is written too: one that is not there has been lost.
                array = self._group[name]
                self._open[name] = array.with_config({"write_empty_chunks": True})  # type: ignore[union-attr]
            self._open[name][region] = values[name]
        self.seconds["store"] += time.perf_counter() - began

    def is_complete(self, region: Region) -> bool:
        """Whether every cell of this chunk is done, readable, and as it was written."""
        if self._path is None:
            return bool(np.all(self._group[_STATUS.name][region] == "done"))  # type: ignore[index]
        try:
            status = self._group[_STATUS.name][region]  # type: ignore[index]
            if (np.asarray(status) != "done").any():
                return False
            for variable in (*self.variables, *self.curves):
                if not self._file(variable, region).is_file():
                    return False
                self._group[variable.name][region]  # type: ignore[index]
        except (ValueError, OSError, RuntimeError):
            return False
        return True

    def _file(self, variable: Variable, region: Region) -> Path:
        """Where a chunk lies: Zarr reads one that is lost as one of missing values."""
        assert self._path is not None
        chunks = self._group[variable.name].chunks  # type: ignore[union-attr]
        starts = [*(part.start for part in region), 0]
        index = [str(start // c) for start, c in zip(starts, chunks, strict=False)]
        return self._path.joinpath(variable.name, "c", *index)

    def finish(self) -> None:
        """Say that every cell has been run."""
        self._group.attrs["complete"] = True
        self._consolidate()

    def dataset(self) -> xr.Dataset:
        """The store as xarray sees it."""
        import xarray as xr

        return xr.open_zarr(self._group.store, chunks=None)


def describe(data: Data | None) -> dict[str, Any]:
    """Where the data came from, and its fingerprint."""
    if data is None:
        return {"name": "none"}
    shape = [data.samples, data.inputs, data.outputs]
    return {**data.source, "shape": shape, "digest": data.digest}


def _versions() -> dict[str, str]:
    found = {}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


def _open_group(path: Path, mode: Any, option: str = "store") -> zarr.Group:
    import zarr

    if not path.exists():
        raise InputError(option, path, "does not exist; make one with warmup sweep")
    try:
        group = zarr.open_group(str(path), mode=mode, zarr_format=3)
    except (OSError, ValueError, KeyError):
        raise InputError(option, path, "is no Zarr store") from None
    if group.attrs.get("format") != _FORMAT:
        raise InputError(option, path, "was not made by this version of warmup sweep")
    return group


def open_store(path: Path, option: str = "store") -> tuple[xr.Dataset, Spec, dict[str, Any]]:
    """The results at ``path``, the spec that made them, and the description of their data."""
    import xarray as xr

    _, spec, description = _described(path, _open_group(path, "r", option), option)
    return xr.open_zarr(str(path), chunks=None), spec, description


def _described(
    path: Path, group: zarr.Group, option: str
) -> tuple[list[int], Spec, dict[str, Any]]:
    """Chunk shape, spec and data of a store, as it says itself."""
    try:
        spec = Spec.from_dict(json.loads(str(group.attrs["spec"])))
        return list(group.attrs["chunk_shape"]), spec, json.loads(str(group.attrs["data"]))  # type: ignore[arg-type]
    except InputError:
        raise
    except (KeyError, TypeError, ValueError):
        raise InputError(option, path, "has no readable spec") from None


def estimated_bytes(spec: Spec) -> int:
    """Uncompressed size of the results."""
    cell = 8 * (len(VARIABLES) + 2)
    if spec.curves:
        cell += 8 * len(CURVES) * spec.steps
    return cell * spec.cells


def check_output(path: Path, spec: Spec, *, overwrite: bool) -> None:
    """Refuse a path at which no new store can be made. Only a store may be overwritten."""
    if path.exists():
        if not overwrite:
            raise InputError(
                "output", path, "exists; --resume continues it, --overwrite replaces it"
            )
        _open_group(path, "r", "output")
    folder = path.absolute().parent
    if not folder.is_dir():
        raise InputError("output", path, f"there is no folder {folder}; make it first")
    if not os.access(folder, os.W_OK):
        raise InputError("output", path, f"the folder {folder} cannot be written to")
    needed, free = estimated_bytes(spec), shutil.disk_usage(folder).free
    if needed > free:
        raise InputError(
            "output", path,
            f"needs {needed / 1e9:.3g} GB and {free / 1e9:.3g} GB are free; "
            "give a smaller grid, fewer steps, or no curves",
        )  # fmt: skip


def save_run(
    path: Path, spec: Spec, data: Data | None, run: Run, known: Mapping[str, float]
) -> None:
    """A store of one run, the only cell of ``spec``, with its curves."""
    one = (1, 1, 1, 1)
    store = ResultStore.create(path, spec, data, one)
    chunk = store.blank(one)
    store.fill(chunk, (0, 0, 0, 0), run, known)
    store.write(next(store.regions()), chunk)
    store.finish()
