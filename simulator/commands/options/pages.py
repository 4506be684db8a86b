"""Help pages: examples, then the options used most; ``--help-all`` lists every option."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import click

from simulator.checks import InputError, one_of
from simulator.commands.options.grouped import GROUPS, GroupedOption

__all__ = ["CommandGroup", "GroupedCommand"]

_ALL = "warmup.help_all"

# What stands for a value in the help, defined on each page that uses it.
_DEFINITIONS = {
    "GRID": "GRID is a value, a list such as 1,2,4, or a range START:STOP:COUNT or "
    "START:STOP:COUNT:log that includes both ends.",
}


class _Page(click.Command):
    """A command whose help begins with ``examples``, pairs of a line and what it does."""

    def __init__(
        self, *arguments: Any, examples: Sequence[tuple[str, str]] = (), **kwargs: Any
    ) -> None:
        super().__init__(*arguments, **kwargs)
        self.examples = examples

    @property
    def paragraphs(self) -> list[str]:
        """The text of its help; the first says in a line what it does."""
        return inspect.cleandoc(self.help or "").split("\n\n")

    def get_short_help_str(self, limit: int = 0) -> str:
        return self.paragraphs[0]

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        first, *others = self.paragraphs
        with formatter.indentation():
            formatter.write(f"\n  {first}\n")
        if self.examples:
            with formatter.section("Examples"):
                formatter.write(self.example_lines)
        with formatter.indentation():
            for text in [*others, *self._definitions()]:
                formatter.write("\n")
                formatter.write_text(text)

    def _definitions(self) -> list[str]:
        used = {getattr(parameter, "metavar", None) for parameter in self.params}
        return [text for metavar, text in _DEFINITIONS.items() if metavar in used]

    @property
    def example_lines(self) -> str:
        """Each example after a comment."""
        return "".join(f"  # {text}\n  {line}\n" for line, text in self.examples)


class CommandGroup(_Page, click.Group):
    """Commands; a name that is none of theirs is answered with the nearest."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if not (ctx.resilient_parsing or args[0].startswith("-")):
            try:
                one_of("command", args[0], self.list_commands(ctx))
            except InputError as error:  # --command is an option of warmup info
                raise click.UsageError(f"{error}.", ctx) from None
        return super().resolve_command(ctx, args)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        formatter.write(f"\n{ctx.command_path} COMMAND --help shows examples and options.\n")


class GroupedCommand(_Page):
    """A command whose options are listed group by group, and that reads ``--config``.

    Its ``--help`` lists the ``common`` ones, which are typed without dashes; without any, all.
    """

    def __init__(self, *arguments: Any, common: str = "", **kwargs: Any) -> None:
        super().__init__(*arguments, **kwargs)
        self.common = common.split()
        unknown = {*self.common} - {*map(_typed, self.params)}
        assert not unknown, unknown
        self._help_all = GroupedOption(
            ["--help-all"], "help", is_flag=True, is_eager=True, expose_value=False,
            callback=_show_all, help="List every option and exit.",
        )  # fmt: skip

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        return [*super().get_params(ctx), self._help_all]

    def get_help_option(self, ctx: click.Context) -> click.Option | None:
        option = super().get_help_option(ctx)
        if option is not None:
            option.help = "Show examples and the options used most, and exit."
        return option

    def sections(self, ctx: click.Context, *, every: bool) -> dict[str, list[tuple[str, str]]]:
        """Names and texts of the arguments and options, by group."""
        found: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            group, record = getattr(parameter, "group", "help"), parameter.get_help_record(ctx)
            shown = every or not self.common or _typed(parameter) in self.common
            if record is not None and (shown or group == "arguments"):
                found.setdefault(group, []).append(record)
        return {group: found[group] for group in sorted(found, key=GROUPS.index)}

    def format_arguments(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """They are a group like the others."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for name, records in self.sections(ctx, every=bool(ctx.meta.get(_ALL))).items():
            with formatter.section(name.capitalize()):
                formatter.write_dl(records)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        if self.common and not ctx.meta.get(_ALL):
            formatter.write(f"\n{ctx.command_path} --help-all lists every option.\n")


def _typed(parameter: click.Parameter) -> str:
    return parameter.opts[-1].lstrip("-")


def _show_all(ctx: click.Context, param: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        ctx.meta[_ALL] = True
        click.echo(ctx.get_help(), color=ctx.color)
        ctx.exit()
