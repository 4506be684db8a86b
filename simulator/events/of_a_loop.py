"""Spikes and warmup of a log that has the curvature along the step but no sharpness.

The probes of training loops log such a curvature, because the sharpness is too expensive there.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from simulator import regimes
from simulator.events.detect import Catapult, Events
from simulator.events.step_curvature import Ratios, ratios_of_the_step
from simulator.limits import STEP_LIMIT
from simulator.trajectory import Array, Trajectory

__all__ = ["is_known_by_its_steps", "of_the_spikes", "of_the_warmup", "verdict"]

# Instability shows in so many updates before a peak of the loss.
_BEFORE = 16
_MOST_STEPS = 4
_VERDICTS = {
    "instability": "caused by instability ({steps}): the {name} reaches {most:.3g} times 2 / eta "
    "in the {n} steps before a peak",
    "not instability": "not caused by instability ({steps}): the {name} is at most {most:.3g} "
    "times 2 / eta in the {n} steps before a peak",
    "not judged": "of unknown cause ({steps}): nothing was measured in the {n} steps before a peak",
}


def is_known_by_its_steps(curves: Trajectory) -> bool:
    """Whether the curvature along the steps was measured, but no sharpness."""
    unmeasured = not np.isfinite(curves.shown_sharpness).any()
    return unmeasured and ratios_of_the_step(curves) is not None


def verdict(curves: Trajectory, found: Catapult) -> str:
    """Whether instability caused an excursion of the loss: a key of ``_VERDICTS``."""
    return _judged(curves, _peak(curves, found))[0]


def _judged(curves: Trajectory, peak: int) -> tuple[str, float]:
    """The verdict on a peak at this row, and the largest ratio before it."""
    ratios = ratios_of_the_step(curves)
    near = curves.step[:peak] >= curves.at(peak) - _BEFORE
    known = np.empty(0) if ratios is None else ratios.values[:peak][near]
    known = known[~np.isnan(known)]
    if not known.size:
        return "not judged", np.nan
    most = float(known.max())
    unstable = most > regimes.AT_THRESHOLD[0]
    return ("instability" if unstable else "not instability"), most


def _peak(curves: Trajectory, found: Catapult) -> int:
    """The row of the largest loss of an excursion; the smoothed loss peaks later."""
    return found.start + int(np.nanargmax(curves.loss[found.start : found.end + 1]))


def of_the_spikes(curves: Trajectory, events: Events) -> str:
    """Which excursions of the loss were caused by instability."""
    if not events.apart:
        if events.stuck or events.diverged >= 0:
            return ""
        rise = f"{100 * (curves.rise - 1):.0f} %"
        return (
            f"The {curves.loss_name} has no spike: there is no rise by {rise} followed by a "
            "recovery."
        )
    ratios, peaks = ratios_of_the_step(curves), dict[str, list[tuple[int, float]]]()
    assert ratios is not None
    for found in events.apart:
        peak = _peak(curves, found)
        kind, most = _judged(curves, peak)
        peaks.setdefault(kind, []).append((curves.at(peak), most))
    parts = []
    for kind in (kind for kind in _VERDICTS if kind in peaks):
        steps, ratio = zip(*peaks[kind], strict=True)
        why = _VERDICTS[kind].format(
            name=ratios.name, most=max(ratio), n=_BEFORE, steps=_listed(steps)
        )
        parts.append(f"{len(steps)} {'is' if len(steps) == 1 else 'are'} {why}.")
    spikes = f"{len(events.apart)} spike{'s' * (len(events.apart) > 1)}"
    if len(peaks) == 1:
        return f"The {curves.loss_name} has {spikes}, {why}."
    return " ".join([f"The {curves.loss_name} has {spikes}.", *parts])


def of_the_warmup(curves: Trajectory) -> str:
    """Whether the warmup could have ended earlier, and the updates saved by a start at eta_c."""
    ramp, ratios = _ramp(curves), ratios_of_the_step(curves)
    if not ramp.size or ratios is None:
        return ""
    need, needed = _need(curves, ramp, ratios)
    return " ".join(part for part in (need, _saving(curves, ramp, needed)) if part)


def _need(curves: Trajectory, ramp: Array, ratios: Ratios) -> tuple[str, bool]:
    """Compare the curvature during warmup with the threshold at its end; whether it was needed."""
    end, top, low = int(ramp[-1]), float(curves.eta[ramp[-1]]), regimes.AT_THRESHOLD[0]
    with np.errstate(divide="ignore", invalid="ignore"):
        ahead = ratios._replace(values=ratios.values * (top / curves.eta)).steadied().values
    rows = ramp[~np.isnan(ahead[ramp])]
    if not rows.size:
        return "", False
    target = f"2 / {top:.3g}, the threshold at the largest learning rate"
    above = rows[ahead[rows] > low]
    if not above.size:
        return (
            f"During the warmup the {ratios.name} is at most {ahead[rows].max():.3g} times "
            f"{target}. By this measure no warmup was needed.",
            False,
        )
    text = (
        f"At the end of the warmup (step {curves.at(end)}) the {ratios.name} is "
        f"{ahead[rows[-1]]:.3g} times {target}"
    )
    # Look ahead by the length of the warmup: the curvature is low for a while after a catapult.
    later = np.arange(end + 1, min(end + 1 + len(ramp), len(ahead)))
    later = later[ahead[later] > low]
    needed = "By this measure the warmup could not have ended earlier."
    if above[-1] == rows[-1]:
        return f"{text}. {needed}", True
    if later.size:
        back = curves.at(int(later[0]))
        again = f"It exceeds {low:g} times that threshold again at step {back}."
        return f"{text}. {again} {needed}", True
    since = curves.at(int(rows[rows > above[-1]][0]))
    return (
        f"{text}. It is below {low:g} times that threshold from step {since} on. By this measure "
        "the warmup could have ended there.",
        True,
    )


def _saving(curves: Trajectory, ramp: Array, needed: bool) -> str:
    """How many updates a warmup that starts at eta_c saves: those below it."""
    found, order = _eta_c(curves)
    if not np.isfinite(found):
        return ""
    top, updates = float(curves.eta[ramp[-1]]), curves.at(int(ramp[-1])) - curves.at(0) + 1
    initial = f"The initial critical learning rate is eta_c = {found:.3g}{order}"
    if found >= top:
        rises = ": the curvature rises during the warmup" * needed
        return f"{initial}, which is above the largest learning rate{rises}."
    below = ramp[curves.eta[ramp] < found]
    saved = curves.at(int(below[-1])) - curves.at(0) + 1 if below.size else 0
    return f"{initial}. A warmup that starts there saves {saved} of the {updates} updates."


def _eta_c(curves: Trajectory) -> tuple[float, str]:
    """From the first measurement of the critical sharpness, or to second order."""
    for curve, order in (
        (curves.critical_sharpness, ""),
        (curves.directional_sharpness, " (to second order)"),
    ):
        known = np.empty(0) if curve is None else curve[np.isfinite(curve)]
        if known.size and known[0] > 0:
            return float(STEP_LIMIT.eta(float(known[0]))), order
    return np.nan, ""


def _ramp(curves: Trajectory) -> Array:
    """The rows of the warmup, up to the first at the largest rate; empty without a warmup."""
    rows = np.flatnonzero(np.isfinite(curves.eta))
    if rows.size:
        eta = curves.eta[rows]
        rows = rows[: int(np.argmax(eta >= eta.max() * (1 - 1e-9))) + 1]
    rising = rows.size > 1 and bool((np.diff(curves.eta[rows]) >= 0).all())
    return rows if rising else np.empty(0, dtype=int)


def _listed(steps: Sequence[int]) -> str:
    shown = ", ".join(map(str, steps[:_MOST_STEPS]))
    return f"step{'s' * (len(steps) > 1)} {shown}{', …' if len(steps) > _MOST_STEPS else ''}"
