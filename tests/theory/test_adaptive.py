"""Adam's first step, the sharpness that it meets, and what a primed second moment changes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import simulator as sim
from simulator.theory import adaptive

seeds = st.integers(0, 10_000)
sizes = st.integers(1, 40)
first_betas = st.floats(0.0, 0.99)
second_betas = st.floats(0.5, 0.9999)
eps = st.sampled_from([0.0, 1e-8, 1e-3, 1.0])
KIN = (sim.Adam, sim.AdamW, sim.GIAdam, sim.RIAdam, sim.RAdam)


def _gradients(seed, size, updates=1):
    """Of every size from 1e-3 to 1e3: Adam does not see it."""
    rng = np.random.default_rng(seed)
    return np.sign(rng.standard_normal((updates, size))) * 10 ** rng.uniform(-3, 3, (updates, size))


def _moments(stream, beta1, beta2, v):
    """m_t and v_t of a stream of gradients (updates, P), by their definition."""
    m = np.zeros_like(stream[0])
    for gradient in stream:
        m = beta1 * m + (1 - beta1) * gradient
        v = beta2 * v + (1 - beta2) * gradient**2
        yield m, v


def _directions(optimizer, stream):
    theta, state = np.zeros(stream.shape[1]), None
    for t, gradient in enumerate(stream, 1):
        if state is None:
            state = optimizer.start(theta, gradient, 0)
        out = np.empty_like(theta)
        optimizer.direction(theta, gradient, state, t, out)
        yield out


def _top(preconditioner, hessian):
    """Top eigenvalue of P^-1 H, through the symmetric form."""
    root = np.sqrt(preconditioner)
    return np.linalg.eigvalsh(hessian / root / root[:, None])[-1]


def test_what_has_no_gradient_does_not_move():
    np.testing.assert_array_equal(adaptive.first_update(np.array([0.0, -2.0]), 3.0), [0.0, 3.0])


@given(seed=seeds, size=sizes, beta1=first_betas, beta2=second_betas, eps=eps,
       kind=st.sampled_from(KIN))  # fmt: skip
def test_no_kin_of_adam_moves_a_parameter_by_more_than_eta_at_first(
    seed, size, beta1, beta2, eps, kind
):
    """AdamW's decay acts on theta = 0 here; RAdam takes plain momentum first where it cannot."""
    (gradient,) = _gradients(seed, size)
    optimizer = kind(beta1, beta2, eps)
    (direction,) = _directions(optimizer, gradient[None])
    bound = np.ones(size)
    if kind is sim.RAdam and not optimizer.rectification(1):
        bound = np.abs(gradient)
    assert (np.abs(direction) <= bound * (1 + 1e-10)).all()


@given(seed=seeds, size=sizes, delta=st.floats(0.01, 10), beta1=first_betas, eps=eps)
def test_one_example_is_as_sharp_as_its_gradient_is_long(seed, size, delta, beta1, eps):
    """lambda_max(P^-1 J J^T) with P = (1 - beta1)(|g| + eps): |g|_1 / delta^2 / (1 - beta1)."""
    jacobian = _gradients(seed, size)[0]
    gradient = delta * jacobian
    preconditioner = (1 - beta1) * (np.abs(gradient) + eps)
    top = _top(preconditioner, np.outer(jacobian, jacobian))
    found = adaptive.first_sharpness(gradient, delta, beta1, eps)
    assert found == pytest.approx(top, rel=1e-10)
    if eps == 0:
        length = np.abs(gradient).sum() / delta**2 / (1 - beta1)
        assert found == pytest.approx(length, rel=1e-12)


@given(seed=seeds, width=st.integers(1, 8), inputs=st.integers(1, 3), delta=st.floats(0.1, 3))
def test_the_margin_is_the_norm_of_the_residual_part(seed, width, inputs, delta):
    """The Hessian of f, between the roots of D, dense; its scale c and delta drop out."""
    rng = np.random.default_rng(seed)
    x, u = rng.standard_normal(inputs), rng.standard_normal((inputs, width))
    v = rng.standard_normal(width)
    cross = np.kron(x[:, None], np.eye(width))
    hessian = np.block(
        [[np.zeros((inputs * width,) * 2), cross], [cross.T, np.zeros((width, width))]]
    )
    gradient = delta * np.concatenate([np.outer(x, v).ravel(), x @ u])
    root = np.sqrt(np.abs(gradient))
    norm = np.abs(np.linalg.eigvalsh(delta * hessian / root / root[:, None])).max()
    assert adaptive.first_sharpness_margin(x, x @ u, v) == pytest.approx(norm, rel=1e-10)


