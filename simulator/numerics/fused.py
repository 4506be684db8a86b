"""a * b + c rounded once, and sums in any order.

Every processor of the last ten years has the first as an instruction, and IEEE 754 defines its
result: unlike the contraction that ``fastmath`` permits, it gives the same bits everywhere, in
machine code and in Python. The numbers are float64, or all three are float32.

A loop whose sum is made by `add` is vectorised: it becomes a sum for each lane, and its last bits
depend on the processor, as those of BLAS do. NaN and infinity pass as in any sum.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba.core import config, types
from numba.core.extending import intrinsic

__all__ = ["add", "fma"]


def _exact_fma(a: float, b: float, c: float) -> float:
    """A quotient of integers is rounded once; ``math.fma`` of Python 3.13 raises on overflow."""
    if not (math.isfinite(a) and math.isfinite(b) and math.isfinite(c)):
        return a * b + c
    (p, q), (r, s), (u, v) = (float(x).as_integer_ratio() for x in (a, b, c))
    numerator, denominator = p * r * v + u * q * s, q * s * v
    if numerator == 0:
        return a * b + c  # a zero with its sign
    try:
        return numerator / denominator
    except OverflowError:
        return math.inf if numerator > 0 else -math.inf


def _single_fma(a: float, b: float, c: float) -> np.float32:
    """Of float32 numbers: the product is exact in float64, and the sum is rounded to odd there.

    The second rounding, to float32, then sees on which side of a tie the exact sum lies.
    """
    product, term = float(a) * float(b), float(c)
    total = product + term
    kept = total - product
    lost = (product - (total - kept)) + (term - kept)
    if math.isfinite(total) and lost != 0.0 and np.float64(total).view(np.int64) % 2 == 0:
        total = math.nextafter(total, math.copysign(math.inf, lost))
    with np.errstate(over="ignore", under="ignore"):
        return np.float32(total)


def _python_fma(a: Any, b: Any, c: Any) -> Any:
    single = all(isinstance(x, np.float32) for x in (a, b, c))
    return _single_fma(a, b, c) if single else _exact_fma(a, b, c)


def _typed_fma(context: Any, a: Any, b: Any, c: Any) -> Any:
    """The instruction, for numba's code generator."""
    number = types.float32 if a == b == c == types.float32 else types.float64

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.fma(*arguments)

    return number(number, number, number), generate


def _python_add(a: Any, b: Any) -> Any:
    return a + b


def _typed_add(context: Any, a: Any, b: Any) -> Any:
    """An addition that may change places with others, for numba's code generator."""
    number = types.float32 if a == b == types.float32 else types.float64

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.fadd(*arguments, flags=("reassoc",))

    return number(number, number), generate


if config.DISABLE_JIT:  # type: ignore[attr-defined]
    fma: Any = _python_fma
    add: Any = _python_add
else:
    fma = intrinsic(_typed_fma)
    add = intrinsic(_typed_add)
