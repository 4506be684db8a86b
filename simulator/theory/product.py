"""Products of many numbers that neither overflow nor underflow on the way."""

from __future__ import annotations

import numpy as np

from simulator.arrays import Array

__all__ = ["product"]


def product(factors: Array) -> Array:
    """Product over the last axis of ``factors`` (..., n), as far as it is a number itself."""
    direct = np.prod(factors, axis=-1)
    sign = np.prod(np.sign(factors), axis=-1)
    by_logarithms = sign * np.exp(np.sum(np.log(np.abs(factors)), axis=-1))
    return np.where(np.isfinite(direct) & (direct != 0.0), direct, by_logarithms)
