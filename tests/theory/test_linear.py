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


@given(at=instances(outputs=st.just(1)))
def test_with_one_output_the_hessian_has_closed_blocks(at):
    n, d = at.u.shape
    blocks = linear.single_output_hessian(at.u, at.v, at.data.x, at.data.y, at.c)
    order = np.append(np.arange(n * d).reshape(n, d).T.ravel(), n * d + np.arange(n))
    close(blocks[np.ix_(order, order)], at.model.hessian(at.theta, at.data), 1e-9)


@given(at=instances(), eta=st.floats(0, 3))
def test_a_gradient_step_moves_the_end_to_end_matrix_by_a_closed_form(at, eta):
    """M' = M - eta c^2 (V V^T G + G U^T U) + eta^2 c^2 G M^T G."""
    moved = at.theta - eta * at.model.gradient(at.theta, at.data)
    u, v = matrices(moved, at.data.inputs, at.data.outputs)
    predicted = linear.end_to_end_step(at.gram, at.gradient, at.c, eta)
    close(predicted, at.c * v @ u, 1e-9)


@given(at=instances(), eta=st.floats(0.01, 3))
def test_a_gradient_step_breaks_balancedness_at_second_order_in_eta(at, eta):
    """(U U^T - V^T V)' - (U U^T - V^T V) = eta^2 c^2 (V^T G G^T V - U G^T G U^T)."""
    moved = at.theta - eta * at.model.gradient(at.theta, at.data)
    u, v = matrices(moved, at.data.inputs, at.data.outputs)
    measured = (u @ u.T - v.T @ v) - (at.u @ at.u.T - at.v.T @ at.v)
    predicted = linear.imbalance_change(at.u, at.v, at.gradient, at.c, eta)
    scale = max(1.0, np.abs(u @ u.T).max(), np.abs(v.T @ v).max())
    np.testing.assert_allclose(predicted, measured, rtol=1e-9, atol=1e-12 * scale)


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


@given(at=instances())
def test_at_zero_loss_the_hessian_has_the_spectrum_of_the_tangent_kernel(at):
    fitted = sim.Data(at.data.x, at.c * at.data.x @ at.u.T @ at.v.T)
    full = np.linalg.eigvalsh(at.model.hessian(at.theta, fitted))[::-1]
    kernel = linear.tangent_kernel(at.gram, fitted.x, at.c)
    dual = np.linalg.eigvalsh(kernel)[::-1] / len(kernel)
    scale = max(full[0], 1e-3)
    shared = min(len(full), len(dual))
    np.testing.assert_allclose(dual[:shared], full[:shared], atol=1e-9 * scale)
    np.testing.assert_allclose(np.append(full, dual)[shared : len(full)], 0, atol=1e-9 * scale)
    predicted = linear.zero_loss_sharpness(at.gram, fitted.x, at.c)
    assert predicted == pytest.approx(full[0], rel=1e-9, abs=1e-12)


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
        steps=steps, accuracy=1e-8,
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


@given(
    n=st.integers(1, 64), d=st.integers(1, 4), y=st.floats(-4, 4), s=st.floats(0, 1), seed=seeds,
    z=st.lists(st.floats(0, 2.2), min_size=20, max_size=20),
)  # fmt: skip
def test_with_one_example_gram_space_is_the_map_of_residual_and_kernel(n, d, y, s, seed, z):
    """Delta' = Delta (1 - eta l + eta^2 k^2 Delta f), l' - l = eta k^2 Delta (eta l Delta - 4f)."""
    at = instance(seed, n, d, 1, 1, s)
    x, target = at.data.x, np.array([[y]])
    chi = float(x[0] @ x[0])
    kappa = at.c * np.sqrt(chi)
    k = at.gram

    def state():
        matrix, kernel = linear.end_to_end(k, d, at.c), linear.tangent_kernel(k, x, at.c)
        return (matrix @ x[0]).item(), kernel.item()

    f, lam = state()
    for eta in np.array(z) / lam:
        g = linear.end_to_end_gradient(linear.end_to_end(k, d, at.c), x, target)
        k = linear.gram_step(k, linear.step_matrix(g, at.c, eta))
        delta = f - y
        predicted = (
            y + delta * (1 - eta * lam + eta**2 * kappa**2 * delta * f),
            lam + eta * kappa**2 * delta * (eta * lam * delta - 4 * f),
        )
        # Step by step, for such a map may be chaotic. f is a difference of parts of lam / kappa.
        largest = max(lam, predicted[1])
        f, lam = state()
        assert predicted[0] == pytest.approx(f, rel=1e-9, abs=1e-9 * largest / kappa)
        assert predicted[1] == pytest.approx(lam, rel=1e-9, abs=1e-9 * largest)
        if abs(f) > 1e4:
            break


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


