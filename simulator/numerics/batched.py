"""Training many small runs side by side, in the shape that `simulator.numerics.blocks` describes.

A block advances by chunks: the learning rates are laid out, the model takes its updates, and what
is to be remembered is noted. Where a lane stops being finite the chunk is done again update by
update, and the lane is retired with what was known of it before: a divergence costs its neighbours
little, and no mask is carried through the loops for it.

``memory`` holds all that a block must not forget: the rows of the model's state, then those of
`simulator.numerics.summaries`, which sees finite losses only.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from simulator.numerics.blocks import CHUNK, LANES, empty_rows
from simulator.numerics.jit import kernel, nested
from simulator.numerics.one_example import STATE_ROWS, advance
from simulator.numerics.summaries import (
    ROWS,
    reset,
    watch_all,
    watch_each,
    watch_first,
    watch_last,
    watch_late,
)

__all__ = ["buffers", "train"]

_DIVERGED = ROWS["diverged"] * LANES


def buffers() -> tuple[Any, ...]:
    """What `train` needs of its own, for one thread: ``memory`` to ``sharpness``."""
    rows = (STATE_ROWS + len(ROWS), STATE_ROWS, 2, CHUNK, CHUNK, CHUNK)
    return tuple(empty_rows(count) for count in rows)


@kernel
def train(
    target: float,
    per_residual: float,
    eta_ends: Any,
    weights: Any,
    schedule: Any,
    first: Any,
    recurrence: Any,
    measured: bool,
    late: int,
    last: int,
    thresholds: Any,
    begin: Any,
    out: Any,
    curves: Any,
    stride: int,
    memory: Any,
    before: Any,
    eta_rows: Any,
    eta: Any,
    loss: Any,
    sharpness: Any,
) -> None:
    """Train from each column of ``begin`` (state rows, runs); memories go to ``out``.

    ``target`` and ``per_residual`` are those of `one_example`. Rates are eta_t = eta_ends[0]
    weights[s, 0, t] + eta_ends[1] weights[s, 1, t], eta_ends (2, runs), weights (schedules, 2,
    steps + 1), s = ``schedule`` of the run, (runs,). ``first`` is the recurrence of the first
    update; the sharpness is ``measured`` at every step, or never. ``late``, ``last`` and
    ``thresholds`` (per_sharpness, rise, trend, gain, baseline) are for `summaries`. Loss and
    sharpness before each ``stride``-th step go to ``curves`` (2, steps, runs), if it has room.
    """
    per_sharpness, rise, trend, gain, baseline = thresholds
    steps = weights.shape[2] - 1
    state, summary = memory[: STATE_ROWS * LANES], memory[STATE_ROWS * LANES :]
    for at in range(0, begin.shape[1], LANES):
        runs = min(LANES, begin.shape[1] - at)
        _load(begin, eta_ends, at, runs, state, eta_rows)
        alike = _are_alike(schedule[at : at + runs])
        reset(summary)
        # A literal 0 or False would be a type of its own, and every kernel compiled for it too.
        step: Any = np.int64(0)
        held: Any = np.bool_(False)
        careful, alive = 1, True
        while True:
            # One update at a time at the start, at the end, and where a lane is about to diverge.
            n = 1 if step < careful or step == steps else min(CHUNK, steps - step)
            held = _lay_out_rates(
                weights, schedule[at : at + runs], alike, step, n, held, eta_rows, eta
            )
            _copy(state, before)
            advance(
                state, eta, step, n, target, per_residual, first if step == 0 else recurrence,
                measured, loss, sharpness,
            )  # fmt: skip
            if step == steps:
                break
            if n > 1 and not _is_finite(state, n, loss):
                _copy(before, state)
                careful, held = step + n, False
                continue
            if n == 1:
                if step == 0:
                    watch_first(summary, baseline, gain, loss, sharpness)
                alive = _retire(
                    step, memory, before, loss, sharpness, at, runs, out, curves, stride
                )
                if not alive:
                    break
            if step + n > min(late, last):
                watch_late(
                    summary, eta, step, n, measured, late, last, per_sharpness, loss, sharpness
                )
            if measured and n == CHUNK:
                watch_all(summary, eta, step, per_sharpness, rise, trend, loss, sharpness)
            else:
                watch_each(
                    summary, eta, step, n, measured, per_sharpness, rise, trend, loss, sharpness
                )
            if curves.size:
                _draw(step, n, measured, summary, loss, sharpness, at, runs, curves, stride)
            step += n
        if not alive:
            continue
        if not measured:
            sharpness[:LANES] = np.nan
        watch_last(summary, loss, sharpness)
        _copy(before, state)
        finish(memory, summary, at, runs, out)


@nested
def _copy(rows: Any, to: Any) -> None:
    for i in range(rows.size):
        to[i] = rows[i]


@nested
def _is_finite(state: Any, n: int, loss: Any) -> bool:
    """Whether every lane still is: an infinite loss may pass, but a NaN stays in the state."""
    wrong = 0
    for i in range(state.size):
        wrong += 0 if abs(state[i]) < np.inf else 1
    if n == CHUNK:
        # A constant length: see CONTRIBUTING on vectorised loops.
        for i in range(CHUNK * LANES):
            wrong += 0 if loss[i] < np.inf else 1
    else:
        for i in range(n * LANES):
            wrong += 0 if loss[i] < np.inf else 1
    return wrong == 0


@nested
def _load(begin: Any, eta_ends: Any, at: int, runs: int, state: Any, eta_rows: Any) -> None:
    """Initial states and rates; idle lanes do what the last run does."""
    for i in range(LANES):
        run = at + min(i, runs - 1)
        for row in range(begin.shape[0]):
            state[row * LANES + i] = begin[row, run]
        eta_rows[i], eta_rows[LANES + i] = eta_ends[0, run], eta_ends[1, run]


@nested
def _are_alike(schedule: Any) -> bool:
    """Whether all runs of a block follow one schedule."""
    other = 0
    for i in range(schedule.size):
        other += 1 if schedule[i] != schedule[0] else 0
    return other == 0


@nested
def _lay_out_rates(
    weights: Any,
    schedule: Any,
    alike: bool,
    step: int,
    n: int,
    held: bool,
    eta_rows: Any,
    eta: Any,
) -> bool:
    """Eta of ``n`` updates; whether all of its CHUNK rows hold the rate of the last of them.

    ``held`` says that they did before: where eta stands still nothing is to be done. ``alike`` says
    that all runs follow one schedule.
    """
    still, runs = n == CHUNK, schedule.size
    # The last schedule, the slowest in a sweep, is mostly the only one that has to be compared.
    for i in range(runs - 1, runs - 2 if alike else -1, -1):
        s = schedule[i]
        for k in range(n):
            a, b = weights[s, 0, step + k], weights[s, 1, step + k]
            still = still and a == weights[s, 0, step] and b == weights[s, 1, step]
            held = held and a == weights[s, 0, step - 1] and b == weights[s, 1, step - 1]
        if not still and not held:
            break
    if held:
        return True
    rows = eta.reshape(-1, LANES)
    if alike:
        for k in range(n):
            a, b = weights[schedule[0], 0, step + k], weights[schedule[0], 1, step + k]
            for i in range(LANES):
                rows[k, i] = eta_rows[i] * a + eta_rows[LANES + i] * b
        return still
    for i in range(LANES):
        s = schedule[min(i, runs - 1)]
        eta_init, eta_trgt = eta_rows[i], eta_rows[LANES + i]
        for k in range(n):
            rows[k, i] = eta_init * weights[s, 0, step + k] + eta_trgt * weights[s, 1, step + k]
    return still


@nested
def _retire(
    step: int,
    memory: Any,
    before: Any,
    loss: Any,
    sharpness: Any,
    at: int,
    runs: int,
    out: Any,
    curves: Any,
    stride: int,
) -> bool:
    """Take leave of the lanes whose loss before this update is not finite, and park them at 0.

    Returns whether any lane is left.
    """
    diverged, alive = STATE_ROWS * LANES + _DIVERGED, False
    for i in range(LANES):
        if abs(loss[i]) < np.inf and memory[diverged + i] < 0.0:
            alive = True
            continue
        if memory[diverged + i] < 0.0:
            memory[diverged + i] = step
            if i < runs:
                for row in range(out.shape[0]):
                    source = before if row < STATE_ROWS else memory
                    out[row, at + i] = source[row * LANES + i]
                if curves.size and step % stride == 0:
                    curves[0, step // stride, at + i] = loss[i]
        loss[i] = sharpness[i] = 0.0
        for row in range(STATE_ROWS):
            memory[row * LANES + i] = 0.0
    return alive


@nested
def _draw(
    step: int,
    n: int,
    measured: bool,
    summary: Any,
    loss: Any,
    sharpness: Any,
    at: int,
    runs: int,
    curves: Any,
    stride: int,
) -> None:
    """Put the chunk's share of the curves into them."""
    for k in range(n):
        if (step + k) % stride:
            continue
        row = (step + k) // stride
        for i in range(runs):
            if summary[_DIVERGED + i] < 0.0:
                curves[0, row, at + i] = loss[k * LANES + i]
                if measured:
                    curves[1, row, at + i] = sharpness[k * LANES + i]


@nested
def finish(memory: Any, summary: Any, at: int, runs: int, out: Any) -> None:
    """The memories of all lanes that have not been retired."""
    for row in range(out.shape[0]):
        for i in range(runs):
            if summary[_DIVERGED + i] < 0.0:
                out[row, at + i] = memory[row * LANES + i]
