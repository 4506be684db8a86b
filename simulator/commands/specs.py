"""The sweep that the current command's options describe."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from simulator.checks import InputError
from simulator.commands import options
from simulator.commands.defaults import eta_trgt, eta_unit, t_wrm
from simulator.commands.grids import Grid
from simulator.commands.remake import command_line

if TYPE_CHECKING:
    from simulator.optimizers import Optimizer
    from simulator.sweeps import Spec
    from simulator.sweeps.over import Axis

__all__ = ["fill_in_from", "spec_of"]


def fill_in_from(store: Path, given: dict[str, Any]) -> None:
    """Take the options that were not typed from the spec of a store."""
    from simulator.sweeps import recorded

    spec, description = recorded(store, "output")
    if "path" in description and not options.was_given("data"):
        # A store may be somebody else's: the path that it names is not followed.
        raise InputError("resume", store, "was made from a file; name it with --data")
    context = click.get_current_context()
    _, command, *words = shlex.split(command_line(spec, description, store))
    if command != "sweep":
        raise InputError(
            "resume", store, f"was made by warmup {command}, which cannot be resumed; run it again"
        )
    stored = context.command.make_context("sweep", words)
    typed = click.core.ParameterSource.COMMANDLINE
    # Options of another model have no place in the one that was typed.
    other = {kind for kind in options.KINDS if given[kind] != stored.params[kind]}
    other = {group for kind in other if options.was_given(kind) for group in options.KINDS[kind]}
    for parameter in context.command.params:
        name = parameter.name or ""
        theirs = stored.get_parameter_source(name) is typed and name != "output"
        if theirs and not options.was_given(name) and getattr(parameter, "group", "") not in other:
            context.params[name] = given[name] = stored.params[name]
            context.set_parameter_source(name, typed)


def spec_of(given: dict[str, Any], *, seeds: tuple[int, ...], curves: bool) -> Spec:
    """The grid; lists among the options are axes of it."""
    from dataclasses import fields

    from simulator.sweeps import Spec, axes_of

    over = axes_of(options.varied(given))
    model, optimizer, schedule = options.model_of(), options.optimizer_of(), options.schedule_of()
    _fill_in_defaults(given, model.name, _optimizers(over, optimizer))
    # A default that the schedule has no use for is not given.
    unused = {"eta_init", "t_wrm"} - schedule.options().keys()
    names = {field.name for field in fields(Spec)} & given.keys()
    same = {name: given[name] for name in names if name not in unused or options.was_given(name)}
    whole = {"model": model, "optimizer": optimizer, "schedule": schedule, "over": over}
    return Spec(**same | whole | {"seeds": seeds, "curves": curves})


def _optimizers(over: Sequence[Axis], first: Optimizer) -> Sequence[Optimizer]:
    return next((axis.values for axis in over if axis.name == "optimizer"), (first,))


def _fill_in_defaults(given: dict[str, Any], model: str, optimizers: Sequence[Optimizer]) -> None:
    """Learning rates and lengths of warmup that were not typed."""
    command = "sweep" if "seeds" in given else "run"
    if given["eta_unit"] is None:
        given["eta_unit"] = eta_unit(all(optimizer.adaptive for optimizer in optimizers))
    if given["eta_trgt"] is None:
        text = eta_trgt(command, model, given["eta_unit"])
        given["eta_trgt"] = Grid().convert(text, None, None)
    if given["t_wrm"] is None:
        given["t_wrm"] = t_wrm(command, given["steps"])
