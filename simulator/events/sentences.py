"""The events of a run as sentences, in time order: schedule, sharpness, catapults, edge, end."""

from __future__ import annotations

import re
from collections import Counter

import numpy as np

from simulator import regimes
from simulator.events.detect import Catapult, Edge, Events, turns
from simulator.events.ending import end_of
from simulator.events.of_a_loop import is_known_by_its_steps, of_the_spikes, of_the_warmup
from simulator.events.step_curvature import of_the_step, ratios_of_the_step, which_hessian
from simulator.trajectory import Trajectory

__all__ = ["cause", "sentences"]

_CAUSES = {
    "warmup": "driven by the rising learning rate",
    "sharpening": "driven by the rising sharpness",
    "both": "driven by the rising learning rate and the rising sharpness (a head-on collision)",
    "start": "because training starts above the threshold",
    "still": "because the sharpness stays above the threshold",
    "unknown": "of unknown cause",
}
_REAR_END = "driven by the rising learning rate while the sharpness falls (a rear-end collision)"
_PHASES = {
    "progressive_sharpening": "progressive sharpening",
    "sharpness_reduction": "sharpness reduction",
}


def sentences(curves: Trajectory, events: Events, natural: str | None = None) -> list[str]:
    """Sentences that describe a run and its events, in time order."""
    by_steps = is_known_by_its_steps(curves)
    stretches = [_edge(curves, events, number) for number in range(min(len(events.edges), 3))]
    edge_first = bool(
        events.edges and events.apart and events.edges[-1].end <= events.apart[0].start
    )
    text = [
        _schedule(curves),
        which_hessian(curves),
        of_the_warmup(curves) if by_steps else _approach(curves, events),
        _natural(curves, natural),
        *(stretches if edge_first else ()),
        of_the_spikes(curves, events) if by_steps else _catapults(curves, events),
        *(() if edge_first else stretches),
        of_the_step(curves),
        end_of(curves, events),
        _decay(curves),
        _doubt(curves),
    ]
    return [_in_units(sentence, curves.unit) for sentence in text if sentence]


def _in_units(sentence: str, unit: str) -> str:
    """Replace steps and updates by the unit of a log that counts epochs or rows."""
    return (
        sentence if unit == "step" else re.sub(r"\b(?:step|update)(s?)\b", rf"{unit}\1", sentence)
    )


def cause(event: Catapult | Edge) -> str:
    """What drives an event, as a phrase."""
    fell = event.sharpness_change < 1 - regimes.TREND
    return _REAR_END if event.driver == "warmup" and fell else _CAUSES[event.driver]


def _decay(curves: Trajectory) -> str:
    """What multiples of the threshold mean with weight decay."""
    over, decay = curves.limit
    if not decay or not np.isfinite(curves.ratio).any():
        return ""
    return (
        f"With weight decay, multiples of the threshold are ({curves.sharpness_name} + {decay:.3g})"
        f" / ({over:.3g} / eta)."
    )


def _doubt(curves: Trajectory) -> str:
    """How many measurements of the sharpness did not converge."""
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
        return "The learning rate is unknown."
    eta = curves.eta[rows]
    top = float(eta.max())
    times = _times_critical(curves, top)
    still = 1e-9 * top
    if np.ptp(eta) <= still:
        return f"The learning rate is constant at {top:.3g}{times}."
    reached = int(np.argmax(eta >= top - still))
    before, after = eta[: reached + 1], eta[reached:]
    if (np.diff(before) < 0).any() or (np.diff(after) > still).any():
        return (
            f"The learning rate rises and falls: it starts at {eta[0]:.3g}, ends at "
            f"{eta[-1]:.3g} and peaks at {top:.3g}{times}."
        )
    level = int(np.count_nonzero(after >= top - still)) - 1
    until = f" until step {curves.at(int(rows[reached + level]))}"
    falls = f" and then decays to {after[-1]:.3g}"
    if reached == 0:
        if level:
            return f"The learning rate is constant at {top:.3g}{times}{until}{falls}."
        return f"The learning rate decays from {top:.3g} to {eta[-1]:.3g}."
    then = ""
    if len(after) > 1:
        then = f", stays constant{until}{falls}" if level else falls
        then = " and then stays constant" if level == len(after) - 1 else then
    updates = curves.at(int(rows[reached])) - curves.at(0) + 1
    return (
        f"The learning rate warms up from {eta[0]:.3g} to {top:.3g}{times} in {updates} "
        f"updates{then}."
    )


