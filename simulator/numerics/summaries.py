"""What a block of runs is remembered by, kept while it trains instead of its curves.

The words are those of `simulator.regimes`, which defines them on whole curves; tests hold both to
each other, bit for bit. ``ROWS`` names the rows of ``summary``. A ratio is the sharpness over the
threshold: sharpness (eta ``per_sharpness``).

Conditions are selects of numbers already loaded: only then is the loop around them vectorised.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from simulator.numerics.blocks import CHUNK, LANES, UNROLL
from simulator.numerics.jit import inlined, kernel

__all__ = [
    "ROWS", "reset", "watch_all", "watch_each", "watch_first", "watch_last",
    "watch_late",
]  # fmt: skip

ROWS = {
    name: row
    for row, name in enumerate((
        "loss_init", "loss_max", "sharpness_init", "sharpness_max", "ratio_max",
        "below",  # measurements before the first ratio above 1
        "sharpness_below",  # the last of them
        "catapults",
        "ended",  # steps until the end of the last catapult; negative while that is pending
        "changed",  # last step whose loss was not that of the step before
        "loss_last",
        "lowest",  # the last loss that was as low as any before
        "peak",  # the highest since
        "ratio_since",  # the highest since, and at the last measurement before
        "ratio_last",
        "pending",  # excursions that have ended, and wait for the next measurement
        "late_loss_max", "late_loss_min", "late_ratio_max",
        "hovering",  # late ratios at the edge
        "mark",
        "low",  # late losses below the mark
        "loss_final", "sharpness_final",
        "diverged",  # updates after which the loss was not finite, or -1
    ))
}  # fmt: skip
_AT = {name: row * LANES for name, row in ROWS.items()}
_LOSS_INIT, _LOSS_MAX = _AT["loss_init"], _AT["loss_max"]
_SHARPNESS_INIT, _SHARPNESS_MAX = _AT["sharpness_init"], _AT["sharpness_max"]
_RATIO_MAX, _RATIO_SINCE, _RATIO_LAST = _AT["ratio_max"], _AT["ratio_since"], _AT["ratio_last"]
_BELOW, _SHARPNESS_BELOW = _AT["below"], _AT["sharpness_below"]
_CATAPULTS, _PENDING = _AT["catapults"], _AT["pending"]
_ENDED = _AT["ended"]
_CHANGED, _LOSS_LAST = _AT["changed"], _AT["loss_last"]
_LOWEST, _PEAK = _AT["lowest"], _AT["peak"]
_LATE_LOSS_MAX, _LATE_LOSS_MIN = _AT["late_loss_max"], _AT["late_loss_min"]
_LATE_RATIO_MAX, _HOVERING = _AT["late_ratio_max"], _AT["hovering"]
_MARK, _LOW = _AT["mark"], _AT["low"]
_LOSS_FINAL, _SHARPNESS_FINAL = _AT["loss_final"], _AT["sharpness_final"]
_DIVERGED = _AT["diverged"]


@kernel
def reset(summary: Any) -> None:
    """Before the first update nothing is known."""
    summary[:] = 0.0
    for i in range(LANES):
        summary[_LOWEST + i] = np.inf
        summary[_LATE_LOSS_MIN + i] = np.inf
        summary[_LOSS_LAST + i] = np.inf
        summary[_LOSS_FINAL + i] = np.nan
        summary[_SHARPNESS_FINAL + i] = np.nan
        summary[_DIVERGED + i] = -1.0


@kernel
def watch_first(summary: Any, baseline: float, loss: Any, sharpness: Any) -> None:
    """Take note of loss and sharpness before any update.

    ``baseline`` is the loss of the best constant output, or 0 where the first loss has to serve.
    """
    for i in range(LANES):
        x = loss[i]
        summary[_LOSS_INIT + i] = x
        summary[_SHARPNESS_INIT + i] = sharpness[i]
        summary[_MARK + i] = 0.9 * (baseline if baseline > 0.0 else x)


@kernel
def watch_last(summary: Any, loss: Any, sharpness: Any) -> None:
    """Take note of loss and sharpness after the last update."""
    for i in range(LANES):
        summary[_LOSS_FINAL + i] = loss[i]
        summary[_SHARPNESS_FINAL + i] = sharpness[i]


@inlined
def _excursion(x: float, lowest: float, peak: float, rise: float) -> Any:
    """Whether the loss x ends an excursion, whether it is back, and what is lowest and peak now."""
    ended = 1.0 if peak > rise * lowest else 0.0
    back = 1.0 if x <= lowest else 0.0
    highest = x if x > peak else peak
    return ended * back, back, x if back > 0.0 else lowest, x if back > 0.0 else highest


@kernel
def watch_all(
    summary: Any,
    eta: Any,
    first: int,
    per_sharpness: float,
    rise: float,
    loss: Any,
    sharpness: Any,
) -> None:
    """Take note of CHUNK updates from ``first`` on, each of which was measured."""
    for k in range(0, CHUNK, UNROLL):
        for i in range(LANES):
            loss_max, sharpness_max = summary[_LOSS_MAX + i], summary[_SHARPNESS_MAX + i]
            ratio_max, ratio_since = summary[_RATIO_MAX + i], summary[_RATIO_SINCE + i]
            below, sharpness_below = summary[_BELOW + i], summary[_SHARPNESS_BELOW + i]
            catapults, ended_at = summary[_CATAPULTS + i], summary[_ENDED + i]
            lowest, peak = summary[_LOWEST + i], summary[_PEAK + i]
            changed, previous = summary[_CHANGED + i], summary[_LOSS_LAST + i]
            ratio = summary[_RATIO_LAST + i]
            for j in range(UNROLL):
                at = (k + j) * LANES + i
                x, s = loss[at], sharpness[at]
                ratio = s * (eta[at] * per_sharpness)
                ratio_max = ratio if ratio > ratio_max else ratio_max
                sharpness_below = s if ratio_max <= 1.0 else sharpness_below
                below = below + 1.0 if ratio_max <= 1.0 else below
                sharpness_max = s if s > sharpness_max else sharpness_max
                loss_max = x if x > loss_max else loss_max
                ratio_since = ratio if ratio > ratio_since else ratio_since
                hot = 1.0 if ratio_since > 1.0 else 0.0
                ended, back, lowest, peak = _excursion(x, lowest, peak, rise)
                now = float(first + k + j + 1)
                found = ended * hot
                catapults = catapults + found
                ended_at = now if found > 0.0 else ended_at
                changed = now if x != previous else changed
                previous = x
                ratio_since = ratio if back > 0.0 else ratio_since
            summary[_LOSS_MAX + i], summary[_SHARPNESS_MAX + i] = loss_max, sharpness_max
            summary[_RATIO_MAX + i], summary[_RATIO_SINCE + i] = ratio_max, ratio_since
            summary[_RATIO_LAST + i] = ratio
            summary[_BELOW + i], summary[_SHARPNESS_BELOW + i] = below, sharpness_below
            summary[_CATAPULTS + i], summary[_ENDED + i] = catapults, ended_at
            summary[_CHANGED + i], summary[_LOSS_LAST + i] = changed, previous
            summary[_LOWEST + i], summary[_PEAK + i] = lowest, peak


@kernel
def watch_each(
    summary: Any,
    eta: Any,
    first: int,
    n: int,
    every: int,
    per_sharpness: float,
    rise: float,
    loss: Any,
    sharpness: Any,
) -> None:
    """Take note of updates ``first`` to ``first + n - 1``; each ``every``-th was measured.

    An excursion that ends between two measurements is a catapult if the next one exceeds 1, and
    any excursion is one where nothing is ever measured (``every`` 0).
    """
    never = 1.0 if every == 0 else 0.0
    for k in range(n):
        due = every > 0 and (first + k) % every == 0
        if due:
            _note_measurement(summary, eta, k * LANES, per_sharpness, sharpness)
        waits, now = 0.0 if due else 1.0, float(first + k + 1)
        for i in range(LANES):
            x, loss_max = loss[k * LANES + i], summary[_LOSS_MAX + i]
            catapults, pending = summary[_CATAPULTS + i], summary[_PENDING + i]
            ended_at = summary[_ENDED + i]
            changed, previous = summary[_CHANGED + i], summary[_LOSS_LAST + i]
            ratio_since, ratio_last = summary[_RATIO_SINCE + i], summary[_RATIO_LAST + i]
            hot = 1.0 if ratio_since > 1.0 else never
            ended, back, lowest, peak = _excursion(
                x, summary[_LOWEST + i], summary[_PEAK + i], rise
            )
            summary[_LOWEST + i], summary[_PEAK + i] = lowest, peak
            summary[_LOSS_MAX + i] = x if x > loss_max else loss_max
            summary[_CATAPULTS + i] = catapults + ended * hot
            later = ended * (1.0 - hot) * waits
            summary[_PENDING + i] = pending + later
            ended_at = now if ended * hot > 0.0 else ended_at
            summary[_ENDED + i] = -now if later > 0.0 else ended_at
            summary[_CHANGED + i] = now if x != previous else changed
            summary[_LOSS_LAST + i] = x
            summary[_RATIO_SINCE + i] = ratio_last if back > 0.0 else ratio_since


@kernel
def _note_measurement(
    summary: Any, eta: Any, at: int, per_sharpness: float, sharpness: Any
) -> None:
    for i in range(LANES):
        s, sharpness_max = sharpness[at + i], summary[_SHARPNESS_MAX + i]
        ratio, ratio_max = s * (eta[at + i] * per_sharpness), summary[_RATIO_MAX + i]
        ratio_since, below = summary[_RATIO_SINCE + i], summary[_BELOW + i]
        sharpness_below, catapults = summary[_SHARPNESS_BELOW + i], summary[_CATAPULTS + i]
        pending, ended_at = summary[_PENDING + i], summary[_ENDED + i]
        counted = pending if ratio > 1.0 else 0.0
        ratio_max = ratio if ratio > ratio_max else ratio_max
        summary[_RATIO_MAX + i] = ratio_max
        summary[_SHARPNESS_BELOW + i] = s if ratio_max <= 1.0 else sharpness_below
        summary[_BELOW + i] = below + 1.0 if ratio_max <= 1.0 else below
        summary[_SHARPNESS_MAX + i] = s if s > sharpness_max else sharpness_max
        summary[_RATIO_SINCE + i] = ratio if ratio > ratio_since else ratio_since
        summary[_RATIO_LAST + i] = ratio
        # What waits ended after whatever has been counted.
        summary[_CATAPULTS + i] = catapults + counted
        summary[_ENDED + i] = -ended_at if counted > 0.0 else ended_at
        summary[_PENDING + i] = 0.0


@kernel
def watch_late(
    summary: Any,
    eta: Any,
    first: int,
    n: int,
    every: int,
    late: int,
    last: int,
    per_sharpness: float,
    edge: float,
    loss: Any,
    sharpness: Any,
) -> None:
    """Take note of how a run ends: of the updates from ``late`` on, and of losses from ``last``."""
    if every == 1 and n == CHUNK and first >= late:
        _watch_late_chunk(summary, eta, per_sharpness, edge, loss, sharpness)
    for k in range(n):
        at = k * LANES
        if first + k >= last:
            for i in range(LANES):
                x, mark, low = loss[at + i], summary[_MARK + i], summary[_LOW + i]
                summary[_LOW + i] = low + 1.0 if x < mark else low
        if first + k < late or (every == 1 and n == CHUNK and first >= late):
            continue
        for i in range(LANES):
            x, highest, lowest = (
                loss[at + i],
                summary[_LATE_LOSS_MAX + i],
                summary[_LATE_LOSS_MIN + i],
            )
            summary[_LATE_LOSS_MAX + i] = x if x > highest else highest
            summary[_LATE_LOSS_MIN + i] = x if x < lowest else lowest
        if every > 0 and (first + k) % every == 0:
            for i in range(LANES):
                ratio = sharpness[at + i] * (eta[at + i] * per_sharpness)
                highest, hovering = summary[_LATE_RATIO_MAX + i], summary[_HOVERING + i]
                summary[_RATIO_LAST + i] = ratio
                summary[_LATE_RATIO_MAX + i] = ratio if ratio > highest else highest
                summary[_HOVERING + i] = hovering + 1.0 if ratio > edge else hovering


@kernel
def _watch_late_chunk(
    summary: Any, eta: Any, per_sharpness: float, edge: float, loss: Any, sharpness: Any
) -> None:
    """The same of CHUNK updates, all of them late and measured."""
    for k in range(0, CHUNK, UNROLL):
        for i in range(LANES):
            loss_max, loss_min = summary[_LATE_LOSS_MAX + i], summary[_LATE_LOSS_MIN + i]
            ratio_max, ratio = summary[_LATE_RATIO_MAX + i], summary[_RATIO_LAST + i]
            hovering = summary[_HOVERING + i]
            for j in range(UNROLL):
                at = (k + j) * LANES + i
                x, ratio = loss[at], sharpness[at] * (eta[at] * per_sharpness)
                loss_max = x if x > loss_max else loss_max
                loss_min = x if x < loss_min else loss_min
                ratio_max = ratio if ratio > ratio_max else ratio_max
                hovering = hovering + 1.0 if ratio > edge else hovering
            summary[_LATE_LOSS_MAX + i], summary[_LATE_LOSS_MIN + i] = loss_max, loss_min
            summary[_LATE_RATIO_MAX + i], summary[_RATIO_LAST + i] = ratio_max, ratio
            summary[_HOVERING + i] = hovering
