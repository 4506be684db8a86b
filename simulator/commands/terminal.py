"""Progress, notes and results: what a command prints."""

from __future__ import annotations

import json
import math
import os
import shlex
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from shutil import get_terminal_size
from typing import Any

import click

from simulator.checks import printable

__all__ = [
    "announce_compilation", "drawing_obstacle", "emit", "marked", "note", "progress", "report",
    "set_quiet", "shares", "status_shown_by", "typed", "without_color",
]  # fmt: skip

_QUIET = "warmup.quiet"
# What a reader looks for; a colour says no more than its word.
_COLORS = {
    "holds": "green", "FAILS": "red", "stable": "green", "catapult": "green",
    "edge_of_stability": "green", "stuck": "yellow", "diverged": "red", "NOT bit for bit": "red",
}  # fmt: skip

# Without a terminal a bar is noise in a log; a line now and then is a sign of life.
_LINE_EVERY_SECONDS = 30.0


class _StatusLine:
    """What goes on now, in the last line of a terminal; it is replaced, and erased when over."""

    _drawn = False

    def show(self, text: str) -> None:
        self.erase()
        if text:
            room = get_terminal_size().columns - 1
            sys.stderr.write(printable(text, 10_000)[:room])
            sys.stderr.flush()
            self._drawn = True

    def erase(self) -> None:
        """Make room for another line."""
        if self._drawn:
            self._drawn = False
            sys.stderr.write("\r\x1b[2K")
            sys.stderr.flush()


_status = _StatusLine()
_show_status: Callable[[str], None] = _status.show


@contextmanager
def status_shown_by(show: Callable[[str], None]) -> Iterator[None]:
    """Hand the status to what draws on the terminal in this block."""
    global _show_status
    _status.erase()
    before, _show_status = _show_status, show
    try:
        yield
    finally:
        _show_status = before


def report(message: str = "") -> None:
    """A line on stderr."""
    _status.erase()
    # By name: click's own stderr would bypass the one that keeps lines above a bar.
    click.echo(printable(message, 10_000), file=sys.stderr)


def set_quiet(ctx: click.Context, param: click.Parameter, quiet: bool) -> None:
    """``--quiet``: no progress and no notes; results, errors and interruptions are still reported."""
    ctx.meta[_QUIET] = quiet


def without_color(ctx: click.Context, param: click.Parameter, plain: bool) -> None:
    """``--no-color``, and what else asks for it. Without a terminal click leaves colours out."""
    if plain or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        ctx.color = False


def _is_quiet() -> bool:
    return bool(click.get_current_context().meta.get(_QUIET))


def note(message: str) -> None:
    """A line on stderr that ``--quiet`` leaves out."""
    if not _is_quiet():
        report(message)


def marked(word: str) -> str:
    """An outcome or a verdict in its colour."""
    color = _COLORS.get(word)
    return click.style(word, fg=color) if color else word


def typed() -> str:
    """The line that started the current command, as a shell would take it."""
    words = click.get_current_context().find_root().obj
    return shlex.join(["warmup", *(sys.argv[1:] if words is None else words)])


def emit(document: dict[str, Any]) -> None:
    """One JSON document on stdout; NaN and infinity become null."""
    click.echo(json.dumps(_plain(document), indent=2, allow_nan=False))


def shares(seconds: Mapping[str, float]) -> str:
    """Where the time went, in a line."""
    parts = ("compile", "step", "curvature", "store")
    return ", ".join(f"{part} {seconds[part]:.3g} s" for part in parts if part in seconds)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, (list, tuple)):
        return [_plain(entry) for entry in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def announce_compilation() -> None:
    """Say which kernel the current command compiles, as long as it waits for the compiler.

    How many there will be is not known: each is compiled when it is first called.
    """
    if _is_quiet():
        return
    from numba.core import event

    lines = drawing_obstacle() is not None

    class Counting(event.Listener):  # type: ignore[misc]
        """Numba lets one thread compile at a time; kernels within kernels are not counted."""

        kernels, depth, last = 0, 0, -math.inf

        def on_start(self, event: Any) -> None:
            self.depth += 1
            if self.depth > 1:
                return
            self.kernels += 1
            if not lines:
                _show_status(f"compiling kernel {self.kernels}, once on this machine")
            elif time.monotonic() - self.last > _LINE_EVERY_SECONDS:
                self.last = time.monotonic()
                report(
                    f"Compiling kernel {self.kernels}."
                    if self.kernels > 1
                    else "Compiling kernels: once on this machine, later commands load them."
                )

        def on_end(self, event: Any) -> None:
            self.depth -= 1
            if self.depth == 0 and not lines:
                _show_status("")

    # Numba sends this event when it compiles, and not when it finds a kernel compiled.
    listening = event.install_listener("numba:compile", Counting())
    click.get_current_context().with_resource(listening)


def drawing_obstacle() -> str | None:
    """Why stderr cannot be drawn on, if so."""
    if not sys.stderr.isatty():
        return "this is no terminal"
    return "this terminal cannot be drawn on" if os.environ.get("TERM") == "dumb" else None


@contextmanager
def progress(total: int, what: str = "runs") -> Iterator[Callable[[int], None]]:
    """A bar with the time left, or now and then a line where stderr is no terminal.

    Lines of `report` go above the bar.
    """
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TimeElapsedColumn, TimeRemainingColumn

    last, lock, quiet = time.monotonic(), threading.Lock(), _is_quiet()
    lines = drawing_obstacle() is not None and not quiet
    console = Console(stderr=True, no_color=click.get_current_context().color is False)
    with Progress(
        "{task.percentage:3.0f} %", BarColumn(20), "{task.completed}/{task.total} " + what,
        TimeElapsedColumn(), "<", TimeRemainingColumn(), "{task.description}", console=console,
        transient=True, disable=quiet or lines, redirect_stdout=False, refresh_per_second=4,
    ) as bar, status_shown_by(lambda text: bar.update(task.id, description=text)):  # fmt: skip
        bar.add_task("", total=total)
        (task,) = bar.tasks
        if not bar.disable:
            # A process that is killed must not leave the terminal without its cursor.
            console.show_cursor()

        def on_progress(more: int) -> None:
            nonlocal last
            bar.advance(task.id, more)
            with lock:
                if lines and time.monotonic() - last > _LINE_EVERY_SECONDS:
                    last = time.monotonic()
                    report(f"{task.completed} of {total} {what} done")

        yield on_progress
