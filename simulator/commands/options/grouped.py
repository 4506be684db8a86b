"""Options and arguments of a command: each knows its group, and what Python calls it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import click

from simulator.checks import InputError
from simulator.commands.completion import one_of_these
from simulator.commands.grids import BatchSize, Grid, Several

__all__ = [
    "GROUPS", "GroupedOption", "Positional", "argument", "option", "option_name", "positional",
    "together",
]  # fmt: skip

GROUPS = (
    "arguments", "law", "model", "data", "loss", "optimizer", "schedule", "search", "curvature",
    "seeds", "execution", "output", "config", "help",
)  # fmt: skip

# What Python calls each option of every command.
_ARGUMENTS: dict[str, str] = {}


class GroupedOption(click.Option):
    """An option that knows its group, what Python calls it, and an ``old`` name that still works.

    One that ``varies`` may be a list, where a command does many runs.
    """

    def __init__(
        self,
        names: Sequence[str],
        group: str,
        *,
        argument: str = "",
        varies: bool = False,
        old: str = "",
        **kwargs: Any,
    ) -> None:
        self.group, self.varies, self._old = group, varies, old
        named = names[-1].lstrip("-").replace("-", "_")
        super().__init__([old, *names, named] if old else names, **kwargs)
        assert self.name is not None
        self.argument = argument or self.name
        _ARGUMENTS[self.name] = self.argument
        if old:
            _ARGUMENTS[old.lstrip("-").replace("-", "_")] = self.argument

    def type_cast_value(self, ctx: click.Context, value: Any) -> Any:
        number = self.type in (click.INT, click.FLOAT) or isinstance(self.type, BatchSize)
        one = number or (self.varies and not isinstance(self.type, (Grid, Several)))
        if one and isinstance(value, str) and ("," in value or (number and ":" in value)):
            raise InputError(self.name or "", value, f"{ctx.command_path} takes one value")
        return super().type_cast_value(ctx, value)

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        record = super().get_help_record(ctx)
        return record and (record[0].removeprefix(f"{self._old}, "), record[1])


class Positional(click.Argument):
    """An argument by position, with a line in the help."""

    group = "arguments"

    def __init__(self, names: Sequence[str], help: str, **kwargs: Any) -> None:
        super().__init__(names, **kwargs)
        self.help = help

    def get_help_record(self, ctx: click.Context) -> tuple[str, str]:
        return self.make_metavar(ctx), self.help or ""


def option(group: str, *names: str, **kwargs: Any) -> Callable[[Any], Any]:
    """A click option in a group; ``default_text`` shows a default that the library applies."""
    if "|" in kwargs.get("metavar", "") and "type" not in kwargs:
        kwargs["shell_complete"] = one_of_these(kwargs["metavar"].split("|"))
    shown = kwargs.pop("default_text", None)
    if shown is not None:
        kwargs["help"] += f"  [default: {shown}]"
    elif kwargs.get("default") is not None:
        kwargs.setdefault("show_default", True)
    return click.option(*names, cls=GroupedOption, group=group, **kwargs)


def positional(name: str, help: str, **kwargs: Any) -> Callable[[Any], Any]:
    """An argument by position."""
    return click.argument(name, cls=Positional, help=help, **kwargs)


def together(*decorators: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Several decorators as one; options are listed in this order."""

    def decorate(command: Any) -> Any:
        for decorator in reversed(decorators):
            command = decorator(command)
        return command

    return decorate


def argument(name: str) -> str:
    """What Python calls an axis that may be named as its option: ``param``, ``batch-size``."""
    name = name.lstrip("-").replace("-", "_")
    return _ARGUMENTS.get(name, name)


def option_name(argument: str) -> str:
    """The inverse: what is typed for an argument of a model, an optimizer or a schedule."""
    return next((name for name, known in _ARGUMENTS.items() if known == argument), argument)
