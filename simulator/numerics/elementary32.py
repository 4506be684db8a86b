"""exp and tanh of `elementary` in float32 arithmetic: twice the lanes, and shorter polynomials.

What is said there holds here: 2 ulp (of float32), no branch, no library, the same bits everywhere.
A literal would make float64 of everything around it, hence the names for numbers.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from simulator.numerics.fused import fma
from simulator.numerics.jit import inlined

__all__ = ["exp", "tanh"]

_f = np.float32
_ONE, _TWO, _HALF = _f(1.0), _f(2.0), _f(0.5)
# Adding this makes a float32 below 2^22 an integer, which stands in the low bits.
_ROUND = _f(1.5 * 2.0**23)
_ROUND_TO_EXPONENT = _f(1.5 * 2.0**23 + 127.0)
_LOG2_E = _f(1.4426950408889634)
_TWO_LOG2_E = _f(2.8853900817779268)
# The first has 15 bits: n times it is exact.
_LESS_LN2_HIGH = _f(-0.693145751953125)
_LESS_LN2_LOW = _f(-1.4286068203094173e-06)
_SMALLEST, _LARGEST = _f(-104.0), _f(89.0)

_E2, _E3, _E4 = _f(0.5), _f(0.1666657521737365), _f(0.04166655240319022)
_E5, _E6 = _f(0.008363472722161027), _f(0.0013926550428495922)

# Beyond it 1 - |tanh| would be below what e^2x can be.
_TANH_END = _f(43.5)
_TANH_SEAM = _f(0.625)
_T0, _T1, _T2 = _f(-0.33333328944134255), _f(0.13332769736976327), _f(-0.05385090957851358)
_T3, _T4 = _f(0.020997178999074752), _f(-0.006096714165908197)


@inlined
def _power_of_two(n: Any) -> Any:
    """2^n for an integer n from -126 to 127."""
    bits = np.float32(n + _ROUND_TO_EXPONENT).view(np.int32)
    return np.int32(bits << np.int32(23)).view(np.float32)


@inlined
def _expm1(r: Any) -> Any:
    """e^r - 1 for |r| <= log(2) / 2."""
    s = r * r
    p = fma(r, _E3, _E2)
    p2 = fma(r, _E5, _E4)
    p = fma(s, fma(s, _E6, p2), p)
    return fma(s, p, r)


@inlined
def exp(x: Any) -> Any:
    """e^x."""
    y = _SMALLEST if x < _SMALLEST else x
    y = _LARGEST if y > _LARGEST else y
    n = fma(y, _LOG2_E, _ROUND) - _ROUND
    t = _expm1(fma(n, _LESS_LN2_LOW, fma(n, _LESS_LN2_HIGH, y)))
    half = fma(n, _HALF, _ROUND) - _ROUND
    return (_ONE + t) * _power_of_two(half) * _power_of_two(n - half)


@inlined
def tanh(x: Any) -> Any:
    """tanh x, and 1 - |tanh x| with all its digits."""
    a = abs(x)
    a = _TANH_END if a > _TANH_END else a
    small = a < _TANH_SEAM

    # |tanh| = 1 - 2 / (e^2a + 1)
    n = fma(a, _TWO_LOG2_E, _ROUND) - _ROUND
    t = _expm1(fma(n, _LESS_LN2_LOW, fma(n, _LESS_LN2_HIGH, a + a)))
    scale = _power_of_two(n)
    less = _TWO / fma(scale, t, scale + _ONE)

    # |tanh| = a + a^3 p(a^2)
    z = a * a
    p = fma(z, fma(z, fma(z, fma(z, _T4, _T3), _T2), _T1), _T0)
    below = fma(a * z, p, a)

    value = below if small else _ONE - less
    return np.float32(math.copysign(value, x)), (_ONE - value if small else less)
