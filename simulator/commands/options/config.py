"""``--config FILE.toml``: options by name, as defaults of the command line."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import click

from simulator.checks import InputError, one_of
from simulator.files import open_file

__all__ = ["read_config"]

# A few dozen options, and lists of numbers as long as anyone would type.
_MOST_BYTES = 32_000
_MOST_DOTS = 50


def _toml(path: Path) -> dict[str, Any]:
    """The entries of a TOML file that may be anybody's."""
    import tomllib

    try:
        with open_file("config", path) as file:
            content = file.read(_MOST_BYTES + 1)
        if len(content) > _MOST_BYTES:
            raise InputError(
                "config", path, f"is larger than {_MOST_BYTES} bytes; give a file of options"
            )
        text = content.decode("utf-8-sig")
        # The parser takes time that grows as the square of a key's parts.
        if any(part.count(".") > _MOST_DOTS for part in re.split(r"[,=\[\]{}\n]", text)):
            raise InputError(
                "config", path, f"has more than {_MOST_DOTS} dots in a row; option names have none"
            )
        return tomllib.loads(text)
    except OSError as error:
        raise InputError("config", path, f"cannot be read: {error.strerror}") from None
    except RecursionError:
        raise InputError("config", path, "is nested too deeply; options are not nested") from None
    except InputError:
        raise
    except ValueError as error:  # not TOML, not UTF-8, or a number of thousands of digits
        raise InputError("config", path, f"is not TOML: {error}") from None


def read_config(ctx: click.Context, param: click.Parameter, path: Path | None) -> None:
    """Make the entries of a TOML file the command's defaults."""
    if path is None:
        return
    entries = _toml(path)
    known = {
        name.lstrip("-").replace("-", "_"): p
        for p in ctx.command.params
        for name in p.opts
        if name.startswith("--") and p.name != "config"
    }
    defaults: dict[str, Any] = {}
    for key, value in entries.items():
        one_of("config", key, known)
        name = known[key].name
        assert name is not None
        if isinstance(value, bool) and not getattr(known[key], "is_flag", False):
            raise InputError(key, str(value).lower(), "give a number or a text")
        defaults[name] = _as_typed(key, value)
    ctx.default_map = {**(ctx.default_map or {}), **defaults}


def _as_typed(key: str, value: object) -> object:
    """A TOML value as it would be typed: what the command line checks, it checks here too."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and "\0" in value:
        raise InputError(key, value, "holds a NUL character; leave it out")
    try:
        if isinstance(value, (int, float, str)):
            return str(value)
        if isinstance(value, list) and all(type(entry) in (int, float, str) for entry in value):
            return ",".join(map(str, value))
    except ValueError:  # Python does not write out a whole number of thousands of digits
        raise InputError(key, "a number of thousands of digits", "give a smaller one") from None
    raise InputError("config", key, "give a number, a text, or a list of them")
