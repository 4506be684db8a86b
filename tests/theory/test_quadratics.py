"""Quadratics: every limit of a linear method, by its own iteration and by its roots."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import simulator as sim
from simulator import testing
from simulator.theory import quadratics

betas = st.floats(0.0, 0.99)
limits = st.floats(1e-3, 8.0)
decays = st.floats(0.0, 0.8)
dampenings = st.floats(0.0, 0.95)


def _radius(matrix):
    return np.abs(np.linalg.eigvals(matrix)).max()


@given(beta=betas, z=limits, decay=decays, dampening=dampenings)
def test_heavy_ball_is_stable_exactly_below_its_limit(beta, z, decay, dampening):
    """(1 + beta)(2 - decay) / (1 - dampening)."""
    limit = quadratics.heavy_ball_limit(beta, dampening, decay)
    assume(abs(z - limit) > 1e-6)
    assert (_radius(quadratics.companion(z, beta, dampening, decay)) < 1) == (z < limit)


@given(beta=betas, decay=decays, dampening=dampenings)
def test_at_the_limit_heavy_ball_flips(beta, decay, dampening):
    limit = quadratics.heavy_ball_limit(beta, dampening, decay)
    roots = np.linalg.eigvals(quadratics.companion(limit, beta, dampening, decay))
    assert np.abs(roots + 1).min() < 1e-9


@given(beta=betas, z=st.floats(0.01, 3.0), dampening=dampenings, decay=decays, seed=testing.seeds())
def test_the_companion_matrix_is_the_update_itself(beta, z, dampening, decay, seed):
    """m' = beta m + (1 - dampening) g, theta' = (1 - decay) theta - eta m', for 20 updates."""
    theta, before = np.random.default_rng(seed).standard_normal(2)
    matrix = quadratics.companion(z, beta, dampening, decay)
    state = np.array([theta, before])
    m = (1 - decay) * before - theta
    for _ in range(20):
        m = beta * m + (1 - dampening) * z * theta
        theta = (1 - decay) * theta - m
        state = matrix @ state
        assert state[0] == pytest.approx(theta, rel=1e-9, abs=1e-9)


@given(beta=betas, z=limits, decay=decays)
def test_nesterov_is_stable_exactly_below_its_limit(beta, z, decay):
    """(1 + beta)(2 - decay) / (1 + 2 beta), and so less than gradient descent."""
    limit = quadratics.nesterov_limit(beta, decay)
    assert limit <= 2
    assume(abs(z - limit) > 1e-6)
    assert (_radius(quadratics.nesterov_companion(z, beta, decay)) < 1) == (z < limit)


@given(beta=betas, z=st.floats(0.01, 3.0), seed=testing.seeds(), decay=decays)
def test_nesterov_s_companion_matrix_is_the_update_itself(beta, z, seed, decay):
    """m' = beta m + g, theta' = (1 - decay) theta - eta (g + beta m')."""
    theta, m = np.random.default_rng(seed).standard_normal(2)
    matrix = quadratics.nesterov_companion(z, beta, decay)
    path = [theta]
    for _ in range(12):
        m = beta * m + z * path[-1]
        path.append((1 - decay) * path[-1] - z * path[-1] - beta * m)
    for before, now, after in zip(path, path[1:], path[2:], strict=False):
        assert (matrix @ [now, before])[0] == pytest.approx(after, rel=1e-9, abs=1e-9)


@given(beta=betas, z=limits, dampening=dampenings, decay=decays)
def test_the_growth_is_the_larger_root(beta, z, dampening, decay):
    growth = quadratics.heavy_ball_growth(z, beta, dampening, decay)
    exact = _radius(quadratics.companion(z, beta, dampening, decay))
    # A double root is a square root of rounding away from itself.
    assert growth == pytest.approx(exact, rel=1e-6)
    nesterov = quadratics.nesterov_growth(z, beta, decay)
    exact = _radius(quadratics.nesterov_companion(z, beta, decay))
    assert nesterov == pytest.approx(exact, rel=1e-6)


@given(beta=st.floats(0.01, 0.99), position=st.floats(-0.5, 1.5))
def test_roots_are_complex_of_modulus_root_beta_exactly_in_the_oscillating_range(beta, position):
    """(1 - sqrt beta)^2 < eta lambda < (1 + sqrt beta)^2."""
    low, high = quadratics.oscillating_range(beta)
    z = low + position * (high - low)
    assume(min(abs(z - low), abs(z - high)) > 1e-6)
    roots = np.linalg.eigvals(quadratics.companion(z, beta))
    assert (np.abs(roots.imag).max() > 0) == (low < z < high)
    if low < z < high:
        np.testing.assert_allclose(np.abs(roots), np.sqrt(beta), rtol=1e-9)