def _times_critical(curves: Trajectory, eta: float) -> str:
    """In units of the critical learning rate, of all samples where that is known."""
    sharpness, of_batch = curves.effective_sharpness, curves.updates_per_epoch > 1
    if of_batch and curves.full_sharpness is not None:
        sharpness, of_batch = curves.full_sharpness, False
    unit = curves.limit.eta(float(sharpness[0]))
    # The preconditioned sharpness at an adaptive optimizer's first step does not predict its loss.
    if curves.adaptive or not 0 < unit < np.inf:
        return ""
    whose = " of the first batch" * of_batch
    return f" ({eta / unit:.3g} times the critical learning rate{whose})"


def _approach(curves: Trajectory, events: Events) -> str:
    """The sharpness below the threshold, where it evolves without instability."""
    name, sharpness, ratio = curves.sharpness_name, curves.effective_sharpness, curves.ratio
    seen = np.flatnonzero(np.isfinite(sharpness))
    if not seen.size and curves.full_sharpness is not None:
        return "The sharpness of the batches was not measured."
    if not seen.size:
        only = "" if ratios_of_the_step(curves) else "; only the loss is described"
        return f"The sharpness was not measured{only}."
    if not np.isfinite(ratio).any():
        first, last = sharpness[seen[0]], sharpness[seen[-1]]
        why = "its threshold is unknown"
        if np.isnan(curves.limit.over_eta):
            why = "the threshold is for the preconditioned sharpness, which was not logged"
        return f"The {name} goes from {first:.3g} to {last:.3g}; {why}."
    crossed = events.crossings[0] if events.crossings else -1
    if crossed == seen[0]:
        return _from_above(curves, events, crossed)
    change = _evolution(curves)
    if crossed >= 0:
        return (
            f"The {name} {change} before it crosses the threshold {curves.threshold_text} "
            f"{_when(curves, crossed)}."
        )
    nearest = float(np.nanmax(ratio))
    if nearest == 1:
        return (
            f"The {name} {change}. It reaches the threshold {curves.threshold_text}, but not more."
        )
    # Rounded down, so that a ratio below 1 is never shown as 1.
    share = f"{np.floor(1000 * nearest) / 1000:.3g}" if nearest > 0.1 else f"{nearest:.2g}"
    return (
        f"The {name} {change}. It stays below the threshold {curves.threshold_text} (at most "
        f"{share} times the threshold)."
    )


def _when(curves: Trajectory, row: int) -> str:
    """The step of a measurement, or the two steps that bracket it if steps were skipped."""
    before = np.flatnonzero(np.isfinite(curves.ratio[:row]))
    step = curves.at(row)
    if before.size and curves.at(before[-1]) < step - 1:
        return f"between steps {curves.at(before[-1])} and {step}"
    return f"at step {step}"


