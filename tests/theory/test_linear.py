"""Two-layer linear networks against plain iteration of the weights and dense Hessians.

f = c V U x, W = [U, V^T], K = W^T W, G = dL/d(c V U); the loss is 0.5 * mean over samples and
outputs, so that G = (F - Y)^T X / (m k).
"""

from collections import namedtuple

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from oracle import derivatives
from profiles import fewer

import simulator as sim
from simulator.theory import linear

Instance = namedtuple("Instance", "model data theta u v c gram gradient")
seeds = st.integers(0, 2**32 - 1)


def instance(seed, n, d, m, k, s=0.5):
    """A network in parameter space on Gaussian data, and its weights as matrices."""
    rng = np.random.default_rng(seed)
    data = sim.Data(rng.standard_normal((m, d)), rng.standard_normal((m, k)))
    model = sim.UV(n, s, representation="parameters")
    theta = rng.standard_normal(n * (d + k)) * float(n) ** (-0.5 * s)
    u, v = matrices(theta, d, k)
    g = residual(u, v, model.c, data).T @ data.x / (m * k)
    return Instance(model, data, theta, u, v, model.c, model.gram(theta, data), g)


def matrices(theta, d, k):
    """U (n, d) and V (k, n) of a theta that holds U^T, then V^T."""
    n = theta.size // (d + k)
    return theta[: n * d].reshape(d, n).T, theta[n * d :].reshape(n, k).T


def flat(u, v):
    return np.concatenate([u.T.ravel(), v.T.ravel()])


def residual(u, v, c, data):
    return c * data.x @ u.T @ v.T - data.y


@st.composite
def instances(draw, width=st.integers(1, 6), outputs=st.integers(1, 3)):
    sizes = [st.integers(1, 6), st.integers(1, 6)]
    d, m = map(draw, sizes)
    return instance(draw(seeds), draw(width), d, m, draw(outputs), draw(st.floats(0, 1)))


@st.composite
def wide_instances(draw):
    """As wide as W has columns, or wider: K has full rank."""
    d, m, k = draw(st.integers(1, 3)), draw(st.integers(1, 4)), draw(st.integers(1, 2))
    n = d + k + draw(st.integers(0, 4))
    return instance(draw(seeds), n, d, m, k, draw(st.floats(0, 1)))


def close(actual, expected, rtol):
    """To within ``rtol`` of the largest entry: small entries are differences of large ones."""
    scale = max(1e-3, float(np.abs(expected).max()))
    np.testing.assert_allclose(actual, expected, rtol=rtol, atol=rtol * scale)


def norm_conditioned(spectrum_of):
    eigenvalues = np.linalg.eigvalsh(spectrum_of)
    assume(eigenvalues[0] > 1e-6 * eigenvalues[-1])


@given(at=instances())
def test_the_gradient_is_that_of_the_end_to_end_matrix(at):
    """dL/dU = c V^T G, dL/dV = c G U^T."""
    d = at.data.inputs
    matrix = linear.end_to_end(at.gram, d, at.c)
    close(matrix, at.c * at.v @ at.u, 1e-12)
    g = linear.end_to_end_gradient(matrix, at.data.x, at.data.y)
    expected = at.model.gradient(at.theta, at.data)
    close(flat(at.c * at.v.T @ g, at.c * g @ at.u.T), expected, 1e-9)


@fewer(0.5)
@given(
    sizes=st.sampled_from([(1, 1, 1, 1), (3, 2, 4, 1), (2, 4, 3, 2), (5, 3, 2, 3)]),
    seed=seeds, s=st.floats(0, 1),
)  # fmt: skip
def test_the_hessian_product_is_that_of_autograd(sizes, seed, s):
    at = instance(seed, *sizes, s)
    direction = np.random.default_rng(seed + 1).standard_normal(at.theta.size)
    n, d, _, k = sizes
    autograd = derivatives("linear", "mse", False, (d, n, k))
    expected = autograd(at.theta, direction, at.data.x, at.data.y, np.array([1.0, at.c]))[2]
    step = matrices(direction, at.data.inputs, at.data.outputs)
    product = flat(*linear.hessian_product(at.u, at.v, *step, at.data.x, at.data.y, at.c))
    close(product, np.asarray(expected), 1e-9)


