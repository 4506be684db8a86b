"""What a block of runs is remembered by, kept while it trains instead of its curves.

These are the features that `simulator.regimes` judges by; there they are functions of whole curves,
and tests compare the two. ``ROWS`` names the rows of ``summary``. A ratio is the sharpness over the
threshold: sharpness (eta ``per_sharpness``).

Conditions are selects of numbers already loaded: only then is the loop around them vectorised.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from simulator.numerics.blocks import CHUNK, LANES, UNROLL
from simulator.numerics.jit import inlined, nested

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
        "low", "low_at",  # the last of them that was 5 % below any before, and which it was
        "high", "high_at",  # the same above
        "catapults",
        "ended",  # steps until the end of the last catapult
        "changed",  # last step whose loss was not that of the step before
        "loss_last",
        "lowest",  # the last loss that was as low as any before
        "peak",  # the highest since
        "ratio_since",  # the highest since and there
        "ratio_last",
        "late_loss_max", "late_loss_min", "late_sharpness_max", "late_sharpness_min",
        "late_ratio_sum",
        "entries",  # late ratios above 1 after one that was not
        "rises",  # late losses above the one before
        "target",
        "trained",  # of the last losses, those below the target
        "loss_final", "sharpness_final",
        "diverged",  # updates after which the loss was not finite, or -1
    ))
}  # fmt: skip
_AT = {name: row * LANES for name, row in ROWS.items()}
_LOSS_INIT, _LOSS_MAX = _AT["loss_init"], _AT["loss_max"]
_SHARPNESS_INIT, _SHARPNESS_MAX = _AT["sharpness_init"], _AT["sharpness_max"]
_RATIO_MAX, _RATIO_SINCE, _RATIO_LAST = _AT["ratio_max"], _AT["ratio_since"], _AT["ratio_last"]
_BELOW, _SHARPNESS_BELOW = _AT["below"], _AT["sharpness_below"]
_CATAPULTS, _ENDED = _AT["catapults"], _AT["ended"]
_CHANGED, _LOSS_LAST = _AT["changed"], _AT["loss_last"]
_LOWEST, _PEAK = _AT["lowest"], _AT["peak"]
_LATE_LOSS_MAX, _LATE_LOSS_MIN = _AT["late_loss_max"], _AT["late_loss_min"]
_LATE_SHARPNESS_MAX = _AT["late_sharpness_max"]
_LATE_SHARPNESS_MIN = _AT["late_sharpness_min"]
_LATE_RATIO_SUM, _ENTRIES, _RISES = _AT["late_ratio_sum"], _AT["entries"], _AT["rises"]
_LOW, _LOW_AT, _HIGH, _HIGH_AT = _AT["low"], _AT["low_at"], _AT["high"], _AT["high_at"]
_TARGET, _TRAINED = _AT["target"], _AT["trained"]
_LOSS_FINAL, _SHARPNESS_FINAL = _AT["loss_final"], _AT["sharpness_final"]
_DIVERGED = _AT["diverged"]


@nested
def reset(summary: Any) -> None:
    """Before the first update nothing is known."""
    summary[:] = 0.0
    for i in range(LANES):
        summary[_LOWEST + i] = np.inf
        summary[_LATE_LOSS_MIN + i] = summary[_LATE_SHARPNESS_MIN + i] = np.inf
        summary[_LOSS_LAST + i] = np.inf
        summary[_LOSS_FINAL + i] = np.nan
        summary[_SHARPNESS_FINAL + i] = np.nan
        summary[_DIVERGED + i] = -1.0


@nested
def watch_first(summary: Any, baseline: float, gain: float, loss: Any, sharpness: Any) -> None:
    """Take note of loss and sharpness before any update.

    ``baseline`` is the loss of the best constant output, or 0 where the first loss has to serve. A
    loss that is lower by the share ``gain`` is the target.
    """
    for i in range(LANES):
        x = loss[i]
        reference = baseline if baseline > 0.0 else x
        summary[_LOSS_INIT + i] = x
        summary[_SHARPNESS_INIT + i] = summary[_LOW + i] = summary[_HIGH + i] = sharpness[i]
        summary[_TARGET + i] = reference - gain * abs(reference)


@nested
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


@inlined
def _turn(s: float, counted: float, at: float, trend: float, low: float, low_at: float,
          high: float, high_at: float) -> Any:  # fmt: skip
    """The turning points after the sharpness s >= 0, which is ``counted`` (0 or 1)."""
    lower = counted if s < low * (1.0 - trend) else 0.0
    higher = counted if s > high * (1.0 + trend) else 0.0
    return (
        s if lower > 0.0 else low,
        at if lower > 0.0 else low_at,
        s if higher > 0.0 else high,
        at if higher > 0.0 else high_at,
    )


@nested
def watch_all(
    summary: Any,
    eta: Any,
    first: int,
    per_sharpness: float,
    rise: float,
    trend: float,
    loss: Any,
    sharpness: Any,
) -> None:
    """Take note of CHUNK updates from ``first`` on, all of them measured."""
    for k in range(0, CHUNK, UNROLL):
        for i in range(LANES):
            loss_max, sharpness_max = summary[_LOSS_MAX + i], summary[_SHARPNESS_MAX + i]
            ratio_max, ratio_since = summary[_RATIO_MAX + i], summary[_RATIO_SINCE + i]
            below, sharpness_below = summary[_BELOW + i], summary[_SHARPNESS_BELOW + i]
            catapults, ended_at = summary[_CATAPULTS + i], summary[_ENDED + i]
            lowest, peak = summary[_LOWEST + i], summary[_PEAK + i]
            changed, previous = summary[_CHANGED + i], summary[_LOSS_LAST + i]
            low, low_at = summary[_LOW + i], summary[_LOW_AT + i]
            high, high_at = summary[_HIGH + i], summary[_HIGH_AT + i]
            ratio = summary[_RATIO_LAST + i]
            for j in range(UNROLL):
                at = (k + j) * LANES + i
                x, s = loss[at], sharpness[at]
                ratio = s * (eta[at] * per_sharpness)
                ratio_max = ratio if ratio > ratio_max else ratio_max
                counted = 1.0 if ratio_max <= 1.0 else 0.0
                low, low_at, high, high_at = _turn(
                    s, counted, below, trend, low, low_at, high, high_at
                )
                sharpness_below = s if counted > 0.0 else sharpness_below
                below = below + counted
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
            summary[_LOW + i], summary[_LOW_AT + i] = low, low_at
            summary[_HIGH + i], summary[_HIGH_AT + i] = high, high_at
            summary[_CATAPULTS + i], summary[_ENDED + i] = catapults, ended_at
            summary[_CHANGED + i], summary[_LOSS_LAST + i] = changed, previous
            summary[_LOWEST + i], summary[_PEAK + i] = lowest, peak


@nested
def watch_each(
    summary: Any,
    eta: Any,
    first: int,
    n: int,
    measured: bool,
    per_sharpness: float,
    rise: float,
    trend: float,
    loss: Any,
    sharpness: Any,
) -> None:
    """The same of updates ``first`` to ``first + n - 1``.

    Where nothing is ``measured``, any excursion is a catapult.
    """
    never = 0.0 if measured else 1.0
    for k in range(n):
        if measured:
            _note_measurement(summary, eta, k * LANES, per_sharpness, trend, sharpness)
        now = float(first + k + 1)
        for i in range(LANES):
            x, loss_max = loss[k * LANES + i], summary[_LOSS_MAX + i]
            catapults, ended_at = summary[_CATAPULTS + i], summary[_ENDED + i]
            changed, previous = summary[_CHANGED + i], summary[_LOSS_LAST + i]
            ratio_since, ratio_last = summary[_RATIO_SINCE + i], summary[_RATIO_LAST + i]
            hot = 1.0 if ratio_since > 1.0 else never
            ended, back, lowest, peak = _excursion(
                x, summary[_LOWEST + i], summary[_PEAK + i], rise
            )
            summary[_LOWEST + i], summary[_PEAK + i] = lowest, peak
            summary[_LOSS_MAX + i] = x if x > loss_max else loss_max
            summary[_CATAPULTS + i] = catapults + ended * hot
            summary[_ENDED + i] = now if ended * hot > 0.0 else ended_at
            summary[_CHANGED + i] = now if x != previous else changed
            summary[_LOSS_LAST + i] = x
            summary[_RATIO_SINCE + i] = ratio_last if back > 0.0 else ratio_since


@nested
def _note_measurement(
    summary: Any, eta: Any, at: int, per_sharpness: float, trend: float, sharpness: Any
) -> None:
    for i in range(LANES):
        s, sharpness_max = sharpness[at + i], summary[_SHARPNESS_MAX + i]
        ratio, ratio_max = s * (eta[at + i] * per_sharpness), summary[_RATIO_MAX + i]
        ratio_since, below = summary[_RATIO_SINCE + i], summary[_BELOW + i]
        sharpness_below = summary[_SHARPNESS_BELOW + i]
        ratio_max = ratio if ratio > ratio_max else ratio_max
        summary[_RATIO_MAX + i] = ratio_max
        below_1 = 1.0 if ratio_max <= 1.0 else 0.0
        low, low_at, high, high_at = _turn(
            s, below_1, below, trend, summary[_LOW + i], summary[_LOW_AT + i],
            summary[_HIGH + i], summary[_HIGH_AT + i],
        )  # fmt: skip
        summary[_LOW + i], summary[_LOW_AT + i] = low, low_at
        summary[_HIGH + i], summary[_HIGH_AT + i] = high, high_at
        summary[_SHARPNESS_BELOW + i] = s if below_1 > 0.0 else sharpness_below
        summary[_BELOW + i] = below + below_1
        summary[_SHARPNESS_MAX + i] = s if s > sharpness_max else sharpness_max
        summary[_RATIO_SINCE + i] = ratio if ratio > ratio_since else ratio_since
        summary[_RATIO_LAST + i] = ratio


@nested
def watch_late(
    summary: Any,
    eta: Any,
    first: int,
    n: int,
    measured: bool,
    late: int,
    last: int,
    per_sharpness: float,
    loss: Any,
    sharpness: Any,
) -> None:
    """Take note of how a run ends: of the updates from ``late`` on, and of losses from ``last``.

    It goes before `watch_all` and `watch_each`: the loss and the ratio before are still known.
    """
    whole = measured and n == CHUNK and first >= late
    if whole:
        _watch_late_chunk(summary, eta, per_sharpness, loss, sharpness)
    for k in range(n):
        at = k * LANES
        if first + k >= last:
            for i in range(LANES):
                x, bound, count = loss[at + i], summary[_TARGET + i], summary[_TRAINED + i]
                summary[_TRAINED + i] = count + 1.0 if x < bound else count
        if whole or first + k < late:
            continue
        _note_late_loss(summary, (k - 1) * LANES, loss)
        if measured:
            _note_late_ratio(summary, eta, k, per_sharpness, sharpness)


@nested
def _note_late_loss(summary: Any, before: int, loss: Any) -> None:
    """Note the loss of one update; ``before`` is where the one before stands, or negative."""
    for i in range(LANES):
        x, highest = loss[before + LANES + i], summary[_LATE_LOSS_MAX + i]
        lowest, rises = summary[_LATE_LOSS_MIN + i], summary[_RISES + i]
        previous = loss[before + i] if before >= 0 else summary[_LOSS_LAST + i]
        summary[_LATE_LOSS_MAX + i] = x if x > highest else highest
        summary[_LATE_LOSS_MIN + i] = x if x < lowest else lowest
        summary[_RISES + i] = rises + 1.0 if x > previous else rises


@nested
def _note_late_ratio(summary: Any, eta: Any, k: int, per_sharpness: float, sharpness: Any) -> None:
    """Note the measurement before update ``k`` of the chunk."""
    at, before = k * LANES, (k - 1) * LANES
    for i in range(LANES):
        s, entries = sharpness[at + i], summary[_ENTRIES + i]
        ratio, previous = s * (eta[at + i] * per_sharpness), summary[_RATIO_LAST + i]
        if before >= 0:
            previous = sharpness[before + i] * (eta[before + i] * per_sharpness)
        highest, lowest = summary[_LATE_SHARPNESS_MAX + i], summary[_LATE_SHARPNESS_MIN + i]
        summary[_LATE_RATIO_SUM + i] += ratio
        summary[_ENTRIES + i] = entries + 1.0 if ratio > 1.0 >= previous else entries
        summary[_LATE_SHARPNESS_MAX + i] = s if s > highest else highest
        summary[_LATE_SHARPNESS_MIN + i] = s if s < lowest else lowest


@nested
def _watch_late_chunk(
    summary: Any, eta: Any, per_sharpness: float, loss: Any, sharpness: Any
) -> None:
    """The same of CHUNK updates, all of them late and measured."""
    for i in range(LANES):
        previous, ratio_last = summary[_LOSS_LAST + i], summary[_RATIO_LAST + i]
        loss_max, loss_min = summary[_LATE_LOSS_MAX + i], summary[_LATE_LOSS_MIN + i]
        high, low = summary[_LATE_SHARPNESS_MAX + i], summary[_LATE_SHARPNESS_MIN + i]
        total, entries = summary[_LATE_RATIO_SUM + i], summary[_ENTRIES + i]
        rises = summary[_RISES + i]
        for j in range(CHUNK):
            at = j * LANES + i
            x, s = loss[at], sharpness[at]
            ratio = s * (eta[at] * per_sharpness)
            loss_max = x if x > loss_max else loss_max
            loss_min = x if x < loss_min else loss_min
            high = s if s > high else high
            low = s if s < low else low
            total += ratio
            up = 1.0 if ratio > 1.0 else 0.0
            entries += up if ratio_last <= 1.0 else 0.0
            rises += 1.0 if x > previous else 0.0
            previous, ratio_last = x, ratio
        summary[_LATE_LOSS_MAX + i], summary[_LATE_LOSS_MIN + i] = loss_max, loss_min
        summary[_LATE_SHARPNESS_MAX + i], summary[_LATE_SHARPNESS_MIN + i] = high, low
        summary[_LATE_RATIO_SUM + i], summary[_ENTRIES + i] = total, entries
        summary[_RISES + i] = rises
