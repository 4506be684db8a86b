"""The central flow in one direction, and what it cannot see: delay, overshoot, exact 2-cycles.

At the edge of stability gradient descent oscillates along the top eigenvector u about a centre that
moves slowly. The central flow (Cohen, Damian, Talwalkar, Kolter & Lee, 2410.24206) moves the centre
by the mean gradient, g + sigma^2 grad S / 2, with the variance sigma^2 that keeps the sharpness S
at 2 / eta. alpha = -g . grad S is the rate at which training sharpens, beta = |grad S|^2, and
ramp = eta_{t+1} - eta_t; x is the displacement along u, delta = sigma its size at rest, and a kick
the displacement that rounding or noise adds in each update.
"""

from __future__ import annotations

import numpy as np

from simulator.arrays import Real
from simulator.theory.domain import domain
from simulator.theory.stabilization import effective_drive

__all__ = [
    "delay", "kappa", "overshoot", "quartic_centre", "rod_fixed_point", "uv_centre",
    "uv_cycle", "variance",
]  # fmt: skip

ALPHA, BETA = "-1e40 <= alpha <= 1e40", "0 < beta <= 1e40"
ETA, RAMP = "0 < eta <= 1e40", "-eta < ramp <= 1e40"
KICK = "0 < kick <= delta"
POSITIVE = "0 <= result <= inf"


@domain(ALPHA, BETA, ETA, RAMP, gives=POSITIVE)
def variance(alpha: Real, beta: Real, eta: Real, ramp: Real = 0.0) -> Real:
    """sigma^2 = (2 / beta) max(0, alpha + 2 ramp / (eta^2 (eta + ramp))).

    Holds S at the threshold, which falls from 2 / eta to 2 / (eta + ramp). 0 where S falls faster
    than the threshold: the flow then leaves it. Derived here; 2410.24206 has a constant eta.
    """
    return 2.0 * np.maximum(effective_drive(alpha, eta, ramp), 0.0) / beta


@domain(ALPHA, ETA, RAMP, gives=POSITIVE)
def kappa(alpha: Real, eta: Real, ramp: Real = 0.0) -> Real:
    """Kappa = eta sqrt(alpha + 2 ramp / (eta^2 (eta + ramp))), 0 where that is negative.

    sqrt(2) kappa is the angular frequency, per update, of the cycle about the threshold
    (`stabilization.cycle_period`): a flow of averages over it needs kappa << 1. Derived here.
    """
    return eta * np.sqrt(np.maximum(effective_drive(alpha, eta, ramp), 0.0))


@domain("0 <= kappa", "0 < delta", KICK, gives=POSITIVE)
def overshoot(kappa: Real, delta: Real, kick: Real) -> Real:
    """Peak of S eta / 2 - 1 in the first catapult: kappa sqrt(ln(delta / kick) / 2).

    From first contact the excess y of S grows as eta alpha t and the displacement by the factor 1 +
    eta y, from ``kick`` to delta, where it makes y decrease. In double precision a kick is
    rounding, 1e-16 of a weight: about 4 kappa. Derived here, to leading order in kappa.
    """
    return kappa * np.sqrt(0.5 * _log_ratio(delta, kick))


@domain("0 <= kappa", "0 < delta", KICK, gives=POSITIVE)
def delay(kappa: Real, delta: Real, kick: Real) -> Real:
    """Updates from first contact to that peak: sqrt(2 ln(delta / kick)) / kappa.

    As for `overshoot`; 0 where the displacement starts at delta.
    """
    growth = np.sqrt(2.0 * _log_ratio(delta, kick))
    return np.where(growth > 0.0, growth / kappa, 0.0)[()]


def _log_ratio(delta: Real, kick: Real) -> Real:
    """ln(delta / kick), which a quotient of any two sizes could overflow."""
    return np.maximum(np.log(delta) - np.log(kick), 0.0)


@domain(
    "1e-40 <= eta <= 1e40", "2 / eta <= curvature <= 1e80", "1e-40 <= q <= 1e40", gives=POSITIVE
)
def rod_fixed_point(curvature: Real, q: Real, eta: Real) -> Real:
    """Squared half-difference of the 2-cycle on S w^2 / 2 - Q w^4 / 4: S / Q - 2 / (eta Q).

    Rod flow (Regis & Chewi, 2602.01480) follows both ends of the step, so every 2-cycle of gradient
    descent is a fixed point of it: w -> -w where S - Q w^2 = 2 / eta.
    """
    return np.maximum(curvature - 2.0 / eta, 0.0) / q


@domain(
    "1e-40 <= eta <= 1e40", "2 / eta <= curvature <= 1e80", "1e-40 <= q <= 1e40", gives=POSITIVE
)
def quartic_centre(curvature: Real, q: Real, eta: Real) -> tuple[Real, Real]:
    """Fixed point w^2 and sigma^2 of the central flow on S w^2 / 2 - Q w^4 / 4.

    S - 3 Q w^2 = 2 / eta and sigma^2 = (S - Q w^2) / (3 Q): wrong, as the cycle there is about
    w = 0, where the third derivative vanishes and the fourth decides. Derived here.
    """
    square = np.maximum(curvature - 2.0 / eta, 0.0) / (3.0 * q)
    return square, (curvature / q - square) / 3.0


@domain("1e-40 <= eta <= 1e40", "1 / eta <= y <= 1e80", gives=POSITIVE)
def uv_cycle(y: Real, eta: Real) -> tuple[Real, Real, Real]:
    """Centre^2, half-difference^2 and mean loss of the 2-cycle on (u v - y)^2 / 2 with u = v.

    (y + 3 / eta) / 4 and (y - 1 / eta) / 4 for each weight, and (y^2 - 1 / eta^2) / 4: exact, and
    stable for 1 < eta y < sqrt(5) - 1. Derived here.
    """
    inverse = 1.0 / eta
    half = 0.25 * np.maximum(y - inverse, 0.0)
    return 0.25 * (y + 3.0 * inverse), half, half * (y + inverse)


@domain("1e-40 <= eta <= 1e40", "1 / eta <= y <= 1e80", gives=POSITIVE)
def uv_centre(y: Real, eta: Real) -> tuple[Real, Real, Real]:
    """Centre^2, tr Sigma and predicted loss at the fixed point of the central flow on that loss.

    (y + 2 / eta) / 3, (4 / 9) (y - 1 / eta) and (2 / 9) (y^2 - 1 / eta^2). Trace and loss are 8/9
    of those of `uv_cycle` at any amplitude: the fourth derivative enters at the same order.
    Derived here.
    """
    inverse = 1.0 / eta
    above = np.maximum(y - inverse, 0.0)
    return (y + 2.0 * inverse) / 3.0, above * 4.0 / 9.0, above * (y + inverse) * (2.0 / 9.0)
