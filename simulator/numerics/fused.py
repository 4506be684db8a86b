"""a * b + c rounded once, in machine code and in Python alike.

Every processor of the last ten years has the instruction, and IEEE 754 defines its result: unlike
the contraction that ``fastmath`` permits, it gives the same bits everywhere.
"""

from __future__ import annotations

import math
from typing import Any

from numba.core import config, types
from numba.core.extending import intrinsic

__all__ = ["fma"]


def _exact_fma(a: float, b: float, c: float) -> float:
    """What ``math.fma`` is from Python 3.13 on: a quotient of integers is rounded once."""
    if not (math.isfinite(a) and math.isfinite(b) and math.isfinite(c)):
        return a * b + c
    (p, q), (r, s), (u, v) = (float(x).as_integer_ratio() for x in (a, b, c))
    numerator, denominator = p * r * v + u * q * s, q * s * v
    if numerator == 0:
        return a * b + c  # a zero with its sign
    try:
        return numerator / denominator
    except OverflowError:
        return math.copysign(math.inf, numerator)


def _typed_fma(context: Any, a: Any, b: Any, c: Any) -> Any:
    """The instruction, for numba's code generator."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.fma(*arguments)

    return types.float64(types.float64, types.float64, types.float64), generate


if config.DISABLE_JIT:  # type: ignore[attr-defined]
    fma: Any = getattr(math, "fma", _exact_fma)
else:
    fma = intrinsic(_typed_fma)
