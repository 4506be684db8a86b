"""A run's events as sentences, in order of time: schedule, approach, catapults, edge, end."""

from __future__ import annotations

from collections import Counter

import numpy as np

from simulator.events.detect import Edge, Events
from simulator.trajectory import Trajectory

__all__ = ["CAUSES", "sentences"]

# By what factor a preconditioner must have grown to be named as the cause of a failure.
_INFLATED = 10.0

CAUSES = {
    "warmup": "warmup drives the learning rate into it",
    "sharpening": "the sharpness grows into it",
    "both": "rising learning rate and rising sharpness meet, a head-on collision",
    "start": "training starts beyond the threshold",
    "unknown": "what drives it was not measured",
}


def sentences(curves: Trajectory, events: Events, natural: str | None = None) -> list[str]:
    """What happened, one thing a sentence."""
    text = [
        _schedule(curves),
        _approach(curves, events),
        _natural(curves, natural),
        _catapults(curves, events),
        *(_edge(curves, events, number) for number in range(min(len(events.edges), 3))),
        _end(curves, events),
        _doubt(curves),
    ]
    return [sentence for sentence in text if sentence]


def _doubt(curves: Trajectory) -> str:
    """How many of the measurements are not certain."""
    if curves.converged is None or curves.converged.all():
        return ""
    measured = int(np.isfinite(curves.effective_sharpness).sum())
    return (
        f"{int((~curves.converged).sum())} of {measured} measurements of the "
        f"{curves.sharpness_name} did not converge; the true values may differ."
    )


def _schedule(curves: Trajectory) -> str:
    eta = curves.eta[np.isfinite(curves.eta)]
    if not eta.size:
        return "The learning rate is not known."
    top, unit = float(eta.max()), curves.limit.eta(float(curves.effective_sharpness[0]))
    # Of an adaptive optimizer's first step the pre-conditioned sharpness says nothing of the loss.
    text = 0 < unit < np.inf and not curves.adaptive
    times = f", {top / unit:.3g} times the critical one of the first step" if text else ""
    if np.ptp(eta) <= 1e-9 * top:
        return f"The learning rate is {top:.3g} throughout{times}."
    reached = int(np.argmax(eta >= top * (1 - 1e-9)))
    after, before = eta[reached:], eta[: reached + 1]
    then = ""
    if len(after) > 1:
        still = np.ptp(after) <= 1e-9 * top
        then = " and stays there" if still else f" and falls to {after[-1]:.3g} by the end"
    if reached == 0:
        return f"The learning rate falls from {top:.3g} to {eta[-1]:.3g}."
    rises = "is warmed up" if (np.diff(before) >= 0).all() else "goes up and down"
    updates = curves.at(int(np.flatnonzero(np.isfinite(curves.eta))[reached])) + 1
    return (
        f"The learning rate {rises} from {eta[0]:.3g} to {top:.3g} in {updates} updates{then}"
        f"{times}."
    )


def _approach(curves: Trajectory, events: Events) -> str:
    """The stretch below the threshold, where the sharpness evolves by itself."""
    name, sharpness, ratio = curves.sharpness_name, curves.effective_sharpness, curves.ratio
    seen = np.flatnonzero(np.isfinite(sharpness))
    if not seen.size:
        return "The sharpness was not measured: what follows is read off the loss alone."
    if not np.isfinite(ratio).any():
        first, last = sharpness[seen[0]], sharpness[seen[-1]]
        return f"The {name} goes from {first:.3g} to {last:.3g}; how stable that is cannot be said."
    crossed = events.crossings[0] if events.crossings else -1
    if crossed == seen[0]:
        return _from_beyond(curves, events, crossed)
    before = seen[seen < crossed] if crossed >= 0 else seen
    first, last = sharpness[before[0]], sharpness[before[-1]]
    changes = {
        "progressive_sharpening": f"rises, from {first:.3g} to {last:.3g}: progressive sharpening",
        "sharpness_reduction": f"falls, from {first:.3g} to {last:.3g}: sharpness reduction",
        "constant": f"stays within 5 % of {first:.3g}",
        "unknown": f"is {first:.3g}: too short a stretch to show a trend",
    }
    change = f"the {name} {changes[curves.natural_phase]}"
    if crossed >= 0:
        at = curves.at(crossed)
        return f"Until the threshold {curves.threshold_text} is crossed at step {at}, {change}."
    lazy = ", as in the lazy regime" if curves.natural_phase == "constant" else ""
    return (
        f"All the way {change}{lazy}. The threshold {curves.threshold_text} is never reached: at "
        f"its nearest the {name} is {np.nanmax(ratio):.0%} of it."
    )


def _natural(curves: Trajectory, natural: str | None) -> str:
    """What a gentle run beside this one has shown."""
    text = {
        "progressive_sharpening": "rises: progressive sharpening",
        "sharpness_reduction": "falls: sharpness reduction",
        "constant": "stays within 5 %",
    }
    if natural not in text:
        return ""
    return (
        "Left alone, at a tenth of the critical learning rate, the "
        f"{curves.sharpness_name} {text[natural]}."
    )


def _from_beyond(curves: Trajectory, events: Events, crossed: int) -> str:
    name, ratio = curves.sharpness_name, curves.ratio
    text = (
        f"The first update is already beyond the threshold: the {name} is "
        f"{curves.effective_sharpness[crossed]:.3g}, {ratio[crossed]:.3g} times "
        f"{curves.threshold_text}."
    )
    calm = np.flatnonzero(ratio <= 1)
    thrown = any(catapult.crossing == crossed for catapult in events.catapults)
    if thrown or events.stuck or events.diverged >= 0 or not calm.size:
        return text
    return f"{text} It falls below it by step {curves.at(calm[0])}, without a catapult."


