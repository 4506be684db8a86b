"""A run's events as sentences, in order of time: schedule, approach, catapults, edge, end."""

from __future__ import annotations

import re
from collections import Counter

import numpy as np

from simulator import regimes
from simulator.events.detect import Catapult, Edge, Events, turns
from simulator.events.ending import end_of
from simulator.events.of_a_loop import is_known_by_its_steps, of_the_spikes, of_the_warmup
from simulator.events.step_curvature import of_the_step, which_hessian
from simulator.trajectory import Trajectory

__all__ = ["cause", "sentences"]

_CAUSES = {
    "warmup": "the rising learning rate drives it",
    "sharpening": "the rising sharpness drives it",
    "both": "rising learning rate and rising sharpness meet, a head-on collision",
    "start": "training starts above the threshold",
    "unknown": "its cause was not measured",
}
_REAR_END = "the rising learning rate catches up with a falling sharpness, a rear-end collision"
_PHASES = {
    "progressive_sharpening": "progressive sharpening",
    "sharpness_reduction": "sharpness reduction",
}


def sentences(curves: Trajectory, events: Events, natural: str | None = None) -> list[str]:
    """What happened, one thing a sentence."""
    by_steps = is_known_by_its_steps(curves)
    text = [
        _schedule(curves),
        which_hessian(curves),
        of_the_warmup(curves) if by_steps else _approach(curves, events),
        _natural(curves, natural),
        of_the_spikes(curves, events) if by_steps else _catapults(curves, events),
        *(_edge(curves, events, number) for number in range(min(len(events.edges), 3))),
        of_the_step(curves),
        end_of(curves, events),
        _decay(curves),
        _doubt(curves),
    ]
    return [_in_units(sentence, curves.unit) for sentence in text if sentence]


def _in_units(sentence: str, unit: str) -> str:
    """Of a log that counts epochs, or rows alone, nothing is said of updates."""
    return (
        sentence if unit == "step" else re.sub(r"\b(?:step|update)(s?)\b", rf"{unit}\1", sentence)
    )


def cause(event: Catapult | Edge) -> str:
    """The driver in words; a falling sharpness is hit from behind."""
    fell = event.sharpness_change < 1 - regimes.TREND
    return _REAR_END if event.driver == "warmup" and fell else _CAUSES[event.driver]


def _decay(curves: Trajectory) -> str:
    """What a multiple of the threshold is under weight decay."""
    over, decay = curves.limit
    if not decay or not np.isfinite(curves.ratio).any():
        return ""
    return (
        f"Under weight decay, multiples of the threshold are those of {over:.3g} / eta, and of the "
        f"{curves.sharpness_name} plus {decay:.3g}."
    )


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
    rows = np.flatnonzero(np.isfinite(curves.eta))
    if not rows.size:
        return "The learning rate is not known."
    eta = curves.eta[rows]
    top, unit = float(eta.max()), curves.limit.eta(float(curves.effective_sharpness[0]))
    # Of an adaptive optimizer's first step the preconditioned sharpness says nothing of the loss.
    times = ""
    if 0 < unit < np.inf and not curves.adaptive:
        times = f", {top / unit:.3g} times the critical learning rate"
    still = 1e-9 * top
    if np.ptp(eta) <= still:
        return f"The learning rate is {top:.3g} throughout{times}."
    reached = int(np.argmax(eta >= top - still))
    before, after = eta[: reached + 1], eta[reached:]
    if (np.diff(before) < 0).any() or (np.diff(after) > still).any():
        return (
            f"The learning rate goes up and down, from {eta[0]:.3g} to {eta[-1]:.3g}, at most "
            f"{top:.3g}{times}."
        )
    if reached == 0:
        return f"The learning rate falls from {top:.3g} to {eta[-1]:.3g}."
    then = ""
    if len(after) > 1:
        stays = np.ptp(after) <= still
        then = " and stays there" if stays else f" and falls to {after[-1]:.3g} by the end"
    updates = curves.at(int(rows[reached])) - curves.at(0) + 1
    return (
        f"The learning rate is warmed up from {eta[0]:.3g} to {top:.3g} in {updates} updates{then}"
        f"{times}."
    )


