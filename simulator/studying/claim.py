"""A claim of a study: a sentence, a tolerance, a measurement, and whether it holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["Claim", "claim", "in_median"]


@dataclass(frozen=True, eq=False)
class Claim:
    """A checked claim.

    Attributes
    ----------
    sentence : str
        The claim.
    expected : str
        The tolerance as text.
    measured : array, shape (seeds,)
        The statistic of each seed; NaN fails.
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
    """Claim that every seed's statistic is between ``least`` and ``most``, inclusive.

    If ``measured`` is a number, it is one statistic of all seeds. A claim about no seed fails.
    """
    values = np.atleast_1d(np.asarray(measured, float)).ravel()
    holds = values.size > 0 and bool(((values >= least) & (values <= most)).all())
    of_seeds = ", every seed" if values.size > 1 else ""
    return Claim(sentence, _range(least, most) + of_seeds, values, holds)


def in_median(
    sentence: str, measured: ArrayLike, least: float = -np.inf, most: float = np.inf
) -> Claim:
    """Claim that the median over seeds is in this range; a seed with NaN, or no seed, fails it."""
    values = np.atleast_1d(np.asarray(measured, float)).ravel()
    middle = np.median(values) if values.size else np.nan
    return Claim(sentence, _range(least, most) + ", median", values, bool(least <= middle <= most))


def _range(least: float, most: float) -> str:
    if least == most:
        return f"{least:.4g}"
    if np.isinf(most):
        return f"at least {least:.4g}"
    if np.isinf(least):
        return f"at most {most:.4g}"
    return f"{least:.4g} to {most:.4g}"
