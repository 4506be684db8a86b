"""Scale-invariant weights: their norm, the rotation by an update, and the effect of warmup.

A block w of weights is scale-invariant if the loss of c w, c > 0, is that of w: weights before a
normalisation without eps. Then w.g = 0, H w = -g, g(c w) = g(w) / c and H(c w) = H(w) / c^2, on any
batch. ``norm`` is r = |w|, and ``unit_gradient`` is r |g|, the gradient's norm where |w| = 1: a
function of the direction only. a = 1 - eta kappa with decoupled weight decay kappa. Statements on
single updates hold under any schedule and any noise. Derived here; the equilibrium rotation of
AdamW is that of Kosson, Messmer & Jaggi (2305.17212).
"""

from __future__ import annotations

import numpy as np

from simulator.arrays import Array, Real
from simulator.theory.domain import domain
from simulator.theory.product import product

__all__ = [
    "equilibrium_norm", "equilibrium_rotation", "largest_rotation_of_a_ramp", "next_norm",
    "norm_from_rotations", "relaxation", "rotation",
]  # fmt: skip

NORM, GRADIENT = "1e-40 <= norm <= 1e40", "0 <= unit_gradient <= 1e40"
ETA, DECAY = "0 <= eta <= 1e40", "0 <= decay <= 2 / max(eta, 1e-40)"
RATE, DECAYING = "1e-40 <= eta <= 1e40", "1e-60 <= decay <= 1 / eta"
POSITIVE, ANGLE = "0 <= result <= inf", "0 <= result <= 3.2"


@domain(NORM, GRADIENT, ETA, DECAY, gives=POSITIVE)
def next_norm(norm: Real, unit_gradient: Real, eta: Real, decay: Real = 0.0) -> Array:
    """|w| after an update of gradient descent: r'^2 = a^2 r^2 + (eta |g|)^2, as w.g = 0."""
    return np.hypot((1.0 - eta * decay) * norm, eta * unit_gradient / norm)


@domain(NORM, GRADIENT, ETA, DECAY, gives=ANGLE)
def rotation(norm: Real, unit_gradient: Real, eta: Real, decay: Real = 0.0) -> Array:
    """Angle between w before and after an update: tan = eta |g| / (a r), cos = a r / r'.

    It is below pi / 2 at every eta while eta kappa < 1: an update cannot reverse such weights.
    """
    return np.arctan2(eta * unit_gradient / norm, (1.0 - eta * decay) * norm)


@domain("0 <= rotations(T) <= 1.57", "0 <= eta(T) <= 1e40", "0 <= decay <= 1e40", gives=POSITIVE)
def norm_from_rotations(rotations: Array, eta: Array, decay: Real = 0.0) -> Array:
    """r_T / r_0 from the angles of T updates and their learning rates: prod |a_t| / cos theta_t.

    Without decay the norm measures the total rotation, under any schedule and noise.
    """
    return product(np.abs(1.0 - eta * decay) / np.cos(rotations))


@domain(GRADIENT, RATE, DECAYING, "0 <= beta < 1", gives=POSITIVE)
def equilibrium_norm(unit_gradient: Real, eta: Real, decay: Real, beta: Real = 0.0) -> Array:
    """|w| at which decay balances the gradient: r^4 = (r |g|)^2 eta / (kappa (2 - eta kappa)).

    For a constant ``unit_gradient``. With heavy-ball momentum it is divided by sqrt(1 - beta), if
    gradients are white; those of networks are not.
    """
    square = np.sqrt(eta / decay) / np.sqrt(2.0 - eta * decay)
    return np.sqrt(unit_gradient) * np.sqrt(square) / np.sqrt(1.0 - beta)


@domain(RATE, DECAYING, "0 <= beta < 1", gives=ANGLE)
def equilibrium_rotation(eta: Real, decay: Real, beta: Real = 0.0) -> Array:
    """Angle of an update at equilibrium: arccos(1 - eta kappa), about sqrt(2 eta kappa).

    For gradient descent and any gradient. With momentum or Adam's moving average it is sqrt((1 -
    beta) / (1 + beta)) times that in the root mean square, if gradients are white and eta kappa is
    small.
    """
    # arccos(1 - x), without cancelling where x is small.
    angle = 2.0 * np.arcsin(np.sqrt(np.minimum(0.5 * eta * decay, 1.0)))
    return angle * np.sqrt((1.0 - beta) / (1.0 + beta))


@domain(RATE, DECAYING, gives="-1 <= result <= 1")
def relaxation(eta: Real, decay: Real) -> Real:
    """Factor by which an update multiplies a small r^2 - r*^2: 2 a^2 - 1.

    A time of 1 / (4 eta kappa) updates; it oscillates where a^2 < 1/2.
    """
    return 2.0 * (1.0 - eta * decay) ** 2 - 1.0


@domain(NORM, GRADIENT, ETA, "1 <= t_wrm <= 2**53", gives=POSITIVE)
def largest_rotation_of_a_ramp(
    norm: Real, unit_gradient: Real, eta: Real, t_wrm: Real
) -> tuple[Array, Array]:
    """Largest angle of an update in a linear warmup from 0 without decay, and that update.

    (s / (sqrt 3 r_0^2))^(1/3) at t = (3 r_0^4 / s^2)^(1/3), s = eta r |g| / t_wrm: the cube root of
    the slope, because the norm has grown by then. Accurate for 3 < t < t_wrm; from r^4 = r_0^4 + 2
    s^2 t^3 / 3, the flow of `next_norm`.
    """
    slope = eta * unit_gradient / t_wrm / norm / norm
    return np.cbrt(slope / np.sqrt(3.0)), np.cbrt(3.0) / np.cbrt(slope) ** 2
