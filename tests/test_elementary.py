"""exp, tanh, erf and the normal distribution: 2 ulp, monotone, exact at the ends."""

import math
import struct
from fractions import Fraction

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.numerics import elementary, precision
from simulator.numerics.fused import _exact_fma, _single_fma
from simulator.numerics.jit import kernel


@kernel
def _exp(x, out):
    for i in range(x.size):
        out[0, i] = elementary.exp(x[i])


@kernel
def _tanh(x, out):
    for i in range(x.size):
        out[0, i], out[1, i] = elementary.tanh(x[i])


@kernel
def _erf(x, out):
    for i in range(x.size):
        out[0, i], out[1, i] = elementary.erf(x[i])


@kernel
def _normal(x, out):
    for i in range(x.size):
        out[0, i], out[1, i], out[2, i] = elementary.normal(x[i])


@kernel
def _chosen_exp(x, out):
    for i in range(x.size):
        out[0, i] = precision.exp(x[i])


@kernel
def _chosen_tanh(x, out):
    for i in range(x.size):
        out[0, i], out[1, i] = precision.tanh(x[i])


def _cdf(x):
    return mpmath.erfc(-x / mpmath.sqrt(2)) / 2


# Kernel, row, reference, lowest and highest input worth a grid.
CASES = {
    "exp": (_exp, 0, mpmath.exp, -745.2, 709.7),
    "tanh": (_tanh, 0, mpmath.tanh, -22.0, 22.0),
    "erf": (_erf, 0, mpmath.erf, -6.5, 6.5),
    "erf slope": (_erf, 1, lambda x: 2 / mpmath.sqrt(mpmath.pi) * mpmath.exp(-x * x), -27.3, 27.3),
    "gelu": (_normal, 0, lambda x: x * _cdf(x), -38.5, 9.0),
    "cdf": (_normal, 1, _cdf, -38.5, 9.0),
    "density": (_normal, 2, lambda x: mpmath.npdf(x), -38.5, 38.5),
}
SEAMS = {"tanh": [0.625], "erf": [0.75]}


def _rows(function, x, rows=3):
    out = np.empty((rows, x.size), dtype=x.dtype)
    with np.errstate(over="ignore"):
        function(np.ascontiguousarray(x), out)
    return out


def _ulps(name, x):
    function, row, reference, *_ = CASES[name]
    got = _rows(function, x)[row]
    worst = 0.0
    with mpmath.workprec(200):
        for value, at in zip(got, x, strict=True):
            exact = reference(mpmath.mpf(float(at)))
            if float(exact) == value:
                continue
            error = abs(mpmath.mpf(float(value)) - exact) / mpmath.mpf(math.ulp(float(exact)))
            worst = max(worst, float(error))
    return worst


def _neighbours(x, count):
    bits = np.abs(np.float64(x)).view(np.int64) + np.arange(-count, count)
    return np.copysign(bits.view(np.float64), x)


@pytest.mark.parametrize("name", CASES)
def test_two_units_in_the_last_place_on_a_grid(name):
    low, high = CASES[name][3:]
    assert _ulps(name, np.random.default_rng(0).uniform(low, high, 2000)) <= 2.0


@pytest.mark.parametrize("name", CASES)
def test_two_units_at_every_exponent(name):
    low, high = CASES[name][3:]
    powers = np.ldexp(np.random.default_rng(1).uniform(1.0, 2.0, 1100), np.arange(-1074, 26))
    x = np.concatenate([powers, -powers])
    assert _ulps(name, x[(low <= x) & (x <= high)]) <= 2.0


@pytest.mark.parametrize("name", CASES)
@given(x=st.floats(-800, 800))
def test_two_units_for_any_number(name, x):
    low, high = CASES[name][3:]
    assert _ulps(name, np.array([min(max(x, low), high)])) <= 2.0


@pytest.mark.parametrize("name", SEAMS)
def test_two_units_and_monotone_where_formulas_meet(name):
    function = CASES[name][0]
    for seam in SEAMS[name]:
        assert _ulps(name, _neighbours(seam, 200)) <= 2.0
        assert (np.diff(_rows(function, _neighbours(seam, 2000))[0]) >= 0).all()


def test_monotone_wherever_the_power_of_two_changes():
    for n in [*range(1, 40), *range(40, 1020, 20)]:
        change = (n - 0.5) * math.log(2.0)
        for sign in (1.0, -1.0):
            values = _rows(_exp, _neighbours(sign * change, 300))[0]
            assert (sign * np.diff(values) >= 0).all()
        if n < 60:
            assert (np.diff(_rows(_tanh, _neighbours(change / 2, 300))[0]) >= 0).all()


@pytest.mark.parametrize(("name", "top"), [("exp", 700), ("tanh", 20), ("erf", 6)])
@given(x=st.floats(1e-300, 1))
def test_monotone_on_consecutive_numbers(name, top, x):
    function = CASES[name][0]
    assert (np.diff(_rows(function, _neighbours(top * x, 50))[0]) >= 0).all()