def _approach(curves: Trajectory, events: Events) -> str:
    """The stretch below the threshold, where the sharpness evolves by itself."""
    name, sharpness, ratio = curves.sharpness_name, curves.effective_sharpness, curves.ratio
    seen = np.flatnonzero(np.isfinite(sharpness))
    if not seen.size:
        return "The sharpness was not measured, so only the loss is described."
    if not np.isfinite(ratio).any():
        first, last = sharpness[seen[0]], sharpness[seen[-1]]
        return f"The {name} goes from {first:.3g} to {last:.3g}; its threshold is not known."
    crossed = events.crossings[0] if events.crossings else -1
    if crossed == seen[0]:
        return _from_above(curves, events, crossed)
    change = _evolution(curves)
    if crossed >= 0:
        return (
            f"Until the {name} crosses the threshold {curves.threshold_text} "
            f"{_when(curves, crossed)}, it {change}."
        )
    nearest = float(np.nanmax(ratio))
    # Rounded down: never more than it is.
    share = f"{np.floor(1000 * nearest) / 1000:.3g}" if nearest > 0.1 else f"{nearest:.2g}"
    return (
        f"The {name} {change}. It never exceeds the threshold {curves.threshold_text}: it is at "
        f"most {share} times it."
    )


def _when(curves: Trajectory, row: int) -> str:
    """The step of a measurement; both around what came between two of them."""
    before = np.flatnonzero(np.isfinite(curves.ratio[:row]))
    step = curves.at(row)
    if before.size and curves.at(before[-1]) < step - 1:
        return f"between steps {curves.at(before[-1])} and {step}"
    return f"at step {step}"


def _evolution(curves: Trajectory) -> str:
    """How the sharpness moves before the first crossing, turn by turn."""
    phase = curves.natural_phase
    seen, rows = regimes.evolution(curves.effective_sharpness, curves.ratio)
    values = curves.effective_sharpness[rows]
    if phase == "unknown":
        return f"is {values[0]:.3g}: too few measurements to show a trend"
    if seen.low_at == seen.high_at:
        return f"stays within 5 % of {values[0]:.3g}"
    corners = turns(values)
    if phase == "constant":
        return (
            f"falls from {values[0]:.3g} to {seen.low:.3g} by step {curves.at(rows[seen.low_at])}, "
            f"a transient of the preconditioner, and is {values[-1]:.3g} at the end of this stretch"
        )
    if len(corners) > 2:
        low, high = values.min(), values.max()
        return (
            f"goes up and down between {low:.3g} and {high:.3g}, from {values[0]:.3g} to "
            f"{values[-1]:.3g}: mostly {_PHASES[phase]}"
        )
    points = [*corners, len(values) - 1]
    legs = np.diff(values[[0, *points]])
    text = f"{'rises' if legs[0] > 0 else 'falls'} from {values[0]:.3g}"
    for number, (point, change) in enumerate(zip(points, legs, strict=True)):
        verb = f", then {'rises' if change > 0 else 'falls'}" if number else ""
        at = f" at step {curves.at(rows[point])}" if number < len(points) - 1 else ""
        text += f"{verb} to {values[point]:.3g}{at}"
    same = (legs[-1] > 0) == (phase == "progressive_sharpening")
    if not corners:
        return f"{text}: {_PHASES[phase]}"
    return f"{text}: {_PHASES[phase]} after a transient" if same else f"{text}"


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
        "At a tenth of the critical learning rate, where training stays stable, the "
        f"{curves.sharpness_name} {text[natural]}."
    )


def _from_above(curves: Trajectory, events: Events, crossed: int) -> str:
    name, ratio = curves.sharpness_name, curves.ratio
    text = (
        f"The first update is already above the threshold: the {name} is "
        f"{curves.effective_sharpness[crossed]:.3g}, {ratio[crossed]:.3g} times "
        f"{curves.threshold_text}."
    )
    calm = np.flatnonzero(ratio <= 1)
    if events.stuck or events.diverged >= 0 or not calm.size:
        return text
    thrown = any(catapult.start <= calm[0] for catapult in events.catapults)
    without = "" if thrown or _excursion(curves, int(calm[0])) else ", without a catapult"
    return f"{text} It is below the threshold at step {curves.at(calm[0])}{without}."