def _cause(curves: Trajectory, driver: str) -> str:
    """A driver in words; by what the sharpness did meanwhile, warmup is head-on or from behind."""
    if driver == "warmup" and curves.natural_phase == "sharpness_reduction":
        return "warmup catches up with a falling sharpness, a rear-end collision"
    if driver == "warmup" and curves.natural_phase == "progressive_sharpening":
        return CAUSES["both"]
    return CAUSES[driver]


def _catapults(curves: Trajectory, events: Events) -> str:
    """Those that stand apart: one is told whole, several together."""
    apart, ratio = events.apart, curves.ratio
    if not apart:
        quiet = not (events.edges or events.stuck) and events.diverged < 0
        if quiet and not np.isfinite(ratio).any():
            return "The loss never leaves its running minimum by a tenth and comes back."
        if quiet and not events.crossings:
            return "No catapult, no instability."
        if quiet and events.crossings != (0,):
            return (
                f"The {curves.sharpness_name} exceeds the threshold, at most "
                f"{np.nanmax(ratio):.3g} times, but the loss never rises by a tenth above its "
                "running minimum: no catapult."
            )
        return ""
    first, last = apart[0], apart[-1]
    flattened = _flattened(first.sharpness_before, last.sharpness_after, curves.sharpness_name)
    if len(apart) == 1:
        return (
            f"A catapult follows: {_cause(curves, first.driver)}. The loss leaves its minimum at "
            f"step {curves.at(first.start)}, peaks {first.loss_ratio:.3g} times higher at step "
            f"{curves.at(first.peak)} and is back at step {curves.at(first.end)}{flattened}."
        )
    causes = Counter(_cause(curves, catapult.driver) for catapult in apart).most_common()
    text = "; ".join(
        text if number == len(apart) else f"in {number}, {text}" for text, number in causes
    )
    highest = max(catapult.loss_ratio for catapult in apart)
    return (
        f"{len(apart)} catapults follow one another from step {curves.at(first.start)} to step "
        f"{curves.at(last.end)}, the largest to {highest:.3g} times the loss before it{flattened}: "
        f"{text}."
    )


def _flattened(first: float, last: float, name: str) -> str:
    if not np.isfinite(first + last):
        return ""
    verb = "falls" if last < first else "goes"
    return f", while the {name} {verb} from {first:.3g} to {last:.3g}"


def _edge(curves: Trajectory, events: Events, number: int) -> str:
    """The first stretch at the edge in full, the second in brief, the others counted."""
    edge: Edge = events.edges[number]
    span = f"from step {curves.at(edge.start)} to {curves.at(edge.end)}"
    if number == 2:
        last = curves.at(events.edges[-1].end)
        return f"It is there {len(events.edges)} times in all, at last to step {last}."
    if number == 1:
        return f"It is there again {span}, at {edge.mean_ratio:.2f} times it."
    within = sum(edge.start <= catapult.peak <= edge.end for catapult in events.catapults)
    small = "one small catapult" if within == 1 else f"{within} small catapults"
    return (
        f"{span.capitalize()} training is at the edge of stability{_entry(curves, events, edge)}: "
        f"the {curves.sharpness_name} hovers about the threshold, on average "
        f"{edge.mean_ratio:.2f} times it"
        f"{', with ' + small if within else ''}."
    )


def _entry(curves: Trajectory, events: Events, edge: Edge) -> str:
    """How it got there, if not by the catapults already told of."""
    text = events.apart and events.apart[0].start < edge.start
    if text or edge.driver in ("start", "unknown"):
        return ""
    return f", as {_cause(curves, edge.driver).replace(' into it', ' to it')}"


def _end(curves: Trajectory, events: Events) -> str:
    loss, ratio = curves.loss, curves.ratio
    if events.diverged >= 0:
        lowest = max(events.unreturned, 0)
        return (
            f"The loss leaves its minimum of {loss[lowest]:.3g} at step {curves.at(lowest)} and "
            f"never comes back: at step {curves.at(events.diverged)} it is no longer finite. "
            "Training has diverged."
        )
    last = curves.loss_final if np.isfinite(curves.loss_final) else float(loss[-1])
    ended = f"The loss, {loss[0]:.3g} at first, is {last:.3g} at last"
    if events.stuck:
        return ended + _why_stuck(curves, events)
    if events.unreturned >= 0:
        lowest = events.unreturned
        ended = (
            f"At step {curves.at(lowest)} the loss leaves its minimum of {loss[lowest]:.3g}, and "
            f"has not come back. {ended}"
        )
    seen = np.flatnonzero(np.isfinite(ratio))
    if not seen.size:
        return f"{ended}."
    near = ratio[seen[-1]]
    place = "at" if 0.9 < near < 1.1 else "above" if near > 1 else "below"
    return f"{ended}, with the {curves.sharpness_name} {place} the threshold, {near:.2f} times it."


def _why_stuck(curves: Trajectory, events: Events) -> str:
    loss, constant = curves.loss, curves.constant_loss
    peak = int(np.nanargmax(loss))
    text = ""
    if loss[peak] > 1.1 * loss[0]:
        text += f" after a peak of {loss[peak]:.3g} at step {curves.at(peak)}"
    if constant:
        text += f", no better than the best constant output's {constant:.3g}"
    if events.inflation > _INFLATED:
        return (
            f"{text}: training has failed without diverging. The gradients of the peak inflated "
            "the optimizer's second moment, and with it the preconditioner, "
            f"{events.inflation:.2g} times; every later update is as much smaller."
        )
    if np.ptp(loss[-max(2, len(loss) // 4) :]) == 0:
        return f"{text}: the network is dead, no gradient moves it any more."
    return f"{text}: it is finite, but has not trained."
