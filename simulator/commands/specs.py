"""The sweep that the current command's options describe."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from simulator.commands import options
from simulator.commands.remake import command_line

if TYPE_CHECKING:
    from simulator.sweeps import Spec

__all__ = ["fill_in_from", "spec_of"]


def fill_in_from(store: Path, given: dict[str, Any]) -> None:
    """Take the options that were not typed from the spec of a store."""
    from simulator.sweeps import recorded

    spec, description = recorded(store, "resume")
    context = click.get_current_context()
    _, _, *words = shlex.split(command_line(spec, description, store))
    stored = context.command.make_context("sweep", words)
    for name, value in stored.params.items():
        typed = stored.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE
        if typed and name != "output" and not options.was_given(name):
            context.params[name] = given[name] = value
            context.set_parameter_source(name, click.core.ParameterSource.COMMANDLINE)


def spec_of(given: dict[str, Any], *, seeds: tuple[int, ...], curves: bool) -> Spec:
    """The grid; lists among the options are axes of it."""
    from dataclasses import fields

    from simulator.sweeps import Spec, axes_of

    over, schedule = axes_of(options.varied(given)), options.schedule_of()
    # A default that the schedule has no use for is not given.
    unused = {"eta_init", "t_wrm"} - schedule.options().keys()
    names = {field.name for field in fields(Spec)} & given.keys()
    same = {name: given[name] for name in names if name not in unused or options.was_given(name)}
    whole = {"model": options.model_of(), "optimizer": options.optimizer_of(), "schedule": schedule}
    return Spec(**same | whole | {"seeds": seeds, "curves": curves, "over": over})