@given(beta=betas, dampening=dampenings, decay=st.floats(0, 3), sharpness=st.floats(0.1, 10))
def test_critical_eta_solves_for_a_limit_that_moves_with_eta(beta, dampening, decay, sharpness):
    """Decoupled decay: eta lambda at the limit of decay = eta kappa. L2: lambda + kappa."""
    eta = quadratics.eta_critical(sharpness, decay, beta, dampening)
    limit = quadratics.heavy_ball_limit(beta, dampening, eta * decay)
    assert eta * sharpness == pytest.approx(limit, rel=1e-9)
    coupled = quadratics.coupled_eta_critical(sharpness, decay, beta, dampening)
    for side in (0.999, 1.001):
        matrix = quadratics.companion(side * coupled * (sharpness + decay), beta, dampening)
        assert (_radius(matrix) < 1) == (side < 1)


@given(beta1=st.floats(0, 0.95), decay=st.floats(0, 1), sharpness=st.floats(0.1, 100))
def test_the_optimizers_own_critical_eta_is_this_one(beta1, decay, sharpness):
    for optimizer, arguments in (
        (sim.AdamW(beta1=beta1, weight_decay=decay), (beta1, beta1)),
        (sim.GD(weight_decay=decay), ()),
        (sim.Momentum(beta1, 0.3, weight_decay=decay), (beta1, 0.3)),
    ):
        expected = quadratics.eta_critical(sharpness, decay, *arguments)
        assert optimizer.eta_critical(sharpness) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("eta", "decay", "beta1", "limit"),
    [(0.1, 0.5, 0.9, 370.5), (0.01, 0.1, 0.9, 3798.1), (0.2, 1.0, 0.5, 27.0)],
)
def test_weight_decay_lowers_adamw_s_threshold_by_what_momentum_makes_of_it(
    eta, decay, beta1, limit
):
    """(1 + b1) / (1 - b1) (2 / eta - kappa), not 2 (1 + b1) / ((1 - b1) eta) - kappa.

    By bisection on the spectral radius of the update of (theta, m) on one eigenvalue, P held.
    """
    assert sim.AdamW(beta1=beta1, weight_decay=decay).threshold(eta) == pytest.approx(limit)

    def radius(sharpness):
        m = np.array([(1 - beta1) * sharpness, beta1])
        return _radius(np.array([[1 - eta * decay, 0.0] - eta * m, m]))

    low, high = 0.5 * limit, 2.0 * limit
    while low < (middle := 0.5 * (low + high)) < high:
        low, high = (low, middle) if radius(middle) > 1 else (middle, high)
    assert high == pytest.approx(limit, rel=1e-12)


@pytest.mark.parametrize("optimizer", [sim.Momentum(0.5), sim.Momentum(0.9)])
def test_the_loss_may_rise_at_once_and_training_be_stable_all_the_same(optimizer):
    """Between eta lambda = 2 and 2 + 2 beta (Kalra & Barkeshli, section 4.2)."""
    z = 0.5 * (2.0 + 2.0 + 2.0 * optimizer.beta)
    run = sim.simulate(
        sim.Quadratic([1.0]), optimizer=optimizer, schedule=sim.Warmup(eta_trgt=z), steps=400
    )
    assert run.loss[1] > run.loss[0]
    assert run.loss_final < 1e-6 * run.loss_init


@given(z=st.floats(0.0, 8.0))
def test_warmup_decay_is_the_integral_of_the_logarithm(z):
    """G' = ln|1 - z| from G(0) = 0, and no jump at z = 1; G(1) = -1, G(2) = -2."""
    assume(abs(z - 1) > 1e-2)
    h = 1e-5
    slope = (quadratics.warmup_decay(z + h) - quadratics.warmup_decay(z - h)) / (2 * h)
    assert slope == pytest.approx(np.log(abs(1 - z)), abs=1e-6)
    np.testing.assert_allclose(
        quadratics.warmup_decay([0.0, 1 - 1e-12, 1.0, 1 + 1e-12, 2.0]), [0, -1, -1, -1, -2],
        atol=1e-10,
    )  # fmt: skip
    assert quadratics.warmup_decay(4.0) == pytest.approx(3 * np.log(3) - 4)


