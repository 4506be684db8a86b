"""How a run ends, as a sentence: trained, not recovered, stuck, dead, diverged."""

from __future__ import annotations

import math

import numpy as np

from simulator import regimes
from simulator.events.detect import Events
from simulator.trajectory import Trajectory

__all__ = ["end_of"]

# By what factor a preconditioner must have grown to be named as the cause of a failure.
_INFLATED = 10.0


def end_of(curves: Trajectory, events: Events) -> str:
    """The last sentence, or two."""
    if events.diverged >= 0:
        return _diverged(curves, events)
    loss, ratio = curves.loss, curves.ratio
    ended = f"The loss goes from {loss[0]:.3g} to {_last(curves):.3g}"
    if events.stuck:
        return ended + _why_stuck(curves, events)
    if events.unreturned >= 0:
        lowest = events.unreturned
        ended = (
            f"The {curves.loss_name} rises from its minimum ({curves.smooth_loss[lowest]:.3g} at "
            f"step {curves.at(lowest)}) and has not recovered by the end. {ended}"
        )
    seen = np.flatnonzero(np.isfinite(ratio))
    if not seen.size:
        return f"{ended}."
    near = ratio[seen[-1]]
    low, high = regimes.AT_THRESHOLD
    place = "at" if low <= near <= high else "above" if near > 1 else "below"
    return (
        f"{ended}, and the {curves.sharpness_name} ends {place} the threshold ({near:.3g} times "
        "it)."
    )


def _last(curves: Trajectory) -> float:
    """The loss after the last update, or the last one known."""
    return curves.loss_final if math.isfinite(curves.loss_final) else float(curves.loss[-1])


def _diverged(curves: Trajectory, events: Events) -> str:
    end, lowest = events.diverged, events.unreturned
    if end == 0:
        return "The loss is not finite from the first step: training has diverged."
    rise = ""
    if lowest >= 0 and curves.updates_per_epoch == 1:
        rise = (
            f"The loss leaves its minimum of {curves.loss[lowest]:.3g} at step {curves.at(lowest)} "
            "and never comes back. "
        )
    return f"{rise}At step {curves.at(end)} the loss is no longer finite: training has diverged."


def _why_stuck(curves: Trajectory, events: Events) -> str:
    loss, constant, last = curves.loss, curves.constant_loss, _last(curves)
    peak = int(np.nanargmax(loss))
    text = ""
    if loss[peak] > regimes.RISE * max(loss[0], last):
        text += f" after a peak of {loss[peak]:.3g} at step {curves.at(peak)}"
    if constant and last >= constant:
        text += f", no better than the best constant output ({constant:.3g})"
    elif constant and last >= regimes.target(constant):
        text += f", less than 10 % better than the best constant output ({constant:.3g})"
    elif constant:
        text += (
            f", but most of the last {regimes.LAST_LOSSES} losses are less than 10 % better than "
            f"the best constant output ({constant:.3g})"
        )
    if curves.gradient_final == 0.0:
        return f"{text}: the network is dead, its gradient is zero."
    if events.inflation > _INFLATED:
        return (
            f"{text}: training has failed without diverging. The gradients at the peak inflated "
            f"the second moment and the preconditioner, {events.inflation:.2g} times, which makes "
            "every later update smaller."
        )
    late = max(2, len(loss) // 4)
    if np.ptp(loss[-late:]) == 0:
        return f"{text}: the loss has not changed in the last {late} rows."
    return f"{text}: the run is stuck."