@given(at=instances(), seed=seeds)
def test_the_hessian_product_is_symmetric(at, seed):
    """<a, H b> = <b, H a>."""
    a, b = np.random.default_rng(seed).standard_normal((2, at.theta.size))

    def times(v):
        step = matrices(v, at.data.inputs, at.data.outputs)
        return flat(*linear.hessian_product(at.u, at.v, *step, at.data.x, at.data.y, at.c))

    ha, hb = times(a), times(b)
    scale = np.linalg.norm(a) * np.linalg.norm(hb) + 1e-3
    assert abs(a @ hb - b @ ha) <= 1e-10 * scale


def jacobian(at):
    """dF (m k, P), exactly: f is linear in each weight alone."""
    d, k = at.data.inputs, at.data.outputs

    def outputs(theta):
        u, v = matrices(theta, d, k)
        return (at.c * at.data.x @ u.T @ v.T).ravel()

    base = outputs(at.theta)
    return np.stack([outputs(at.theta + e) - base for e in np.eye(at.theta.size)], axis=1)


@given(at=instances())
def test_the_tangent_kernel_is_the_gram_matrix_of_the_jacobian(at):
    """J J^T from K alone, and the nonzero spectrum of J^T J / (m k)."""
    j = jacobian(at)
    kernel = linear.tangent_kernel(at.gram, at.data.x, at.c)
    close(kernel, j @ j.T, 1e-10)
    rank = min(j.shape)
    dual = np.linalg.eigvalsh(j.T @ j / len(j))[::-1][:rank]
    scale = dual[0]
    found = np.linalg.eigvalsh(kernel / len(kernel))[::-1][:rank]
    np.testing.assert_allclose(found, dual, atol=1e-9 * max(scale, 1e-3))


@fewer(0.5)
@given(
    at=instances(width=st.integers(1, 30)),
    z=st.lists(st.floats(0.1, 1.5), min_size=30, max_size=30),
)  # fmt: skip
def test_training_in_gram_space_is_training_the_weights(at, z):
    """K' = (I - eta c A) K (I - eta c A) for 30 learning rates, and the residual with it."""
    d = at.data.inputs
    first = np.linalg.eigvalsh(at.model.hessian(at.theta, at.data))[-1]
    assume(first > 1e-3)
    k, theta = at.gram, at.theta.copy()
    for eta in np.array(z) / first:
        theta -= eta * at.model.gradient(theta, at.data)
        g = linear.end_to_end_gradient(linear.end_to_end(k, d, at.c), at.data.x, at.data.y)
        k = linear.gram_step(k, linear.step_matrix(g, at.c, eta))
        assume(np.abs(theta).max() < 1e3)
    top = np.linalg.eigvalsh(at.model.hessian(theta, at.data))[-1]
    # Beyond the threshold rounding errors grow with the oscillation.
    assume(max(z) / first * top < 2)
    u, v = matrices(theta, d, at.data.outputs)
    w = np.concatenate([u, v.T], axis=1)
    close(k, w.T @ w, 1e-9)


METHODS = {
    "momentum": (sim.Momentum, linear.momentum_step_matrix),
    "nesterov": (sim.Nesterov, linear.nesterov_step_matrix),
}


@pytest.mark.parametrize("method", METHODS)
@fewer(0.5)
@given(
    at=instances(width=st.integers(1, 30)), beta=st.floats(0, 0.95), z=st.floats(0.05, 0.7),
    steps=st.integers(1, 15),
)  # fmt: skip
def test_momentum_closes_on_the_joint_gram_matrix(method, at, beta, z, steps):
    """[W, m]' = [W, m] S, so the Gram matrix of [W, m] maps by S^T . S, through a warmup."""
    optimizer, step_matrix = METHODS[method]
    d, q = at.data.inputs, len(at.gram)
    first = np.linalg.eigvalsh(at.model.hessian(at.theta, at.data))[-1]
    assume(first > 1e-3)
    schedule = sim.Warmup(eta_trgt=z / first, t_wrm=10)
    run = sim.simulate(
        at.model, at.data, theta0=at.theta, optimizer=optimizer(beta), schedule=schedule,
        steps=steps, sharpness_tol=1e-8,
    )  # fmt: skip
    # Beyond the threshold, and for long away from a saddle, rounding errors grow with the motion.
    assume(np.nanmax(run.ratio) < 1)
    joint = np.zeros((2 * q, 2 * q))
    joint[:q, :q] = at.gram
    for eta in run.eta:
        matrix = linear.end_to_end(joint[:q, :q], d, at.c)
        g = linear.end_to_end_gradient(matrix, at.data.x, at.data.y)
        joint = linear.gram_step(joint, step_matrix(g, at.c, eta, beta))
    close(joint[:q, :q], at.model.gram(run.theta, at.data), 1e-9)


