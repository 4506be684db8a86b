"""A run as characters: its loss, and its sharpness beside the threshold, on logarithmic axes."""

from __future__ import annotations

import click
import numpy as np
from numpy.typing import NDArray

from simulator.arrays import Array
from simulator.training import Snapshot

__all__ = ["LEAST", "picture"]

# Below this many columns or lines there is room for the numbers only.
LEAST = (44, 12)
# A character has two columns and four rows of dots; its code adds up those that are set.
_DOTS = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]])
_BLANK = 0x2800
_MARGIN = 10
_LOSS, _SHARPNESS, _THRESHOLD = "blue", "red", "bright_black"


def picture(snapshot: Snapshot, width: int, height: int) -> str:
    """The run up to where it is, in ``height`` lines of ``width`` columns at most, in colour."""
    numbers = _numbers(snapshot)[:width]
    if width < LEAST[0] or height < LEAST[1]:
        return numbers
    columns, rows = width - _MARGIN - 1, (height - 4) // 2
    seen = slice(0, snapshot.step + 1)
    loss, sharpness, threshold = (
        _logarithm(np.asarray(curve[seen], dtype=float))
        for curve in (snapshot.loss, snapshot.sharpness, snapshot.threshold)
    )
    steps = len(snapshot.loss)
    pen = click.style("⠒", fg=_SHARPNESS), click.style("╌", fg=_THRESHOLD)
    lines = [_titled("loss")]
    lines += _panel(loss, steps, columns, rows)
    lines += [_titled(f"sharpness {pen[0]} and its threshold {pen[1]}")]
    lines += _panel(sharpness, steps, columns, rows, beside=threshold)
    lines += [f"{'0':>{_MARGIN + 1}}{f'{steps} updates':>{columns}}", numbers]
    return "\n".join(lines)


def _numbers(snapshot: Snapshot) -> str:
    """Where it stands."""
    at = snapshot.step
    measured = snapshot.sharpness[: at + 1][np.isfinite(snapshot.sharpness[: at + 1])]
    sharpness = f"{measured[-1]:.4g}" if measured.size else "unknown"
    return (
        f"step {at + 1} of {len(snapshot.loss)}  loss {snapshot.loss[at]:.4g}  sharpness {sharpness}"
        f"  threshold {float(snapshot.threshold[at]):.4g}  eta {snapshot.eta[at]:.4g}"
    )


def _titled(text: str) -> str:
    return f"{'':{_MARGIN + 1}}{text}"


def _logarithm(values: Array) -> Array:
    """Decades; NaN where there are none."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where((values > 0) & (values < np.inf), np.log10(values), np.nan)


def _panel(
    values: Array, steps: int, columns: int, rows: int, beside: Array | None = None
) -> list[str]:
    """Lines with a curve, in decades, its axis labelled at both ends, and one ``beside`` it."""
    low, high = _ends(values if beside is None else np.append(values, beside[-1]))
    cells = [[" "] * columns for _ in range(rows)]
    if beside is not None:
        for row, column in np.argwhere(_drawn(beside, steps, columns, rows, low, high) > 0):
            cells[row][column] = click.style("╌", fg=_THRESHOLD)
    codes = _drawn(values, steps, columns, rows, low, high)
    for row, column in np.argwhere(codes > 0):
        color = _LOSS if beside is None else _SHARPNESS
        cells[row][column] = click.style(chr(_BLANK + codes[row, column]), fg=color)
    labels = [""] * rows
    labels[0], labels[-1] = (f"{10.0 ** min(end, 308.0):.3g}" for end in (high, low))
    return [
        f"{label:>{_MARGIN}}│{''.join(line)}" for label, line in zip(labels, cells, strict=True)
    ]


def _ends(values: Array) -> tuple[float, float]:
    """What the axis spans: half a decade at least."""
    finite = values[np.isfinite(values)]
    if not finite.size:
        return -0.5, 0.5
    low, high = float(finite.min()), float(finite.max())
    room = max(0.0, 0.5 - (high - low)) / 2
    return low - room, high + room


def _drawn(
    values: Array, steps: int, columns: int, rows: int, low: float, high: float
) -> NDArray[np.int64]:
    """Codes (rows, columns) of the characters whose dots a curve meets; 0 where it is not."""
    dots = np.zeros((4 * rows, 2 * columns), dtype=bool)
    with np.errstate(invalid="ignore"):
        at = np.flatnonzero((values >= low) & (values <= high))
    if at.size:
        place = at * (2 * columns) // steps
        level = np.rint((high - values[at]) / (high - low) * (4 * rows - 1)).astype(int)
        # A line through a dot for each column that has one, and between neighbours.
        line = np.arange(place[0], place[-1] + 1)
        heights = np.rint(np.interp(line, place, level)).astype(int)
        for column, here, before in zip(line, heights, [heights[0], *heights], strict=False):
            dots[min(here, before) : max(here, before) + 1, column] = True
        dots[level, place] = True
    return (dots.reshape(rows, 4, columns, 2) * _DOTS[:, None, :]).sum(axis=(1, 3))
