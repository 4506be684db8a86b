"""Parameterizations against plain networks of many widths, trained by JAX or by the simulator.

A layer computes z_l = m_l h_{l-1} W_l, h_l = relu(z_l); an exponent is a slope of ln against ln n.
"""

from functools import cache
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from oracle import derivatives
from profiles import fewer

import simulator as sim
from simulator.models.network import split
from simulator.theory import widths as theory

seeds = st.integers(0, 2**31 - 1)
names = st.sampled_from(["sp", "ntp", "mup"])
shapes = st.sampled_from([(3, 5, 2), (2, 8, 8, 1), (4, 6, 6, 6, 3)])


def draw_weights(of, widths, rng):
    return [
        np.sqrt(variance) * rng.standard_normal(shape)
        for variance, shape in zip(of.variances, pairwise(widths), strict=True)
    ]


def per_weight(values, widths):
    """One number for each weight, of one for each layer."""
    return np.concatenate(
        [np.full(i * o, value) for value, (i, o) in zip(values, pairwise(widths), strict=True)]
    )


def train(of, weights, widths, x, y, eta, *, adaptive, steps=20):
    """Losses (steps + 1,) by JAX's gradients under gradient descent, or Adam with eps = 0."""
    function = derivatives("relu", "mse", False, widths)
    theta = np.concatenate([w.ravel() for w in weights])
    rates = per_weight(of.adaptive_rates if adaptive else of.rates, widths)
    mean = square = np.zeros_like(theta)
    losses = []
    for t in range(1, steps + 2):
        loss, g, _ = map(np.asarray, function(theta, theta, x, y, of.multipliers))
        losses.append(float(loss))
        if adaptive:
            mean, square = 0.9 * mean + 0.1 * g, 0.999 * square + 0.001 * g**2
            root = np.sqrt(square / (1 - 0.999**t))
            g = mean / (1 - 0.9**t) / np.where(root > 0, root, np.inf)
        theta = theta - eta * rates * g
    return np.array(losses)


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


def interpolating(s, widths):
    """INT(s): first layer n^(s/2) times weights of variance 2 n^-s, readout n^(-s/2), else SP."""
    layers = theory.layers("sp", widths)
    n = float(widths[1])
    layers.multipliers[[0, -1]] = n ** (0.5 * s), n ** (-0.5 * s)
    layers.variances[0] = 2.0 * n**-s
    return layers


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


WIDTHS = np.array([64, 128, 256, 512])


def slope(widths, values):
    return np.polyfit(np.log(widths), np.log(values), 1)[0]


FORMS = ["sp", "ntp", "mup", 0.0, 0.5, 1.0]


def exponents(form, depth):
    return (
        theory.abc_exponents(form, depth)
        if isinstance(form, str)
        else theory.abc_exponents("int", depth, form)
    )


def layers_of(form, widths):
    return theory.layers(form, widths) if isinstance(form, str) else interpolating(form, widths)


def forward(of, weights, x):
    """Activations of every layer, the output last."""
    hs = [x]
    for i, (m, w) in enumerate(zip(of.multipliers, weights, strict=True)):
        z = m * hs[-1] @ w
        hs.append(z if i == len(weights) - 1 else np.maximum(z, 0))
    return hs


def descend(of, weights, x, eta):
    """One gradient step on f, of residual 1: the new weights, and |df/dtheta|^2."""
    hs = forward(of, weights, x)
    delta, moved, kernel = np.ones((1, 1)), [], 0.0
    for i in reversed(range(len(weights))):
        g = of.multipliers[i] * hs[i].T @ delta
        kernel += np.sum(g**2)
        moved.append(weights[i] - eta * of.rates[i] * g)
        delta = of.multipliers[i] * delta @ weights[i].T * (hs[i] > 0)
    return moved[::-1], kernel


