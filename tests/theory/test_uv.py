"""One example in the UV model, held to networks that are stepped weight by weight."""

from functools import cache

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from one_example import networks, with_modes
from scipy.integrate import solve_ivp

from simulator.theory import uv

seeds = st.integers(0, 2**32 - 1)


mus = st.floats(-1.99, 1.99)
modes = st.floats(0, 8)


# --- one update -------------------------------------------------------------------------------


@given(
    network=networks(),
    z=st.lists(st.just(0.0) | st.floats(1e-6, 2.2), min_size=20, max_size=20),
)
def test_weights_follow_the_exact_map(network, z):
    """In (delta, lam) and in (a, b, mu), at a learning rate that changes at every update."""
    delta, lam, kappa, y = network.setting
    first, second = uv.modes(delta, lam, kappa, y)
    for ratio in z:
        eta = ratio / network.trace
        delta, lam = uv.step(delta, lam, kappa, y, eta)
        a, b = uv.mode_step(eta * first, eta * second, eta * kappa * y)
        network.step(eta)
        if abs(network.output) > 1e6:
            break
        size = 1e-8 * max(1, network.trace)
        first, second = (a / eta, b / eta) if eta else (first, second)
        np.testing.assert_allclose((delta, lam), network.setting[:2], rtol=1e-8, atol=size)
        found = 0.5 * kappa**2 * np.sum((network.feature + network.v) ** 2)
        np.testing.assert_allclose(first, found, rtol=1e-8, atol=size)
        np.testing.assert_allclose(first + second, network.trace, rtol=1e-8, atol=size)
        assert network.trace >= 2 * kappa * abs(network.output) - 1e-10 * max(1, network.trace)


@given(network=networks(), z=st.floats(0.01, 4))
def test_modes_are_those_of_the_sum_and_of_the_difference_of_the_layers(network, z):
    """A, B = kappa^2 |u +- v|^2 / 2; eps = eta kappa delta."""
    delta, lam, kappa, y = network.setting
    eta = z / lam
    a, b, mu = uv.dimensionless(delta, lam, kappa, y, eta)
    expected = [
        0.5 * eta * kappa**2 * np.sum((network.feature + sign * network.v) ** 2) for sign in (1, -1)
    ]
    np.testing.assert_allclose((a, b), expected, rtol=1e-9, atol=1e-9 * z)
    assert uv.residual(a, b, mu) == pytest.approx(eta * kappa * delta, rel=1e-9, abs=1e-9)


@cache
def _step_jacobian():
    import jax

    return jax.jit(jax.jacfwd(lambda *at: jax.numpy.stack(uv.step(*at)), argnums=(0, 1)))


@given(delta=st.floats(-3, 3), lam=st.floats(0.1, 10), kappa=st.floats(0.1, 2), y=st.floats(-3, 3),
       eta=st.floats(0, 2))  # fmt: skip
def test_the_jacobian_is_that_of_autograd(delta, lam, kappa, y, eta):
    expected = np.transpose(_step_jacobian()(delta, lam, kappa, y, eta))
    found = uv.jacobian(delta, lam, kappa, y, eta)
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)


@given(lam=st.floats(0.1, 10), kappa=st.floats(0.1, 2), y=st.floats(-3, 3), eta=st.floats(0, 2))
def test_minima_are_a_line_with_the_multipliers_of_a_quadratic(lam, kappa, y, eta):
    found = np.linalg.eigvals(uv.jacobian(0.0, lam, kappa, y, eta))
    np.testing.assert_allclose(sorted(found), sorted([1 - eta * lam, 1.0]), rtol=1e-9, atol=1e-9)


@given(mu=mus, kappa=st.floats(0.2, 2), eta=st.floats(0.1, 2))
def test_the_other_fixed_points_are_fixed_and_multiply_as_the_jacobian_does(mu, kappa, eta):
    y = mu / (eta * kappa)
    points, multipliers = uv.fixed_points(mu)
    for (eps, s), expected in zip(points, multipliers, strict=True):
        state = eps / (eta * kappa), s / eta
        np.testing.assert_allclose(uv.step(*state, kappa, y, eta), state, rtol=1e-9, atol=1e-9)
        found = np.linalg.eigvals(uv.jacobian(*state, kappa, y, eta))
        np.testing.assert_allclose(np.sort(found.real), np.sort(expected), rtol=1e-6, atol=1e-6)
        # The dead network is marginal where it is a minimum.
        assert np.max(expected) > 1 or abs(mu) < 1e-9


@given(mu=mus, seed=seeds, n=st.integers(1, 8))
def test_at_the_ends_of_the_line_a_layer_only_changes_sign(mu, seed, n):
    """(eps, S) = (2, 4 + 2 mu) and (-2, 4 - 2 mu): cycles of period 2 of the weights."""
    for sign in (1, -1):
        a = 4 + 2 * sign * mu
        network = with_modes(seed, n, 1.0, mu, [a, 0.0] if sign > 0 else [0.0, a])
        before = np.append(network.u, network.v)
        network.step(1.0)
        middle = np.append(network.u, network.v)
        network.step(1.0)
        assert np.linalg.norm(middle - before) > 0.1 * np.linalg.norm(before)
        np.testing.assert_allclose(np.append(network.u, network.v), before, rtol=1e-9, atol=1e-9)