def _excursion(curves: Trajectory, end: int) -> bool:
    """Whether the loss rises by a tenth above its running minimum before this row."""
    loss = curves.smooth_loss[: end + 1]
    return bool((loss > curves.rise * np.minimum.accumulate(loss)).any())


def _catapults(curves: Trajectory, events: Events) -> str:
    """Those that stand apart: one is described in full, several together."""
    apart, ratio = events.apart, curves.ratio
    loss = curves.loss_name
    if not apart:
        if events.edges or events.stuck or events.diverged >= 0:
            return ""
        once = events.crossings and curves.smooth_rows == 1
        if once and not _excursion(curves, len(curves.loss)):
            return (
                f"The {curves.sharpness_name} is at most {np.nanmax(ratio):.3g} times the "
                "threshold, but the loss never rises by a tenth above its running minimum: no "
                "catapult."
            )
        return "There is no catapult."
    first, last = apart[0], apart[-1]
    flattened = _flattened(curves, first, last)
    if len(apart) == 1:
        return (
            f"A catapult follows: {cause(first)}. The {loss} leaves its minimum at step "
            f"{curves.at(first.start)}, peaks at {_height(curves, first, 'it')} at step "
            f"{curves.at(first.peak)} and is back at step {curves.at(first.end)}.{flattened}"
        )
    causes = Counter(cause(catapult) for catapult in apart).most_common()
    text = "; ".join(
        reason if number == len(apart) else f"in {number}, {reason}" for reason, number in causes
    )
    highest = max(apart, key=lambda catapult: catapult.loss_ratio)
    return (
        f"{len(apart)} catapults follow from step {curves.at(first.start)} to step "
        f"{curves.at(last.end)}, the largest to {_height(curves, highest, 'the loss before it')}: "
        f"{text}.{flattened}"
    )


def _height(curves: Trajectory, catapult: Catapult, before: str) -> str:
    """How high the loss rises; a log in few digits may have a minimum of 0."""
    if np.isfinite(catapult.loss_ratio):
        return f"{catapult.loss_ratio:.3g} times {before}"
    return f"{curves.smooth_loss[catapult.peak]:.3g}, from 0,"


def _flattened(curves: Trajectory, first: Catapult, last: Catapult) -> str:
    """What the sharpness did from the first crossing to the end of the last catapult."""
    before, after = first.sharpness_before, last.sharpness_after
    if not np.isfinite(before + after):
        return ""
    verb = "falls" if after < before else "goes"
    return f" Meanwhile the {curves.sharpness_name} {verb} from {before:.3g} to {after:.3g}."


def _edge(curves: Trajectory, events: Events, number: int) -> str:
    """The first stretch at the edge in full, the second in brief, the others counted."""
    edge: Edge = events.edges[number]
    span = f"from step {curves.at(edge.start)} to step {curves.at(edge.end)}"
    if number == 2:
        last = curves.at(events.edges[-1].end)
        return f"There are {len(events.edges)} such stretches; the last ends at step {last}."
    if number == 1:
        return f"It is there again {span}, on average at {edge.mean_ratio:.2f} times the threshold."
    within = sum(edge.start <= catapult.peak <= edge.end for catapult in events.catapults)
    count = f", with {within} catapult{'s' * (within > 1)}" if within else ""
    return (
        f"{span.capitalize()} training is at the edge of stability{_entry(events, edge)}: the "
        f"{curves.sharpness_name} stays near the threshold, on average at {edge.mean_ratio:.2f} "
        f"times the threshold{count}."
    )


def _entry(events: Events, edge: Edge) -> str:
    """How it got there, if not by the catapults already described."""
    described = events.apart and events.apart[0].start < edge.start
    return "" if described or edge.driver in ("start", "unknown") else f" ({cause(edge)})"
