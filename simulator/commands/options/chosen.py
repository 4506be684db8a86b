"""What the options of the current command describe: models, optimizers, schedules, data, axes."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import click

from simulator.checks import InputError, one_of
from simulator.commands.grids import Grid, Several
from simulator.commands.options.grouped import GroupedOption
from simulator.commands.terminal import note

if TYPE_CHECKING:
    from simulator.data import Data
    from simulator.models import Model
    from simulator.optimizers import Optimizer
    from simulator.schedules import Schedule

__all__ = [
    "KINDS", "data_of", "model_of", "optimizer_of", "schedule_of", "several", "varied", "was_given",
]  # fmt: skip

# The groups whose options are those of each.
KINDS = {"model": ("model", "loss"), "optimizer": ("optimizer",), "schedule": ("schedule",)}


def was_given(name: str) -> bool:
    """Whether an option of the current command was typed, or is in its config."""
    source = click.get_current_context().get_parameter_source(name)
    return source in (
        click.core.ParameterSource.COMMANDLINE,
        click.core.ParameterSource.DEFAULT_MAP,
    )


def model_of() -> Model:
    """The model that the current command's options describe, the first of several."""
    return _first("model")


def optimizer_of() -> Optimizer:
    """The optimizer that they describe."""
    return _first("optimizer")


def schedule_of() -> Schedule:
    """The schedule that they describe, a template."""
    return _first("schedule")


def _first(kind: str) -> Any:
    return next(iter(_made(kind).values()))


def _made(kind: str) -> dict[str, Any]:
    """What ``--model``, for example, names: by name, each with the given options that it takes."""
    from dataclasses import fields

    from simulator.sweeps import OURS, Spec, text_of

    context, known = click.get_current_context(), OURS[kind]
    names = context.params[kind]
    names = names if isinstance(names, tuple) else (names,)
    takes = {
        name: {field.name for field in fields(known[one_of(kind, name, known)])} for name in names
    }
    of_the_grid = {field.name for field in fields(Spec)}
    values = {}
    for parameter in context.command.params:
        if not isinstance(parameter, GroupedOption) or parameter.group not in KINDS[kind]:
            continue
        value = context.params.get(parameter.name or "")
        if value is None or parameter.argument in of_the_grid:
            continue
        if not any(parameter.argument in taken for taken in takes.values()):
            typed = f"no_{parameter.name}" if value is False else str(parameter.name)
            raise InputError(
                typed, text_of(value),
                f"the {kind} {', '.join(names)} has no such option; leave it out",
            )  # fmt: skip
        # Of a list, the first: the others are an axis.
        listed = isinstance(value, tuple) and parameter.varies
        values[parameter.argument] = value[0] if listed else value
    return {
        name: known[name](**{k: v for k, v in values.items() if k in takes[name]}) for name in names
    }


def data_of() -> Data | None:
    """The data that the current command's options describe; None for a model without."""
    params = click.get_current_context().params
    if params["model"] == "quadratic":
        for name in ("data", "label", "samples"):
            if was_given(name):
                raise InputError(
                    name, params[name], "the model quadratic takes no data; leave it out"
                )
        return None
    from simulator.data import load_data

    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        data = load_data(
            params["data"], params["samples"], params["data_seed"], label=params["label"]
        )
    for warning in said:
        note(f"--data {params['data']}: {warning.message}.")
    if params.get("dtype") == "float32" and data.largest > 3.4e38:
        raise InputError(
            "dtype", "float32", f"{params['data']} has numbers too large for it; give float64"
        )
    return data


def several(command: click.Command) -> click.Command:
    """Let the options of a command that may vary take a list, or a grid where they are numbers."""
    for parameter in _varying(command):
        if not isinstance(parameter.type, Grid):
            parameter.type = Several(parameter.type)
    return command


def _varying(command: click.Command) -> list[GroupedOption]:
    return [p for p in command.params if isinstance(p, GroupedOption) and p.varies]


def varied(given: dict[str, Any]) -> dict[str, Any]:
    """The axes that lists among the given options make, beside those of the schedule.

    Each such option is left with its first value, also for `model_of`, `optimizer_of` and
    `schedule_of`, which give the first of several.
    """
    over: dict[str, Any] = {}
    context = click.get_current_context()
    for parameter in _varying(context.command):
        name = parameter.name or ""
        values = given.get(name)
        if isinstance(values, tuple):
            over[parameter.argument] = _made(name) if name in KINDS else values
            if name not in KINDS:
                context.params[name] = given[name] = values[0]
    return over
