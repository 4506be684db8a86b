"""``warmup lab``: apps with sliders, in the browser."""

from __future__ import annotations

import runpy
import socket
import sys
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

import click
from click.shell_completion import CompletionItem

from simulator.checks import InputError, one_of
from simulator.commands import options
from simulator.commands.completion import one_of_these
from simulator.commands.options import option
from simulator.files import scripts

__all__ = ["lab"]


def _offer(ctx: click.Context, param: click.Parameter, typed: str) -> list[CompletionItem]:
    return one_of_these(_apps())(ctx, param, typed)


def _apps() -> dict[str, Path]:
    return scripts("notebooks", "docs/notebooks")


@click.command(
    cls=options.GroupedCommand,
    common="port browser",
    examples=(
        ("warmup lab", "Sliders for learning rate, warmup, parameterization, optimizer"),
        ("warmup lab check-your-own-threshold", "Compare a formula of yours with networks"),
        ("warmup lab --no-browser --port 8000", "Print the address, on a port of your choice"),
    ),
)
@options.positional("name", "App: why-warm-up (default) or check-your-own-threshold.", default="why-warm-up", metavar="[NAME]", shell_complete=_offer)  # fmt: skip
@option("execution", "--port", type=int, default_text="2718, or the next free port", help="Port of the app.")  # fmt: skip
@option("execution", "--browser/--no-browser", default=True, help="Open the app in a browser.")
def lab(name: str, port: int | None, browser: bool) -> None:
    """Open an app with sliders in the browser; Ctrl-C stops it.

    why-warm-up shows a run, its description and its central flow for a learning rate, a warmup, a
    parameterization and an optimizer. check-your-own-threshold compares a formula for the largest
    stable learning rate with networks.
    """
    apps = _apps()
    path = apps[one_of("name", name, apps)]
    if find_spec("marimo") is None:
        raise InputError("lab", "without marimo", "pip install 'warmup-simulator[notebooks]'")
    # Other users of this machine do not know the token, and cannot open the app.
    sys.argv = ["marimo", "run", str(path), "--token"]
    if port is not None:
        _check_free(port)
        sys.argv += ["--port", str(port)]
    if not browser:
        sys.argv.append("--headless")
    runpy.run_module("marimo", run_name="__main__")


def _check_free(port: int) -> None:
    with suppress(OSError):
        if 0 < port < 2**16:
            socket.create_server(("127.0.0.1", port)).close()
            return
    raise InputError("port", port, "cannot be opened; give a free one from 1024 to 65535")
