"""Any option of a sweep as an axis, besides seed, eta_init, eta_trgt and t_wrm."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np

from simulator.checks import InputError, one_of
from simulator.models import Model
from simulator.named import Named
from simulator.nearest import did_you_mean
from simulator.optimizers import Optimizer
from simulator.schedules import GRID, SCHEDULES, Schedule

__all__ = ["Axis", "axes_of", "changed", "text_of"]

# Fields of a `Spec` that may vary from run to run.
_OF_A_RUN = (
    "batch_size", "dtype", "layer_rates", "sharpness_every", "sharpness_tol",
)  # fmt: skip
_WHOLE: dict[str, type[Named]] = {"model": Model, "optimizer": Optimizer, "schedule": Schedule}
_EXAMPLES = {"model": "MLP(width=64)", "optimizer": "Adam()", "schedule": "ModifiedWarmup()"}

Label = bool | int | float | str
# A frozen dataclass with a model, an optimizer and the fields of a run.
Described = TypeVar("Described")


@dataclass(frozen=True)
class Axis:
    """An option and its values.

    Attributes
    ----------
    name : str
        A field of the model, the optimizer, the schedule or the run, or one of these as a whole.
    values : tuple
    labels : tuple
        The coordinates: the values themselves, 0 for a batch size of None (all samples), and names
        for models, optimizers and schedules.
    """

    name: str
    values: tuple[Any, ...]
    labels: tuple[Label, ...]

    @classmethod
    def of(cls, name: str, given: Any) -> Axis:
        """An axis from values, or from a mapping of labels to values."""
        if isinstance(given, (str, bytes)) or not isinstance(given, (Mapping, Iterable)):
            raise InputError("over", f"{name}={given!r}", "give a list of values")
        values = tuple(
            _python(v) for v in (given.values() if isinstance(given, Mapping) else given)
        )
        if name == "schedule":
            values = tuple(
                SCHEDULES[one_of(name, v, SCHEDULES)]() if isinstance(v, str) else v for v in values
            )
        if not values:
            raise InputError("over", f"{name} without values", "give one or more")
        kind = _WHOLE.get(name)
        if kind is not None and not all(isinstance(value, kind) for value in values):
            wrong = next(value for value in values if not isinstance(value, kind))
            remedy = f"give {name}s, simulator.{_EXAMPLES[name]} for example"
            raise InputError("over", f"{name}={wrong!r}", remedy)
        labels = tuple(given) if isinstance(given, Mapping) else _labels(name, values)
        if len({*labels}) < len(labels):
            twice = next(label for label in labels if labels.count(label) > 1)
            raise InputError("over", f"{name}={twice}", "given twice; give each value once")
        return cls(name, values, labels)


def axes_of(over: Mapping[str, Any] | Sequence[Axis]) -> tuple[Axis, ...]:
    """The axes that a mapping from names to values describes."""
    if isinstance(over, Mapping):
        return tuple(Axis.of(name, values) for name, values in over.items())
    return tuple(over)


def changed(spec: Described, axes: Sequence[Axis], index: Sequence[int]) -> Described:
    """The spec with the values of these axes at these indices.

    Raises
    ------
    InputError
        If an axis is not an option of the model, the optimizer, the schedule or the run, or if a
        value is not allowed.
    """
    chosen = [(axis, axis.values[i]) for axis, i in zip(axes, index, strict=True)]
    # Whole objects first: others change their options.
    for axis, value in sorted(chosen, key=lambda one: one[0].name not in _WHOLE):
        spec = _with(spec, axis.name, value)
    return spec


def _with(spec: Any, name: str, value: Any) -> Any:
    if name in _WHOLE or name in _OF_A_RUN:
        return replace(spec, **{name: value})
    holders = [kind for kind in _WHOLE if name in getattr(spec, kind).options()]
    if len(holders) != 1:
        raise InputError("over", name, _what_would_do(spec, name, holders))
    holder = getattr(spec, holders[0])
    return replace(spec, **{holders[0]: holder.with_options(**{name: value})})


def _what_would_do(spec: Any, name: str, holders: list[str]) -> str:
    if holders:
        return f"is an option of both the {' and the '.join(holders)}; vary the whole"
    own = [option for kind in _WHOLE for option in getattr(spec, kind).options()]
    names = [*(option for option in own if option not in GRID), *_OF_A_RUN, *_WHOLE]
    things = ", ".join(f"the {kind} {getattr(spec, kind).name}" for kind in _WHOLE)
    near = did_you_mean(name, names)
    return f"no option of {things} or the run; {near}give one of {', '.join(names)}"


def _labels(name: str, values: tuple[Any, ...]) -> tuple[Label, ...]:
    if name in _WHOLE:
        return _names(values)
    if name == "batch_size":
        return tuple(0 if value is None else value for value in values)
    for kinds in ((bool,), (int, float), (str,)):
        if all(isinstance(v, kinds) and (bool in kinds or not isinstance(v, bool)) for v in values):
            return values
    return tuple(map(text_of, values))


def _names(things: tuple[Any, ...]) -> tuple[str, ...]:
    """The names, with the options in which objects of the same name differ."""
    labels = []
    for thing in things:
        namesakes = [other.options() for other in things if other.name == thing.name]
        differing = [
            f"{option}={text_of(value)}"
            for option, value in thing.options().items()
            if option not in GRID and any(others.get(option) != value for others in namesakes)
        ]
        labels.append(" ".join([thing.name, *differing]))
    return tuple(labels)


def text_of(value: Any) -> str:
    """A coordinate or an option as text."""
    if isinstance(value, (tuple, list)):
        return ",".join(map(text_of, value))
    number = isinstance(value, (int, float, np.number)) and not isinstance(value, bool)
    return f"{value:g}" if number else str(value)


def _python(value: Any) -> Any:
    """A NumPy number as a Python number."""
    return value.item() if isinstance(value, np.generic) else value
