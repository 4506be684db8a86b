"""Save and load runs: all numbers and the experiment, as arrays in a .npz file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from simulator.arrays import Array
from simulator.checks import InputError
from simulator.experiment import Experiment
from simulator.limits import StabilityLimit
from simulator.models import MODELS
from simulator.named import Named
from simulator.npz import read_arrays, write_arrays
from simulator.optimizers import OPTIMIZERS
from simulator.runs import Given, Run
from simulator.schedules import SCHEDULES, Scaled
from simulator.shipped import is_shipped
from simulator.training.checkpoints import Checkpoint

__all__ = ["load_run", "save_run"]

# The version of the format, and the prefix of a checkpoint's arrays.
_FORMAT, _START = 1, "start."
_KINDS: dict[str, Mapping[str, type[Any]]] = {
    "model": MODELS, "optimizer": OPTIMIZERS, "schedule": {**SCHEDULES, Scaled.name: Scaled},
}  # fmt: skip
_NO_RUN = "is not a saved run; give a file that Run.save made"


def save_run(run: Run, path: str | Path) -> None:
    """Write a run to a file; see `Run.save`."""
    values: dict[str, Any] = {
        field.name: getattr(run, field.name)
        for field in fields(run)
        if field.init and field.name != "given"
    }
    arrays = {name: value for name, value in values.items() if isinstance(value, np.ndarray)}
    document = {name: value for name, value in values.items() if name not in arrays}
    experiment = {f.name: getattr(run.experiment, f.name) for f in fields(Experiment)}
    document["experiment"] = {
        name: _plain(name, value) if isinstance(value, Named) else value
        for name, value in experiment.items()
    }
    given = run.given
    for name, value in (("theta0", given.theta0), ("rates", given.rates)):
        if value is not None:
            arrays[f"given.{name}"] = value
    if given.start is not None:
        arrays |= {f"{_START}{name}": array for name, array in given.start.arrays().items()}
    text = json.dumps({"format": _FORMAT, **document}, default=float)
    write_arrays(Path(path), {"run": np.frombuffer(text.encode(), np.uint8), **arrays})


def load_run(path: str | Path) -> Run:
    """Read a run from a file that `Run.save` wrote; nothing is unpickled.

    The file does not hold the data: `fork` and `checkpoint` then need ``data=``.

    Parameters
    ----------
    path : path

    Returns
    -------
    Run

    Raises
    ------
    InputError
        If the file is not a complete saved run.
    """
    path = Path(path)
    arrays = read_arrays("path", path)
    text = arrays.pop("run", None)
    if text is None or text.dtype != np.uint8:
        raise InputError("path", path, _NO_RUN)
    try:
        document = json.loads(text.tobytes())
        if document.pop("format") != _FORMAT:
            raise InputError("path", path, "is of another version; load it with that")
        return _run_of(document, arrays)
    except InputError as error:
        if error.option == "path":
            raise
        raise InputError("path", path, f"its {error}") from None
    except (ValueError, TypeError, KeyError, AttributeError, IndexError, RecursionError):
        raise InputError("path", path, _NO_RUN) from None


def _run_of(document: dict[str, Any], arrays: dict[str, Array]) -> Run:
    options = document.pop("experiment")
    for name, ours in _KINDS.items():
        options[name] = _thing(options[name], ours)
    start = {k.removeprefix(_START): v for k, v in arrays.items() if k.startswith(_START)}
    given = Given(
        None, arrays.get("given.theta0"), arrays.get("given.rates"),
        Checkpoint.of_arrays(start) if start else None,
    )  # fmt: skip
    names = {field.name for field in fields(Run)}
    curves: dict[str, Any] = {name: array for name, array in arrays.items() if name in names}
    document["limit"] = StabilityLimit(*document["limit"])
    run = Run(**document, **curves, experiment=Experiment(**options), given=given)
    if run.loss.shape != run.eta.shape or run.eigenvalues.shape[:1] != run.loss.shape:
        raise ValueError
    return run


def _plain(kind: str, thing: Named) -> dict[str, Any]:
    """The name and the options of a built-in object."""
    if not (is_shipped(thing) and thing.name in _KINDS[kind]):
        raise InputError(
            kind, thing.name, "is user-defined, and a file does not hold its code; pickle the run"
        )
    plain = {
        name: _plain(kind, value) if isinstance(value, Named) else value
        for name, value in thing.options().items()
    }
    return {"name": thing.name, **plain}


def _thing(plain: dict[str, Any], ours: Mapping[str, type[Any]]) -> Any:
    """Inverse of `_plain`."""
    options = {
        name: _thing(value, ours)
        if isinstance(value, dict)
        else tuple(value)
        if isinstance(value, list)
        else value
        for name, value in plain.items()
        if name != "name"
    }
    return ours[plain["name"]](**options)
