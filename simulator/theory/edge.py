"""Beyond the edge of stability in the UV model: the cubic map, its cycles and its chaos.

One example with mu = eta kappa y, 1 < mu < 2: no minimum is stable, the difference of the layers
dies out (B -> 0, see `theory.uv`), and what is left is one number, the sum of the layers in the
units r = sqrt(a) (signed), a = eta kappa^2 |p|^2 = eta lam:

    r' = R r - r^3 / 2,  R = 1 + mu.

The model and its route to chaos are those of Kalra, He and Barkeshli (2311.02076); the formulas are
derived here, from eps = a / 2 - mu and r' = (1 - eps) r. A y < 0 is its mirror image, with A for B.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from simulator.arrays import Array, Real
from simulator.theory import uv
from simulator.theory.domain import domain

__all__ = [
    "ACCUMULATION", "CHAOS_EXPONENT", "cubic", "cubic_slope", "cycle_means", "cycle_multiplier",
    "cycle_residuals", "cycle_traces", "cycle_transverse_multiplier", "fixed_point_multiplier",
    "flip_amplitude", "flip_is_stable", "lyapunov", "lyapunov_exponents", "period_doublings",
    "sum_mode_flip_margin",
]  # fmt: skip

MU, CYCLE = "-2 <= mu <= 1e40", "1 <= mu <= 2"
DERIVATIVES = ("1e-40 <= second <= 1e40", "-1e40 <= third <= 1e40")
POSITIVE = "0 <= result <= inf"

# Where the period doublings accumulate: extrapolated from nine by Feigenbaum's 4.669201609.
ACCUMULATION = 1.3022835
# At mu = 2 the map is x' = -T_3(x), Chebyshev's third polynomial, with r = 2 sqrt(2) x.
CHAOS_EXPONENT = float(np.log(3.0))


@domain("-inf <= r <= inf", MU)
def cubic(r: Real, mu: Real) -> Any:
    """One update on the manifold B = 0: r' = (1 + mu) r - r^3 / 2, bounded for r^2 < 4 + 2 mu."""
    return r * (1.0 + mu - 0.5 * r * r)


@domain("-inf <= r <= inf", MU)
def cubic_slope(r: Real, mu: Real) -> Any:
    """dr'/dr = 1 + mu - 3 r^2 / 2."""
    return 1.0 + mu - 1.5 * r**2


@domain("0 <= mu")
def fixed_point_multiplier(mu: Real) -> Any:
    """1 - 2 mu of the minimum a = eta lam = 2 mu, the flattest one: it flips at mu = 1."""
    return 1.0 - 2.0 * mu


@domain(CYCLE, gives=POSITIVE)
def cycle_traces(mu: Real) -> tuple[Any, Any]:
    """The two eta lam of the cycle of period 2, R -+ sqrt(R^2 - 4), for mu > 1.

    Their product is 4 as (1 - eps_-)(1 - eps_+) = 1; the cycle is stable up to mu = sqrt(5) - 1.
    """
    sum_ = 1.0 + mu
    apart = np.sqrt(sum_**2 - 4.0)
    return sum_ - apart, sum_ + apart


@domain(CYCLE)
def cycle_residuals(mu: Real) -> tuple[Any, Any]:
    """The two eps = eta kappa delta of that cycle, 1 - R / 2 -+ sqrt(R^2 - 4) / 2.

    Their product is 1 - mu: delta changes its sign at every update.
    """
    low, high = cycle_traces(mu)
    return 0.5 * low - mu, 0.5 * high - mu


@domain(CYCLE, gives=POSITIVE)
def cycle_means(mu: Real) -> tuple[Any, Any, Any]:
    """Over the cycle of period 2, eta times: geometric mean trace, mean trace, mean sharpness.

    Exactly 2, 1 + mu and (3 + mu) / 2: the geometric mean of the trace sits at 2 / eta, the mean
    sharpness above it. The last holds while the cycle is stable, mu <= sqrt(5) - 1: there the
    sharpness of both states is lam + kappa delta, the curvature along the sum of the layers.
    """
    return 2.0 + 0.0 * mu, 1.0 + mu, 0.5 * (3.0 + mu)


@domain(CYCLE)
def cycle_multiplier(mu: Real) -> Any:
    """9 - 2 R^2: growth of a perturbation along the manifold over the cycle; -1 at sqrt(5) - 1."""
    return 9.0 - 2.0 * (1.0 + mu) ** 2


@domain(CYCLE)
def cycle_transverse_multiplier(mu: Real) -> Any:
    """3 - 2 mu: growth of q over the cycle, (1 + eps_-)(1 + eps_+). Within +-1 for 1 < mu < 2."""
    return 3.0 - 2.0 * mu


@domain("1 <= count <= 9", gives=POSITIVE)
def period_doublings(count: int) -> Array:
    """The mu (count,) at which cycles of period 1, 2, 4, ... flip: 1, sqrt(5) - 1, 1.288032, ...

    From the third on, r and mu solve f^period(r) = r with the multiplier -1; the start is the orbit
    shortly before, extrapolated by the ratio of the last two windows. ``count`` up to 9.
    """
    from scipy.optimize import root

    found = [1.0, float(np.sqrt(5.0) - 1.0)]
    for doubling in range(2, count):
        shortly_before = found[-1] + 0.8 * (found[-1] - found[-2]) / 4.6
        start = [_settled(shortly_before), shortly_before]
        solution = root(_flip_conditions(2**doubling), start, tol=1e-13)
        found.append(float(solution.x[1]))
    return np.array(found[:count])


