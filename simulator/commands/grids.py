"""The grid grammar of the command line: ``4``, ``1,2,4``, ``1:8:8``, ``1:256:13:log``; lists of words."""

from __future__ import annotations

import math
from typing import Any

import click

from simulator.checks import printable

__all__ = ["Grid", "Several"]

_MOST_VALUES = 1_000_000


class Grid(click.ParamType[tuple[float, ...]]):
    """A rising sequence of numbers; ``whole`` rounds a range to integers, each kept once."""

    name = "grid"

    def __init__(self, *, whole: bool = False) -> None:
        self._whole = whole

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[float, ...]:
        if isinstance(value, tuple):
            return value
        try:
            numbers = self._parse(str(value))
        except (ValueError, OverflowError) as error:
            whole, part = f"{printable(value)!r}", printable(error)
            self.fail(part if part.startswith(whole) else f"{whole}: {part}", param, ctx)
        return numbers

    def _parse(self, text: str) -> tuple[float, ...]:
        if ":" in text:
            return self._range(text.split(":"))
        return tuple(self._number(part) for part in text.split(","))

    def _range(self, parts: list[str]) -> tuple[float, ...]:
        logarithmic = len(parts) == 4 and parts[3] == "log"
        if len(parts) != 3 and not logarithmic:
            raise ValueError("a range is START:STOP:COUNT or START:STOP:COUNT:log")
        start, stop = _finite(parts[0]), _finite(parts[1])
        try:
            count = int(parts[2])
        except ValueError:
            raise ValueError(f"COUNT {parts[2]!r} is not a whole number") from None
        if not 1 <= count <= _MOST_VALUES:
            raise ValueError(f"COUNT must be from 1 to {_MOST_VALUES}")
        if stop < start or (stop == start and count > 1):
            raise ValueError("START must lie below STOP")
        if logarithmic and start <= 0:
            raise ValueError("a log range starts above 0")
        position = [i / max(1, count - 1) for i in range(count)]
        if logarithmic:
            values = [start * (stop / start) ** p for p in position]
        else:
            values = [start + (stop - start) * p for p in position]
        values[-1] = stop if count > 1 else start
        if not all(map(math.isfinite, values)):
            raise ValueError("the range is too wide")
        return tuple(dict.fromkeys(round(v) for v in values)) if self._whole else tuple(values)

    def _number(self, text: str) -> float:
        value = _finite(text)
        if not self._whole:
            return value
        if value != int(value):
            raise ValueError(f"{text!r} is not a whole number")
        return int(value)


class Several(click.ParamType[Any]):
    """What another type takes, or more than one of it: a tuple then.

    Numbers are a `Grid`, of which one value alone stays a number; others are a list.
    """

    def __init__(self, one: click.ParamType[Any]) -> None:
        self._one = one
        self.name = one.name
        self._grid = {click.INT: Grid(whole=True), click.FLOAT: Grid()}.get(one)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        text = str(value)
        if isinstance(value, tuple) or not ("," in text or (self._grid and ":" in text)):
            return value if isinstance(value, tuple) else self._one.convert(value, param, ctx)
        if self._grid is not None and "full" not in text.split(","):
            values = self._grid.convert(value, param, ctx)
        else:
            values = tuple(self._one.convert(part, param, ctx) for part in text.split(","))
        if len({*values}) < len(values):
            self.fail(f"{printable(value)!r}: give each value once", param, ctx)
        return values if len(values) > 1 else values[0]


class BatchSize(click.ParamType[Any]):
    """A whole number, or ``full``: None."""

    name = "integer"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> int | None:
        return None if str(value) == "full" else click.INT.convert(value, param, ctx)


def _finite(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a number" if text else "a value is missing") from None
    if not math.isfinite(value):
        raise ValueError(f"{text!r} is not finite")
    return value
