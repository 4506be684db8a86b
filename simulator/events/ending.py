"""How a run ends, in sentences: trained, not recovered, stuck, dead or diverged."""

from __future__ import annotations

import math

import numpy as np

from simulator import regimes
from simulator.events.detect import Events
from simulator.trajectory import Trajectory

__all__ = ["end_of"]

# A preconditioner that grows by this factor or more is named as the cause of a failure.
_INFLATED = 10.0


def end_of(curves: Trajectory, events: Events) -> str:
    """The sentences on the final loss and sharpness."""
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
    final = f"{ratio[seen[-1]]:.3g} times the threshold"
    return f"{ended}, and the final {curves.sharpness_name} is {final}."


def _last(curves: Trajectory) -> float:
    """The loss after the last update, or the last measured loss."""
    return curves.loss_final if math.isfinite(curves.loss_final) else float(curves.loss[-1])


def _diverged(curves: Trajectory, events: Events) -> str:
    end, lowest = events.diverged, events.unreturned
    if end == 0:
        return "Training diverges: the loss is not finite from the first step on."
    rise = ""
    if lowest >= 0 and curves.updates_per_epoch == 1:
        rise = (
            f"The loss rises from its minimum ({curves.loss[lowest]:.3g} at step "
            f"{curves.at(lowest)}) and does not recover. "
        )
    return f"{rise}Training diverges: the loss is not finite at step {curves.at(end)}."


def _why_stuck(curves: Trajectory, events: Events) -> str:
    loss, constant, last = curves.loss, curves.constant_loss, _last(curves)
    peak = int(np.nanargmax(loss))
    text = "."
    if loss[peak] > regimes.RISE * max(loss[0], last):
        text = f", with a peak of {loss[peak]:.3g} at step {curves.at(peak)}."
    if constant:
        best = f"the best constant prediction ({constant:.3g})"
        if last >= constant:
            text += f" The final loss is no better than {best}."
        elif last >= regimes.target(constant):
            text += f" The final loss is less than 10 % better than {best}."
        else:
            text += (
                f" Most of the last {regimes.LAST_LOSSES} losses are less than 10 % better than "
                f"{best}."
            )
    if curves.gradient_final == 0.0:
        return f"{text} The network is dead: its gradient is zero."
    if events.inflation > _INFLATED:
        return (
            f"{text} Training has failed without diverging: the gradients at the peak increase the "
            f"preconditioner by a factor of {events.inflation:.2g}, which makes all later updates "
            "small."
        )
    late = max(2, len(loss) // 4)
    if np.ptp(loss[-late:]) == 0:
        return f"{text} The last {late} losses are equal."
    return f"{text} The run is stuck."
