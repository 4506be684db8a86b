"""Scale-invariant weights: their recursions, limits and identities."""

from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import simulator as sim
from simulator import testing
from simulator.theory import scale_invariance as theory

shares = st.floats(1e-3, 0.6)  # eta times the weight decay
pulls, rates, norms = st.floats(0.1, 10), st.floats(0.01, 10), st.floats(0.2, 5)


def test_the_recursion_of_the_norm_comes_to_rest_at_its_rate():
    """eta = 0.1, kappa = 0.05, r |g| = 2 from r^2 = 1.3 r*^2."""
    rest = theory.equilibrium_norm(2.0, 0.1, 0.05)
    assert rest**2 == pytest.approx(2.0025046973, rel=1e-10)
    norm, excess = np.sqrt(1.3) * rest, []
    for _ in range(151):
        excess.append(norm**2 / rest**2 - 1)
        norm = theory.next_norm(norm, 2.0, 0.1, 0.05)
    rate = (excess[150] / excess[100]) ** (1 / 50)
    assert rate == pytest.approx(theory.relaxation(0.1, 0.05), abs=1e-3)


@given(pull=pulls, eta=rates, share=shares)
def test_at_equilibrium_the_norm_stays_and_the_angle_knows_no_gradient(pull, eta, share):
    decay = share / eta
    rest = theory.equilibrium_norm(pull, eta, decay)
    assert theory.next_norm(rest, pull, eta, decay) == pytest.approx(rest, rel=1e-12)
    angle = theory.rotation(rest, pull, eta, decay)
    assert angle == pytest.approx(theory.equilibrium_rotation(eta, decay), rel=1e-9)
    assert np.cos(angle) == pytest.approx(1 - share, rel=1e-9)
    off = theory.next_norm(rest * (1 + 1e-6), pull, eta, decay) / rest - 1
    assert off == pytest.approx(1e-6 * theory.relaxation(eta, decay), abs=1e-11)


@given(norm=norms, pull=pulls, eta=st.floats(1e-3, 1e6), share=st.floats(0, 0.99))
def test_no_learning_rate_turns_a_scale_invariant_weight_to_its_other_side(norm, pull, eta, share):
    decay = share / eta
    angle = theory.rotation(norm, pull, eta, decay)
    assert angle < np.pi / 2
    after = theory.next_norm(norm, pull, eta, decay)
    assert np.cos(angle) == pytest.approx((1 - share) * norm / after, rel=1e-6, abs=1e-12)


@given(norm=norms, pull=pulls, seed=testing.seeds(), share=st.floats(0, 0.1))
def test_the_angles_of_a_run_give_its_norm(norm, pull, seed, share):
    """Any schedule, any gradients: the sum rule."""
    rng = np.random.default_rng(seed)
    eta, decay = rng.uniform(0, 1, 40), share
    begin, angles = norm, []
    for rate in eta:
        force = pull * rng.uniform()
        angles.append(theory.rotation(norm, force, rate, decay))
        norm = theory.next_norm(norm, force, rate, decay)
    found = theory.norm_from_rotations(angles, eta, decay)
    assert found == pytest.approx(norm / begin, rel=1e-10)


@given(slope=st.floats(1e-3, 0.15), norm=norms, pull=pulls)
def test_the_largest_rotation_of_a_ramp_is_that_of_the_recursion(slope, norm, pull):
    """Where it is between the fifth update and a third of the warmup."""
    t_wrm = round(3.5 * (3 / slope**2) ** (1 / 3)) + 10
    eta = slope * t_wrm * norm**2 / pull
    angle, update = theory.largest_rotation_of_a_ramp(norm, pull, eta, t_wrm)
    angles = []
    for t in range(1, t_wrm + 1):
        angles.append(theory.rotation(norm, pull, eta * t / t_wrm))
        norm = theory.next_norm(norm, pull, eta * t / t_wrm)
    assert max(angles) == pytest.approx(angle, rel=0.05)
    assert 1 + np.argmax(angles) == pytest.approx(update, abs=1)


def test_the_largest_rotation_of_a_ramp_of_a_thousand():
    """eta r |g| / r^2 = 100: 0.386497 at 6.7, where the recursion has 0.387178 at 7."""
    angle, update = theory.largest_rotation_of_a_ramp(1.0, 1.0, 100.0, 1000)
    assert angle == pytest.approx(0.386497293934, rel=1e-10)
    assert update == pytest.approx(6.69432950082, rel=1e-10)


@jax.jit
def _derivatives(w, form):
    def loss(v):
        unit = v / jnp.sqrt(v @ v)
        return jnp.tanh(unit @ form @ unit) + jnp.sum(unit**3)

    return jax.grad(loss)(w), jax.hessian(loss)(w)