@given(at=wide_instances())
def test_gram_space_knows_the_whole_spectrum_of_the_hessian(at):
    """(d + k)^2 eigenvalues on the column space, +-c sigma_i(G) and 0 on the complement."""
    norm_conditioned(at.gram)
    full = np.linalg.eigvalsh(at.model.hessian(at.theta, at.data))
    arguments = at.gram, at.data.x, at.data.y, at.c
    found = linear.hessian_spectrum(*arguments, at.model.width)
    scale = max(1e-3, np.abs(full).max())
    np.testing.assert_allclose(found, full, atol=1e-9 * scale)


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


@fewer(0.2)
@given(
    n=st.integers(1, 40), s=st.floats(0, 1), var_w=st.floats(0.1, 4), seed=st.integers(0, 10**6),
    d=st.integers(1, 3), k=st.integers(1, 2),
)  # fmt: skip
def test_the_mean_initial_kernel_is_the_same_at_every_width_and_s(n, s, var_w, seed, d, k):
    """E J J^T = 2 sigma^2 X X^T (x) I."""
    at = instance(seed, 1, d, 3, k)
    model = sim.UV(n, s, var_w)
    thetas = [model.init(at.data, seed + i) for i in range(400)]
    kernels = [
        linear.tangent_kernel(model.gram(theta, at.data), at.data.x, model.c) for theta in thetas
    ]
    deviation = np.std(kernels, axis=0) / np.sqrt(len(kernels))
    expected = linear.mean_initial_kernel(at.data.x, k, var_w)
    np.testing.assert_array_less(
        np.abs(np.mean(kernels, axis=0) - expected), 6.5 * deviation + 1e-12
    )


@given(
    seed=seeds, s=st.floats(0, 0.5), var_w=st.floats(0.3, 3), d=st.integers(1, 5),
    m=st.integers(1, 6), k=st.integers(1, 3),
)  # fmt: skip
def test_a_very_wide_network_starts_at_the_sharpness_of_its_mean_kernel(seed, s, var_w, d, m, k):
    """2 sigma^2 lambda_max(X^T X) / (m k), up to fluctuations n^-1/2 and a residual c."""
    at = instance(seed, 1, d, m, k)
    model = sim.UV(10**16, s, var_w)
    measured = sim.sharpness(model, model.init(at.data, seed % 1000), at.data)
    expected = linear.wide_initial_sharpness(at.data.x, k, var_w)
    bound = 1e-6 * expected + 10 * model.c * np.linalg.norm(at.data.x) * (1 + abs(at.data.y).max())
    assert measured == pytest.approx(expected, abs=bound)


def chain(w):
    """A chain of scalar weights on the input 1, fitted exactly: model, data and theta."""
    model = sim.MLP(width=1, depth=len(w), activation="linear", parameterization="sp")
    return model, sim.Data(np.ones((1, 1)), np.array([[np.prod(w)]]))


signed = st.tuples(st.floats(0.3, 3), st.sampled_from([-1, 1])).map(np.prod)
chains = st.lists(signed, min_size=2, max_size=6).map(np.array)


@given(w=chains)
def test_a_fitted_chain_has_the_sharpness_of_its_inverse_squares(w):
    """sum_i (y / w_i)^2."""
    model, data = chain(w)
    top = np.linalg.eigvalsh(model.hessian(w, data))[-1]
    assert linear.chain_sharpness(w) == pytest.approx(top, rel=1e-10)


@given(w=chains)
def test_no_fitted_chain_is_flatter_than_the_balanced_one(w):
    """L |y|^(2 - 2 / L), reached where all |w_i| are the same."""
    model, data = chain(w)
    y, depth = np.prod(w), len(w)
    flattest = linear.flattest_chain_sharpness(y, depth)
    assert flattest <= np.linalg.eigvalsh(model.hessian(w, data))[-1] * (1 + 1e-12)
    balanced = np.sign(w) * abs(y) ** (1 / depth)
    top = np.linalg.eigvalsh(model.hessian(balanced, data))[-1]
    assert flattest == pytest.approx(top, rel=1e-10)


@given(y=signed, depth=st.integers(2, 6), beyond=st.booleans())
def test_beyond_its_edge_even_the_flattest_minimum_of_a_chain_is_left(y, depth, beyond):
    """Residuals near the balanced minimum shrink below eta = 2 / (L |y|^(2 - 2/L)), grow above."""
    w = np.full(depth, abs(y) ** (1 / depth) * (1 + 1e-9))
    w[0] *= np.sign(y)
    eta = linear.chain_edge_eta(y, depth) * (1.1 if beyond else 0.9)
    residuals = []
    for _ in range(60):
        f = np.prod(w)
        residuals.append(abs(f - y))
        w = w - eta * (f - y) * f / w
    assert (residuals[-1] > 1e2 * residuals[0]) == beyond
    assert (residuals[-1] < 1e-2 * residuals[0]) == (not beyond)
