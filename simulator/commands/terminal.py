"""What a person sees while a command works, and what a program reads when it is done."""

from __future__ import annotations

import json
import math
import shlex
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import click

from simulator.checks import printable

__all__ = ["announce_compilation", "emit", "progress", "say", "shares", "typed"]

# Without a terminal a bar is noise in a log; a line now and then is a sign of life.
_LINE_EVERY_SECONDS = 30.0


def say(message: str = "") -> None:
    """A line for the person, on stderr."""
    click.echo(printable(message, 10_000), err=True)


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
    """Say so when the current command begins to wait for the compiler, if it ever does."""
    from numba.core import event

    class Once(event.Listener):  # type: ignore[misc]
        said = False

        def on_start(self, event: Any) -> None:
            if not self.said:
                self.said = True
                _say_beside_a_bar("Compiling kernels: once on this machine, up to half a minute.")

        def on_end(self, event: Any) -> None:
            """It has compiled."""

    # Numba sends this event when it compiles, and not when it finds a kernel compiled.
    listening = event.install_listener("numba:compile", Once())
    click.get_current_context().with_resource(listening)


def _say_beside_a_bar(message: str) -> None:
    from tqdm import tqdm

    tqdm.write(message, file=sys.stderr)


@contextmanager
def progress(total: int, what: str = "runs") -> Iterator[Callable[[int], None]]:
    """A bar with the time left, or now and then a line where stderr is no terminal."""
    from tqdm import tqdm

    done, last = 0, time.monotonic()
    lock = threading.Lock()
    shape = "{percentage:3.0f} %|{bar}| {n}/{total} " + what + " [{elapsed} < {remaining}]"
    with tqdm(total=total, bar_format=shape, disable=None, leave=False, file=sys.stderr) as bar:

        def tell(more: int) -> None:
            nonlocal done, last
            with lock:
                done += more
                bar.update(more)
                if bar.disable and time.monotonic() - last > _LINE_EVERY_SECONDS:
                    last = time.monotonic()
                    say(f"{done} of {total} {what} done")

        yield tell
