"""The program ``warmup``: one file a command, and the way errors leave it."""

from __future__ import annotations

import errno
import sys
from collections.abc import Sequence

import click

import simulator
from simulator.checks import InputError, printable
from simulator.commands.critical import critical
from simulator.commands.explain import explain
from simulator.commands.flow import flow
from simulator.commands.info import info
from simulator.commands.lab import lab
from simulator.commands.options import CommandGroup
from simulator.commands.plot import plot
from simulator.commands.report import report
from simulator.commands.run import run
from simulator.commands.stopping import Terminated, leave_threads_behind
from simulator.commands.study import study
from simulator.commands.sweep import sweep
from simulator.commands.theory import theory
from simulator.nearest import did_you_mean

__all__ = ["main", "warmup"]


@click.group(
    cls=CommandGroup,
    invoke_without_command=True,
    examples=(
        ("warmup run --live", "One run: its loss, and its sharpness against the threshold"),
        ("warmup explain", "Describe one run in words: its catapults, and how it ends"),
        ("warmup sweep", "The learning rates that train, for several lengths of warmup"),
    ),
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(simulator.__version__, prog_name="warmup")
@click.pass_context
def warmup(ctx: click.Context) -> None:
    """Simulate learning-rate warmup in models small enough for exact theory.

    These examples take seconds and need no internet connection.
    """
    if ctx.invoked_subcommand is None:
        click.echo(warmup.example_lines)
        click.echo("These take seconds and work offline. All commands: warmup --help")


for _command in (run, sweep, critical, flow, explain, theory, study, plot, report, info, lab):
    warmup.add_command(_command)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the program and exit: 0 done, 1 failed, 2 bad input, 130 or 143 interrupted."""
    words = sys.argv[1:] if arguments is None else list(arguments)
    try:
        code = warmup.main(args=words, prog_name="warmup", standalone_mode=False, obj=words)
    except InputError as error:
        sentence = error.sentence(_label(error.option))
        _leave(sentence if sentence.endswith("?") else f"{sentence}.", 2)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
        sys.exit(0)
    except click.NoSuchOption as error:
        _leave(_unknown_option(error, words), 2)
    except click.ClickException as error:
        _leave(" ".join(error.format_message().split()), 2)
    except (click.Abort, KeyboardInterrupt) as stopped:
        # Click makes an Abort of every interrupt.
        by = stopped.__cause__ or stopped
        _leave("Interrupted.", 143 if isinstance(by, Terminated) else 130)
    except MemoryError as error:
        _leave(f"Not enough memory: {str(error) or 'give smaller sizes'}.", 2)
    except OSError as error:
        named = f"{error.strerror or error}: {error.filename or ''}".rstrip(": ")
        _leave(named, 2 if error.errno in (errno.ENAMETOOLONG, errno.ELOOP) else 1)
    except ValueError as error:
        # What NumPy says of arrays that no address space holds, and of numbers it cannot factor.
        if not any(words in str(error) for words in _BEYOND):
            raise
        _leave(f"Sizes or numbers are too large: {error}; give smaller ones.", 2)
    if arguments is None and code in (130, 143):
        leave_threads_behind(code)
    sys.exit(code if isinstance(code, int) else 0)


_BEYOND = ("array is too big", "Maximum allowed", "did not converge")


def _label(option: str) -> str:
    """The option as it is typed, if it is one."""
    from simulator.commands.options import option_name

    typed = "--" + option_name(option).replace("_", "-")
    commands = [*warmup.commands.values(), *study.commands.values()]
    known = {
        o for command in commands for p in command.params for o in (*p.opts, *p.secondary_opts)
    }
    return typed if typed in known else option


def _unknown_option(error: click.NoSuchOption, words: list[str]) -> str:
    """The sentence for an option that the command does not have."""
    given = error.option_name
    if len(given) == 2:  # Click reads -lr as -l -r.
        given = next((word.partition("=")[0] for word in words if word.startswith(given)), given)
    assert error.ctx is not None
    shown_as = {
        spelling: parameter.opts[-1]
        for parameter in error.ctx.command.get_params(error.ctx)
        for spelling in (*parameter.opts, getattr(parameter, "argument", ""))
        if isinstance(parameter, click.Option)
    } | {name: name for parameter in error.ctx.command.params for name in parameter.secondary_opts}
    near = did_you_mean(given, shown_as, shown_as)
    more = f"{error.ctx.command_path} --help-all lists every option"
    return f"{InputError('option', given, f'unknown; {near}{more}')}."


def _leave(message: str, code: int) -> None:
    click.echo(f"warmup: {printable(message, 2000)}", err=True)
    sys.exit(code)
