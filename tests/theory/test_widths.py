"""Parameterizations against plain networks: which train alike, and their kernels at any width."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from plain_networks import draw_weights, interpolating, per_weight, train
from profiles import fewer

import simulator as sim
from simulator.models.network import split
from simulator.theory import widths as theory

seeds = st.integers(0, 2**31 - 1)
names = st.sampled_from(["sp", "ntp", "mup"])
shapes = st.sampled_from([(3, 5, 2), (2, 8, 8, 1), (4, 6, 6, 6, 3)])


@pytest.mark.parametrize(("adaptive", "eta", "rtol"), [(False, 0.03, 1e-8), (True, 0.01, 1e-6)])
@fewer(0.5)
@given(name=names, widths=shapes, seed=seeds)
def test_weights_times_q_train_alike_at_rates_that_make_up_for_it(
    adaptive, eta, rtol, name, widths, seed
):
    """Multiplier / q, weights q, rate q^2 (Adam: q) leave the function as it is for 20 steps."""
    rng = np.random.default_rng(seed)
    x, y = rng.standard_normal((4, widths[0])), rng.standard_normal((4, widths[-1]))
    q = np.exp(rng.uniform(-1.5, 1.5, len(widths) - 1))
    before = theory.layers(name, widths)
    after = theory.rescaled(before, q)
    np.testing.assert_allclose(after.variances, before.variances * q**2)
    weights = draw_weights(before, widths, rng)
    moved = [factor * w for factor, w in zip(q, weights, strict=True)]
    first = train(before, weights, widths, x, y, eta, adaptive=adaptive)
    second = train(after, moved, widths, x, y, eta, adaptive=adaptive)
    assume(np.isfinite(first).all() and first.max() < 1e3)
    assert len(set(first)) > 1 or first[0] == pytest.approx(0.5 * np.mean(y**2))
    np.testing.assert_allclose(second, first, rtol=rtol)


@given(
    d=st.integers(1, 50), n=st.integers(1, 2000), k=st.integers(1, 10), depth=st.integers(2, 6),
    var_w=st.floats(0.2, 4),
)  # fmt: skip
def test_form_b_of_mup_is_form_a_with_the_multipliers_absorbed(d, n, k, depth, var_w):
    widths = (d, *(n,) * (depth - 1), k)
    form_a = theory.layers("mup", widths, var_w)
    form_b = theory.mup_form_b(widths, var_w)
    absorbed = theory.rescaled(form_a, form_a.multipliers)
    for literal, derived in zip(form_b, absorbed, strict=True):
        np.testing.assert_allclose(literal, derived, rtol=1e-12)


@given(n=st.integers(4, 500), depth=st.integers(3, 5))
def test_form_b_of_mup_scales_as_its_table_says(n, depth):
    """From n to 2 n: variances 0, -1, -2; rates 1, 0, -1; Adam's 0, -1, -1."""
    narrow, wide = (theory.mup_form_b((3, *(w,) * (depth - 1), 2)) for w in (n, 2 * n))
    table = {
        "variances": (0, -1, -2),
        "rates": (1, 0, -1),
        "adaptive_rates": (0, -1, -1),
        "multipliers": (0, 0, 0),
    }
    for field, (first, hidden, last) in table.items():
        slope = np.log2(getattr(wide, field) / getattr(narrow, field))
        np.testing.assert_allclose(slope, [first, *[hidden] * (depth - 2), last], atol=1e-12)


@fewer(0.5)
@given(
    n=st.integers(2, 24), depth=st.integers(2, 4), seed=seeds, adaptive=st.booleans(),
    var_w=st.floats(0.5, 3),
)  # fmt: skip
def test_mup_is_the_standard_network_trained_at_the_rates_of_form_b(
    n, depth, seed, adaptive, var_w
):
    rng = np.random.default_rng(seed)
    data = sim.Data(rng.standard_normal((4, 3)), rng.standard_normal((4, 2)))
    model, standard = (
        sim.MLP(n, depth, parameterization=name, var_w=var_w) for name in ("mup", "sp")
    )
    widths = model.widths(data)
    theta = model.init(data, seed)
    form_a, form_b = theory.layers("mup", widths, var_w), theory.mup_form_b(widths, var_w)
    starts = (theta, theta * per_weight(form_a.multipliers, widths))
    optimizer = sim.Adam(eps=0.0) if adaptive else sim.GD()
    losses = []
    for which, of, start in zip((model, standard), (form_a, form_b), starts, strict=True):
        run = sim.simulate(
            which, data, theta0=start, optimizer=optimizer,
            rates=per_weight(of.adaptive_rates if adaptive else of.rates, widths),
            schedule=sim.Warmup(eta_trgt=0.02), steps=20, sharpness_every=0,
        )  # fmt: skip
        losses.append(run.loss)
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-6 if adaptive else 1e-8)


@given(d=st.integers(1, 9), n=st.integers(1, 300), k=st.integers(1, 5), depth=st.integers(2, 5))
def test_the_layers_of_theory_are_those_of_the_network(d, n, k, depth):
    data = sim.Data(np.ones((1, d)), np.zeros((1, k)))
    model = sim.MLP(n, depth, parameterization="mup")
    widths = model.widths(data)
    rates = per_weight(theory.layers("mup", widths).adaptive_rates, widths)
    np.testing.assert_array_equal(model.layer_rates(data, adaptive=True), rates)
    np.testing.assert_array_equal(theory.layers("mup", widths).rates, np.ones(depth))