@cache
def scaling(form, depth, draws=24):
    """Geometric means of the kernel, |dh_L-1| / |h_L-1| and the size of f_0, at each width."""
    x = np.random.default_rng(0).standard_normal((1, 8))
    x /= np.linalg.norm(x)
    rows = []
    for n in WIDTHS.tolist():
        widths = (8, *(n,) * (depth - 1), 1)
        of = layers_of(form, widths)
        eta = 0.5 / theory.layer_kernels(of, widths, x).sum()
        found = []
        for seed in range(draws):
            weights = draw_weights(of, widths, np.random.default_rng(seed))
            moved, kernel = descend(of, weights, x, eta)
            before, after = (forward(of, w, x) for w in (weights, moved))
            movement = np.linalg.norm(after[-2] - before[-2]) / np.linalg.norm(before[-2])
            # f_0 is Gaussian given the features: its size is known better than from its value.
            readout = of.multipliers[-1] * np.sqrt(of.variances[-1]) * np.linalg.norm(before[-2])
            found.append((kernel, movement, readout))
        rows.append(np.exp(np.mean(np.log(found), axis=0)))
    return np.array(rows).T


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
def test_kernels_at_initialisation_scale_with_width_as_predicted(form):
    """SP 1, NTP and muP 0, INT(s) 1 - s."""
    predicted = theory.kernel_exponent(*exponents(form, 3))
    assert slope(WIDTHS, scaling(form, 3)[0]) == pytest.approx(predicted, abs=0.1)


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
def test_initial_outputs_scale_with_width_as_predicted(form):
    """SP and NTP 0, muP -1/2, INT(s) -s/2."""
    predicted = theory.output_exponent(*exponents(form, 3))
    assert slope(WIDTHS, scaling(form, 3)[2]) == pytest.approx(predicted, abs=0.05)


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
def test_features_move_with_width_as_predicted(form):
    """At eta = 0.5 / lambda_0: SP and NTP -1/2, muP 0, INT(s) -(1 - s) / 2."""
    a, b = exponents(form, 3)
    predicted = theory.movement_exponent(a, b, theory.kernel_exponent(a, b))
    assert slope(WIDTHS, scaling(form, 3)[1]) == pytest.approx(predicted, abs=0.08)


@pytest.mark.slow
@fewer(0.15)
@given(
    first=st.floats(-0.5, 0.5), hidden=st.floats(-0.25, 0.5), last=st.floats(0.0, 0.5),
    readout=st.floats(0.5, 1.0), slower=st.floats(0, 1), learnt=st.booleans(),
)  # fmt: skip
def test_features_move_with_width_as_predicted_in_any_parameterization(
    first, hidden, last, readout, slower, learnt
):
    """Any a, b with activations of size 1, and any c: through the readout drawn, or as learnt."""
    # Close to a tie between layers the slope is between theirs until n is astronomical.
    assume(abs(2 * first + 1 - 2 * hidden) > 0.4)
    # A readout of next to nothing moves features only once it has learnt, from the second step on.
    a = np.array([first, hidden, last])
    b = np.array([-first, 0.5 - hidden, 6.0 if learnt else readout - last])
    c = slower + theory.kernel_exponent(a, b)
    assume(learnt or a[-1] + b[-1] <= 2 * a[-1] + c)
    predicted = theory.movement_exponent(a, b, c)
    x = np.full((1, 8), 8**-0.5)
    sizes = []
    for n in WIDTHS.tolist():
        size = float(n)
        of = theory.Layers(size**-a, 2.0 * size ** (-2 * b), np.full(3, size**-c), np.ones(3))
        moves = []
        for seed in range(6):
            weights = draw_weights(of, (8, n, n, 1), np.random.default_rng(seed))
            if learnt:
                weights = descend(of, weights, x, 0.01)[0]
            moved = descend(of, weights, x, 0.01)[0]
            before, after = forward(of, weights, x)[2], forward(of, moved, x)[2]
            moves.append(np.linalg.norm(after - before) / np.linalg.norm(before))
        sizes.append(np.exp(np.mean(np.log(moves))))
    assert slope(WIDTHS, sizes) == pytest.approx(predicted, abs=0.12)