def _settled(mu: float, updates: int = 200_000) -> float:
    r = float(np.sqrt(mu))
    for _ in range(updates):
        r = (1.0 + mu) * r - 0.5 * r**3
    return r


def _flip_conditions(period: int) -> Callable[[Array], list[float]]:
    def conditions(unknown: Array) -> list[float]:
        r, mu = map(float, unknown)
        start, multiplier = r, 1.0
        for _ in range(period):
            multiplier *= 1.0 + mu - 1.5 * r**2
            r = (1.0 + mu) * r - 0.5 * r**3
        return [r - start, multiplier + 1.0]

    return conditions


@domain("0 <= mu <= 2", "1 <= updates", "0 <= discarded")
def lyapunov(mu: Real, updates: int = 20_000, discarded: int = 1_000) -> Any:
    """Lyapunov exponent of `cubic` per update: the mean of ln |dr'/dr| over an orbit, for each mu.

    ln |1 - 2 mu| below mu = 1, ln |9 - 2 R^2| / 2 up to sqrt(5) - 1, positive in chaos, and
    `CHAOS_EXPONENT` at mu = 2. In chaos its error falls as 1 / sqrt(updates).
    """
    r: Real = np.full_like(mu, 0.7)
    furthest = np.sqrt(4.0 + 2.0 * mu)  # where rounding would take an orbit of mu = 2 to infinity
    total = np.zeros_like(mu)
    for update in range(discarded + updates):
        if update >= discarded:
            slope = np.abs(1.0 + mu - 1.5 * r * r)
            total += np.log(np.maximum(slope, np.finfo(float).tiny))
        r = np.clip(r * (1.0 + mu - 0.5 * r * r), -furthest, furthest)
    return total / updates


@domain(
    "-1e10 <= delta <= 1e10", "-1e10 <= y <= 1e10", "1e-10 <= kappa <= 1e10",
    "2 * kappa * abs(delta + y) <= lam <= 1e25", "0 <= eta < uv.eta_max(delta, lam, kappa, y)",
    "1 <= updates", "0 <= discarded",
)  # fmt: skip
def lyapunov_exponents(
    delta: float, lam: float, kappa: float, y: float, eta: float, updates: int, discarded: int = 0
) -> Array:
    """Both Lyapunov exponents (2,), largest first, of the map of (delta, lam) from this state.

    By QR of the products of `uv.jacobian`: in function space. The product of I - eta Hessian over
    weights has more, and n - 1 of them are 0 for ever, those of the rotations of p, so the largest
    is never negative there.
    """
    frame, total = np.eye(2), np.zeros(2)
    for update in range(discarded + updates):
        frame, triangle = np.linalg.qr(uv.jacobian(delta, lam, kappa, y, eta) @ frame)
        if update >= discarded:
            total += np.log(np.maximum(np.abs(np.diag(triangle)), np.finfo(float).tiny))
        delta, lam = uv.step(delta, lam, kappa, y, eta)
    return total / updates


@domain(*DERIVATIVES, "-1e40 <= fourth <= 1e40")
def flip_is_stable(second: Real, third: Real, fourth: Real) -> Any:
    """Whether the cycle of period 2 born at eta L'' = 2 is stable: 3 L'''^2 > L'' L''''.

    Derivatives of a loss in one dimension at its minimum: the condition of Chen and Bruna
    (2206.04172), here from F'''/3 + F''^2/2 > 0 for F = x - eta L' (Guckenheimer & Holmes, 3.5).
    """
    return 3.0 * third**2 > second * fourth


@domain(
    *DERIVATIVES,
    "-1e40 <= fourth < 3 * third**2 / second",
    "2 / second <= eta <= 1e100",
    gives=POSITIVE,
)
def flip_amplitude(eta: Real, second: Real, third: Real, fourth: Real) -> Any:
    """Its amplitude |x|, to leading order: x^2 = 3 L''^2 (eta L'' - 2) / (3 L'''^2 - L'' L'''').

    The two points are -+x, and the mean of the cycle is of the order x^2.
    """
    margin = np.maximum(3.0 * third**2 - second * fourth, 0.0)
    above = np.maximum(eta * second - 2.0, 0.0)
    return np.where(above == 0.0, 0.0, second * np.sqrt(3.0 * above / margin))


@domain("0 <= kappa <= 1e40", "0 <= squared_sum <= 1e40", gives=POSITIVE)
def sum_mode_flip_margin(kappa: Real, squared_sum: Real) -> Any:
    """3 L'''^2 - L'' L'''' = 24 kappa^4 |p|^2 along p at a UV minimum, |p|^2 = ``squared_sum``.

    L'' = kappa^2 |p|^2, L''' = 3 kappa^2 |p|, L'''' = 3 kappa^2 in the length of p: always stable.
    """
    return 24.0 * kappa**4 * squared_sum
