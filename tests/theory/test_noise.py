"""Minibatches on quadratics: the second moment by enumerating every batch, and by long runs."""

import itertools

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from simulator import testing
from simulator.theory import noise

shapes = st.tuples(st.integers(2, 5), st.integers(1, 2))


def _curvatures(seed, samples, size):
    """H_i (N, d, d), symmetric and mostly positive."""
    rng = np.random.default_rng(seed)
    root = rng.standard_normal((samples, size, size))
    return root @ root.mT / size


def _batches(samples, batch, replacement):
    if replacement:
        return list(itertools.product(range(samples), repeat=batch))
    return list(itertools.combinations(range(samples), batch))


@given(
    shape=shapes, batch=st.integers(1, 3), replacement=st.booleans(), eta=st.floats(0.05, 2),
    seed=testing.seeds(),
)  # fmt: skip
def test_the_second_moment_operator_is_the_mean_over_every_batch(
    shape, batch, replacement, eta, seed
):
    """E (A (x) A), A the mean map of a batch; to 1e-12, with and without replacement."""
    samples, size = shape
    assume(replacement or batch <= samples)
    maps = noise.gradient_maps(_curvatures(seed, samples, size), eta)
    share = noise.share_of_variance(batch, np.inf if replacement else samples)
    operator = noise.mean_square_operator(maps, share)
    exact = np.mean(
        [
            np.kron(*[maps[list(rows)].mean(axis=0)] * 2)
            for rows in _batches(samples, batch, replacement)
        ],
        axis=0,
    )
    np.testing.assert_allclose(operator, exact, rtol=1e-12, atol=1e-12 * np.abs(exact).max())


def test_the_full_batch_has_no_noise():
    assert noise.share_of_variance(7, 7) == 0
    assert noise.share_of_variance(1, 7) == 1
    assert noise.share_of_variance(4) == 0.25


@given(beta=st.floats(0, 0.95), eta=st.floats(0.05, 1.5), seed=testing.seeds(), shape=shapes)
def test_each_sample_s_map_is_its_own_update(beta, eta, seed, shape):
    """Heavy ball on (theta_t, theta_{t-1}); Nesterov on (theta, eta m)."""
    curvatures = _curvatures(seed, *shape)
    rng = np.random.default_rng(seed)
    size = shape[1]
    before, m = rng.standard_normal((2, size))
    theta = before - eta * m
    heavy = noise.heavy_ball_maps(curvatures, eta, beta)
    nesterov = noise.nesterov_maps(curvatures, eta, beta)
    plain = noise.gradient_maps(curvatures, eta)
    for h, map_, other, descent in zip(curvatures, heavy, nesterov, plain, strict=True):
        g = h @ theta
        np.testing.assert_allclose(descent @ theta, theta - eta * g, rtol=1e-9, atol=1e-9)
        after = theta - eta * (beta * m + g)
        np.testing.assert_allclose(
            map_ @ np.append(theta, before), np.append(after, theta), rtol=1e-9, atol=1e-9
        )
        new = beta * m + g
        expected = np.append(theta - eta * (g + beta * new), eta * new)
        np.testing.assert_allclose(
            other @ np.append(theta, eta * m), expected, rtol=1e-9, atol=1e-9
        )


@given(
    shape=shapes, batch=st.integers(1, 3), eta=st.floats(0.05, 1.0), beta=st.floats(0, 0.9),
    seed=testing.seeds(),
)  # fmt: skip
def test_the_mean_square_grows_as_the_operator_s_radius(shape, batch, eta, beta, seed):
    """E[x x^T] iterated over all batches of two updates, against two powers of the operator."""
    samples, size = shape
    for make in (noise.heavy_ball_maps, noise.nesterov_maps):
        maps = make(_curvatures(seed, samples, size), eta, beta)
        operator = noise.mean_square_operator(maps, noise.share_of_variance(batch))
        state = np.eye(2 * size)
        for _ in range(2):
            state = np.mean(
                [
                    (a := maps[list(rows)].mean(axis=0)) @ state @ a.T
                    for rows in _batches(samples, batch, True)
                ],
                axis=0,
            )
        power = operator @ operator @ np.eye(2 * size).ravel()
        np.testing.assert_allclose(power, state.ravel(), rtol=1e-9, atol=1e-9 * np.abs(state).max())
        radius = np.abs(np.linalg.eigvals(operator)).max()
        assert noise.mean_square_growth(operator) == pytest.approx(radius)