@given(
    n=st.integers(2, 40), depth=st.integers(2, 4), d=st.integers(1, 5), seed=seeds,
    layer=st.integers(0, 3), eta=st.floats(1e-4, 1e-2), name=names,
)  # fmt: skip
def test_a_first_step_of_adam_adds_up_all_inputs_of_a_layer(n, depth, d, seed, layer, eta, name):
    """|dz| = eta m rate |h|_1 for every output of the one layer that is stepped."""
    layer %= depth
    rng = np.random.default_rng(seed)
    data = sim.Data(rng.standard_normal((1, d)), np.array([[7.0]]))
    model = sim.MLP(n, depth, parameterization=name)
    widths = model.widths(data)
    of = theory.layers(name, widths)
    theta = model.init(data, seed)
    rates = per_weight(of.adaptive_rates * (np.arange(depth) == layer), widths)
    run = sim.simulate(
        model, data, theta0=theta, optimizer=sim.Adam(eps=0.0), rates=rates,
        schedule=sim.Warmup(eta_trgt=eta), steps=1, sharpness_every=0,
    )  # fmt: skip
    before, after = ([w for w, _ in split(t, widths)] for t in (theta, run.theta))
    h = forward(of, before, data.x)[layer]
    moved = of.multipliers[layer] * h @ (after[layer] - before[layer])
    predicted = eta * theory.sign_step(of.multipliers[layer], of.adaptive_rates[layer], h).item()
    alive = moved != 0
    np.testing.assert_allclose(np.abs(moved[alive]), predicted, rtol=1e-9)
    reached = split(model.gradient(theta, data), widths)[layer][0].any(axis=0)
    np.testing.assert_array_equal(alive[0], reached)


def after_one_sign_step(rates_of, draws=6):
    """Slopes of the hidden layer's movement and of the readout's, each stepped at its own rate."""
    moves = []
    for n in WIDTHS.tolist():
        found = []
        for seed in range(draws):
            rng = np.random.default_rng(seed)
            data = sim.Data(rng.standard_normal((1, 8)), np.array([[7.0]]))
            model = sim.MLP(n, 3, parameterization="mup")
            widths = model.widths(data)
            theta = model.init(data, seed)
            # The first layer, whose rate is not in doubt, would move the features too.
            rates = per_weight(rates_of(widths) * np.array([0, 1, 1]), widths)
            run = sim.simulate(
                model, data, theta0=theta, optimizer=sim.Adam(eps=0.0), rates=rates,
                schedule=sim.Warmup(eta_trgt=1e-3), steps=1, sharpness_every=0,
            )  # fmt: skip
            before, after = ([w for w, _ in split(t, widths)] for t in (theta, run.theta))
            h0, h1 = (forward(theory.layers("mup", widths), w, data.x)[2] for w in (before, after))
            readout = h0 @ (after[2] - before[2]) / np.sqrt(n)
            found.append((np.sqrt(np.mean((h1 - h0) ** 2)), abs(readout.item())))
        moves.append(np.exp(np.mean(np.log(found), axis=0)))
    return [slope(WIDTHS, column) for column in np.array(moves).T]


@pytest.mark.slow
def test_adam_moves_all_layers_of_mup_alike_at_the_rates_of_tensor_programs():
    """Hidden 1 / fan_in and readout 1 / sqrt(fan_in); printed the other way, neither transfers."""
    hidden, readout = after_one_sign_step(lambda w: theory.layers("mup", w).adaptive_rates)
    assert abs(hidden) < 0.15
    assert abs(readout) < 0.15
    hidden, readout = after_one_sign_step(theory.printed_adaptive_rates)
    assert hidden == pytest.approx(0.5, abs=0.15)
    assert readout == pytest.approx(-0.5, abs=0.15)


@given(d=st.integers(1, 9), n=st.integers(1, 10**6), depth=st.integers(3, 6))
def test_sign_steps_of_mup_are_as_large_in_every_layer(d, n, depth):
    """sqrt(d), 1, 1 for activations of size 1; as printed sqrt(d), sqrt(n), 1 / sqrt(n)."""
    widths = (d, *(n,) * (depth - 1), 1)
    of = theory.layers("mup", widths)
    ones = [np.ones(fan_in) for fan_in in widths[:-1]]

    def steps(rates):
        return [theory.sign_step(*row) for row in zip(of.multipliers, rates, ones, strict=True)]

    hidden = depth - 2
    np.testing.assert_allclose(steps(of.adaptive_rates), [d**0.5, *[1] * hidden, 1], rtol=1e-9)
    printed = steps(theory.printed_adaptive_rates(widths))
    np.testing.assert_allclose(printed, [d**0.5, *[n**0.5] * hidden, n**-0.5], rtol=1e-9)
