"""The first difference of two sweeps, as text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from simulator.sweeps.spec import LATER, OURS, Spec, some_of

__all__ = ["difference"]

_GROWS = ("seeds", "eta_init", "eta_trgt", "t_wrm")


def difference(theirs: Spec, ours: Spec, *, grown: bool = False) -> str | None:
    """The first entry in which the spec of a store differs; None without one.

    ``grown``: additional values along the axes do not count.
    """
    made, asked = (_flat(LATER | spec.as_dict()) for spec in (theirs, ours))
    along = {axis.name for axis in theirs.over} & {axis.name for axis in ours.over}
    for name in [*made, *(name for name in asked if name not in made)]:
        its, mine = made.get(name), asked.get(name)
        if its == mine:
            continue
        if grown and name in made and (name in _GROWS or name in along):
            lost = [value for value in made[name] if value not in asked.get(name, ())]
            if not lost:
                continue
            return f"has {name} {some_of(lost[:1])}, which the larger grid lacks"
        if grown and name not in made and name.partition("=")[0] in along:
            continue
        return f"was made with {name} {_shown(its)}, not {_shown(mine)}"
    return None


def _flat(plain: Mapping[str, Any]) -> dict[str, Any]:
    """The entries of a spec together with those of its model and optimizer; axes by labels."""
    flat: dict[str, Any] = {}
    varied = {name for name, *_ in plain.get("over", ())}
    for name, value in plain.items():
        if name in varied:
            continue
        if name == "over":
            for axis, labels, values in value:
                flat[axis] = labels
                if axis in OURS:
                    flat |= {f"{axis}={i}": v for i, v in zip(labels, values, strict=True)}
        elif isinstance(value, Mapping):
            # Options of user-defined objects may have any name, including those of the spec.
            prefix = f"{name} " if "source" in value else ""
            options = {prefix + k: v for k, v in value.items() if k != "name" and k not in varied}
            flat |= {name: value["name"]} | options
        else:
            flat[name] = value
    return flat


def _shown(value: object) -> object:
    if isinstance(value, (tuple, list)) and all(isinstance(v, (int, float, str)) for v in value):
        return some_of(value)
    return value
