"""Laziness in the UV model: what width and s leave of features, and of learning rates."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import simulator as sim
from simulator.theory import uv
from simulator.theory import widths as theory

seeds = st.integers(0, 2**31 - 1)


def orthogonal_start(n, s, var_w, size, y):
    """UV on one example x = size with f_0 = 0 and its mean kernel: model, data, theta."""
    model = sim.UV(n, s, var_w)
    entry = np.sqrt(var_w * float(n) ** (1 - s))
    return model, sim.Data(np.array([[size]]), np.array([[y]])), entry * np.array([1.0, 0, 0, 1])


uv_settings = {
    "n": st.integers(2, 10**8), "s": st.floats(0, 1), "var_w": st.floats(0.3, 3),
    "size": st.floats(0.3, 3), "y": st.floats(0.3, 4),
}  # fmt: skip


@given(s=st.floats(0, 0.9), var_w=st.floats(0.3, 3), chi=st.floats(0.1, 10), y=st.floats(0.1, 5))
def test_lazy_networks_change_by_powers_of_the_width(s, var_w, chi, y):
    """lambda_inf - lambda_0 ~ n^(s-1) and |p_inf| - |p_0| ~ n^(-(1-s)/2)."""
    # As wide as it takes to be lazy.
    n = (1e3 ** (2 / (1 - s))) * np.array([1.0, 4.0, 16.0])
    assume(n[0] < 1e100)
    r = theory.laziness(n, s, chi, var_w, y)
    assume(r[0] > 30)
    change = theory.feature_growth(r) - 1
    np.testing.assert_allclose(np.diff(np.log(change)), -0.5 * (1 - s) * np.log(4), atol=0.02)
    gained = theory.kernel_growth(r)
    gained = (gained**2 - 1) / (gained + 1)
    np.testing.assert_allclose(np.diff(np.log(gained)), (s - 1) * np.log(4), rtol=0.01, atol=0.01)


@given(**uv_settings, seed=seeds, tilt=st.floats(0, 1))
def test_no_minimum_is_stable_beyond_the_edge(n, s, var_w, size, y, seed, tilt):
    """Zero loss has sharpness at least 2 kappa |y|, reached where the layers are aligned."""
    model, data, _ = orthogonal_start(n, s, var_w, size, y)
    edge = theory.transferring_rates(theory.laziness(n, s, size**2, var_w, y))[2]
    eta = edge / (2 * var_w * size**2)
    rng = np.random.default_rng(seed)
    u = rng.standard_normal(2)
    # v as u, but longer or shorter and with a part across it: a minimum of any sharpness.
    v = u * np.exp(tilt * rng.standard_normal()) + tilt * rng.standard_normal() * np.array(
        [-u[1], u[0]]
    )
    scale = np.sqrt(y / (model.c * size * (u @ v)))
    top = sim.sharpness(model, scale * np.concatenate([u, v]), data)
    assert eta * top >= 2 * (1 - 1e-9)
    if tilt == 0:
        assert eta * top == pytest.approx(2, rel=1e-9)


def test_learning_rates_of_laziness_are_those_of_the_exact_map():
    r = np.array([0.3, 2.0, 50.0])
    lam, kappa = 3.0, 3.0 / (r * 1.7)
    first, largest, edge = theory.transferring_rates(r)
    np.testing.assert_allclose(first, lam * 2 / uv.flow_limit(-1.7, lam, kappa, 1.7), rtol=1e-12)
    np.testing.assert_allclose(largest, lam * uv.eta_max(-1.7, lam, kappa, 1.7), rtol=1e-12)
    np.testing.assert_allclose(edge, lam * uv.eta_edge(kappa, 1.7), rtol=1e-12)
