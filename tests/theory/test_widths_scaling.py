"""How kernels, outputs, features and steps of Adam scale with width, measured on plain networks.

An exponent is a slope of ln against ln n, over widths from 64 to 512.
"""

from functools import cache

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from plain_networks import (
    descend,
    draw_weights,
    forward,
    layers_of,
    per_weight,
    slope,
)
from profiles import fewer

import simulator as sim
from simulator.models.network import split
from simulator.theory import widths as theory

seeds = st.integers(0, 2**31 - 1)
names = st.sampled_from(["sp", "ntp", "mup"])
WIDTHS = np.array([64, 128, 256, 512])


FORMS = ["sp", "ntp", "mup", 0.0, 0.5, 1.0]


def exponents(form, depth):
    return (
        theory.abc_exponents(form, depth)
        if isinstance(form, str)
        else theory.abc_exponents("int", depth, form)
    )


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