@given(level=st.floats(-2.0, 5.0))
def test_warmup_comes_back_to_a_level_where_its_reach_says(level):
    z = quadratics.warmup_reach(level)
    assert z >= 2 - 1e-6
    assert quadratics.warmup_decay(z) == pytest.approx(level, abs=1e-9)
    assert quadratics.warmup_reach() == pytest.approx(4.5911, abs=1e-4)


@given(beta1=st.floats(0, 0.95), beta2=st.floats(0.0, 0.999), eta=st.floats(0.01, 1.0))
def test_adam_s_cycle_is_one_and_its_sharpness_is_the_limit(beta1, beta2, eta):
    """theta -> -theta, at the preconditioned sharpness 2 (1 + beta1) / ((1 - beta1) eta)."""
    curvature = 3.0
    a = quadratics.adam_cycle_amplitude(eta, beta1)
    g = curvature * a
    m, v = -g * (1 - beta1) / (1 + beta1), g * g
    m = beta1 * m + (1 - beta1) * g
    after = a - eta * m / np.sqrt(beta2 * v + (1 - beta2) * g * g)
    assert after == pytest.approx(-a, rel=1e-9)
    limit = quadratics.heavy_ball_limit(beta1, beta1)
    assert eta * curvature / np.sqrt(v) == pytest.approx(limit, rel=1e-9)


def _adam_update(state, beta1, beta2, eta, curvature):
    theta, m, v = state
    g = curvature * theta
    m, v = beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * g * g
    return np.array([theta - eta * m / np.sqrt(v), m, v])


@given(beta1=st.floats(0.0, 0.95), beta2=st.floats(0.05, 0.999), seed=testing.seeds())
def test_a_displacement_from_adam_s_cycle_moves_by_its_step_matrix(beta1, beta2, seed):
    """By central differences of the update, in units of the cycle; then the roots of the matrix."""
    eta, curvature = 0.3, 2.0
    a = quadratics.adam_cycle_amplitude(eta, beta1)
    units = np.array([a, curvature * a * a / eta, (curvature * a) ** 2])
    # After an update that ends at +a the average is that of the gradients before it.
    cycle = np.array([1.0, -2.0, 1.0])
    nudge = np.random.default_rng(seed).standard_normal(3)
    h = 1e-6
    ahead, behind = (
        _adam_update((cycle + s * h * nudge) * units, beta1, beta2, eta, curvature) / units
        for s in (1, -1)
    )
    moved = np.array([-1.0, -1.0, 1.0]) * (ahead - behind) / (2 * h)
    step = quadratics.adam_cycle_step(beta1, beta2)
    np.testing.assert_allclose(step @ nudge, moved, rtol=1e-5, atol=1e-6)
    roots = quadratics.adam_cycle_multipliers(beta1, beta2)
    # A characteristic polynomial vanishes at its roots, however close those lie.
    for root in roots:
        assert abs(np.linalg.det(step - root * np.eye(3))) < 1e-9
    assert np.abs(roots[0]) == np.abs(roots).max()


@given(beta2=st.floats(0.05, 0.9999), side=st.sampled_from([0.99, 1.01]))
def test_adam_s_cycle_repels_beyond_a_beta1_far_below_the_usual(beta2, side):
    """b2 b1^2 - 3 (1 + b2) b1 + 1 = 0: 0.1806 at 0.9, 3 - 2 sqrt 2 at 1."""
    critical = quadratics.adam_cycle_critical_beta1(beta2)
    largest = np.abs(quadratics.adam_cycle_multipliers(side * critical, beta2)[0])
    assert (largest > 1) == (side > 1)
    np.testing.assert_allclose(
        quadratics.adam_cycle_critical_beta1(np.array([0.9, 0.99, 0.9999])),
        [0.1806, 0.1724, 0.1716], atol=1e-4,
    )  # fmt: skip
    assert quadratics.adam_cycle_critical_beta1(1.0) == pytest.approx(3 - 2 * np.sqrt(2))


@given(beta2=st.floats(0.001, 0.999))
def test_rmsprop_s_cycle_always_attracts(beta2):
    """sqrt(beta2) from 1/9 on."""
    contraction = quadratics.rmsprop_cycle_contraction(beta2)
    roots = np.abs(np.roots([1, 1 - 3 * beta2, beta2]))
    assert contraction == pytest.approx(roots.max(), rel=1e-6, abs=1e-9)
    assert contraction < 1
    if beta2 > 1 / 9:
        assert contraction == pytest.approx(np.sqrt(beta2), rel=1e-9)
