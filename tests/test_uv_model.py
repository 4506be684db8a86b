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


def _pair(width, s, var_w=1.0):
    return tuple(sim.UV(width, s, var_w, rep) for rep in ("gram", "parameters"))


@given(
    width=widths, s=scales, seed=seeds, d=st.integers(1, 4), m=st.integers(1, 5),
    k=st.integers(1, 3), beta=st.sampled_from([None, 0.5, 0.9]), scale=st.floats(0.1, 0.9),
)  # fmt: skip
def test_gram_space_trains_as_parameter_space_does(width, s, seed, d, m, k, beta, scale):
    """200 steps from the same seed: both are the same function, weight for weight."""
    data = _data(seed, d, m, k)
    gram, parameters = _pair(width, s)
    optimizer = sim.GD() if beta is None else sim.Momentum(beta)
    eta = scale * sim.critical_eta(gram, data, sim.GD(), seed)
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
    measured = np.isfinite(first.sharpness)
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


@pytest.mark.parametrize("width", [1, 5])
def test_parameter_space_hessian_is_that_of_autograd(width):
    import jax

    data = _data(width, 2, 3, 2)
    model = sim.UV(width, 0.3, representation="parameters")
    theta = model.init(data, 1)
    full = np.asarray(jax.jit(jax.hessian(of_model(model, data)))(theta))
    np.testing.assert_allclose(model.hessian(theta, data), full, rtol=1e-10, atol=1e-12)


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


def test_width_enters_only_through_the_law_of_the_weights():
    """A width of 10^12 has as many numbers to step as a width of 10, and trains."""
    data = _data(0, 3, 5, 1)
    sizes = {sim.UV(width).init(data).size for width in (10, 10**12)}
    assert sizes == {4 * 4}
    model = sim.UV(10**12)
    eta = 0.9 * sim.critical_eta(model, data, sim.GD())
    run = sim.simulate(model, data, schedule=sim.Warmup(eta_trgt=eta), steps=200)
    # Lazy: the kernel of an infinitely wide network does not move.
    np.testing.assert_allclose(run.sharpness, run.sharpness[0], rtol=1e-4)
    assert run.loss_final < 0.9 * run.loss_init


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
