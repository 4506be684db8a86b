"""One example in the UV model: the exact map, its spectrum, its limits, its divergence.

f = c v . U x with width n, c = n^(-(1-s)/2) and any weights; L = delta^2 / 2, delta = f - y.
With u = U x / |x| and kappa = c |x|, the sum and the difference of the layers,
p = (u + v) / sqrt(2) and q = (u - v) / sqrt(2), carry the two modes

    A = kappa^2 |p|^2,  B = kappa^2 |q|^2,  lam = A + B,  f = (A - B) / (2 kappa),

lam = kappa^2 (|u|^2 + |v|^2) is the NTK trace |df/dtheta|^2; it equals the Hessian sharpness only
at delta = 0. A state is (delta, lam); states of actual weights have lam >= 2 kappa |f|. At constant
eta everything depends on a = eta A, b = eta B and mu = eta kappa y; eps = eta kappa delta = (a - b)
/ 2 - mu, S = eta lam = a + b.

The setting is that of Kalra, He and Barkeshli (2311.02076) and, at y = 0, of Lewkowycz et al.
(2003.02218). Results without a source are derived here, with their proofs. Everything broadcasts.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import ndtr

from simulator.arrays import Array, Real
from simulator.theory.domain import domain

__all__ = [
    "coupling", "dimensionless", "edge_is_reachable", "eta_ceiling", "eta_edge", "eta_loss",
    "eta_max", "first_step_ratio", "fixed_points", "flattest_minimum", "flow", "flow_limit",
    "flow_on_manifold", "hessian_spectrum", "initial_moments", "invariant", "invariant_ratio",
    "is_bounded", "jacobian", "late_phase", "loss_cap", "mode_step", "modes",
    "reduction_probability", "residual", "sharpness", "sharpness_drift", "squared_alignment",
    "step", "step_size_bias", "trace_drift",
]  # fmt: skip

# Sizes whose products do not overflow. Weights make the states of STATE; a map takes any.
DELTA, TARGET = "-1e40 <= delta <= 1e40", "-1e40 <= y <= 1e40"
COUPLING, ETA = "0 <= kappa <= 1e40", "0 <= eta <= 1e40"
STATE = (DELTA, COUPLING, TARGET, "2 * kappa * abs(delta + y) <= lam <= 1e160")
ANY_STATE = (DELTA, "-1e160 <= lam <= 1e160", COUPLING, TARGET)
MODES = ("0 <= a <= 1e150", "0 <= b <= 1e150")
NETWORKS = ("1 <= width", "0 <= s <= 1", "0 <= var_w", "0 <= chi")
POSITIVE = "0 <= result <= inf"


@domain("1 <= width", "0 <= s <= 1", "0 <= chi", gives=POSITIVE)
def coupling(width: Real, s: Real, chi: Real) -> Any:
    """kappa = sqrt(chi) n^(-(1-s)/2), chi = |x|^2: the only dependence of the map on n."""
    return np.sqrt(chi) * np.power(width, -0.5 * (1.0 - s))


@domain(*STATE, gives=POSITIVE)
def modes(delta: Real, lam: Real, kappa: Real, y: Real) -> tuple[Any, Any]:
    """A, B = lam / 2 +- kappa f: the shares of sum and difference of the layers in the trace."""
    first, second = _modes(delta, lam, kappa, y)
    # Rounding may leave the mode that is dead a little below 0.
    return np.maximum(first, 0.0), np.maximum(second, 0.0)


def _modes(delta: Real, lam: Real, kappa: Real, y: Real) -> tuple[Any, Any]:
    f = delta + y
    return 0.5 * lam + kappa * f, 0.5 * lam - kappa * f


@domain(*STATE, ETA)
def dimensionless(delta: Real, lam: Real, kappa: Real, y: Real, eta: Real) -> tuple[Any, Any, Any]:
    """(a, b, mu) = (eta A, eta B, eta kappa y): training at constant eta depends on these only."""
    first, second = modes(delta, lam, kappa, y)
    return eta * first, eta * second, eta * kappa * y


@domain(*MODES, "-inf < mu")
def residual(a: Real, b: Real, mu: Real) -> Any:
    """The residual in units of its own curvature, eps = eta kappa delta = (a - b) / 2 - mu."""
    return 0.5 * (a - b) - mu


@domain(*ANY_STATE, ETA)
def step(delta: Real, lam: Real, kappa: Real, y: Real, eta: Real) -> tuple[Any, Any]:
    """One update of gradient descent, exact at any eta_t.

    delta' = delta (1 - eta lam + eta^2 kappa^2 delta f),
    lam' = lam + eta kappa^2 delta (eta lam delta - 4 f); at y = 0 the map of Lewkowycz et al.
    """
    f = delta + y
    moved = delta * (1.0 - eta * lam + (eta * kappa) ** 2 * delta * f)
    return moved, lam + eta * kappa**2 * delta * (eta * lam * delta - 4.0 * f)


@domain(*MODES, "-1e40 <= mu <= 1e40", gives=POSITIVE)
def mode_step(a: Real, b: Real, mu: Real) -> tuple[Any, Any]:
    """The same in modes: a' = (1 - eps)^2 a, b' = (1 + eps)^2 b.

    The gradient is delta kappa times the swap of u and v, which is +1 on p and -1 on q, so p' = (1
    - eps) p and q' = (1 + eps) q: no direction changes, and a b is multiplied by (1 - eps^2)^2.
    """
    eps = residual(a, b, mu)
    return (1.0 - eps) ** 2 * a, (1.0 + eps) ** 2 * b


@domain(*ANY_STATE, ETA)
def jacobian(delta: Real, lam: Real, kappa: Real, y: Real, eta: Real) -> Array:
    """d(delta', lam') / d(delta, lam) of `step`, shape (..., 2, 2).

    At delta = 0 its eigenvalues are 1 - eta lam and 1, because minima form a line.
    """
    k = kappa**2
    entries = np.broadcast_arrays(
        1.0 - eta * lam + eta**2 * k * delta * (3.0 * delta + 2.0 * y),
        -eta * delta,
        eta * k * (2.0 * eta * lam * delta - 8.0 * delta - 4.0 * y),
        1.0 + eta**2 * k * delta**2,
    )
    return np.stack(entries, axis=-1).reshape(*entries[0].shape, 2, 2)


@domain("-2 <= mu <= 2")
def fixed_points(mu: Real) -> tuple[Array, Array]:
    """The fixed points away from zero loss: (eps, S), and the multipliers, each (..., 3, 2).

    In order: the dead network f = 0 = S with ((1 + mu)^2, (1 - mu)^2); eps = 2 on b = 0 at
    S = 4 + 2 mu with (5 + 2 mu, 9); eps = -2 on a = 0 at S = 4 - 2 mu with (5 - 2 mu, 9).
    `mode_step` fixes a > 0 only where |1 - eps| = 1, b > 0 only where |1 + eps| = 1. At
    0 < |mu| < 2 none is stable: the dead network is a saddle, the last two repel. These are the
    ends of the line W = 1 of `invariant`, where p or q changes its sign at every step.
    """
    two, nine = np.full_like(mu, 2.0), np.full_like(mu, 9.0)
    points = [-mu, 0.0 * mu, two, 4.0 + 2.0 * mu, -two, 4.0 - 2.0 * mu]
    multipliers = [(1 + mu) ** 2, (1 - mu) ** 2, 5.0 + 2.0 * mu, nine, 5.0 - 2.0 * mu, nine]
    shape = (*np.shape(mu), 3, 2)
    return np.stack(points, -1).reshape(shape), np.stack(multipliers, -1).reshape(shape)


@domain(*STATE, "1 <= width <= 10**6", "1 <= inputs <= 10**6")
def hessian_spectrum(
    delta: float, lam: float, kappa: float, y: float, width: int, inputs: int
) -> Array:
    """All width (inputs + 1) eigenvalues of the Hessian, ascending.

    (lam +- R) / 2 with R^2 = lam^2 + 4 kappa^2 delta (3 delta + 2 y); kappa delta and
    -kappa delta, width - 1 times each; 0, width (inputs - 1) times. On span(p, q) the Hessian is
    [[A + kappa delta, -sqrt(A B)], [-sqrt(A B), B - kappa delta]].
    """
    root = _gap(delta, lam, kappa, y)
    across = np.repeat([kappa * delta, -kappa * delta], width - 1)
    along = [0.5 * (lam - root), 0.5 * (lam + root)]
    return np.sort(np.concatenate([along, across, np.zeros(width * (inputs - 1))]))


@domain(*STATE, gives=POSITIVE)
def sharpness(delta: Real, lam: Real, kappa: Real, y: Real) -> Any:
    """Top Hessian eigenvalue (lam + sqrt(lam^2 + 4 kappa^2 delta (3 delta + 2 y))) / 2.

    It is at least kappa |delta|, so directions orthogonal to p and q are never the top. It is lam
    at delta = 0.
    """
    return 0.5 * (lam + _gap(delta, lam, kappa, y))


def _gap(delta: Real, lam: Real, kappa: Real, y: Real) -> Any:
    # R of `hessian_spectrum`: R^2 = (A - B + 2 kappa delta)^2 + 4 A B.
    return _root(lam, 4.0 * kappa * delta, kappa * (3.0 * delta + 2.0 * y))


def _root(lam: Real, first: Real, second: Real) -> Any:
    """sqrt(lam^2 + first second) of any size, of a sum that is below 0 by rounding only."""
    size = np.maximum(lam, np.maximum(np.abs(first), np.abs(second)))
    size = np.where(size > 0.0, size, 1.0)
    square = (lam / size) ** 2 + (first / size) * (second / size)
    return size * np.sqrt(np.maximum(square, 0.0))


@domain(*STATE, gives=POSITIVE)
def flow_limit(delta: Real, lam: Real, kappa: Real, y: Real) -> Any:
    """Final trace, and sharpness, of gradient flow: sqrt(lam^2 + 4 kappa^2 (y^2 - f^2)).

    dA/dt = -2 kappa delta A and dB/dt = 2 kappa delta B conserve 4 A B = lam^2 - 4 kappa^2 f^2. So
    the net trend is sharpening iff |f_0| < |y|. The modes end at `modes` of (0, this).
    """
    first, second = modes(delta, lam, kappa, y)
    return np.hypot(2.0 * np.sqrt(first) * np.sqrt(second), 2.0 * kappa * y)


@domain("0 <= t", *STATE)
def flow(t: Real, delta: Real, lam: Real, kappa: Real, y: Real) -> tuple[Any, Any]:
    """(delta, lam) after gradient flow for a time t.

    dA/dt = -(A - A_end)(A + B_end) is a Riccati equation, as A B = A_end B_end is conserved, and so
    is dB/dt with A and B exchanged: A - A_end = (A_0 - A_end) g(A_0 + B_end), B - B_end =
    (B_0 - B_end) g(B_0 + A_end) with g(r) = e / (e + r (1 - e) / lam_end), e = exp(-lam_end t).
    A_0 - A_end = kappa delta_0 (1 + h) and B_0 - B_end = -kappa delta_0 (1 - h) with
    h = 2 kappa (f_0 + y) / (lam_0 + lam_end) (derived here).
    """
    trace = flow_limit(delta, lam, kappa, y)
    first, second = modes(delta, lam, kappa, y)
    first_end, second_end = modes(0.0, trace, kappa, y)
    left = np.exp(-trace * t)
    passed = np.where(trace * t > 0.0, -np.expm1(-trace * t) / trace, t)
    both, apart = lam + trace, 2.0 * kappa * (delta + 2.0 * y)
    h = np.where(both > 0.0, apart / both, 0.0)
    of_first = 0.5 * (1.0 + h) * _remains(left, first + second_end, passed)
    of_second = 0.5 * (1.0 - h) * _remains(left, second + first_end, passed)
    return delta * (of_first + of_second), trace + 2.0 * kappa * delta * (of_first - of_second)


def _remains(left: Real, rate: Real, passed: Real) -> Any:
    total = left + rate * passed
    return np.where(left > 0.0, left / total, 0.0)


@domain("0 <= t <= 1e40", "0 < f", "0 <= kappa <= 1e40", "0 < y <= 1e40", gives=POSITIVE)
def flow_on_manifold(t: Real, f: Real, kappa: Real, y: Real) -> Any:
    """Output after gradient flow on B = 0 (f, y > 0): y / (1 + (y / f - 1) exp(-2 kappa y t)).

    There lam = 2 kappa f, and df/dt = -lam delta is the logistic equation.
    """
    gone = 2.0 * kappa * y * t
    return 1.0 / (np.exp(-gone) / f - np.expm1(-gone) / y)


@domain(DELTA, COUPLING, TARGET)
def trace_drift(delta: Real, kappa: Real, y: Real) -> Any:
    """Time derivative of lam in gradient flow, -4 kappa^2 f delta: below 0 unless 0 < f / y < 1."""
    return -4.0 * kappa**2 * (delta + y) * delta


@domain(*STATE)
def sharpness_drift(delta: Real, lam: Real, kappa: Real, y: Real) -> Any:
    """The same of the Hessian sharpness: -2 kappa^2 delta (f + 2 lam (2 f - y) / R).

    R of `hessian_spectrum`; from `trace_drift` and d delta/dt = -lam delta. Not the trace's trend:
    for lam >> kappa |y| it changes sign at f = 2 y / 5, so from f_0 = 0 the sharpness first falls.
    Where R = 0 two eigenvalues cross, and this is the derivative forward in time.
    """
    f = delta + y
    gap = _gap(delta, lam, kappa, y)
    turn = f + np.where(gap > 0.0, 2.0 * lam * (2.0 * f - y) / gap, 2.0 * f)
    return -2.0 * kappa**2 * delta * turn


@domain(*STATE, "0 <= eta < 1 / max(lam, flow_limit(delta, lam, kappa, y))", gives=POSITIVE)
def step_size_bias(delta: Real, lam: Real, kappa: Real, y: Real, eta: Real) -> Any:
    """Bound on how much flatter descent at a small eta ends than gradient flow.

    0 <= lam_flow - lam_end <= eta kappa^2 delta_0^2 / (2 - z), z = eta max(lam_0, lam_flow) < 1.
    Each step multiplies 4 A B by (1 - eps^2)^2 <= 1, and sum eps_t^2 is geometric, with the ratio
    (1 - 2 eta sqrt(A B))^2 at worst. The second half is proved to leading order in eta, and
    measured beyond.
    """
    z = eta * np.maximum(lam, flow_limit(delta, lam, kappa, y))
    return eta * (kappa * delta) ** 2 / (2.0 - z)


@domain(*NETWORKS, gives=POSITIVE)
def initial_moments(width: Real, s: Real, var_w: Real, chi: Real) -> tuple[Any, Any, Any]:
    """E lam = 2 sigma^2 chi, Var lam = 4 sigma^4 chi^2 / n, Var f = sigma^4 chi / n^s at first.

    sigma^2 = ``var_w``, chi = |x|^2. Of Gaussian weights A and B are sigma^2 chi / n times
    independent chi-squared variables with n degrees of freedom. E f = 0.
    """
    kernel = var_w * chi
    return 2.0 * kernel, 4.0 * kernel**2 / width, var_w * kernel * np.power(width, -s)


@domain("1 <= width", gives="0 <= result <= 1")
def squared_alignment(width: Real) -> Any:
    """E rho^2 = 1 / (4 (n + 1)) of Gaussian weights, rho = kappa f / lam, at every s.

    A / lam is Beta(n/2, n/2), and rho = A / lam - 1/2.
    """
    return 0.25 / (width + 1.0)


@domain("-inf < y", *NETWORKS, gives="0 <= result <= 1")
def reduction_probability(y: Real, width: Real, s: Real, var_w: Real, chi: Real) -> Any:
    """Fraction of wide networks that flow makes flatter: 2 Phi(-|y| n^(s/2) / (sigma^2 |x|)).

    P(|f_0| > |y|), f_0 Gaussian: O(1) in the NTK parameterization, vanishing in muP.
    """
    deviation = np.abs(y) / np.sqrt(initial_moments(width, s, var_w, chi)[2])
    return np.where(y == 0.0, 1.0, 2.0 * ndtr(-deviation))


@domain(*MODES, "-2 < mu < 2", gives=POSITIVE)
def invariant(a: Real, b: Real, mu: Real) -> Any:
    """W = a / (4 + 2 mu) + b / (4 - 2 mu) = (S - mu (eps + mu)) / (4 - mu^2), for |mu| < 2.

    1 - W' = (1 - W) `invariant_ratio`, which is positive: no run crosses the line W = 1.
    """
    return a / (4.0 + 2.0 * mu) + b / (4.0 - 2.0 * mu)


@domain("-inf < eps", "-inf < mu")
def invariant_ratio(eps: Real, mu: Real) -> Any:
    """(1 - W') / (1 - W) = 1 + eps^2 + mu eps; positive for every eps iff |mu| < 2."""
    return 1.0 + eps * (eps + mu)


@domain("any(delta)", "any(lam)", COUPLING, TARGET, ETA)
def is_bounded(delta: Real, lam: Real, kappa: Real, y: Real, eta: Real) -> Any:
    """Whether descent at constant eta stays bounded: |mu| < 2 and S < 4 + mu eps (almost surely).

    The second condition is W < 1 of `invariant`, a triangle of modes that no run leaves or enters.
    Outside it |1 - W| / (a^(1-h) b^h), h = (2 + mu) / 4, never decreases, and no run stays bounded.
    A bounded run has |eps_t| <= 2 and S_t <= 4 + 2 |mu| at every step. That |mu| >= 2 diverges is
    measured. A state that has diverged, which is inf or NaN, is not bounded.
    """
    a, b = (eta * mode for mode in _modes(delta, lam, kappa, y))
    mu = eta * kappa * y
    return (np.abs(mu) < 2.0) & (a + b < 4.0 + mu * (0.5 * (a - b) - mu))


@domain(*STATE, gives=POSITIVE)
def eta_max(delta: Real, lam: Real, kappa: Real, y: Real) -> Any:
    """Largest eta of bounded training: 8 / (lam + sqrt(lam^2 - 16 kappa^2 y delta)).

    4 / lam at y = 0 at every width (Lewkowycz et al.). `is_bounded` holds below it and nowhere
    above: it never exceeds `eta_ceiling`, and lam >= 2 kappa |f| makes the discriminant at least
    4 kappa^2 (f - 2 y)^2.
    """
    return 8.0 / (lam + _root(lam, -16.0 * kappa * y, kappa * delta))


@domain("0 <= kappa", "-inf < y", gives=POSITIVE)
def eta_edge(kappa: Real, y: Real) -> Any:
    """1 / (kappa |y|): above it (|mu| > 1) no minimum is stable; infinite at y = 0."""
    return 1.0 / (kappa * np.abs(y))


@domain("0 <= kappa", "-inf < y", gives=POSITIVE)
def eta_ceiling(kappa: Real, y: Real) -> Any:
    """2 / (kappa |y|): above it (|mu| > 2) almost every run diverges under any warmup."""
    return 2.0 * eta_edge(kappa, y)


@domain("0 <= kappa", "-inf < y", gives=POSITIVE)
def flattest_minimum(kappa: Real, y: Real) -> Any:
    """Least sharpness of zero loss, 2 kappa |y|, as lam >= 2 kappa |f|: balanced layers."""
    return 2.0 * kappa * np.abs(y)


@domain("any(delta)", "any(lam)", COUPLING, TARGET, ETA)
def late_phase(delta: Real, lam: Real, kappa: Real, y: Real, eta: Real) -> Array:
    """The final phase of training at constant eta: "converges", "oscillates" or "diverges".

    Within `is_bounded`: |mu| < 1 ends at zero loss with eta lam < 2; 1 < |mu| < 2 on the manifold
    of one mode, permanently at the edge of stability. At y = 0 there are catapults but no such
    edge.
    """
    bounded = is_bounded(delta, lam, kappa, y, eta)
    below = eta < eta_edge(kappa, y)
    return np.where(bounded, np.where(below, "converges", "oscillates"), "diverges")


@domain(*STATE)
def edge_is_reachable(delta: Real, lam: Real, kappa: Real, y: Real) -> Any:
    """Whether some constant eta ends in oscillation: lam < 3 kappa |y| + kappa f sign(y).

    `is_bounded` at `eta_edge`. From a larger trace only warmup reaches oscillation.
    """
    return lam < kappa * (3.0 * np.abs(y) + (delta + y) * np.sign(y))


@domain(*ANY_STATE, ETA)
def first_step_ratio(delta: Real, lam: Real, kappa: Real, y: Real, eta: Real) -> Any:
    """Ratio delta' / delta = 1 - eta lam + eta^2 kappa^2 delta f: beyond +-1 the loss rises."""
    return 1.0 - eta * lam + (eta * kappa) ** 2 * delta * (delta + y)


@domain(*STATE, gives=POSITIVE)
def eta_loss(delta: Real, lam: Real, kappa: Real, y: Real) -> Any:
    """Least eta whose first update raises the loss: 4 / (lam + sqrt(lam^2 - 8 kappa^2 delta f)).

    There `first_step_ratio` is -1. At y = 0, with rho = kappa f / lam, it is c_loss / lam, c_loss =
    (1 - sqrt(1 - 8 rho^2)) / (2 rho^2) = 2 + 4 rho^2 + ...: on average 2 + 1 / n, by
    `squared_alignment`. If the root is not real the ratio never reaches -1 but +1, at
    lam / (kappa^2 delta f): at y = 0 that is beyond `eta_max`.
    """
    move, output = kappa * delta, kappa * (delta + y)
    back = lam / move / output
    real = lam / np.abs(move) * (lam / np.abs(output)) >= 8.0 * np.sign(move) * np.sign(output)
    return np.where(real | (lam == 0.0), 4.0 / (lam + _root(lam, -8.0 * move, output)), back)


@domain("0 <= kappa", "0 <= eta", gives=POSITIVE)
def loss_cap(kappa: Real, eta: Real) -> Any:
    """2 / (eta kappa)^2: no loss of a bounded run at constant eta exceeds it, as |eps_t| <= 2.

    At y = 0 lam never rises (S' - S = eps^2 (S - 4)) and caps the loss, by 2 kappa |f| <= lam_0, at
    lam_0^2 / (8 kappa^2): this cap at eta lam_0 = 4. It is O(n) in the NTK parameterization.
    """
    return 2.0 / (eta * kappa) / (eta * kappa)
