"""Searches for the critical learning rate, at which one update starts to raise the loss.

They are functions of ``loss_after(eta)``, the loss after one update at eta, and of the loss before
it. Each call is a forward pass, which the caller counts. A loss that is not finite counts as risen.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

from simulator.checks import positive

__all__ = [
    "DELTA", "ETA_0", "TOLERANCE", "Bracket", "bisect", "near_search", "paper_search",
    "two_way_search",
]  # fmt: skip

# Defaults of Kalra & Barkeshli 2024, algorithms 1 and 2.
ETA_0, DELTA = 1e-4, 0.1
# Relative width of the final bracket.
TOLERANCE = 1.0 / 16.0
_ROUNDING = 1e-9
# After so many doublings the search concludes that no update raises the loss.
_DOUBLINGS = 200
# Factors on a good guess beyond which no update, or every update, counts as raising the loss.
_NEAR = (2.0**-20, 64.0)


class Bracket(NamedTuple):
    """The loss rises at ``upper`` and not at ``lower``; ``upper`` is inf if it never rises."""

    lower: float
    upper: float

    @property
    def found(self) -> bool:
        """Whether some learning rate raises the loss."""
        return math.isfinite(self.upper)


def paper_search(
    loss_after: Callable[[float], float],
    loss: float,
    *,
    eta_0: float = ETA_0,
    lower: float = 0.0,
    delta: float = DELTA,
    eta_most: float = math.inf,
) -> Bracket:
    """Double from eta_0 until the loss rises, then halve the bracket until it rises a little.

    "A little" means a fraction of at most ``delta``: on a quadratic of one dimension the upper end
    is at eta lambda in (2, 1 + sqrt(1 + delta)]. If the loss already rises at eta_0, the paper
    keeps eta_0; here the bracket (lower, eta_0] is halved like any other.

    Parameters
    ----------
    loss_after : callable
        Loss after one update at a learning rate.
    loss : float
        Loss before it.
    lower : float
        A learning rate below eta_0 that is known not to raise it.
    eta_most : float
        Largest learning rate of the search. If the loss does not rise up to it, the upper end is
        inf.

    Notes
    -----
    Kalra & Barkeshli 2024, algorithms 1 and 2.
    """
    eta = positive("eta_0", eta_0)
    upper = math.inf
    for _ in range(_DOUBLINGS):
        eta = min(eta, eta_most)
        after = loss_after(eta)
        if not after < loss:
            upper = eta
            break
        lower = eta
        if eta >= eta_most:
            return Bracket(lower, math.inf)
        eta *= 2.0
    else:
        return Bracket(lower, math.inf)
    allowed = loss * (1.0 + positive("delta", delta))
    while not after <= allowed:
        middle = 0.5 * (lower + upper)
        if not lower < middle < upper:
            break
        at_middle = loss_after(middle)
        if at_middle < loss:
            lower = middle
        else:
            upper, after = middle, at_middle
    return Bracket(lower, upper)


def two_way_search(
    rises: Callable[[float], bool],
    guess: float,
    *,
    tolerance: float = TOLERANCE,
    eta_least: float = 0.0,
    eta_most: float = math.inf,
) -> Bracket:
    """Double or halve from a guess to bracket the crossing, then bisect in log eta.

    From a guess within a factor 2 this takes about log2(log 2 / log(1 + tolerance)) + 2 calls: six
    at the default tolerance. It finds one crossing; there may be others if ``rises`` is not
    monotone.

    Parameters
    ----------
    rises : callable
        Of a learning rate.
    guess : float
        Where to begin.
    tolerance : float
        Stop once upper / lower is at most 1 + tolerance.
    eta_least, eta_most : float
        Range of the search. A crossing at or below eta_least gives the bracket (0, eta_least].
    """
    eta = min(max(positive("guess", guess), eta_least), eta_most)
    if rises(eta):
        lower, upper = 0.0, eta
        for _ in range(_DOUBLINGS):
            if eta <= eta_least:
                break
            eta = max(0.5 * eta, eta_least)
            if not rises(eta):
                lower = eta
                break
            upper = eta
        return bisect(rises, Bracket(lower, upper), tolerance)
    lower = eta
    for _ in range(_DOUBLINGS):
        if lower >= eta_most:
            return Bracket(lower, math.inf)
        eta = min(2.0 * lower, eta_most)
        if rises(eta):
            return bisect(rises, Bracket(lower, eta), tolerance)
        lower = eta
    return Bracket(lower, math.inf)


def near_search(
    rises: Callable[[float], bool], guess: float, *, tolerance: float = TOLERANCE
) -> Bracket:
    """Bracket the crossing around a good guess, then bisect in log eta.

    Successive learning rates differ by the factors 1 + tolerance, its square, its fourth power and
    so on, at most 2. This takes two calls if the guess is within the tolerance.

    Parameters
    ----------
    rises : callable
        Of a learning rate.
    guess : float
        Where to begin.
    tolerance : float
        Stop once upper / lower is at most 1 + tolerance.

    Returns
    -------
    Bracket
        The upper end is inf if ``rises`` fails up to 64 times the guess. The lower end is 0 if it
        holds down to 2^-20 times the guess.
    """
    eta, factor = positive("guess", guess), 1.0 + positive("tolerance", tolerance)
    least, most = (factor * eta for factor in _NEAR)
    upwards = not rises(eta)
    while True:
        before, eta = eta, eta * factor if upwards else eta / factor
        if not least <= eta <= most or not 0.0 < eta < math.inf:
            return Bracket(before, math.inf) if upwards else Bracket(0.0, before)
        if rises(eta) == upwards:
            return bisect(rises, Bracket(*sorted((before, eta))), tolerance)
        factor = min(factor * factor, 2.0)


def bisect(rises: Callable[[float], bool], bracket: Bracket, tolerance: float) -> Bracket:
    """Narrow a bracket by bisection in log eta."""
    lower, upper = bracket
    # A bracket opened by powers of 1 + tolerance is halved to exactly that width: the margin keeps
    # rounding from deciding on another halving.
    narrow = (1.0 + positive("tolerance", tolerance)) * (1.0 + _ROUNDING)
    while lower > 0.0 and upper > narrow * lower:
        middle = math.sqrt(lower) * math.sqrt(upper)
        if not lower < middle < upper:
            break
        if rises(middle):
            upper = middle
        else:
            lower = middle
    return Bracket(lower, upper)
