"""A claim of a study: a sentence, what it expects, what was measured, and whether it holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["Claim", "claim", "in_median"]


@dataclass(frozen=True, eq=False)
class Claim:
    """A claim, checked.

    Attributes
    ----------
    sentence : str
        What is claimed.
    expected : str
        The tolerance, in words.
    measured : array, shape (seeds,)
        The statistic of each seed; one that diverged may be NaN, and fails.
    holds : bool
    """

    sentence: str
    expected: str
    measured: NDArray[np.float64]
    holds: bool

    @property
    def spread(self) -> tuple[float, float, float]:
        """Minimum, median and maximum over seeds."""
        known = self.measured[~np.isnan(self.measured)]
        if not known.size:
            return (np.nan,) * 3
        return float(known.min()), float(np.median(known)), float(known.max())

    def as_dict(self) -> dict[str, Any]:
        """As plain values."""
        least, median, most = self.spread
        return {
            "claim": self.sentence, "expected": self.expected, "min": least, "median": median,
            "max": most, "seeds": self.measured.size, "holds": self.holds,
        }  # fmt: skip


def claim(
    sentence: str, measured: ArrayLike, least: float = -np.inf, most: float = np.inf
) -> Claim:
    """Every seed's statistic lies between ``least`` and ``most``, both included.

    Or one statistic of all seeds does, where ``measured`` is a number.
    """
    values = np.atleast_1d(np.asarray(measured, float)).ravel()
    holds = bool(((values >= least) & (values <= most)).all())
    of_seeds = ", every seed" if values.size > 1 else ""
    return Claim(sentence, _range(least, most) + of_seeds, values, holds)


def in_median(
    sentence: str, measured: ArrayLike, least: float = -np.inf, most: float = np.inf
) -> Claim:
    """The median over seeds does; a seed without a number fails it."""
    values = np.atleast_1d(np.asarray(measured, float)).ravel()
    middle = np.median(values)
    return Claim(sentence, _range(least, most) + ", median", values, bool(least <= middle <= most))


def _range(least: float, most: float) -> str:
    if least == most:
        return f"{least:.4g}"
    if np.isinf(most):
        return f"at least {least:.4g}"
    if np.isinf(least):
        return f"at most {most:.4g}"
    return f"{least:.4g} to {most:.4g}"
