"""The UV model: one representation for every width, and the exact theory of one example.

Notation of Kalra, He & Barkeshli (2311.02076) and Lewkowycz et al. (2003.02218): f = c v.U x,
kappa = c |x|, lambda = kappa^2 (|U x|^2 / |x|^2 + |v|^2), Delta = f - y.
"""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from oracle import of_model

import simulator as sim

widths = st.integers(1, 40)
scales = st.floats(0, 1)
seeds = st.integers(0, 10_000)


def _data(seed, d, m, k):
    rng = np.random.default_rng(seed)
    return sim.Data(rng.standard_normal((m, d)), rng.standard_normal((m, k)))


def _one_example(seed, d, y):
    x = np.random.default_rng(seed).standard_normal((1, d))
    return sim.Data(x, np.array([[y]]))


def _pair(width, s, var_w=1.0):
    return tuple(sim.UV(width, s, var_w, rep) for rep in ("gram", "parameters"))


@given(
    width=widths, s=scales, seed=seeds, d=st.integers(1, 4), m=st.integers(1, 5),
    k=st.integers(1, 3), beta=st.sampled_from([None, 0.5, 0.9]), scale=st.floats(0.1, 0.9),
    kappa=st.sampled_from([0.0, 0.05]),
)  # fmt: skip
def test_gram_space_trains_as_parameter_space_does(width, s, seed, d, m, k, beta, scale, kappa):
    """200 steps from the same seed: both are the same function, weight for weight."""
    data = _data(seed, d, m, k)
    gram, parameters = _pair(width, s)
    decay = {"weight_decay": kappa}
    optimizer = sim.GD(**decay) if beta is None else sim.Momentum(beta, **decay)
    eta = scale * sim.eta_critical(gram, data, sim.GD(), seed)
    assume(np.isfinite(eta))
    runs = [
        sim.simulate(
            model, data, optimizer=optimizer, schedule=sim.Warmup(eta_trgt=eta, t_wrm=20),
            steps=200, seed=seed, sharpness_every=10,
        )
        for model in (gram, parameters)
    ]  # fmt: skip
    first, second = runs
    # Beyond the threshold rounding errors grow with the oscillation.
    assume(np.nanmax(first.ratio) < 1)
    # The loss squares a residual, and a residual is no more exact than the outputs it is made of.
    outputs = np.sqrt(first.loss_init + np.mean(data.targets**2))
    np.testing.assert_allclose(
        np.sqrt(first.loss), np.sqrt(second.loss), rtol=1e-9, atol=1e-13 * outputs
    )
    np.testing.assert_allclose(
        gram.gram(first.theta, data), parameters.gram(second.theta, data), rtol=1e-8, atol=1e-9
    )
    measured = np.isfinite(first.sharpness) & np.isfinite(second.sharpness)
    assert measured[::10].all()
    np.testing.assert_allclose(
        first.sharpness[measured], second.sharpness[measured], rtol=1e-4, atol=1e-9
    )


@given(width=st.integers(1, 12), s=scales, seed=seeds, d=st.integers(1, 3), m=st.integers(1, 4),
       k=st.integers(1, 2))  # fmt: skip
def test_gram_space_sharpness_is_the_top_of_the_full_hessian(width, s, seed, d, m, k):
    """Both below and above the width at which directions leave the column space."""
    data = _data(seed, d, m, k)
    gram, parameters = _pair(width, s)
    theta = parameters.init(data, seed)
    top = np.linalg.eigvalsh(parameters.hessian(theta, data))[-1]
    inside = sim.sharpness(gram, gram.to_gram(theta, data), data)
    assert inside == pytest.approx(top, rel=1e-8)


@pytest.mark.parametrize("width", [1, 2, 5, 9])
def test_parameter_space_hessian_is_that_of_autograd(width):
    import jax

    data = _data(width, 2, 3, 2)
    model = sim.UV(width, 0.3, representation="parameters")
    theta = model.init(data, 1)
    full = np.asarray(jax.jit(jax.hessian(of_model(model, data)))(theta))
    np.testing.assert_allclose(model.hessian(theta, data), full, rtol=1e-10, atol=1e-12)


