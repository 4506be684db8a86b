"""Self-stabilisation: the reduced model of one catapult, and what warmup adds to it.

Damian, Nichani & Lee (2209.15594) follow gradient descent where the sharpness S crosses 2 / eta:
x is the displacement along the top eigenvector u, y = S - 2 / eta the excess sharpness,
alpha = -grad L . grad S the rate at which training sharpens by itself, beta = |grad S|^2 (both
across u). Then x' = -(1 + eta y) x and y' = y + eta (alpha - beta x^2 / 2): sharpness rises, x
blows up, the cubic term of the loss brings the sharpness down, x falls. X = |x| throughout.
"""

from __future__ import annotations

import numpy as np
from scipy.special import xlogy

from simulator.arrays import Array, Real
from simulator.theory.domain import domain

__all__ = [
    "amplitude", "catapults", "critical_ramp", "cycle_energy", "cycle_period",
    "damped_cycle_decays", "effective_drive", "jacobian", "mean_square", "outward_spiral",
    "reduced_step", "toy_gradient", "toy_loss", "x_peak", "y_peak",
]  # fmt: skip

X, Y = "-1e40 <= x <= 1e40", "-1e40 <= y <= 1e40"
SHARPENING, ALPHA, BETA = "0 <= alpha", "-1e40 <= alpha <= 1e40", "0 < beta <= 1e40"
TOY = (X, *(f"-1e40 <= {name} <= 1e40" for name in ("w", "curvature", "g", "h")))
DAMPING = "0 <= damping <= 1e40"
POSITIVE = "0 <= result <= inf"


@domain(X, Y, ALPHA, BETA, "0 <= eta <= 1e40", DAMPING)
def reduced_step(
    x: Real, y: Real, alpha: Real, beta: Real, eta: Real, damping: Real = 0.0
) -> tuple[Real, Real]:
    """One update: x' = -(1 + eta y) x, y' = y + eta (alpha - damping y - beta x^2 / 2).

    Damian et al., section 4, with damping 0. Under a schedule alpha is `effective_drive`.
    """
    return -(1.0 + eta * y) * x, y + eta * (alpha - 0.5 * beta * x**2 - damping * y)


@domain(SHARPENING, "0 < beta", gives=POSITIVE)
def amplitude(alpha: Real, beta: Real) -> Real:
    """delta = sqrt(2 alpha / beta), where X is constant (y = 0) while x alternates in sign.

    The force of the cubic term there cancels progressive sharpening (Damian et al.). If the
    sharpness decreases naturally (alpha < 0), there is no such point.
    """
    return np.sqrt(2.0) * np.sqrt(alpha) / np.sqrt(beta)


@domain(X, Y, "0 <= alpha <= 1e40", BETA, gives=POSITIVE)
def cycle_energy(x: Real, y: Real, alpha: Real, beta: Real) -> Real:
    """E = y^2 + alpha (q - ln q - 1), q = X^2 / delta^2: constant along a cycle as eta -> 0.

    dX/dt = eta y X and dy/dt = eta (alpha - beta X^2 / 2) cancel in dE/dt. At alpha = 0, for a
    single catapult, it is y^2 + beta X^2 / 2.
    """
    stored = 0.5 * beta * np.square(x)
    driven = stored - alpha - (xlogy(alpha, stored) - xlogy(alpha, alpha))
    return np.square(y) + np.maximum(driven, 0.0)


@domain("0 <= energy", gives=POSITIVE)
def y_peak(energy: Real) -> Real:
    """Largest excess sharpness of a cycle: sqrt(E), as X passes delta; the least is -sqrt(E)."""
    return np.sqrt(energy)


@domain("0 <= energy", SHARPENING, "0 < beta", gives=POSITIVE)
def x_peak(energy: Real, alpha: Real, beta: Real) -> Real:
    """Largest X of a cycle, at y = 0: delta sqrt(q) with q > 1 and q - ln q = 1 + E / alpha.

    With q = 1 + r, Newton's method decreases to the root of r - ln(1 + r) = E / alpha, never below
    it, from the bound r <= E / alpha + sqrt(2 E / alpha) (Chatzigeorgiou, arXiv:1601.04895);
    scipy's lambertw is 1e-5 off beside its branch point, E = 0. sqrt(2 E / beta) at alpha = 0.
    """
    depth = energy / alpha
    r = depth + np.sqrt(2.0 * depth)
    for _ in range(6):
        r -= (r - np.log1p(r) - depth) * (1.0 + 1.0 / r)
    log_q = np.where(np.isfinite(r), np.log1p(r), 0.0)
    return np.sqrt(2.0) * np.sqrt(energy + alpha * (1.0 + log_q)) / np.sqrt(beta)


@domain(SHARPENING, "0 <= eta", gives=POSITIVE)
def cycle_period(alpha: Real, eta: Real) -> Real:
    """Updates of a small cycle about the fixed point: 2 pi / (eta sqrt(2 alpha))."""
    return np.sqrt(2.0) * np.pi / (eta * np.sqrt(alpha))


@domain("0 <= alpha <= 1e40", BETA, "0 <= eta <= 1e40")
def jacobian(alpha: Real, beta: Real, eta: Real) -> Array:
    """Map of (X, y) about the fixed point: [[1, eta delta], [-eta beta delta, 1]] (..., 2, 2)."""
    delta = amplitude(alpha, beta)
    entries = np.broadcast_arrays(1.0, eta * delta, -eta * beta * delta, 1.0)
    return np.stack(entries, axis=-1).reshape(*entries[0].shape, 2, 2)