@given(beta1=first_betas, eta=st.floats(1e-3, 1))
def test_the_limits_are_those_of_the_optimizer(beta1, eta):
    optimizer = sim.Adam(beta1)
    assert optimizer.threshold(eta) == pytest.approx(adaptive.late_limit(beta1) / eta, rel=1e-12)
    first = optimizer.first_threshold(eta)
    assert first == pytest.approx(adaptive.first_limit(beta1) / eta, rel=1e-12)


def test_numbers_of_the_limits():
    assert adaptive.late_limit(0.9) == pytest.approx(38)
    assert adaptive.first_limit(0.9) == pytest.approx(20)


@given(seed=seeds, size=sizes, beta1=first_betas, beta2=second_betas, a=st.floats(0, 100),
       updates=st.integers(1, 50))  # fmt: skip
def test_a_primed_second_moment_shortens_steps_of_constant_gradients(
    seed, size, beta1, beta2, a, updates
):
    """By sqrt((1 - beta2^t) / (1 - (1 - a) beta2^t)) against v_0 = 0, with the correction kept."""
    stream = np.repeat(_gradients(seed, size), updates, axis=0)
    plain = _moments(stream, beta1, beta2, 0.0)
    primed = _moments(stream, beta1, beta2, a * stream[0] ** 2)
    ratios = [np.sqrt(v0 / va) for (_, v0), (_, va) in zip(plain, primed, strict=True)]
    found = adaptive.primed_factor(np.arange(1, updates + 1), beta2, a)
    np.testing.assert_allclose(np.array(ratios), found[:, None] * np.ones(size), rtol=1e-9)


@given(beta2=second_betas, fraction=st.floats(0.1, 0.99))
def test_the_hidden_warmup_is_at_a_fraction_when_it_says(beta2, fraction):
    found = adaptive.hidden_warmup_time(fraction, beta2)
    assert adaptive.hidden_warmup(found, beta2) == pytest.approx(fraction, rel=1e-9)


def test_numbers_of_the_hidden_warmup():
    """Half of eta at update 288, nine tenths at 1660; GI-Adam's factor is 1 / 31.6."""
    assert np.ceil(adaptive.hidden_warmup_time(np.array([0.5, 0.9]), 0.999)).tolist() == [288, 1660]
    assert adaptive.hidden_warmup(287, 0.999) < 0.5 < adaptive.hidden_warmup(288, 0.999)
    assert 1 / adaptive.primed_factor(1, 0.999) == pytest.approx(31.62, abs=0.01)


def test_numbers_of_uncorrected_adam():
    """3.162 at t = 1, and at most 6.57, at t = 12."""
    factor = adaptive.uncorrected_factor(np.arange(1, 5001), 0.9, 0.999)
    assert factor[0] == pytest.approx(3.1623, abs=1e-4)
    assert 1 + np.argmax(factor) == 12
    assert factor.max() == pytest.approx(6.57, abs=0.005)


@given(beta1=st.floats(0.5, 0.98))
def test_uncorrected_steps_are_longest_when_the_momentum_has_filled(beta1):
    """s / ln(1 / beta1) with e^s = 1 + 2 s, by enumeration at beta2 = 1 - 1e-6."""
    t = np.arange(1, 2001)
    longest = t[np.argmax(adaptive.uncorrected_factor(t, beta1, 1 - 1e-6))]
    assert adaptive.uncorrected_peak(beta1) == pytest.approx(longest, abs=1.01, rel=1e-3)


def test_numbers_of_the_step_bound():
    """Never more than eta at t = 1, nor than 7.27 eta at all; where beta1^2 = beta2, t terms."""
    assert adaptive.step_bound(1, 0.9, 0.999) == pytest.approx(1)
    assert adaptive.step_bound(1e5, 0.9, 0.999) == pytest.approx(7.27, abs=0.005)
    expected = 0.5 / (1 - 0.5**3) * np.sqrt((1 - 0.25**3) / 0.75 * 3)
    assert adaptive.step_bound(3, 0.5, 0.25) == pytest.approx(expected)
