"""The line that makes a store again, from its spec: whoever made it, and however."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simulator.checks import InputError

if TYPE_CHECKING:
    from simulator.sweeps import Spec

__all__ = ["line"]

# Options that are typed otherwise than the spec calls them.
_TYPED = {"parameterization": "param", "beta": "momentum"}


def line(spec: Spec, data: Mapping[str, Any], store: Path) -> str:
    """A command for a shell.

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
        For a spec that no line asks for.
    """
    from simulator.schedules import SCHEDULES
    from simulator.sweeps import first_seeds, is_recorded

    for kind, chosen in (("model", spec.model), ("optimizer", spec.optimizer)):
        if is_recorded(chosen):
            raise InputError(
                "store", store, f"its {kind} {chosen.name} is its maker's own; use simulator.sweep"
            )
    words = ["warmup", "sweep"]
    for kind, chosen in (("model", spec.model), ("optimizer", spec.optimizer)):
        words += [f"--{kind}", chosen.name]
        for name, value in chosen.options().items():
            words += _option(name, value)
    words += _data(data)
    takes = {field.name for field in fields(SCHEDULES[spec.schedule])}
    plain = spec.as_dict()
    for name in ("eta_init", "eta_trgt", "t_wrm", "decay", "delta", "factor"):
        if name in takes:
            words += _option(name, plain[name])
    if "exponent" in takes:
        words += _option("warmup_exponent", spec.warmup_exponent)
    for name in ("schedule", "steps", "eta_unit", "batch_size", "layer_rates", "sharpness_every",
                 "accuracy", "curves", "dtype"):  # fmt: skip
        words += _option(name, plain[name])
    if spec.seeds == first_seeds(len(spec.seeds)):
        words += ["--seeds", str(len(spec.seeds))]
    elif spec.cells == 1:
        # Of one run: it always keeps its curves.
        words[1] = "run"
        words.remove("--curves")
        words += ["--seed", str(spec.seeds[0])]
    else:
        raise InputError("store", store, "has seeds that no line asks for; use simulator.sweeps")
    return shlex.join([*words, "--output", str(store)])


def _option(name: str, value: Any) -> list[str]:
    option = "--" + _TYPED.get(name, name).replace("_", "-")
    if value is None:
        return []
    if isinstance(value, bool):
        return [option if value else option.replace("--", "--no-", 1)]
    if isinstance(value, (tuple, list)):
        return [option, ",".join(map(repr, value))]
    return [option, value if isinstance(value, str) else repr(value)]


def _data(data: Mapping[str, Any]) -> list[str]:
    from simulator.data import LOADERS

    name = data.get("name")
    if name == "none":
        return []
    words = ["--data", str(name if name in LOADERS else data.get("path", "FILE.npz"))]
    for option in ("samples", "data_seed"):
        if option in data:
            words += _option(option, data[option])
    return words
