"""Batch sharpness, full sharpness and gradient-noise interaction: exact values, and along runs."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import simulator as sim
from simulator.training.batch_curvature import BatchCurvature

MODEL = sim.MLP(width=4, depth=2, activation="tanh")
BATCHES = ("batch", "full", "interaction")


@pytest.fixture(scope="module")
def eight():
    return sim.load_data("digits", samples=8)


def measured(model, data, size=None, **options):
    """The first measurement of a run."""
    return sim.simulate(
        model, data, steps=1, batch_size=size, schedule=sim.Warmup(0.1, 0.1), measure=BATCHES,
        sharpness_tol=1e-10, **options,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("size", "batch", "interaction"),
    [
        (1, 2.813403973795, 3.384266345211), (2, 1.304531248456, 1.731133098568),
        (3, 0.914447257418, 1.180088683021), (8, 0.491283163586, 0.491283163586),
    ],
)  # fmt: skip
def test_every_batch_is_taken_where_they_are_few(size, batch, interaction, eight):
    theta = MODEL.init(eight, 0)
    assert sim.batch_sharpness(MODEL, theta, eight, size) == pytest.approx(batch, rel=1e-10)
    run = measured(MODEL, eight, size)
    assert run.batch_sharpness[0] == pytest.approx(batch, rel=1e-10)
    assert run.batch_sharpness_error[0] == 0.0
    assert run.gradient_noise_interaction[0] == pytest.approx(interaction, rel=1e-10)
    assert run.full_sharpness[0] == pytest.approx(4.128078746033, rel=1e-8)
    if size == 8:
        assert sim.directional_sharpness(MODEL, theta, eight) == pytest.approx(batch, rel=1e-12)


def autograd(model, data):
    """Loss of an MLP in SP on some samples, in JAX."""
    jax = pytest.importorskip("jax")
    jax.config.update("jax_enable_x64", True)
    jnp = jax.numpy
    x, y, width = jnp.asarray(data.x), jnp.asarray(data.targets), model.width

    def loss(theta, rows):
        first = theta[: x.shape[1] * width].reshape(x.shape[1], width)
        second = theta[x.shape[1] * width :].reshape(width, y.shape[1])
        error = jnp.tanh(x[rows] @ first) @ second - y[rows]
        return 0.5 * jnp.mean(error**2)

    def product(theta, rows, v):
        return jax.jvp(lambda at: jax.grad(loss)(at, rows), (theta,), (v,))[1]

    return jax.grad(loss), product


def test_autograd_agrees_with_enumeration(eight):
    """Gradients and products of JAX, batch by batch."""
    theta = MODEL.init(eight, 1)
    gradient, product = autograd(MODEL, eight)
    whole, ratios, crosses = np.arange(8), [], []
    for rows in map(np.array, itertools.combinations(range(8), 2)):
        g = gradient(theta, rows)
        ratios.append(float(g @ product(theta, rows, g) / (g @ g)))
        crosses.append(float(g @ product(theta, whole, g)))
    run = measured(MODEL, eight, 2, theta0=theta)
    assert run.batch_sharpness[0] == pytest.approx(np.mean(ratios), rel=1e-12)
    g = np.asarray(gradient(theta, whole))
    assert run.gradient_noise_interaction[0] == pytest.approx(np.mean(crosses) / (g @ g), rel=1e-12)
    directional = g @ np.asarray(product(theta, whole, g)) / (g @ g)
    found = sim.directional_sharpness(MODEL, theta, eight)
    assert found == pytest.approx(float(directional), rel=1e-12)


def test_the_sharpness_of_batches_is_above_both_means(eight):
    """E lambda_max(H_B) is at least lambda_max(H), and at least the batch sharpness."""
    theta, tops = MODEL.init(eight, 0), []
    for rows in map(list, itertools.combinations(range(8), 2)):
        part = sim.Data(eight.x[rows], eight.targets[rows])
        tops.append(sim.sharpness(MODEL, theta, part))
    assert np.mean(tops) == pytest.approx(10.092919694065, rel=1e-8)
    assert np.mean(tops) > max(4.128078746033, 1.304531248456)


@given(problem=sim.testing.problems("mlp", "uv"))
def test_a_batch_of_all_samples_has_the_directional_sharpness(problem):
    size = problem.data.samples
    directional = sim.directional_sharpness(*problem)
    batch = sim.batch_sharpness(*problem, size)
    assert batch == pytest.approx(directional, rel=1e-9, nan_ok=True)
    run = sim.simulate(
        problem.model, problem.data, theta0=problem.theta, steps=1, measure=BATCHES,
        schedule=sim.Warmup(1e-6, 1e-6), sharpness_tol=1e-9,
    )  # fmt: skip
    assert run.batch_sharpness[0] == pytest.approx(directional, rel=1e-9, nan_ok=True)
    assert run.gradient_noise_interaction[0] == pytest.approx(directional, rel=1e-9, nan_ok=True)


def test_random_batches_average_to_the_exact_value(eight):
    theta = MODEL.init(eight, 0)
    exact = sim.batch_sharpness(MODEL, theta, eight, 4)
    sampled = [sim.batch_sharpness(MODEL, theta, eight, 4, 500, seed=seed) for seed in range(4)]
    assert np.mean(sampled) == pytest.approx(exact, rel=0.03)
    assert len({*sampled}) == 4
    again = sim.batch_sharpness(MODEL, theta, eight, 4, 500, seed=0)
    assert again == sampled[0]


def test_the_standard_error_is_that_of_the_mean():
    """Over 60 measurements at one theta it is the spread of the means."""
    data = sim.load_data("digits", samples=32)
    experiment = sim.Experiment(
        MODEL, steps=60, batch_size=8, measure=("batch",), batch_every=1, batches=20
    )
    found, theta = BatchCurvature(experiment, data, 0), MODEL.init(data, 0)
    for step in range(60):
        found.measure_at(step, theta)
    values, errors = found.curves["batch_sharpness"], found.curves["batch_sharpness_error"]
    assert len({*values}) == 60
    assert np.median(errors) == pytest.approx(values.std(), rel=0.3)


@pytest.mark.parametrize(("accuracy", "least", "most"), [(1.0, 16, 16), (1e-9, 512, 512)])
def test_an_accuracy_takes_as_many_batches_as_it_needs(accuracy, least, most):
    data = sim.load_data("digits", samples=32)
    run = sim.simulate(
        MODEL, data, steps=1, batch_size=8, measure=("batch",), batch_accuracy=accuracy
    )
    assert least <= run.products <= most
    middle = sim.simulate(
        MODEL, data, steps=1, batch_size=8, measure=("batch",), batch_accuracy=0.1
    )
    assert 16 < middle.products < 512
    assert middle.batch_sharpness_error[0] <= 0.1 * middle.batch_sharpness[0]


def test_measurements_do_not_depend_on_each_other():
    """Nor on the steps at which others were made, nor on what else is measured."""
    data = sim.load_data("digits", samples=32)
    shared = {"steps": 12, "batch_size": 4, "schedule": sim.Warmup(0.0, 0.5, 6)}
    often = sim.simulate(MODEL, data, measure=BATCHES, batch_every=2, **shared)
    seldom = sim.simulate(MODEL, data, measure=("batch",), batch_every=6, **shared)
    assert (~np.isnan(seldom.batch_sharpness)).sum() == 2
    assert (seldom.batch_sharpness[::6] == often.batch_sharpness[::6]).all()
    assert np.isnan(often.batch_sharpness[1::2]).all()
    assert seldom.full_sharpness is None


def test_by_default_there_are_64_measurements():
    data = sim.load_data("digits", samples=16)
    run = sim.simulate(MODEL, data, steps=130, batch_size=15, measure=("batch",))
    assert (~np.isnan(run.batch_sharpness)).sum() == 65
    assert (~np.isnan(run.batch_sharpness[::2])).all()


def test_the_full_sharpness_of_a_full_batch_is_the_sharpness(eight):
    run = sim.simulate(
        MODEL, eight, steps=6, measure=("sharpness", "full"), batch_every=1,
        schedule=sim.Warmup(0.1, 0.1),
    )  # fmt: skip
    assert run.full_sharpness == pytest.approx(run.sharpness, rel=1e-4)


@pytest.mark.parametrize(
    ("arguments", "option"),
    [
        ({"measure": ("directionl",)}, "measure"), ({"measure": 3}, "measure"),
        ({"measure": ("directional",), "sharpness_every": 0}, "sharpness_every"),
        ({"measure": (), "schedule": sim.AtThreshold()}, "measure"),
        ({"batches": 0}, "batches"), ({"batch_accuracy": 0.0}, "batch_accuracy"),
        ({"batch_every": 0}, "batch_every"),
    ],
)  # fmt: skip
def test_what_cannot_be_measured_is_refused_by_name(arguments, option, eight):
    with pytest.raises(sim.InputError) as caught:
        sim.simulate(MODEL, eight, steps=1, **arguments)
    assert caught.value.option == option


def test_a_misspelt_measure_suggests_the_nearest(eight):
    with pytest.raises(sim.InputError, match="did you mean directional"):
        sim.simulate(MODEL, eight, measure=("directionl",))


@pytest.mark.parametrize("name", ["batch", "interaction"])
def test_a_model_without_samples_has_no_batches(name):
    with pytest.raises(sim.InputError, match=f"measure {name}: this model has no samples"):
        sim.simulate(sim.Quadratic([1.0, 2.0]), measure=(name,), steps=1)
    run = sim.simulate(sim.Quadratic([1.0, 2.0]), measure=("full",), steps=1)
    assert run.full_sharpness[0] == 2.0


def test_too_many_batches_to_enumerate_are_refused():
    data = sim.load_data("digits", samples=64)
    theta = MODEL.init(data)
    with pytest.raises(sim.InputError, match="more than 100000 batches; give batches="):
        sim.batch_sharpness(MODEL, theta, data, 8)
    assert math.isfinite(sim.batch_sharpness(MODEL, theta, data, 8, batches=2))
    for size in (0, 65):
        with pytest.raises(sim.InputError, match="batch_size"):
            sim.batch_sharpness(MODEL, theta, data, size)


@given(names=st.lists(st.sampled_from(["sharpness", "directional", "critical", *BATCHES])))
def test_measures_have_one_order_and_one_text(names):
    chosen = sim.Experiment(MODEL, measure=tuple(names)).measure
    assert chosen == sim.Experiment(MODEL, measure=",".join(names)).measure
    assert {*chosen} == {*names}
    assert sim.Experiment(MODEL, measure=chosen[::-1]).measure == chosen