def output_gradient(model, theta, x):
    """Gradient (P,) of the one output at the one input x (1, d)."""
    zero = sim.Data(x, np.zeros((1, 1)))
    output = model.bind(zero).outputs(theta, x)
    return model.gradient(theta, sim.Data(x, output - 1.0))


def norms(model, data, theta):
    """|df/dW_l|^2 (L,) at one input."""
    gradient = output_gradient(model, theta, data.x)
    return np.array([np.sum(w**2) for w, _ in split(gradient, model.widths(data))])


@fewer(0.1)
@given(
    name=names, n=st.integers(3, 10), depth=st.integers(2, 3), d=st.integers(1, 5),
    var_w=st.floats(0.5, 3), seed=st.integers(0, 10**6),
)  # fmt: skip
def test_the_mean_kernel_of_each_layer_is_exact_at_any_width(name, n, depth, d, var_w, seed):
    x = np.random.default_rng(seed).standard_normal((1, d))
    data = sim.Data(x, np.zeros((1, 1)))
    model = sim.MLP(n, depth, parameterization=name, var_w=var_w)
    widths = model.widths(data)
    measured = np.array([norms(model, data, model.init(data, seed + i)) for i in range(600)])
    expected = theory.layer_kernels(theory.layers(name, widths, var_w), widths, x)[:, 0, 0]
    deviation = measured.std(axis=0) / np.sqrt(len(measured))
    np.testing.assert_array_less(np.abs(measured.mean(axis=0) - expected), 6.5 * deviation)


@pytest.mark.parametrize("name", ["sp", "ntp", "mup"])
@pytest.mark.parametrize("depth", [2, 3, 4])
def test_a_wide_network_starts_at_the_mean_kernel(name, depth):
    """30 draws at n = 256."""
    x = np.random.default_rng(depth).standard_normal((1, 7))
    data = sim.Data(x, np.zeros((1, 1)))
    model = sim.MLP(256, depth, parameterization=name)
    measured = np.mean([norms(model, data, model.init(data, i)).sum() for i in range(30)])
    expected = theory.initial_kernel(name, 256, depth, x).item()
    assert measured == pytest.approx(expected, rel=0.15)


@given(
    n=st.integers(1, 10**6), depth=st.integers(2, 8), d=st.integers(1, 100),
    size=st.floats(0.1, 10),
)  # fmt: skip
def test_the_mean_kernel_has_a_closed_form_at_gain_two(n, depth, d, size):
    """chi/d times L, 1 + (L-1)/2, n + (n(L-2) + d)/2 in NTP, muP, SP."""
    x = np.full((1, d), size / np.sqrt(d))
    kernels = [theory.initial_kernel(name, n, depth, x).item() for name in ("ntp", "mup", "sp")]
    counts = [depth, 1 + (depth - 1) / 2, n + (n * (depth - 2) + d) / 2]
    np.testing.assert_allclose(kernels, np.multiply(counts, size**2 / d), rtol=1e-10)


@given(n=st.integers(1, 10**6), depth=st.integers(2, 8), d=st.integers(1, 9), s=st.floats(0, 1))
def test_the_interpolating_kernel_has_a_closed_form(n, depth, d, s):
    """n^(1-s) (1 + (L - 2) / 2) + 1/2 for |x| = 1."""
    widths = (d, *(n,) * (depth - 1), 1)
    x = np.eye(1, d)
    kernel = theory.layer_kernels(interpolating(s, widths), widths, x).sum()
    assert kernel == pytest.approx(float(n) ** (1 - s) * (1 + (depth - 2) / 2) + 0.5, rel=1e-10)


@pytest.mark.parametrize("name", ["sp", "ntp", "mup"])
def test_between_two_inputs_a_wide_kernel_is_that_of_the_arc_cosine(name):
    """Every entry of the mean over 20 draws at n = 400, L = 3."""
    rng = np.random.default_rng(3)
    x = rng.standard_normal((5, 12))
    x[4] = -x[3]
    model = sim.MLP(400, 3, parameterization=name)
    data = sim.Data(x, np.zeros((5, 1)))
    kernels = []
    for seed in range(20):
        theta = model.init(data, seed)
        j = np.stack([output_gradient(model, theta, row[None]) for row in x])
        kernels.append(j @ j.T)
    expected = theory.initial_kernel(name, 400, 3, x)
    np.testing.assert_allclose(np.mean(kernels, axis=0), expected, atol=0.06 * expected.max())
    assert np.ptp(expected / np.sqrt(np.outer(np.diag(expected), np.diag(expected)))) > 0.5


@pytest.mark.slow
@fewer(0.1)
@given(name=names, seed=st.integers(0, 10**6), k=st.integers(1, 3))
def test_the_trace_of_the_initial_hessian_is_the_mean_kernel(name, seed, k):
    """For 0.5 * mean over samples and outputs, at any targets: relu does not bend."""
    rng = np.random.default_rng(seed)
    data = sim.Data(rng.standard_normal((3, 4)), 5.0 * rng.standard_normal((3, k)))
    model = sim.MLP(5, 3, parameterization=name)
    traces = [model.hessian(model.init(data, seed + i), data).trace() for i in range(150)]
    expected = np.mean(np.diag(theory.initial_kernel(name, 5, 3, data.x)))
    assert np.mean(traces) == pytest.approx(expected, abs=6.5 * np.std(traces) / np.sqrt(150))