# --- curvature --------------------------------------------------------------------------------


@given(network=networks())
def test_no_direction_across_the_modes_is_ever_the_sharpest(network):
    delta, lam, kappa, y = network.setting
    top = uv.sharpness(delta, lam, kappa, y)
    assert top >= kappa * abs(delta) * (1 - 1e-9)
    # The bottom of the Hessian is negative iff delta (3 delta + 2 y) > 0.
    bend = delta * (3 * delta + 2 * y)
    assume(abs(bend) * kappa**2 > 1e-9 * lam**2)
    assert (top > lam) == (bend > 0)


@cache
def _drifts(n):
    """Trace and sharpness of (u, v) (2 n,), one input, and their rates along minus the gradient."""
    import jax
    import jax.numpy as jnp

    def loss(theta, kappa, y):
        return 0.5 * (kappa * theta[:n] @ theta[n:] - y) ** 2

    def measures(theta, kappa, y):
        top = jnp.linalg.eigvalsh(jax.hessian(loss)(theta, kappa, y))[-1]
        return kappa**2 * theta @ theta, top

    def rates(theta, kappa, y):
        along = -jax.grad(loss)(theta, kappa, y)
        return jax.jvp(lambda at: measures(at, kappa, y), (theta,), (along,))[1]

    return jax.jit(rates)


@given(seed=seeds, kappa=st.floats(0.2, 2), y=st.floats(-4, 4))
def test_trace_and_sharpness_drift_as_autograd_says(seed, kappa, y):
    n = 2
    theta = np.random.default_rng(seed).standard_normal(2 * n)
    delta, lam = kappa * theta[:n] @ theta[n:] - y, kappa**2 * theta @ theta
    top = uv.sharpness(delta, lam, kappa, y)
    # Where eigenvalues cross, the largest one has a kink.
    assume(top - kappa * abs(delta) > 1e-3 * lam)
    trace, sharpness = _drifts(n)(theta, kappa, y)
    size = kappa**2 * delta**2 + lam**2
    assert uv.trace_drift(delta, kappa, y) == pytest.approx(float(trace), rel=1e-9, abs=1e-9 * size)
    found = uv.sharpness_drift(delta, lam, kappa, y)
    assert found == pytest.approx(float(sharpness), rel=1e-6, abs=1e-8 * size)


# --- gradient flow, and descent at a small learning rate ---------------------------------------


def _flow(network, time):
    """The weights (u, v) of a network with one input after gradient flow."""
    n, kappa, y = len(network.v), network.kappa, network.y

    def force(_, theta):
        u, v = theta[:n], theta[n:]
        pull = kappa * (kappa * u @ v - y)
        return -pull * np.concatenate([v, u])

    start = np.concatenate([network.feature, network.v])
    end = solve_ivp(force, (0, time), start, rtol=1e-11, atol=1e-13, method="DOP853").y[:, -1]
    return end[:n], end[n:]


@given(f=st.floats(0.05, 5), y=st.floats(0.05, 4), kappa=st.floats(0.2, 2), t=st.floats(0, 5))
def test_flow_with_equal_layers_is_logistic(f, y, kappa, t):
    network = with_modes(0, 1, kappa, y, [2 * kappa * f, 0.0])
    time = t / (kappa * (f + y))
    u, v = _flow(network, time) if t else (network.feature, network.v)
    assert uv.flow_on_manifold(time, f, kappa, y) == pytest.approx(kappa * u @ v, rel=1e-8)


def test_the_bias_of_a_step_size_is_reached():
    """Balanced modes close to the solution, where every inequality on the way is an equality."""
    kappa, y, lam = 1.0, 1e-4, 1.0
    for z in (0.1, 0.5, 0.9):
        network = with_modes(0, 4, kappa, y, [0.5 * lam + 0.01, 0.5 * lam - 0.01])
        setting = network.setting
        eta = z / max(setting[1], uv.flow_limit(*setting))
        for _ in range(600):
            network.step(eta)
        bias = uv.flow_limit(*setting) - network.trace
        assert bias == pytest.approx(uv.step_size_bias(*setting, eta), rel=0.02)


# --- initialisation ---------------------------------------------------------------------------


def test_everything_broadcasts():
    rng = np.random.default_rng(3)
    setting = rng.normal(size=(3, 1)), rng.uniform(4, 9, (1, 4)), 0.5, rng.normal(size=(3, 4))
    for function in (
        uv.step, uv.dimensionless, uv.is_bounded, uv.first_step_ratio, uv.late_phase,
        uv.step_size_bias, uv.jacobian,
    ):  # fmt: skip
        found = function(*setting, 0.03)
        for part in found if isinstance(found, tuple) else (found,):
            assert np.shape(part)[:2] == (3, 4) or np.shape(part) == (3, 4)
    for function in (
        uv.sharpness, uv.flow_limit, uv.eta_max, uv.eta_loss, uv.edge_is_reachable,
        uv.sharpness_drift,
    ):  # fmt: skip
        assert np.shape(function(*setting)) == (3, 4)
    assert np.shape(uv.fixed_points(np.zeros((3, 4)))) == (2, 3, 4, 3, 2)