@pytest.mark.parametrize("name", ["tanh", "erf"])
@given(x=st.floats(allow_nan=False))
def test_odd_bit_for_bit(name, x):
    there, back = _rows(CASES[name][0], np.array([x, -x]))[0]
    assert struct.pack("d", there) == struct.pack("d", -back)


def test_exact_at_zero_and_infinity_and_nan_passes():
    x = np.array([0.0, -0.0, np.inf, -np.inf, np.nan])
    np.testing.assert_array_equal(_rows(_exp, x)[0], [1, 1, np.inf, 0, np.nan])
    np.testing.assert_array_equal(_rows(_tanh, x)[0], [0, 0, 1, -1, np.nan])
    np.testing.assert_array_equal(_rows(_erf, x)[0], [0, 0, 1, -1, np.nan])
    gelu, cdf, density = _rows(_normal, x)
    np.testing.assert_array_equal(gelu, [0, 0, np.inf, 0, np.nan])
    np.testing.assert_array_equal(cdf, [0.5, 0.5, 1, 0, np.nan])
    np.testing.assert_array_equal(density[2:], [0, 0, np.nan])
    for function in (_tanh, _erf, _normal):
        assert np.signbit(_rows(function, x)[0][1])


@pytest.mark.parametrize("name", CASES)
def test_single_precision_is_the_rounded_double(name):
    function, row, _, low, high = CASES[name]
    x = np.random.default_rng(2).uniform(max(low, -80), min(high, 80), 500).astype(np.float32)
    double = _rows(function, x.astype(np.float64))[row]
    np.testing.assert_array_equal(_rows(function, x)[row], double.astype(np.float32))


# In float64, in the precision of the argument, results, lowest and highest input.
SINGLE = {
    "exp": (_exp, _chosen_exp, 1, -103.9, 88.7),
    "tanh": (_tanh, _chosen_tanh, 2, -43.4, 43.4),
}


def _single_numbers(low, high):
    """Every 4001st float32 number between, in their order; without the JIT far fewer."""
    step = 4001 if hasattr(_exp, "py_func") else 4_000_037
    x = np.arange(0, 0x7F800000, step, dtype=np.uint32).view(np.float32)
    x = np.concatenate([-x[::-1], x])
    return x[(low <= x) & (x <= high)]


@pytest.mark.parametrize("name", SINGLE)
def test_single_precision_has_two_units_over_its_whole_range(name):
    double, single, results, low, high = SINGLE[name]
    x = _single_numbers(low, high)
    exact = _rows(double, x.astype(np.float64), results)
    unit = np.spacing(np.abs(exact).astype(np.float32)).astype(np.float64)
    assert (np.abs(_rows(single, x, results) - exact) <= 2.0 * unit).all()


@pytest.mark.parametrize("name", SINGLE)
@given(part=st.floats(0, 1), sign=st.sampled_from([1, -1]))
def test_single_precision_is_monotone_on_consecutive_numbers(name, part, sign):
    single, high = SINGLE[name][1], SINGLE[name][4]
    bits = np.float32(part * high).view(np.int32) + np.arange(100, dtype=np.int32)
    x = sign * bits.view(np.float32)
    assert (sign * np.diff(_rows(single, x)[0]) >= 0).all()


def test_single_precision_is_exact_at_zero_and_infinity_and_odd():
    x = np.array([0.0, -0.0, np.inf, -np.inf, np.nan], dtype=np.float32)
    np.testing.assert_array_equal(_rows(_chosen_exp, x)[0], np.float32([1, 1, np.inf, 0, np.nan]))
    tanh = _rows(_chosen_tanh, x)[0]
    np.testing.assert_array_equal(tanh, np.float32([0, 0, 1, -1, np.nan]))
    assert np.signbit(tanh[1])
    x = _single_numbers(0, 100)
    np.testing.assert_array_equal(_rows(_chosen_tanh, -x)[0], -_rows(_chosen_tanh, x)[0])


@pytest.mark.parametrize(("chosen", "plain"), [(_chosen_exp, _exp), (_chosen_tanh, _tanh)])
def test_double_precision_is_chosen_for_double(chosen, plain):
    x = np.random.default_rng(3).uniform(-5, 5, 200)
    np.testing.assert_array_equal(_rows(chosen, x)[0], _rows(plain, x)[0])


@given(*[st.floats(-(2.0**60), 2.0**60, width=32)] * 3)
def test_the_single_fused_product_in_python_rounds_once(a, b, c):
    exact = Fraction(a) * Fraction(b) + Fraction(c)
    got = _single_fma(np.float32(a), np.float32(b), np.float32(c))
    off = abs(Fraction(float(got)) - exact)
    for other in (np.nextafter(got, np.float32(s * np.inf)) for s in (1, -1)):
        away = abs(Fraction(float(other)) - exact)
        assert off < away or (off == away and got.view(np.int32) % 2 == 0)


@given(*[st.floats(-1e100, 1e100)] * 3)
def test_the_fused_product_in_python_rounds_once(a, b, c):
    assert _exact_fma(a, b, c) == float(Fraction(a) * Fraction(b) + Fraction(c))
