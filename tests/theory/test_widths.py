"""Parameterizations against plain networks: which train alike, and their kernels at any width."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from plain_networks import interpolating, per_weight

import simulator as sim
from simulator.theory import widths as theory


@given(
    d=st.integers(1, 50), n=st.integers(1, 2000), k=st.integers(1, 10), depth=st.integers(2, 6),
    var_w=st.floats(0.2, 4),
)  # fmt: skip
def test_form_b_of_mup_is_form_a_with_the_multipliers_absorbed(d, n, k, depth, var_w):
    widths = (d, *(n,) * (depth - 1), k)
    form_a = theory.layers("mup", widths, var_w)
    form_b = theory.mup_form_b(widths, var_w)
    absorbed = theory.rescaled(form_a, form_a.multipliers)
    for literal, derived in zip(form_b, absorbed, strict=True):
        np.testing.assert_allclose(literal, derived, rtol=1e-12)


@given(n=st.integers(4, 500), depth=st.integers(3, 5))
def test_form_b_of_mup_scales_as_its_table_says(n, depth):
    """From n to 2 n: variances 0, -1, -2; rates 1, 0, -1; Adam's 0, -1, -1."""
    narrow, wide = (theory.mup_form_b((3, *(w,) * (depth - 1), 2)) for w in (n, 2 * n))
    table = {
        "variances": (0, -1, -2),
        "rates": (1, 0, -1),
        "adaptive_rates": (0, -1, -1),
        "multipliers": (0, 0, 0),
    }
    for field, (first, hidden, last) in table.items():
        slope = np.log2(getattr(wide, field) / getattr(narrow, field))
        np.testing.assert_allclose(slope, [first, *[hidden] * (depth - 2), last], atol=1e-12)


@given(d=st.integers(1, 9), n=st.integers(1, 300), k=st.integers(1, 5), depth=st.integers(2, 5))
def test_the_layers_of_theory_are_those_of_the_network(d, n, k, depth):
    data = sim.Data(np.ones((1, d)), np.zeros((1, k)))
    model = sim.MLP(n, depth, parameterization="mup")
    widths = model.widths(data)
    rates = per_weight(theory.layers("mup", widths).adaptive_rates, widths)
    np.testing.assert_array_equal(model.layer_rates(data, adaptive=True), rates)
    np.testing.assert_array_equal(theory.layers("mup", widths).rates, np.ones(depth))


@given(
    n=st.integers(1, 10**6), depth=st.integers(2, 8), d=st.integers(1, 100),
    size=st.floats(0.1, 10),
)  # fmt: skip
def test_the_mean_kernel_has_a_closed_form_at_gain_two(n, depth, d, size):
    """chi/d times L, 1 + (L-1)/2, n + (n(L-2) + d)/2 in NTP, muP, SP."""
    x = np.full((1, d), size / np.sqrt(d))
    kernels = [theory.initial_kernel(name, n, depth, x).item() for name in ("ntp", "mup", "sp")]
    counts = [depth, 1 + (depth - 1) / 2, n + (n * (depth - 2) + d) / 2]
    np.testing.assert_allclose(kernels, np.multiply(counts, size**2 / d), rtol=1e-10)


@given(n=st.integers(1, 10**6), depth=st.integers(2, 8), d=st.integers(1, 9), s=st.floats(0, 1))
def test_the_interpolating_kernel_has_a_closed_form(n, depth, d, s):
    """n^(1-s) (1 + (L - 2) / 2) + 1/2 for |x| = 1."""
    widths = (d, *(n,) * (depth - 1), 1)
    x = np.eye(1, d)
    kernel = theory.layer_kernels(interpolating(s, widths), widths, x).sum()
    assert kernel == pytest.approx(float(n) ** (1 - s) * (1 + (depth - 2) / 2) + 0.5, rel=1e-10)
