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

_ONE_OVER_SQRT_2PI = 0.3989422804014327
_ONE_OVER_SQRT_2PI_REST = -2.49232720227773e-17
_TWO_OVER_SQRT_PI = 1.1283791670955126
_TWO_OVER_SQRT_PI_REST = 1.533545961316588e-17

# Below: a rational function; above: from e^2x, and there the error of e^2x no longer shows.
_TANH_SEAM = 0.625
_ERF_SEAM = 0.75


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
    y: Any = np.float64(x)
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
    y: Any = np.float64(x)
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
def _gauss(square: float, less: float) -> Any:
    """e^(-square - less) as a sum and a power of two: (1 + t + lost) 2^n.

    The power may be subnormal: whatever is multiplied by it keeps its digits until then.
    """
    n = fma(square, -_LOG2_E, _ROUND) - _ROUND
    high = fma(n, -_LN2_HIGH, -square)
    low = fma(n, -_LN2_LOW, -less)
    r = high + low
    half = fma(n, 0.5, _ROUND) - _ROUND
    return _expm1(r), (high - r) + low, _power_of_two(half) * _power_of_two(n - half)


@inlined
def erf(x: float) -> Any:
    """erf x and its derivative."""
    y: Any = np.float64(x)
    a = abs(y)
    a = 27.5 if a > 27.5 else a
    z = a * a
    e, _, scale = _gauss(z, fma(a, a, -z))

    # |erf| = 1 - e^(-a^2) w, where w is a polynomial of t, which is small where rounding counts.
    # Beyond 6, where w is no longer exact, the difference is 1.
    t = (a - 0.875) / (a + 3.0)
    t2 = t * t
    t4 = t2 * t2
    p0 = fma(t, -1.2238563489020118, 0.464311583202669)
    p2 = fma(t, -1.4510340752603919, 1.598434334629667)
    p4 = fma(t, -0.25630360202411634, 0.8625011058366414)
    p6 = fma(t, 0.053558136341623305, -0.038762943508482556)
    p8 = fma(t, -0.011208453126613149, 0.00035858325702889474)
    p10 = fma(t, 0.0026987323876306803, -0.000478025025422751)
    p12 = fma(t, -0.0007449257264537406, 0.0004976436159321009)
    p0 = fma(t2, p2, p0)
    p4 = fma(t2, p6, p4)
    p8 = fma(t2, p10, p8)
    w = fma(t4, fma(t4, fma(t4, p12, p8), p4), p0)
    above = fma(-scale, fma(w, e, w), 1.0)

    # |erf| = a + a p(a^2), where p is small.
    z2 = z * z
    z4 = z2 * z2
    p0 = fma(z, -0.37612638903183704, 0.1283791670955126)
    p2 = fma(z, -0.026866170644267967, 0.11283791670951936)
    p4 = fma(z, -0.000854832605084494, 0.005223977613452484)
    p6 = fma(z, -1.4924042861800634e-05, 0.00012055283709085262)
    p8 = fma(z, -1.5918988432914804e-07, 1.642826357025535e-06)
    p8 = fma(z2, 1.1394698023426892e-08, p8)
    p0 = fma(z2, p2, p0)
    p4 = fma(z2, p6, p4)
    below = fma(a, fma(z4, fma(z4, p8, p4), p0), a)

    value = below if a < _ERF_SEAM else above
    slope = _TWO_OVER_SQRT_PI + fma(_TWO_OVER_SQRT_PI, e, _TWO_OVER_SQRT_PI_REST)
    return math.copysign(value, y), slope * scale


@inlined
def _excess(t: float) -> float:
    """(f - 1/2) / (1 + t), where a = 6 (1 + t) / (1 - t), f = (1 + 9/8 a) e^(a^2/2) Phi(-a)."""
    t2 = t * t
    t4 = t2 * t2
    t8 = t4 * t4
    p0 = fma(t, -0.08229362692632769, 0.0020396860144630833)
    p2 = fma(t, -0.10853434802990437, 0.11385254287775197)
    p4 = fma(t, -0.053473904027687126, 0.08327224695185953)
    p6 = fma(t, -0.012854628373763255, 0.028863155032537034)
    p8 = fma(t, -0.001055796495409744, 0.004485090527381559)
    p10 = fma(t, 7.724790908789746e-05, 5.563086888557247e-05)
    p12 = fma(t, 1.8328420316196621e-06, -3.216502279287664e-05)
    p14 = fma(t, -9.78077808204271e-07, 3.0720138930764565e-06)
    p16 = fma(t, 1.5734418931314314e-07, -1.624500535057e-07)
    p18 = fma(t, -2.1751134319384063e-08, -2.157558781106603e-09)
    p20 = fma(t, 2.574910909922354e-09, 7.431983231345949e-10)
    p20 = fma(t2, 3.8432200202781113e-10, p20)
    p0 = fma(t2, p2, p0)
    p4 = fma(t2, p6, p4)
    p8 = fma(t2, p10, p8)
    p12 = fma(t2, p14, p12)
    p16 = fma(t2, p18, p16)
    p0 = fma(t4, p4, p0)
    p8 = fma(t4, p12, p8)
    p16 = fma(t4, p20, p16)
    return fma(t8, fma(t8, p16, p8), p0)


@inlined
def normal(x: float) -> Any:
    """x Phi(x), Phi(x) and phi(x): the standard normal distribution and its density."""
    y: Any = np.float64(x)
    a = abs(y)
    a = 38.9 if a > 38.9 else a
    square = a * a
    e, lost, scale = _gauss(0.5 * square, 0.5 * fma(a, a, -square))

    # Phi(-a) = e^(-a^2/2) f / (1 + 9/8 a), each factor with the rest that its rounding leaves.
    d = fma(a, 1.125, 1.0)
    d_rest = fma(a, 1.125, 1.0 - d)
    d6 = a + 6.0
    shared = 1.0 / (d * d6)
    inverse = shared * d6
    v = (a + a) * (d * shared)
    excess = _excess(v - 1.0)
    f = fma(v, excess, 0.5)
    f_rest = fma(v, excess, 0.5 - f)
    w = f * inverse
    w_rest = fma(-w, d_rest, fma(-w, d, f) + f_rest) * inverse
    rest = fma(w, lost, w_rest)
    more = fma(w, e, fma(rest, e, rest))

    tail = (w + more) * scale
    product = a * w
    product_rest = fma(a, more, fma(a, w, -product))
    below = (product + product_rest) * scale
    density = _ONE_OVER_SQRT_2PI + fma(_ONE_OVER_SQRT_2PI, e + lost, _ONE_OVER_SQRT_2PI_REST)
    left = y < 0.0
    return (-below if left else y - below), (tail if left else 1.0 - tail), density * scale
