"""Searches for the critical learning rate: where one update begins to raise the loss.

Pure functions of ``loss_after(eta)``, the loss after one update at eta from where one stands, and
of the loss there. Each call of it is a forward pass, and its caller's to count. A loss that is not
finite has risen.
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

# Kalra & Barkeshli 2024, algorithms 1 and 2: their defaults.
ETA_0, DELTA = 1e-4, 0.1
# Relative width of a bracket that is narrow enough.
TOLERANCE = 1.0 / 16.0
_ROUNDING = 1e-9
# Beyond so many doublings no update raises the loss.
_DOUBLINGS = 200
# Factors on a good guess: beyond them no update raises the loss, or every one does.
_NEAR = (2.0**-20, 64.0)


class Bracket(NamedTuple):
    """At ``lower`` the loss has not risen, at ``upper`` it has; if that is inf, it never does."""

    lower: float
    upper: float

    @property
    def found(self) -> bool:
        """Whether there is a learning rate that raises the loss."""
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

    "A little" is by a fraction of at most ``delta``: on a quadratic of one dimension the upper end
    is at eta lambda in (2, 1 + sqrt(1 + delta)]. Where the loss rises at eta_0 already, the paper
    keeps eta_0; here the bracket is then (lower, eta_0], and halved like any other.

    Parameters
    ----------
    loss_after : callable
        Loss after one update at a learning rate.
    loss : float
        Loss before it.
    lower : float
        A learning rate below eta_0 that is known not to raise it.
    eta_most : float
        Look no further: a bracket without an upper end says that the loss does not rise there.

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
    """Double or halve from a guess until what is looked for lies between, then bisect in log eta.

    About log2(log 2 / log(1 + tolerance)) + 2 calls from a guess within a factor 2: six at the
    default tolerance. Doubling and halving finds one crossing; where ``rises`` is not monotone
    there may be others.

    Parameters
    ----------
    rises : callable
        Of a learning rate.
    guess : float
        Where to begin.
    tolerance : float
        Stop once upper / lower is at most 1 + tolerance.
    eta_least, eta_most : float
        Look no further. What is looked for from eta_least on gives the bracket (0, eta_least].
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
    """Open a bracket around a good guess, then bisect in log eta.

    The factors from one learning rate to the next are 1 + tolerance, its square, its fourth power
    and so on, at most 2: two calls, if the guess is as good as the tolerance.

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
        Without an upper end where nothing up to 64 times the guess rises; with the lower end 0
        where all does down to 2^-20 times the guess.
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
    """Narrow a bracket, by halves of its logarithm."""
    lower, upper = bracket
    # A bracket that is opened by powers of 1 + tolerance is halved to just that width: without the
    # margin a rounding would decide whether it is halved once more.
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