@domain(SHARPENING, "0 <= eta", gives="1 <= result <= inf")
def outward_spiral(alpha: Real, eta: Real) -> Real:
    """Factor by which an update moves away from the fixed point: sqrt(1 + 2 eta^2 alpha).

    The modulus of the eigenvalues 1 +- i eta sqrt(2 alpha) of `jacobian`: the reduced map blows up
    after about 1 / (eta^2 alpha) updates, where real networks have terms that damp.
    """
    return np.hypot(1.0, np.sqrt(2.0) * eta * np.sqrt(alpha))


@domain("0 < alpha", "0 < eta", "0 <= damping")
def damped_cycle_decays(eta: Real, alpha: Real, damping: Real) -> Array:
    """Whether a small cycle decays: 2 eta alpha < damping < 2 / eta + eta alpha.

    ``damping`` is the decay rate of y; it does not change the fixed point. The map of (ln X, y)
    there is [[1, eta], [-2 eta alpha, 1 - eta damping]]: its determinant is 1 at the lower bound,
    and at the upper one y changes its sign at each update. Derived here.
    """
    above = np.less(2.0 * eta * alpha, damping)
    return np.logical_and(above, np.less(damping, 2.0 / eta + eta * alpha))


@domain(
    ALPHA,
    BETA,
    "0 < eta <= 1e40",
    "1 <= updates <= 2**53",
    "-inf < y_change <= alpha * eta * updates",
    gives=POSITIVE,
)
def mean_square(alpha: Real, beta: Real, eta: Real, updates: Real, y_change: Real = 0.0) -> Real:
    """Exact mean of x_t^2 over ``updates`` in which y changes by ``y_change``.

    2 / beta (alpha - y_change / (eta T)): the sum of y' - y. Over whole cycles it is delta^2, the
    variance that keeps the sharpness at 2 / eta: the central flow of Cohen et al. (2410.24206) in
    one direction.
    """
    drift = y_change / (eta * updates)
    return 2.0 * np.maximum(alpha - drift, 0.0) / beta


@domain(ALPHA, "0 < eta <= 1e300", "-eta < ramp <= 1e300")
def effective_drive(alpha: Real, eta: Real, ramp: Real) -> Real:
    """Alpha under a schedule: alpha + 2 ramp / (eta^2 (eta + ramp)), ramp = eta_{t+1} - eta_t.

    With y_t = S_t - 2 / eta_t the falling threshold adds 2 / eta_t - 2 / eta_{t+1} to y', exactly;
    alpha + 2 (d eta/dt) / eta^3 for slow ramps. Derived here: warmup drives the same cycle whether
    the sharpness rises towards the threshold (alpha > 0), falls (alpha < 0) or is constant.
    """
    return alpha + ramp / (eta + ramp) * 2.0 / eta / eta


@domain("-inf < alpha", "0 <= eta", gives=POSITIVE)
def critical_ramp(alpha: Real, eta: Real) -> Real:
    """Increment of eta that makes `effective_drive` vanish: |alpha| eta^3 / (2 - |alpha| eta^2).

    About |alpha| eta^3 / 2. If the sharpness decreases naturally (alpha < 0), a slower warmup
    follows it without a catapult. 0 where alpha >= 0; inf where |alpha| eta^2 >= 2, because an
    update moves the threshold by less than 2 / eta.
    """
    fall = np.maximum(-alpha, 0.0) * eta * eta
    return np.where(fall < 2.0, eta * fall / (2.0 - fall), np.inf)


@domain(ALPHA, "0 < eta <= 1e300", "-eta < ramp <= 1e300")
def catapults(alpha: Real, eta: Real, ramp: Real) -> Real:
    """Whether training is driven over the edge again and again: `effective_drive` > 0.

    The regimes of Kalra & Barkeshli (2406.09405, section 4.1). C1, progressive sharpening (alpha >
    0): always. C2, sharpness reduction (alpha < 0): while warmup is faster than `critical_ramp`.
    C3, constant sharpness (alpha = 0): only during warmup.
    """
    return effective_drive(alpha, eta, ramp) > 0


@domain(*TOY, DAMPING)
def toy_loss(x: Real, w: Real, curvature: Real, g: Real, h: Real, damping: Real = 0.0) -> Real:
    """L = (S_0 + g w) x^2 / 2 - h w + damping w^2 / 2: descent on it is the reduced map, exactly.

    With S = S_0 + g w: y = S - 2 / eta, alpha = g h, beta = g^2. Derived here: x' = (1 - eta S) x
    and w' = w + eta (h - g x^2 / 2 - damping w); with damping S_0 must be 2 / eta.
    """
    return 0.5 * (curvature + g * w) * x**2 - h * w + 0.5 * damping * w**2


@domain(*TOY, DAMPING)
def toy_gradient(
    x: Real, w: Real, curvature: Real, g: Real, h: Real, damping: Real = 0.0
) -> tuple[Real, Real]:
    """dL/dx = S x and dL/dw = g x^2 / 2 - h + damping w of `toy_loss`."""
    return (curvature + g * w) * x, 0.5 * g * x**2 - h + damping * w
