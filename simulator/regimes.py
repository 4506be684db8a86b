"""What happened in a run: the definitions, each in one place, as functions of its curves.

Curves are per step and hold values before that step's update; a sharpness that was not measured
is NaN. ``ratio`` is sharpness / threshold, the distance to instability: a quadratic with this
Hessian is unstable where it exceeds 1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "EDGE", "LAST_LOSSES", "NATURAL_PHASES", "OUTCOMES", "RISE", "TREND", "VANISHED", "Catapult",
    "catapults", "natural_phase", "outcome", "trainable",
]  # fmt: skip

Curve = NDArray[np.float64]

OUTCOMES = {
    "stable": "trained, and at the end below the threshold; never left it by a catapult",
    "catapult": "trained, and at the end below the threshold, after one catapult or more",
    "edge_of_stability": "trained, and at the end still at the threshold or crossing it",
    "diverged": "the loss stopped being finite",
    "stuck": "finite but not trained, or frozen at an unstable minimum by a vanished gradient",
    "unknown": "trained, but no sharpness was measured to judge its stability by",
}

NATURAL_PHASES = {
    "progressive_sharpening": "before the first crossing of the threshold the sharpness rose",
    "sharpness_reduction": "before the first crossing of the threshold the sharpness fell",
    "constant": "before the first crossing of the threshold it stayed within 5 %",
    "unknown": "the threshold was crossed from the start, or no sharpness was measured",
}

# A rise of the loss by 10 % makes a catapult: the delta of Kalra & Barkeshli's search.
RISE = 1.1
TREND = 0.05
# Most late ratios above this, once 1 was crossed: hovering. Physics of the edge has 0.91 to 2.1.
EDGE = 0.9
LAST_LOSSES = 32
# Below this fraction of the initial loss nothing is left but rounding; so where it stands still.
VANISHED = 1e-20


@dataclass(frozen=True)
class Catapult:
    """The loss leaves its running minimum at ``start``, peaks, and is back at ``end``."""

    start: int
    peak: int
    end: int


def catapults(loss: Curve, ratio: Curve | None = None) -> list[Catapult]:
    """Excursions of the loss by more than 10 % above its running minimum that come back to it.

    In the measurements from the last one before the start to the first one after the end the ratio
    must have exceeded 1: momentum and minibatches make the loss rise below the threshold too, and
    that is no catapult. Where it was never measured, the loss alone must do. Nor is a catapult an
    excursion that has not come back by the last step, or that killed the network: a dead one comes
    back as well, to the loss of its constant output, and never moves again.

    Parameters
    ----------
    loss, ratio : arrays, shape (steps,)
    """
    found = []
    start = peak = 0
    measured = np.flatnonzero(np.isfinite(ratio)) if ratio is not None else np.empty(0, dtype=int)
    lost = np.flatnonzero(~np.isfinite(loss))
    for step in range(1, int(lost[0]) if lost.size else len(loss)):
        if loss[step] > loss[start]:
            peak = step if peak == start or loss[step] > loss[peak] else peak
            continue
        if peak > start and loss[peak] > RISE * loss[start]:
            before = max(int(np.searchsorted(measured, start, "right")) - 1, 0)
            around = measured[before : int(np.searchsorted(measured, step)) + 1]
            dead = step + 1 < len(loss) and (loss[step:] == loss[step]).all()
            if not dead and (ratio is None or not around.size or ratio[around].max() > 1):
                found.append(Catapult(start, peak, step))
        start = peak = step
    return found


def natural_phase(sharpness: Curve, ratio: Curve) -> str:
    """The trend of the sharpness from the start to the last measurement before ratio exceeds 1.

    One of ``NATURAL_PHASES``. It speaks for the stretch of training that this run spent below the
    threshold, however short: a fast warmup shows only the first steps.
    """
    measured = np.isfinite(sharpness) & np.isfinite(ratio)
    values, above = sharpness[measured], ratio[measured] > 1
    before = values[: int(np.argmax(above))] if above.any() else values
    if len(before) < 2 or not before[0] > 0:
        return "unknown"
    change = before[-1] / before[0] - 1
    if abs(change) <= TREND:
        return "constant"
    return "progressive_sharpening" if change > 0 else "sharpness_reduction"


def trainable(loss: Curve, baseline: float | None) -> bool:
    """Finite, and most of the last 32 losses are 10 % below the best constant output's.

    ``baseline`` is that output's loss. The initial loss would not do: a dead network has the loss
    of the zero output, which may be a small fraction of the initial one. It serves only where no
    constant is worth anything (None) or where a constant is already perfect (0).
    """
    if not np.isfinite(loss).all() or loss.min() < 0:
        return False
    reference = baseline if baseline else loss[0]
    return bool(np.mean(loss[-LAST_LOSSES:] < 0.9 * reference) > 0.5)


def outcome(loss: Curve, ratio: Curve, *, diverged: bool, trained: bool, n_catapults: int) -> str:
    """One of ``OUTCOMES``. "Late" is the last quarter of the measured steps.

    Stability is judged by the late ratios, never by a finite loss: a deterministic run whose
    residual has underflowed to nothing sits still at a minimum that the slightest noise would
    leave. Such a run is stuck if its last ratio exceeds 1.
    """
    if diverged:
        return "diverged"
    if not trained:
        return "stuck"
    measured = np.flatnonzero(np.isfinite(ratio))
    if not measured.size:
        return "unknown"
    late = measured[-max(1, len(measured) // 4) :]
    end = loss[late[0] :]
    if end.max() <= VANISHED * loss[0] or (len(end) > 1 and np.ptp(end) == 0):
        if ratio[measured[-1]] > 1:
            return "stuck"
    elif ratio[measured].max() > 1 and (ratio[late].max() > 1 or np.mean(ratio[late] > EDGE) > 0.5):
        return "edge_of_stability"
    return "catapult" if n_catapults else "stable"