@given(width=widths, s=scales, seed=seeds, d=st.integers(1, 4), k=st.integers(1, 3))
def test_a_gradient_step_maps_the_gram_matrix_as_theory_says(width, s, seed, d, k):
    """K' = (I - eta c A) K (I - eta c A), A = [[0, G^T], [G, 0]], G = dL/d(V U) / c."""
    data = _data(seed, d, 3, k)
    model = sim.UV(width, s)
    theta = model.init(data, seed)
    gram = model.gram(theta, data)
    eta = 0.3
    end_to_end = model.c * gram[d:, :d]
    residual = (data.x @ end_to_end.T - data.targets) / (3 * k)
    g = residual.T @ data.x
    a = np.block([[np.zeros((d, d)), g.T], [g, np.zeros((k, k))]])
    step = np.eye(d + k) - eta * model.c * a
    after = model.gram(theta - eta * model.gradient(theta, data), data)
    np.testing.assert_allclose(after, step @ gram @ step, rtol=1e-10, atol=1e-12)


@given(width=widths, seed=seeds, d=st.integers(1, 3))
def test_any_parameters_have_a_gram_space_twin(width, seed, d):
    data = _data(seed, d, 4, 2)
    gram, parameters = _pair(width, 0.5)
    theta = np.random.default_rng(seed).standard_normal(parameters.init(data).size)
    twin = gram.to_gram(theta, data)
    assert gram.loss(twin, data) == pytest.approx(parameters.loss(theta, data), rel=1e-10)
    np.testing.assert_allclose(
        gram.gram(twin, data), parameters.gram(theta, data), rtol=1e-10, atol=1e-12
    )