@given(seed=testing.seeds(), scale=st.floats(0.3, 3))
def test_gradient_and_hessian_of_a_function_of_the_direction(seed, scale):
    """w.g = 0, H w = -g, g(c w) = g(w) / c, H(c w) = H(w) / c^2: by automatic differentiation."""
    rng = np.random.default_rng(seed)
    form, w = rng.standard_normal((4, 4)), rng.standard_normal(4)
    g, h = map(np.asarray, _derivatives(w, form))
    gradient, hessian = _derivatives(scale * w, form)
    assert w @ g == pytest.approx(0, abs=1e-13 * np.linalg.norm(w) * np.linalg.norm(g))
    size = np.linalg.norm(h)
    np.testing.assert_allclose(h @ w, -g, atol=1e-12 * size * np.linalg.norm(w))
    np.testing.assert_allclose(gradient * scale, g, atol=1e-12 * np.linalg.norm(g))
    np.testing.assert_allclose(hessian * scale**2, h, atol=1e-12 * size)


def _normalised(weights, readout, x):
    """tanh networks whose pre-activations are normalised, each sample by itself, without eps."""
    for w in weights:
        z = x @ w
        x = jnp.tanh((z - z.mean(1, keepdims=True)) / z.std(1, keepdims=True))
    return x @ readout


def _hidden_layers_of_a_run(seed, eta, decay, steps, batch=16, width=16):
    """SGD of two hidden layers on the digits: r, r |g|, r' and the angle, each (steps, 2)."""
    data, rng = sim.load_data("digits", samples=128), np.random.default_rng(seed)
    x, y = jnp.asarray(data.x), jnp.asarray(data.targets)
    sizes = (data.inputs, width, width)
    drawn = [rng.standard_normal(s) * np.sqrt(2 / s[0]) for s in (*pairwise(sizes), (width, 10))]
    epochs = [rng.permutation(128).reshape(-1, batch) for _ in range(-(-steps * batch // 128))]

    def loss(weights, rows):
        return 0.5 * jnp.mean((_normalised(weights, drawn[2], x[rows]) - y[rows]) ** 2)

    def norms(weights):
        return jnp.stack([jnp.linalg.norm(w) for w in weights])

    def update(weights, rows):
        pulls = jax.grad(loss)(weights, rows)
        moved = [(1 - eta * decay) * w - eta * g for w, g in zip(weights, pulls, strict=True)]
        along = jnp.stack([jnp.sum(a * b) for a, b in zip(weights, moved, strict=True)])
        r, after = norms(weights), norms(moved)
        return moved, (r, r * norms(pulls), after, jnp.arccos(along / r / after))

    _, curves = jax.lax.scan(update, drawn[:2], np.concatenate(epochs)[:steps])
    return [np.asarray(curve) for curve in curves]


@pytest.mark.parametrize("seed", [0, 3])
def test_the_hidden_layers_of_a_normalised_network(seed):
    """Each update exactly; and the equilibrium of weight decay within 2 %, in every layer."""
    eta, decay = 2.0, 0.002
    r, pull, after, angle = _hidden_layers_of_a_run(seed, eta, decay, 3000)
    np.testing.assert_allclose(theory.next_norm(r, pull, eta, decay), after, rtol=1e-12)
    np.testing.assert_allclose(
        np.cos(theory.rotation(r, pull, eta, decay)), np.cos(angle), rtol=1e-12
    )
    late = slice(1500, None)
    mean = np.sqrt(np.mean(pull[late] ** 2, axis=0))
    rest = theory.equilibrium_norm(mean, eta, decay)
    np.testing.assert_allclose(r[late].mean(axis=0), rest, rtol=0.02)
    turned = np.sqrt(np.mean(angle[late] ** 2, axis=0))
    np.testing.assert_allclose(turned, theory.equilibrium_rotation(eta, decay), rtol=0.02)


def test_one_update_of_a_normalised_layer():
    """ReLU, normalised pre-activations, eta = 1 and kappa = 0.01: the first layer of 32 units."""
    data, model = (
        sim.load_data("digits", samples=128),
        sim.MLP(32, norm="preactivation", norm_eps=0),
    )
    size = data.inputs * 32
    before, g = model.init(data, 0)[:size], model.gradient(model.init(data, 0), data)[:size]
    run = sim.simulate(
        model, data, optimizer=sim.GD(weight_decay=0.01), steps=1, seed=0, sharpness_every=0
    )
    after, norm = run.theta[:size], np.linalg.norm(before)
    assert norm**2 == pytest.approx(63.8482955387, rel=1e-10)
    assert g @ g == pytest.approx(0.284025053498, rel=1e-10)
    pull = norm * np.linalg.norm(g)
    expected = theory.next_norm(norm, pull, 1.0, 0.01)
    assert np.linalg.norm(after) == pytest.approx(expected, rel=1e-12)
    assert expected**2 == pytest.approx(62.8617395109, rel=1e-10)
    cosine = before @ after / norm / np.linalg.norm(after)
    assert np.cos(theory.rotation(norm, pull, 1.0, 0.01)) == pytest.approx(cosine, rel=1e-12)
    assert cosine == pytest.approx(0.997738317404, rel=1e-10)