@given(at=wide_instances(), seed=seeds)
def test_the_hessian_maps_the_column_space_to_itself(at, seed):
    """H (W B) = W (image of B), and D c A for the D whose columns are orthogonal to W's."""
    d, q = at.data.inputs, len(at.gram)
    rng = np.random.default_rng(seed)
    w = np.concatenate([at.u, at.v.T], axis=1)
    norm_conditioned(at.gram)

    def product(direction):
        step = flat(direction[:, :d], direction[:, d:].T)
        u, v = matrices(at.model.hvp(at.theta, step, at.data), d, at.data.outputs)
        return np.concatenate([u, v.T], axis=1)

    b = rng.standard_normal((q, q))
    hessian = linear.column_space_hessian(at.gram, at.data.x, at.data.y, at.c)
    close(w @ (hessian @ b.ravel()).reshape(q, q), product(w @ b), 1e-9)
    across = rng.standard_normal(w.shape)
    across -= w @ np.linalg.lstsq(w, across, rcond=None)[0]
    close(across @ linear.complement_hessian(at.gradient, at.c), product(across), 1e-9)


@given(at=wide_instances(), size=st.sampled_from([1.0, 0.1, 1e-2]))
def test_the_sharpest_direction_is_in_the_column_space(at, size):
    """Even near W = 0, where c sigma_1(G), as sharp as it gets across the columns, is all."""
    small = size * at.theta
    k = at.model.gram(small, at.data)
    norm_conditioned(k)
    top = np.linalg.eigvalsh(at.model.hessian(small, at.data))[-1]
    predicted = linear.sharpness(k, at.data.x, at.data.y, at.c)
    assert predicted == pytest.approx(top, rel=1e-9, abs=1e-12)
    matrix = linear.end_to_end(k, at.data.inputs, at.c)
    g = linear.end_to_end_gradient(matrix, at.data.x, at.data.y)
    across = np.linalg.eigvalsh(linear.complement_hessian(g, at.c))[-1]
    assert across == pytest.approx(at.c * np.linalg.norm(g, 2), rel=1e-10, abs=1e-15)
    assert predicted >= across * (1 - 1e-9)


@pytest.mark.parametrize("representation", ["gram", "parameters"])
@fewer(0.1)
@given(
    n=st.integers(1, 40), d=st.integers(1, 3), k=st.integers(1, 2), s=st.floats(0, 1),
    var_w=st.floats(0.1, 4), seed=st.integers(0, 10**6),
)  # fmt: skip
def test_the_initial_gram_matrix_is_wishart(representation, n, d, k, s, var_w, seed):
    """With n degrees of freedom: moments of each entry, and those of the log-determinant."""
    data = sim.Data(np.ones((1, d)), np.ones((1, k)))
    model = sim.UV(n, s, var_w, representation)
    draws = 1600
    k0 = np.stack([model.gram(model.init(data, seed + i), data) for i in range(draws)])
    mean, on, off = linear.initial_gram_moments(n, s, var_w)
    diagonal = k0[:, range(d + k), range(d + k)]
    above = k0[:, *np.triu_indices(d + k, 1)]
    np.testing.assert_allclose(diagonal.mean(axis=0), mean, atol=6 * np.sqrt(on / draws))
    np.testing.assert_allclose(above.mean(axis=0), 0, atol=6 * np.sqrt(off / draws))
    # chi^2_n / n has kurtosis 3 + 12 / n, a product of two sums less.
    spread = 6 * np.sqrt((2 + 12 / n) / draws)
    np.testing.assert_allclose(diagonal.var(axis=0), on, rtol=spread)
    np.testing.assert_allclose(above.var(axis=0), off, rtol=spread)
    if n >= d + k:
        volume = np.linalg.slogdet(k0)[1]
        mean, variance = linear.initial_log_volume(n, d + k, s, var_w)
        assert volume.mean() == pytest.approx(mean, abs=6 * np.sqrt(variance / draws))
        assert volume.var() == pytest.approx(variance, rel=0.4)
