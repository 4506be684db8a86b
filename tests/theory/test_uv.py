"""One example in the UV model, held to networks that are stepped weight by weight."""

from functools import cache

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from one_example import networks, with_modes
from profiles import fewer
from scipy.integrate import solve_ivp

import simulator as sim
from simulator.theory import uv

seeds = st.integers(0, 2**32 - 1)
targets = st.floats(0.05, 4) | st.floats(-4, -0.05)
mus = st.floats(-1.99, 1.99)
modes = st.floats(0, 8)
fractions = st.floats(0.01, 0.99)


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


@given(network=networks(), z=st.floats(0.01, 2.2))
def test_an_update_shrinks_the_imbalance_and_the_product_of_the_modes_and_turns_nothing(network, z):
    """|u|^2 - |v|^2 by 1 - eps^2, A B by its square; p and q keep their lines."""
    eta = z / network.trace
    eps = eta * network.kappa * (network.output - network.y)

    def parts():
        return network.feature + network.v, network.feature - network.v

    p, q = parts()
    imbalance = network.feature @ network.feature - network.v @ network.v
    network.step(eta)
    p_after, q_after = parts()
    squares = p @ p + q @ q
    after = network.feature @ network.feature - network.v @ network.v
    assert after == pytest.approx((1 - eps**2) * imbalance, rel=1e-10, abs=1e-10 * squares)
    np.testing.assert_allclose(p_after, (1 - eps) * p, rtol=1e-10, atol=1e-10 * squares**0.5)
    np.testing.assert_allclose(q_after, (1 + eps) * q, rtol=1e-10, atol=1e-10 * squares**0.5)
    product = (p_after @ p_after) * (q_after @ q_after)
    assert product == pytest.approx((1 - eps**2) ** 2 * (p @ p) * (q @ q), rel=1e-9, abs=1e-20)


@given(
    seed=seeds, n=st.tuples(st.integers(1, 20), st.integers(1, 20)), mu=st.floats(0.05, 1.9),
    kappa=st.tuples(st.floats(0.1, 3), st.floats(0.1, 3)), w=st.tuples(fractions, fractions),
    y=st.tuples(st.floats(0.1, 4), st.floats(0.1, 4)), flip=st.booleans(),
)  # fmt: skip
def test_networks_with_the_same_a_b_and_mu_train_alike(seed, n, mu, kappa, w, y, flip):
    """Whatever their widths, inputs and targets; and (a, b, mu) as (b, a, -mu)."""
    share = w[0] / (1 + w[1])
    start = share * (4 + 2 * mu), share * w[1] * (4 - 2 * mu)
    eta = [mu / (k * t) for k, t in zip(kappa, y, strict=True)]
    one = with_modes(seed, n[0], kappa[0], y[0], np.array(start) / eta[0])
    sign = -1 if flip else 1
    two = with_modes(seed + 1, n[1], kappa[1], sign * y[1], np.array(start)[::sign] / eta[1])
    for _ in range(6):
        one.step(eta[0])
        two.step(eta[1])
        first = uv.dimensionless(*one.setting, eta[0])
        second = uv.dimensionless(*two.setting, eta[1])
        expected = (second[1], second[0], -second[2]) if flip else second
        # Close to W = 1 an update may stretch by 9.
        np.testing.assert_allclose(first, expected, rtol=1e-8, atol=1e-8)


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


@given(network=networks(n=st.integers(1, 8), d=st.integers(1, 3)))
def test_the_full_spectrum_is_that_of_the_dense_hessian(network):
    n, d = network.u.shape
    data = sim.Data(network.x[None], np.array([[network.y]]))
    s = 1 + 2 * np.log(network.c) / np.log(n) if n > 1 else 0.0
    model = sim.UV(n, min(max(s, 0.0), 1.0), representation="parameters")
    theta = np.concatenate([network.u.T.ravel(), network.v])
    expected = np.linalg.eigvalsh(model.hessian(theta, data))
    size = max(1, network.trace)
    found = uv.hessian_spectrum(*network.setting, n, d)
    np.testing.assert_allclose(found, expected, atol=1e-9 * size)
    assert uv.sharpness(*network.setting) == pytest.approx(expected[-1], abs=1e-9 * size)
    top = sim.sharpness(model, theta, data)
    assert uv.sharpness(*network.setting) == pytest.approx(top, rel=1e-6)


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


@given(y=targets, kappa=st.floats(0.1, 2))
def test_from_zero_output_a_wide_network_first_gets_flatter_and_then_sharper(y, kappa):
    """The sharpness turns at f = 2 y / 5 to leading order in kappa |y| / lam; the trace rises."""
    lam = 1e4 * kappa * abs(y)
    f = np.array([0.0, 0.38, 0.42, 0.99]) * y
    assert (np.sign(uv.sharpness_drift(f - y, lam, kappa, y)) == [-1, -1, 1, 1]).all()
    assert (uv.trace_drift(f[1:] - y, kappa, y) > 0).all()
    assert (uv.trace_drift(np.array([-0.1, 1.1]) * y - y, kappa, y) < 0).all()


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


@fewer(0.5)
@given(seed=seeds, n=st.integers(1, 8), kappa=st.floats(0.2, 2), y=targets, z=st.floats(0.05, 3),
       a=st.floats(0.2, 4), b=st.floats(0.2, 4))  # fmt: skip
