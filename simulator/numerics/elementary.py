"""exp, tanh, erf and the normal distribution at vector speed, to 2 ulp, the same bits everywhere.

Each function takes and returns float64 numbers, has no branch and calls no library, so that LLVM
vectorises a loop over it: a condition becomes a select of two values that are both computed. All
of them stand on e^x = 2^n (1 + t), n the integer nearest to x / log 2 and t = e^r - 1 for the rest
|r| <= log(2) / 2. Only exactly rounded operations are used, hence no platform differs in a bit.

exp and tanh are monotone. Between two changes of n, r and then t (a correction to r that is below
a fifth of it) grow with x, and what follows is a chain of operations each of which, rounded, still
is monotone; where n changes, and where a formula takes over from another, tests look.

The coefficients are Chebyshev interpolants, in a basis of powers, found with 60 digits.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from simulator.numerics.fused import fma
from simulator.numerics.jit import inlined

__all__ = ["erf", "exp", "normal", "tanh"]

# Adding this makes a float64 below 2^51 an integer, which stands in the low bits.
_ROUND = 1.5 * 2.0**52
_EXPONENT_OF_ONE = 1023.0
_LOG2_E = 1.4426950408889634
# The first has 42 bits: n times it is exact.
_LN2_HIGH = 0.6931471805598903
_LN2_LOW = 5.497923018708371e-14

_ONE_OVER_SQRT_2 = 0.7071067811865476
_ONE_OVER_SQRT_2_REST = -4.833646656726457e-17
_ONE_OVER_SQRT_2PI = 1.0 / math.sqrt(2.0 * math.pi)
_TWO_OVER_SQRT_PI = 2.0 / math.sqrt(math.pi)

# Below: a rational function; above: from e^2x, and there the error of e^2x no longer shows.
_TANH_SEAM = 0.625
_ERF_SEAM = 0.65


@inlined
def _power_of_two(n: float) -> Any:
    """2^n for an integer n from -1022 to 1023: n + 1023 moved to where the exponent stands."""
    bits = np.float64(n + (_ROUND + _EXPONENT_OF_ONE)).view(np.int64)
    return np.int64(bits << np.int64(52)).view(np.float64)


@inlined
def _expm1(r: float) -> float:
    """e^r - 1 for |r| <= log(2) / 2."""
    s = r * r
    p = fma(r, 0.16666666666666669, 0.5000000000000001)
    p2 = fma(r, 0.008333333333330051, 0.04166666666662399)
    p4 = fma(r, 0.00019841269863105968, 0.0013888888917281794)
    p6 = fma(r, 2.7557268378684192e-06, 2.480152119021773e-05)
    p8 = fma(r, 2.5100424157005067e-08, 2.7620138719733994e-07)
    s2 = s * s
    p4 = fma(s, p6, p4)
    p = fma(s, p2, p)
    return fma(s, fma(s2, fma(s2, p8, p4), p), r)


@inlined
def exp(x: float) -> Any:
    """e^x."""
    y = np.float64(x)
    y = -746.0 if y < -746.0 else y
    y = 710.0 if y > 710.0 else y
    n = fma(y, _LOG2_E, _ROUND) - _ROUND
    t = _expm1(fma(n, -_LN2_LOW, fma(n, -_LN2_HIGH, y)))
    # 2^n in two factors: it may be subnormal, or beyond the largest number while e^x is not.
    half = fma(n, 0.5, _ROUND) - _ROUND
    return (1.0 + t) * _power_of_two(half) * _power_of_two(n - half)


@inlined
def tanh(x: float) -> Any:
    """tanh x, and 1 - |tanh x| with all its digits."""
    y = np.float64(x)
    a = abs(y)
    a = 354.0 if a > 354.0 else a
    small = a < _TANH_SEAM

    # |tanh| = 1 - 2 / (e^2a + 1)
    n = fma(a, 2.0 * _LOG2_E, _ROUND) - _ROUND
    t = _expm1(fma(n, -_LN2_LOW, fma(n, -_LN2_HIGH, 2.0 * a)))
    scale = _power_of_two(n)
    above = fma(scale, t, scale + 1.0)

    # |tanh| = a + a^3 p(a^2) / q(a^2): one division serves both.
    z = a * a
    p = fma(z, fma(z, -0.9643853419446194, -99.25238689337515), -1613.9579863106735)
    q = fma(z, fma(z, z + 112.77340323376032, 2234.5067442529166), 4841.87395893202)
    more = (a * z * p if small else -2.0) / (q if small else above)

    value = (a if small else 1.0) + more
    return math.copysign(value, y), (1.0 - value if small else -more)


@inlined
def _scaled_erfc(y: float) -> Any:
    """(1 + 2 y) e^(y^2) erfc(y) for y >= 0 in two parts: nearly constant, from 1 to 1.13."""
    v = y / (y + 4.0)
    t = fma(2.0, v, -1.0)
    rest = fma(2.0, v, -1.0 - t)
    t2 = t * t
    t4 = t2 * t2
    t8 = t4 * t4
    p0 = fma(t, 0.015379652102619573, -0.13962111684056253)
    p1 = fma(t, -0.1010390660362954, 0.06809705425469342)
    p2 = fma(t, -0.06633036581239315, 0.09373283499832316)
    p3 = fma(t, -0.01619773405614928, 0.03716751553789205)
    p4 = fma(t, -0.0007577732966797825, 0.005031969974588463)
    p5 = fma(t, 0.00015062169634785701, -0.00019925667760067352)
    p6 = fma(t, -1.1222052791754953e-05, -2.4399268538169902e-05)
    p7 = fma(t, 2.938098765046361e-07, 5.709839222439837e-06)
    p8 = fma(t, 7.465622591249188e-08, -8.255419835590252e-07)
    p9 = fma(t, -1.793663398298074e-08, 1.1010664028320208e-07)
    p10 = fma(t, 1.8434081540220902e-09, -1.4095414244299627e-08)
    p11 = 1.2558265162039687e-09
    p0 = fma(t2, p1, p0)
    p2 = fma(t2, p3, p2)
    p4 = fma(t2, p5, p4)
    p6 = fma(t2, p7, p6)
    p8 = fma(t2, p9, p8)
    p10 = fma(t2, p11, p10)
    p0 = fma(t4, p2, p0)
    p4 = fma(t4, p6, p4)
    p8 = fma(t4, p10, p8)
    p = fma(t8, fma(t8, p8, p4), p0)
    value = fma(t, p, 1.2329951186255526)
    # The slope is 1.66 at t = -1, where the rounding of t matters, and t^8 of that elsewhere.
    rest = fma(1.66 * t8, rest, -4.5011104229108984e-17)
    return value, fma(t, p, 1.2329951186255526 - value) + rest


@inlined
def _gauss(y: float, more: float) -> Any:
    """erfc(y) and e^(-y^2), y + ``more`` for y >= 0, as m f g and e f g with f, g powers of two.

    Products of the parts keep their digits where f g is subnormal.
    """
    square = y * y
    less = fma(2.0 * y, more, fma(y, y, -square))
    n = fma(square, -_LOG2_E, _ROUND) - _ROUND
    high = fma(n, -_LN2_HIGH, -square)
    low = fma(n, -_LN2_LOW, -less)
    r = high + low
    t = _expm1(r)
    lost = (high - r) + low

    shape, rest = _scaled_erfc(y)
    d = 1.0 + 2.0 * y
    larger, smaller = (1.0 if y < 0.5 else 2.0 * y), (2.0 * y if y < 0.5 else 1.0)
    d_rest = (larger - d) + smaller + 2.0 * more
    inverse = 1.0 / d
    w = shape * inverse
    w_rest = fma(-w, d_rest, fma(-w, d, shape) + rest) * inverse

    m = w + fma(w, t, fma(w, lost, w_rest))
    half = fma(n, 0.5, _ROUND) - _ROUND
    return m, 1.0 + (t + lost), _power_of_two(half), _power_of_two(n - half)


@inlined
def erf(x: float) -> Any:
    """erf x and its derivative."""
    y = np.float64(x)
    a = abs(y)
    a = 27.5 if a > 27.5 else a
    m, e, f, g = _gauss(a, 0.0)
    large = 1.0 - m * f * g

    z = a * a
    z2 = z * z
    z4 = z2 * z2
    p0 = fma(z, -0.3761263890318375, 0.1283791670955126)
    p1 = fma(z, -0.02686617064503548, 0.11283791670954858)
    p2 = fma(z, -0.0008548326834063042, 0.0052239776236797245)
    p3 = fma(z, -1.492510199267582e-05, 0.00012055320278174762)
    p4 = fma(z, -1.6100263946388349e-07, 1.6446854105532698e-06)
    p4 = fma(z2, 1.214881898912895e-08, p4)
    p0 = fma(z2, p1, p0)
    p2 = fma(z2, p3, p2)
    small = fma(a, fma(z4, fma(z4, p4, p2), p0), a)

    value = small if a < _ERF_SEAM else large
    return math.copysign(value, y), _TWO_OVER_SQRT_PI * e * f * g


@inlined
def normal(x: float) -> Any:
    """x Phi(x), Phi(x) and phi(x): the standard normal distribution and its density."""
    y = np.float64(x)
    a = abs(y)
    a = 38.9 if a > 38.9 else a
    u = a * _ONE_OVER_SQRT_2
    more = fma(a, _ONE_OVER_SQRT_2, -u) + a * _ONE_OVER_SQRT_2_REST
    m, e, f, g = _gauss(u, more)
    m *= 0.5
    tail = m * f * g
    density = _ONE_OVER_SQRT_2PI * e * f * g
    left = y < 0.0
    return (-a * m * f * g if left else y * (1.0 - tail)), (tail if left else 1.0 - tail), density