@given(
    dimensions=st.integers(1, 20), batch=st.integers(1, 64), sharpness=st.floats(0.1, 5),
    z=st.floats(0.01, 3),
)  # fmt: skip
def test_gaussian_inputs_are_the_one_dimensional_case_of_their_variance(
    dimensions, batch, sharpness, z
):
    """(1 - z)^2 + z^2 (d + 1) / B, below 1 iff z < 2 / (1 + (d + 1) / B)."""
    growth = noise.gaussian_growth(z / sharpness, sharpness, dimensions, batch)
    variance = noise.gaussian_curvature_variance(sharpness, dimensions) / batch
    assert growth == pytest.approx((1 - z) ** 2 + (z / sharpness) ** 2 * variance, rel=1e-9)
    limit = 2 / (1 + (dimensions + 1) / batch)
    assume(abs(z - limit) > 1e-9)
    assert (growth < 1) == (z < limit)
    eta = noise.mean_square_limit(sharpness, variance)
    assert eta * sharpness == pytest.approx(limit)


def _stationary(map_, input_):
    """Covariance of x' = A x + b xi, by the Lyapunov equation as a linear system."""
    size = len(map_)
    system = np.eye(size * size) - np.kron(map_, map_)
    return np.linalg.solve(system, np.outer(input_, input_).ravel()).reshape(size, size)


@given(eta=st.floats(0.05, 0.9), sharpness=st.floats(0.2, 1.0), beta=st.floats(0, 0.95))
def test_white_noise_spreads_the_parameters_by_the_gain(eta, sharpness, beta):
    """Heavy ball and Nesterov, against the Lyapunov equation of their own state."""
    z = eta * sharpness
    heavy = np.array([[1 + beta - z, -beta], [1, 0]])
    exact = _stationary(heavy, np.array([-eta, 0.0]))[0, 0]
    assert noise.heavy_ball_gain(eta, sharpness, beta) == pytest.approx(exact, rel=1e-8)
    nesterov = np.array([[1 - (1 + beta) * z, -(beta**2)], [z, beta]])
    exact = _stationary(nesterov, np.array([-(1 + beta) * eta, eta]))[0, 0]
    assert noise.nesterov_gain(eta, sharpness, beta) == pytest.approx(exact, rel=1e-8)


@given(
    eta=st.floats(0.05, 1.2), beta=st.floats(0, 0.9), seed=testing.seeds(), batch=st.integers(1, 4)
)
def test_the_stationary_variance_solves_the_noisy_recurrence(eta, beta, seed, batch):
    """E[x x^T] = operator E[x x^T] + eta^2 s^2, curvature noise and gradient noise together."""
    curvatures = np.random.default_rng(seed).uniform(0.2, 1.5, (4, 1, 1))
    share, noise_variance = float(noise.share_of_variance(batch)), 0.3
    operator = noise.mean_square_operator(noise.heavy_ball_maps(curvatures, eta, beta), share)
    gain = noise.heavy_ball_gain(eta, curvatures.mean(), beta)
    found = noise.stationary_variance(gain, noise_variance, curvatures.var() * share)
    growth = noise.mean_square_growth(operator)
    assume(abs(growth - 1) > 1e-6)
    assert np.isfinite(found) == (growth < 1)
    if growth < 1:
        source = np.array([eta**2 * noise_variance, 0, 0, 0])
        exact = np.linalg.solve(np.eye(4) - operator, source)[0]
        assert found == pytest.approx(exact, rel=1e-6)
