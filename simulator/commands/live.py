"""A run drawn in the terminal while it trains: ``warmup run --live``."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from shutil import get_terminal_size
from typing import TYPE_CHECKING

import click

from simulator.commands.stopping import interruptible
from simulator.commands.terminal import drawing_obstacle, report, status_shown_by

if TYPE_CHECKING:
    from simulator.training import Snapshot

__all__ = ["drawing", "obstacle"]

_SECONDS_BETWEEN = 0.1
# Of what stays when the run is over: as high as it need be to be read, and not a whole screen.
_MOST_LINES = 24


def obstacle() -> str | None:
    """Why no curves can be drawn here, if so."""
    lacking = "utf" not in (sys.stderr.encoding or "").lower()
    return drawing_obstacle() or (
        f"this terminal's encoding, {sys.stderr.encoding}, lacks the characters"
        if lacking
        else None
    )


@contextmanager
def drawing() -> Iterator[Callable[[Snapshot], None]]:
    """Shows what it is given, on a screen of its own that is gone afterwards; now and then."""
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    from simulator.commands.picture import picture

    plain = click.get_current_context().color is False
    console = Console(stderr=True, no_color=plain, highlight=False)
    live = Live(console=console, screen=True, auto_refresh=False)
    last = 0.0
    # SIGTERM too leaves the terminal as it was.
    with interruptible(), ExitStack() as screen:

        def show(snapshot: Snapshot) -> None:
            nonlocal last
            now = time.monotonic()
            if now - last < _SECONDS_BETWEEN:
                return
            if not last:
                # Not before the first step: until then a compiler may have something to say.
                screen.enter_context(status_shown_by(lambda text: None))
                screen.enter_context(live)
            text = Text.from_ansi(picture(snapshot, console.width, console.height), no_wrap=True)
            live.update(text, refresh=True)
            last = time.monotonic()

        yield show


def leave_picture(snapshot: Snapshot) -> None:
    """What stays of it, above the results."""
    from simulator.commands.picture import picture

    size = get_terminal_size()
    click.echo(picture(snapshot, size.columns, min(size.lines - 1, _MOST_LINES)), err=True)
    report()
