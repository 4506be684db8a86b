"""The catapult of the UV model: when it peaks, how high, and how flat it leaves the network.

One example at constant eta with S_0 = eta lam_0 above 2 and mu = eta kappa y below 1 in size (see
`theory.uv` for the notation): the residual eps = eta kappa delta grows, alternating in sign, until
it has flattened the network (Lewkowycz et al. 2003.02218). Near the threshold, for an overshoot
S_0 - 2 << 1 - mu^2, the envelope of |eps| and the overshoot at midpoints,
over = S - 2 - 2 mu eps, obey d eps/dt = over eps and d over/dt = -2 (1 - mu^2) eps^2. Everything
but the slope of the peak time follows from these two. Derived here.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from simulator.arrays import Real
from simulator.theory.domain import domain

__all__ = [
    "conserved", "final_trace", "midpoint_overshoot", "peak_excursion", "peak_time",
    "peak_time_slope",
]  # fmt: skip

MU = "-1 < mu < 1"
POSITIVE = "0 <= result <= inf"


@domain("-inf < eps", "0 <= s", MU)
def midpoint_overshoot(eps: Real, s: Real, mu: Real) -> Any:
    """S - 2 - 2 mu eps: the mean of S - 2 over this state and the next, to leading order.

    S' = S + eps^2 (S - 4) - 4 mu eps has a part that alternates with eps. Averaging S naively
    instead gives 1 + mu^2 for the 1 - mu^2 of everything below.
    """
    return s - 2.0 - 2.0 * mu * eps


@domain("-inf < eps", "0 <= s", MU, gives=POSITIVE)
def conserved(eps: Real, s: Real, mu: Real) -> Any:
    """over^2 / 2 + (1 - mu^2) eps^2, the same at every step near the threshold."""
    return 0.5 * midpoint_overshoot(eps, s, mu) ** 2 + (1.0 - mu**2) * eps**2


@domain("2 <= s0", MU, gives=POSITIVE)
def peak_excursion(s0: Real, mu: Real = 0.0) -> Any:
    """Largest |eps| on the way from a small one, (S_0 - 2) / sqrt(2 (1 - mu^2)).

    `conserved` at over = 0.
    """
    return (s0 - 2.0) / np.sqrt(2.0 * (1.0 - mu) * (1.0 + mu))


@domain("2 <= s0 <= 3 - mu**2", MU, gives=POSITIVE)
def final_trace(s0: Real, mu: Real = 0.0) -> Any:
    """Eta lam after the catapult: 2 - d - (2/3) d^2 (1 - 4 mu^2) / (1 - mu^2), d = S_0 - 2.

    As far below 2 as it was above, by `conserved` at eps = 0. The second order is from the cubic
    term over^3 (1 - 4 mu^2) / (3 - 3 mu^2) that `conserved` needs to hold to the next order.
    Beyond S_0 = 3 or so the end depends on the phase of ln|eps_0| / ln(S_0 - 1) as well.
    """
    over = s0 - 2.0
    return 2.0 - over - over**2 * (2.0 / 3.0) * (1.0 - 4.0 * mu**2) / (1.0 - mu**2)


@domain("0 < abs(eps0) <= 2 * peak_excursion(s0, mu)", "2 < s0 < 4", MU, gives=POSITIVE)
def peak_time(eps0: Real, s0: Real, mu: Real = 0.0) -> Any:
    """Updates until |eps| peaks: ln(2 `peak_excursion` / |eps_0|) / ln(S_0 - 1).

    The envelope is peak / cosh((S_0 - 2)(t - t_peak)), which begins as a growth by S_0 - 1 an
    update, the first multiplier.
    """
    growth = np.log(2.0 * peak_excursion(s0, mu)) - np.log(np.abs(eps0))
    return np.maximum(growth, 0.0) / np.log1p(s0 - 2.0)


@domain("2 < s0 < 4", gives=POSITIVE)
def peak_time_slope(s0: Real) -> Any:
    """d t_peak / d ln n = 1 / (2 ln(S_0 - 1)), at any 2 < S_0 < 4.

    At y = 0 eps_0 = eta kappa f_0 ~ n^(-1/2) for every s. (At y != 0 in muP eps_0 is O(1).)
    """
    return 0.5 / np.log1p(s0 - 2.0)