@pytest.mark.parametrize("s", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("width", [3, 4, 64])
def test_initial_kernel_has_the_moments_of_gaussian_weights(width, s):
    """E lambda = 2 sigma^2 chi, Var lambda = 4 sigma^4 chi^2 / n, Var f = sigma^4 chi n^-s."""
    data = _one_example(0, 2, 1.0)
    chi = float(np.sum(data.x**2))
    model = sim.UV(width, s, var_w=1.3)
    draws = 4000
    kernel, output = np.empty(draws), np.empty(draws)
    direction = data.x[0] / np.sqrt(chi)
    for seed in range(draws):
        k = model.gram(model.init(data, seed), data)
        kernel[seed] = model.c**2 * chi * (direction @ k[:2, :2] @ direction + k[2, 2])
        output[seed] = model.c * data.x[0] @ k[:2, 2]
    # n^s in c^2 cancels the n^-s of the weights up to the width itself.
    assert kernel.mean() == pytest.approx(2 * 1.3 * chi, rel=0.05)
    assert kernel.var() == pytest.approx(4 * 1.3**2 * chi**2 / width, rel=0.12)
    assert output.var() == pytest.approx(1.3**2 * chi * width**-s, rel=0.12)


@given(
    n=st.integers(1, 64), d=st.integers(1, 4), s=scales, y=st.floats(-4, 4), seed=seeds,
    etas=st.lists(st.floats(0, 2.2), min_size=20, max_size=20),
)  # fmt: skip
def test_one_example_follows_the_exact_map(n, d, s, y, seed, etas):
    """Delta' = Delta (1 - eta l + eta^2 k^2 Delta f), l' = l + eta k^2 Delta (eta l Delta - 4f)."""
    data = _one_example(seed, d, y)
    model = sim.UV(n, s, representation="parameters")
    theta = model.init(data, seed)
    x = data.x[0]
    kappa = model.c * np.linalg.norm(x)
    u, v = theta[: d * n].reshape(d, n), theta[d * n :]

    def state():
        f = model.c * v @ (x @ u)
        feature = x @ u / np.linalg.norm(x)
        return f, kappa**2 * (feature @ feature + v @ v)

    f, lam = state()
    first = lam
    for z in etas:
        eta = z / first
        delta = f - y
        theta -= eta * model.gradient(theta, data)
        f = y + delta * (1 - eta * lam + eta**2 * kappa**2 * delta * f)
        lam = lam + eta * kappa**2 * delta * (eta * lam * delta - 4 * (delta + y))
        np.testing.assert_allclose(state(), (f, lam), rtol=1e-8, atol=1e-8 * max(1, first))
        assert lam >= 2 * kappa * abs(f) - 1e-9 * max(1, lam)
        if abs(f) > 1e6:
            break


@given(n=st.integers(3, 64), d=st.integers(1, 3), s=scales, y=st.floats(-4, 4), seed=seeds)
def test_one_example_has_the_closed_form_sharpness(n, d, s, y, seed):
    """(l + sqrt(l^2 + 4 k^2 Delta (3 Delta + 2 y))) / 2 on the weights, k |Delta| across them."""
    data = _one_example(seed, d, y)
    model = sim.UV(n, s)
    theta = model.init(data, seed)
    k = model.gram(theta, data)
    x = data.x[0]
    chi = x @ x
    kappa = model.c * np.sqrt(chi)
    lam = model.c**2 * (x @ k[:d, :d] @ x + chi * k[d, d])
    delta = model.c * x @ k[:d, d] - y
    root = np.sqrt(lam**2 + 4 * kappa**2 * delta * (3 * delta + 2 * y))
    expected = max(0.5 * (lam + root), kappa * abs(delta))
    assert sim.sharpness(model, theta, data) == pytest.approx(expected, rel=1e-8)


@given(n=st.integers(1, 1000), s=scales, seed=seeds, z=st.floats(0.1, 6))
def test_with_target_zero_training_diverges_exactly_beyond_four(n, s, seed, z):
    """Lewkowycz et al.: eta lambda_0 below 4 is bounded, above it diverges, at every width."""
    data = _one_example(seed, 1, 0.0)
    model = sim.UV(n, s)
    theta = model.init(data, seed)
    k = model.gram(theta, data)
    lam = float(model.c**2 * np.sum(data.x**2) * np.trace(k))
    assume(abs(z - 4) > 1e-2)
    run = sim.simulate(
        model, data, schedule=sim.Warmup(eta_trgt=z / lam), steps=3000, seed=seed,
        sharpness_every=0,
    )  # fmt: skip
    # A residual of exactly zero sits still at any learning rate: not what this is about.
    assume(run.loss[0] > 0)
    if run.diverged or run.loss.min() > 0:
        assert run.diverged == (z > 4)


def test_width_enters_only_through_the_law_of_the_weights():
    """A width of 10^12 has as many numbers to step as a width of 10, and trains."""
    data = _data(0, 3, 5, 1)
    sizes = {sim.UV(width).init(data).size for width in (10, 10**12)}
    assert sizes == {4 * 4}
    model = sim.UV(10**12)
    eta = 0.9 * sim.eta_critical(model, data, sim.GD())
    run = sim.simulate(model, data, schedule=sim.Warmup(eta_trgt=eta), steps=200)
    # Lazy: the kernel of an infinitely wide network does not move.
    np.testing.assert_allclose(run.sharpness, run.sharpness[0], rtol=1e-4)
    assert run.loss_final < 0.9 * run.loss_init


def test_a_wide_catapult_costs_width_in_loss():
    """y = 0: the loss of a bounded run never exceeds lambda_0^2 / (8 kappa^2), which grows as n."""
    data = _one_example(1, 1, 0.0)
    for n in (10**2, 10**6, 10**12):
        model = sim.UV(n)
        eta = 1.5 * sim.eta_critical(model, data, sim.GD())
        run = sim.simulate(model, data, schedule=sim.Warmup(eta_trgt=eta), steps=400)
        cap = run.sharpness_init**2 / (8 * model.c**2 * np.sum(data.x**2))
        assert not run.diverged
        assert 0.005 * cap < run.loss_max <= cap * (1 + 1e-6)
        assert run.sharpness_final * run.eta[-1] < 2


@given(width=st.integers(1, 12), seed=seeds, d=st.integers(1, 3), k=st.integers(1, 2))
def test_the_leading_eigenvalues_in_gram_space_are_those_of_the_full_hessian(width, seed, d, k):
    """With their multiplicities: each direction across the column space counts."""
    data = _data(seed, d, 4, k)
    gram, parameters = _pair(width, 0.0)
    theta = parameters.init(data, seed)
    full = np.linalg.eigvalsh(parameters.hessian(theta, data))[::-1]
    run = sim.simulate(gram, data, theta0=gram.to_gram(theta, data), steps=1, top_k=5)
    found = run.eigenvalues[0]
    found = found[np.isfinite(found)]
    np.testing.assert_allclose(found, full[: len(found)], atol=1e-4 * np.abs(full).max())
    assert len(found) == min(5, len(full))