def test_flow_is_the_integrated_one_at_every_time(seed, n, kappa, y, z, a, b):
    network = with_modes(seed, n, kappa, y, np.array([a, b]) * kappa)
    setting = network.setting
    limit = uv.flow_limit(*setting)
    time = z / max(setting[1], limit)
    u, v = _flow(network, time)
    delta, lam = uv.flow(time, *setting)
    size = max(setting[1], limit)
    assert lam == pytest.approx(kappa**2 * (u @ u + v @ v), abs=1e-8 * size)
    assert kappa * delta == pytest.approx(kappa * (kappa * u @ v - y), abs=1e-8 * size)
    # And the two ends.
    np.testing.assert_allclose(uv.flow(0.0, *setting), setting[:2], rtol=1e-9, atol=1e-9 * size)
    np.testing.assert_allclose(uv.flow(60 / limit, *setting), (0, limit), atol=1e-7 * size)


@fewer(0.5)
@given(seed=seeds, n=st.integers(1, 8), kappa=st.floats(0.2, 2), y=targets, a=st.floats(0.5, 4),
       b=st.floats(0.5, 4))  # fmt: skip
def test_flow_ends_at_the_predicted_trace(seed, n, kappa, y, a, b):
    """And its sum of the layers at p_0 sqrt(A_end / A_0)."""
    network = with_modes(seed, n, kappa, y, np.array([a, b]) * kappa)
    setting = network.setting
    limit = uv.flow_limit(*setting)
    slowest = 2 * kappa * np.sqrt(a * b)
    u, v = _flow(network, 30 / slowest)
    assert kappa**2 * (u @ u + v @ v) == pytest.approx(limit, rel=1e-8)
    end = uv.modes(0.0, limit, kappa, y)
    scaled = (network.feature + network.v) * np.sqrt(end[0] / (a * kappa))
    np.testing.assert_allclose(u + v, scaled, rtol=1e-6, atol=1e-6)


@given(f=st.floats(0.05, 5), y=st.floats(0.05, 4), kappa=st.floats(0.2, 2), t=st.floats(0, 5))
def test_flow_with_equal_layers_is_logistic(f, y, kappa, t):
    network = with_modes(0, 1, kappa, y, [2 * kappa * f, 0.0])
    time = t / (kappa * (f + y))
    u, v = _flow(network, time) if t else (network.feature, network.v)
    assert uv.flow_on_manifold(time, f, kappa, y) == pytest.approx(kappa * u @ v, rel=1e-8)


@fewer(0.5)
@given(
    network=networks(n=st.integers(1, 16), d=st.just(1)), z=st.just(0.02) | st.floats(0.02, 0.95)
)
def test_descent_ends_flatter_than_flow_by_no_more_than_predicted(network, z):
    delta, lam, kappa, y = setting = network.setting
    limit = uv.flow_limit(*setting)
    eta = z / max(lam, limit)
    u, v = network.feature, network.v
    # The trace on the way is at least this: too slow to wait for where one mode is dead.
    slowest = np.sqrt(max(lam**2 - 4 * kappa**2 * (delta + y) ** 2, 0))
    assume(eta * min(slowest, limit) > 0.01)
    for _ in range(3000):
        pull = eta * kappa * (kappa * u @ v - y)
        if abs(pull) < 1e-13:
            break
        u, v = u - pull * v, v - pull * u
    end = kappa**2 * (u @ u + v @ v)
    assert end <= limit * (1 + 1e-9)
    assert limit - end <= uv.step_size_bias(*setting, eta) * (1 + 1e-6) + 1e-9 * limit
    if abs(abs(y) - abs(delta + y)) > 0.05 and z < 0.03:
        assert np.sign(limit - lam) == np.sign(abs(y) - abs(delta + y))
        # The drift of descent is that of flow up to its bias.
        if abs(limit - lam) > 2 * uv.step_size_bias(*setting, eta):
            assert np.sign(end - lam) == np.sign(limit - lam)


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


@fewer(0.2)
@given(n=st.integers(1, 32), s=st.floats(0, 1), var_w=st.floats(0.1, 3), chi=st.floats(0.1, 4),
       seed=seeds)  # fmt: skip
def test_gaussian_weights_have_the_predicted_moments(n, s, var_w, chi, seed):
    """Within eight standard errors of 20,000 networks."""
    draws = 20_000
    rng = np.random.default_rng(seed)
    u, v = np.sqrt(var_w * float(n) ** -s) * rng.standard_normal((2, draws, n))
    kappa = uv.coupling(n, s, chi)
    assert kappa == pytest.approx(np.sqrt(chi) * n ** (-(1 - s) / 2))
    f, lam = kappa * np.sum(u * v, axis=1), kappa**2 * np.sum(u**2 + v**2, axis=1)
    mean, variance, spread = uv.initial_moments(n, s, var_w, chi)

    def near(values, expected):
        error = 8 * values.std() / np.sqrt(draws)
        assert abs(values.mean() - expected) < error

    near(lam, mean)
    near((lam - mean) ** 2, variance)
    near(f**2, spread)
    near((kappa * f / lam) ** 2, uv.squared_alignment(n))


@fewer(0.2)
@given(s=st.floats(0, 1), var_w=st.floats(0.3, 2), chi=st.floats(0.3, 3), y=st.floats(-2, 2),
       seed=seeds)  # fmt: skip
def test_the_share_of_networks_that_get_flatter_is_the_predicted_one(s, var_w, chi, y, seed):
    """Those with lam_end < lam_0; at width 256 the output is Gaussian to a percent."""
    n, draws = 256, 2000
    rng = np.random.default_rng(seed)
    u, v = np.sqrt(var_w * float(n) ** -s) * rng.standard_normal((2, draws, n))
    kappa = uv.coupling(n, s, chi)
    f, lam = kappa * np.sum(u * v, axis=1), kappa**2 * np.sum(u**2 + v**2, axis=1)
    share = np.mean(uv.flow_limit(f - y, lam, kappa, y) < lam)
    predicted = uv.reduction_probability(y, n, s, var_w, chi)
    assert share == pytest.approx(predicted, abs=0.01 + 5 * np.sqrt(0.25 / draws))


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
