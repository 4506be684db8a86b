"""The command that makes a store again, from its spec."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simulator.checks import InputError
from simulator.commands.options import option_name

if TYPE_CHECKING:
    from simulator.sweeps import Spec

__all__ = ["command_line"]


def command_line(spec: Spec, data: Mapping[str, Any], store: Path) -> str:
    """The command, for a shell.

    Parameters
    ----------
    data : mapping
        As the store describes it. Arrays of a notebook have no name: a file of them must be given
        in their place.
    store : path
        Where the new one goes.

    Raises
    ------
    InputError
        For a spec that no command describes.
    """
    from simulator.schedules import GRID
    from simulator.sweeps import LATER, OURS, first_seeds, is_recorded

    axes = {axis.name: axis for axis in spec.over}
    words = ["warmup", "sweep"]
    for kind in OURS:
        every = axes[kind].values if kind in axes else (getattr(spec, kind),)
        for chosen in every:
            if is_recorded(chosen):
                raise InputError(
                    "store", store,
                    f"its {kind} {chosen.name} is user-defined; use simulator.sweep",
                )  # fmt: skip
        if kind in axes and axes[kind].labels != tuple(chosen.name for chosen in every):
            raise InputError(
                "store", store, f"has {kind}s with labels from Python; use simulator.sweep"
            )
        words += [f"--{kind}", ",".join(chosen.name for chosen in every)]
        for name, value in _shared(kind, every, store).items():
            words += _option(name, axes[name].values if name in axes else value)
        if kind == "model":
            words += _data(data)
    schedules = axes["schedule"].values if "schedule" in axes else [spec.schedule]
    of_no_use = {*GRID} - {name for schedule in schedules for name in schedule.options()}
    for field in fields(spec):
        if field.name not in {*OURS, *of_no_use, "seeds", "over", "top_k"}:
            values = axes[field.name].values if field.name in axes else getattr(spec, field.name)
            if LATER.get(field.name, ...) != values:
                words += _option(field.name, values)
    if spec.seeds == first_seeds(len(spec.seeds)):
        words += ["--seeds", str(len(spec.seeds))]
    elif spec.cells == 1:
        # Of one run: it always keeps its curves.
        words[1] = "run"
        words.remove("--curves")
        words += ["--seed", str(spec.seeds[0]), "--top-k", str(spec.top_k)]
    else:
        raise InputError("store", store, "has seeds that no command gives; use simulator.sweep")
    return shlex.join([*words, "--output", str(store)])


def _option(name: str, value: Any) -> list[str]:
    option = "--" + option_name(name).replace("_", "-")
    if value is None:
        return []
    if isinstance(value, bool):
        return [option if value else option.replace("--", "--no-", 1)]
    if isinstance(value, (tuple, list)):
        if any(isinstance(entry, bool) for entry in value):
            raise InputError(name, "true and false", "no command varies it; use simulator.sweep")
        return [option, ",".join(map(_typed, value))]
    return [option, value if isinstance(value, str) else repr(value)]


def _typed(value: Any) -> str:
    """One of several values; None is a full batch."""
    return "full" if value is None else value if isinstance(value, str) else repr(value)


def _shared(kind: str, every: Sequence[Any], store: Path) -> dict[str, Any]:
    """The options of all of them, the grid's apart; one line gives each a single value.

    None for an option in which they differ, each having its default: that is not typed.
    """
    from dataclasses import fields

    from simulator.schedules import GRID

    found: dict[str, Any] = {}
    holders = [(field, chosen) for chosen in every for field in fields(chosen)]
    for name in dict.fromkeys(field.name for field, _ in holders if field.name not in GRID):
        values = [getattr(chosen, name) for field, chosen in holders if field.name == name]
        usual = [field.default for field, _ in holders if field.name == name]
        if values == usual and any(value != values[0] for value in values):
            found[name] = None
        elif any(value != values[0] for value in values):
            raise InputError(
                "store", store, f"has {kind}s whose {name} differs; use simulator.sweep"
            )
        else:
            found[name] = values[0]
    return found


def _data(data: Mapping[str, Any]) -> list[str]:
    from simulator.data import LOADERS

    name = data.get("name")
    if name == "none":
        return []
    words = ["--data", str(name if name in LOADERS else data.get("path", "FILE.npz"))]
    for option in ("label", "samples", "data_seed"):
        if option in data:
            words += _option(option, data[option])
    return words
