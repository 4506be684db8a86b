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
_DEAD = " The network is dead: its gradient is zero."


def end_of(curves: Trajectory, events: Events) -> str:
    """The sentences on the final loss and sharpness."""
    if events.diverged >= 0:
        return _diverged(curves, events)
    loss, ratio = curves.loss, curves.ratio
    whole = curves.updates_per_epoch > 1 and math.isfinite(curves.loss_init)
    first = curves.loss_init if whole else loss[0]
    of = " on all samples" * whole
    ended = f"The loss{of} goes from {first:.3g} to {_last(curves):.3g}"
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
    name, row = curves.sharpness_name, seen[-1]
    if curves.eta[row] == 0:
        sharpness = f"{curves.effective_sharpness[row]:.3g}, and no threshold applies at eta = 0"
    else:
        sharpness = f"{ratio[row]:.3g} times the threshold"
    dead = _DEAD if curves.gradient_final == 0.0 == curves.effective_sharpness[row] else ""
    return f"{ended}. The last measured {name} is {sharpness}.{dead}"


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
    text, peaked = ".", loss[peak] > regimes.RISE * max(loss[0], last)
    if peaked:
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
    else:
        better = "no" if constant is None else "less than 10 %"
        text += (
            f" Most of the last {regimes.LAST_LOSSES} losses are {better} better than the first."
        )
    if curves.gradient_final == 0.0:
        return f"{text}{_DEAD}"
    if peaked and events.inflation > _INFLATED:
        return (
            f"{text} Training has failed without diverging: the gradients at the peak increase the "
            f"preconditioner by a factor of {events.inflation:.2g}, which makes all later updates "
            "small."
        )
    late = max(2, len(loss) // 4)
    if np.ptp(loss[-late:]) == 0:
        return f"{text} The last {late} losses are equal."
    steps, factor = np.diff(loss[-late:]), loss[-1] / loss[-late]
    grows, falls = (steps >= 0).all(), (steps <= 0).all()
    if (grows or falls) and max(factor, 1 / factor) > regimes.RISE:
        verb = "grows" if grows else "falls"
        by = f"by a factor of {max(factor, 1 / factor):.3g} in {late} updates"
        return f"{text} The loss still {verb} at the end, {by}."
    return f"{text} The run is stuck."