def _evolution(curves: Trajectory) -> str:
    """How the sharpness changes before the first crossing, turn by turn."""
    phase = curves.natural_phase
    seen, rows = regimes.evolution(curves.effective_sharpness, curves.ratio)
    values = curves.effective_sharpness[rows]
    if phase == "unknown":
        return f"is {values[0]:.3g} (too few measurements to show a trend)"
    if seen.low_at == seen.high_at:
        return f"stays within 5 % of {values[0]:.3g}"
    corners = turns(values)
    if phase == "constant":
        return (
            f"falls from {values[0]:.3g} to {seen.low:.3g} by step {curves.at(rows[seen.low_at])} "
            f"(a transient of the preconditioner) and then goes to {values[-1]:.3g}"
        )
    if len(corners) > 2:
        low, high = values.min(), values.max()
        return (
            f"fluctuates between {low:.3g} and {high:.3g}, and goes from {values[0]:.3g} to "
            f"{values[-1]:.3g} (the longest stretch between its extremes is {_PHASES[phase]})"
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
        return f"{text} ({_PHASES[phase]})"
    return f"{text} ({_PHASES[phase]} after a transient)" if same else text


def _natural(curves: Trajectory, natural: str | None) -> str:
    """The natural phase, from a run at a tenth of the critical learning rate."""
    text = {
        "progressive_sharpening": "rises (progressive sharpening)",
        "sharpness_reduction": "falls (sharpness reduction)",
        "constant": "stays within 5 %",
    }
    if natural not in text:
        return ""
    name, over = curves.sharpness_name, curves.limit.over_eta
    rate = f" ({over:.3g} / initial {name})" if curves.adaptive else ""
    return (
        f"In a separate stable run at a tenth of the critical learning rate{rate}, the {name} "
        f"{text[natural]}."
    )


def _from_above(curves: Trajectory, events: Events, crossed: int) -> str:
    name, ratio = curves.sharpness_name, curves.ratio
    text = (
        f"The {name} starts above the threshold {curves.threshold_text}: it is "
        f"{curves.effective_sharpness[crossed]:.3g}, {ratio[crossed]:.3g} times the threshold."
    )
    calm = np.flatnonzero(ratio <= 1)
    if events.stuck or events.diverged >= 0 or not calm.size:
        return text
    return f"{text} It falls below the threshold by step {curves.at(calm[0])}."


def _catapults(curves: Trajectory, events: Events) -> str:
    """The catapults outside the edge of stability: one in full, several together."""
    apart, ratio = events.apart, curves.ratio
    loss = curves.smooth_loss
    if not apart:
        if events.edges or events.stuck or events.diverged >= 0:
            return ""
        calm = (loss <= curves.rise * np.minimum.accumulate(loss)).all()
        if events.crossings and curves.smooth_rows == 1 and calm:
            return (
                f"There is no catapult: the {curves.sharpness_name} reaches {np.nanmax(ratio):.3g} "
                "times the threshold, but the loss never rises by 10 % above its running minimum."
            )
        return "There is no catapult."
    first, last = apart[0], apart[-1]
    flattened = _flattened(curves, first, last)
    if len(apart) == 1:
        return (
            f"One catapult follows, {cause(first)}. The {curves.loss_name} starts to rise at step "
            f"{curves.at(first.start)}, {_peak(curves, first)} at step {curves.at(first.peak)} and "
            f"returns to that minimum at step {curves.at(first.end)}.{flattened}"
        )
    causes = Counter(cause(catapult) for catapult in apart).items()
    *others, text = (
        reason if number == len(apart) else f"{number} {reason}" for reason, number in causes
    )
    if others:
        text = f"{', '.join(others)}, and {text}"
    highest = max(apart, key=lambda catapult: catapult.loss_ratio)
    return (
        f"{len(apart)} catapults follow from step {curves.at(first.start)} to step "
        f"{curves.at(last.end)}, {text}. In the largest, the loss {_peak(curves, highest)}."
        f"{flattened}"
    )


def _peak(curves: Trajectory, catapult: Catapult) -> str:
    """How high the loss rises; a log with few digits may have a minimum of 0."""
    if np.isfinite(catapult.loss_ratio):
        return f"peaks at {catapult.loss_ratio:.3g} times its previous minimum"
    return f"peaks at {curves.smooth_loss[catapult.peak]:.3g}, from a minimum of 0,"


def _flattened(curves: Trajectory, first: Catapult, last: Catapult) -> str:
    """The sharpness at the first crossing and at the end of the last catapult."""
    before, after = first.sharpness_before, last.sharpness_after
    if not np.isfinite(before + after):
        return ""
    verb = "falls" if after < before else "goes"
    measured = np.flatnonzero(np.isfinite(curves.ratio))
    around = measured[regimes.measured_within(measured, last.start, last.end)]
    return (
        f" From step {curves.at(first.crossing)} to step {curves.at(int(around[-1]))} the "
        f"{curves.sharpness_name} {verb} from {before:.3g} to {after:.3g}."
    )


def _edge(curves: Trajectory, events: Events, number: int) -> str:
    """The first stretch at the edge in full, the second in brief, the number of the others."""
    edge: Edge = events.edges[number]
    start, end = curves.at(edge.start), curves.at(edge.end)
    if number == 2:
        last = curves.at(events.edges[-1].end)
        return f"There are {len(events.edges)} such stretches; the last ends at step {last}."
    mean = f"{edge.mean_ratio:.2f} times the threshold on average"
    if number == 1:
        return (
            f"Training is at the edge of stability again from step {start} to step {end} ({mean})."
        )
    within = sum(edge.start <= catapult.peak <= edge.end for catapult in events.catapults)
    occur = "1 catapult occurs" if within == 1 else f"{within} catapults occur"
    count = f", and {occur} there" if within else ""
    return (
        f"Training enters the edge of stability at step {start}{_entry(events, edge)} and stays "
        f"there until step {end}. The {curves.sharpness_name} is {mean}{count}."
    )


def _entry(events: Events, edge: Edge) -> str:
    """What drives the entry, unless a catapult described before led to it."""
    described = events.apart and events.apart[0].start < edge.start
    return "" if described or edge.driver in ("start", "unknown") else f", {cause(edge)},"
