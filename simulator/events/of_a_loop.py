"""What the curvature of the step says of a log without a sharpness: spikes, and the warmup.

A probe of a training loop logs such a curvature; the sharpness is too dear there.
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

# The updates before a peak of the loss in which instability shows.
_BEFORE = 16
_MOST_STEPS = 4
_VERDICTS = {
    "instability": "by instability, with the {name} at up to {most:.3g} times 2 / eta in the {n} "
    "steps before the peak",
    "not instability": "not by instability, with the {name} at most {most:.3g} times 2 / eta in "
    "the {n} steps before the peak",
    "not judged": "for a reason not known, with nothing measured in the {n} steps before the peak",
}


def is_known_by_its_steps(curves: Trajectory) -> bool:
    """Whether the curvature of its steps was measured, and no sharpness."""
    unmeasured = not np.isfinite(curves.shown_sharpness).any()
    return unmeasured and ratios_of_the_step(curves) is not None


def verdict(curves: Trajectory, found: Catapult) -> str:
    """Whether an excursion of the loss is instability, in a word."""
    return _judged(curves, _peak(curves, found))[0]


def _judged(curves: Trajectory, peak: int) -> tuple[str, float]:
    """The same of a peak at this row, and the largest ratio before it."""
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
    """The row of the largest loss of an excursion: the smooth loss peaks later."""
    return found.start + int(np.nanargmax(curves.loss[found.start : found.end + 1]))


def of_the_spikes(curves: Trajectory, events: Events) -> str:
    """Which excursions of the loss were instability, and which were not."""
    if not events.apart:
        if events.stuck or events.diverged >= 0:
            return ""
        rise = f"{100 * (curves.rise - 1):.0f} %"
        return f"The {curves.loss_name} has no spike: it never rises by {rise} and comes back."
    ratios, peaks = ratios_of_the_step(curves), dict[str, list[tuple[int, float]]]()
    assert ratios is not None
    for found in events.apart:
        peak = _peak(curves, found)
        kind, most = _judged(curves, peak)
        peaks.setdefault(kind, []).append((curves.at(peak), most))
    parts = []
    for kind in (kind for kind in _VERDICTS if kind in peaks):
        steps, ratio = zip(*peaks[kind], strict=True)
        why = _VERDICTS[kind].format(name=ratios.name, most=max(ratio), n=_BEFORE)
        parts.append(f"{_times(len(steps))} {why} ({_listed(steps)})")
    return f"The {curves.loss_name} spikes and comes back {'; '.join(parts)}."


def of_the_warmup(curves: Trajectory) -> str:
    """Whether the warmup was still needed when it ended, and what starting at eta_c would save."""
    ramp, ratios = _ramp(curves), ratios_of_the_step(curves)
    if not ramp.size or ratios is None:
        return ""
    return " ".join(part for part in (_need(curves, ramp, ratios), _saving(curves, ramp)) if part)


def _need(curves: Trajectory, ramp: Array, ratios: Ratios) -> str:
    """By the curvature on the way, at the learning rate to come."""
    end, top, low = int(ramp[-1]), float(curves.eta[ramp[-1]]), regimes.AT_THRESHOLD[0]
    with np.errstate(divide="ignore", invalid="ignore"):
        ahead = ratios._replace(values=ratios.values * (top / curves.eta)).steadied().values
    rows = ramp[~np.isnan(ahead[ramp])]
    if not rows.size:
        return ""
    target = f"2 / {top:.3g}, its threshold at the full learning rate"
    above = rows[ahead[rows] > low]
    if not above.size:
        return (
            f"During the warmup the {ratios.name} is at most {ahead[rows].max():.3g} times "
            f"{target}: by this measure, no warmup was needed."
        )
    text = (
        f"When the warmup ends, at step {curves.at(end)}, the {ratios.name} is "
        f"{ahead[rows[-1]]:.3g} times {target}"
    )
    # As long again: after a catapult the curvature is low for a while.
    later = np.arange(end + 1, min(end + 1 + len(ramp), len(ahead)))
    later = later[ahead[later] > low]
    if above[-1] == rows[-1]:
        return f"{text}: the warmup was needed to its end."
    if later.size:
        back = curves.at(int(later[0]))
        return f"{text}, and above {low:g} times it again at step {back}: it was needed to its end."
    since = curves.at(int(rows[rows > above[-1]][0]))
    return (
        f"{text}. It has been below {low:g} times it since step {since}: by this measure, the "
        "warmup could have ended there."
    )


def _saving(curves: Trajectory, ramp: Array) -> str:
    """What a warmup that starts at eta_c leaves out: the updates below it."""
    found, name = _eta_c(curves)
    if not np.isfinite(found):
        return ""
    top, updates = float(curves.eta[ramp[-1]]), curves.at(int(ramp[-1])) - curves.at(0) + 1
    if found >= top:
        return f"At first {name} = {found:.3g}, above the full learning rate."
    below = ramp[curves.eta[ramp] < found]
    saved = curves.at(int(below[-1])) - curves.at(0) + 1 if below.size else 0
    return (
        f"At first {name} = {found:.3g}: a warmup that starts there saves {saved} of the {updates} "
        "updates."
    )


def _eta_c(curves: Trajectory) -> tuple[float, str]:
    """From the first measurement; to second order, where the critical sharpness is not known."""
    for curve, name in (
        (curves.critical_sharpness, "eta_c"),
        (curves.directional_sharpness, "eta_c, to second order,"),
    ):
        known = np.empty(0) if curve is None else curve[np.isfinite(curve)]
        if known.size and known[0] > 0:
            return float(STEP_LIMIT.eta(float(known[0]))), name
    return np.nan, ""


def _ramp(curves: Trajectory) -> Array:
    """The rows of the warmup, up to the first at the full learning rate; none without one."""
    rows = np.flatnonzero(np.isfinite(curves.eta))
    if rows.size:
        eta = curves.eta[rows]
        rows = rows[: int(np.argmax(eta >= eta.max() * (1 - 1e-9))) + 1]
    rising = rows.size > 1 and bool((np.diff(curves.eta[rows]) >= 0).all())
    return rows if rising else np.empty(0, dtype=int)


def _times(number: int) -> str:
    return {1: "once", 2: "twice"}.get(number, f"{number} times")


def _listed(steps: Sequence[int]) -> str:
    shown = ", ".join(map(str, steps[:_MOST_STEPS]))
    return f"step{'s' * (len(steps) > 1)} {shown}{', …' if len(steps) > _MOST_STEPS else ''}"
