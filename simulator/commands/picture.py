"""A run as characters: its loss, and its sharpness beside the threshold, on logarithmic axes."""

from __future__ import annotations

from typing import NamedTuple

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
_LOSS, _SHARPNESS, _STEP, _THRESHOLD = "blue", "red", "magenta", "bright_black"


class _Layer(NamedTuple):
    """A curve in decades, its colour, and what marks it; nothing is a line of dots."""

    logs: Array
    color: str
    mark: str


def picture(snapshot: Snapshot, width: int, height: int) -> str:
    """The run up to where it is, in ``height`` lines of ``width`` columns at most, in colour."""
    numbers = _numbers(snapshot)[:width]
    if width < LEAST[0] or height < LEAST[1]:
        return numbers
    columns, rows = width - _MARGIN - 1, (height - 4) // 2
    seen, steps = slice(0, snapshot.step + 1), len(snapshot.loss)

    def layer(curve: Array, color: str, mark: str = "") -> _Layer:
        return _Layer(_logarithm(np.asarray(curve[seen], dtype=float)), color, mark)

    lines = [_titled("loss")]
    lines += _panel([layer(snapshot.loss, _LOSS)], steps, columns, rows)
    layers = [
        layer(snapshot.threshold, _THRESHOLD, "╌"), layer(snapshot.sharpness, _SHARPNESS),
    ]  # fmt: skip
    name = _of_the_step(snapshot)
    if name is not None:
        layers[:1] = [layer(snapshot.step_threshold, _THRESHOLD, "╌"), *layers[:1]]
        layers[2:2] = [layer(snapshot.measured[name], _STEP)]
    lines += [_titled(_legend(name))]
    lines += _panel(layers, steps, columns, rows)
    lines += [f"{'0':>{_MARGIN + 1}}{f'{steps} updates':>{columns}}", numbers]
    return "\n".join(lines)


def _of_the_step(snapshot: Snapshot) -> str | None:
    """The curvature along the step to draw, of those measured."""
    names = ("directional_sharpness", "batch_sharpness", "critical_sharpness")
    return next((name for name in names if name in snapshot.measured), None)


def _legend(name: str | None) -> str:
    pen, step = click.style("⠒", fg=_SHARPNESS), click.style("⠒", fg=_STEP)
    dashes = click.style("╌", fg=_THRESHOLD)
    if name is None:
        return f"sharpness {pen} and its threshold {dashes}"
    return f"sharpness {pen}, {name.replace('_', ' ')} {step} and thresholds {dashes}"


def _numbers(snapshot: Snapshot) -> str:
    """Where it stands."""
    at, name = snapshot.step, _of_the_step(snapshot)
    text = (
        f"step {at + 1} of {len(snapshot.loss)}  loss {snapshot.loss[at]:.4g}  "
        f"sharpness {_last(snapshot.sharpness[: at + 1])}  "
        f"threshold {float(snapshot.threshold[at]):.4g}  eta {snapshot.eta[at]:.4g}"
    )
    if name is None:
        return text
    last, limit = _last(snapshot.measured[name][: at + 1]), float(snapshot.step_threshold[at])
    return f"{text}  {name.replace('_', ' ')} {last} (2 / eta {limit:.4g})"


def _last(curve: Array) -> str:
    """The last value measured."""
    measured = curve[np.isfinite(curve)]
    return f"{measured[-1]:.4g}" if measured.size else "unknown"


def _titled(text: str) -> str:
    return f"{'':{_MARGIN + 1}}{text}"


def _logarithm(values: Array) -> Array:
    """Decades; NaN where there are none."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where((values > 0) & (values < np.inf), np.log10(values), np.nan)


def _panel(layers: list[_Layer], steps: int, columns: int, rows: int) -> list[str]:
    """Lines with curves, in decades, later ones above; the axis is labelled at both ends.

    Of dashed ones the last value only must have a place.
    """
    shown = [layer.logs[-1:] if layer.mark else layer.logs for layer in layers]
    low, high = _ends(np.concatenate(shown))
    cells = [[" "] * columns for _ in range(rows)]
    for layer in layers:
        codes = _drawn(layer.logs, steps, columns, rows, low, high)
        for row, column in np.argwhere(codes > 0):
            mark = layer.mark or chr(_BLANK + codes[row, column])
            cells[row][column] = click.style(mark, fg=layer.color)
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
