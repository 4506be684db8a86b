"""Whole runs: the same trajectory as autograd's, whatever runs beside it."""

from concurrent.futures import ThreadPoolExecutor

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracle import of_model

import simulator as sim
from simulator.numerics.activations import CODES
from simulator.seeding import generator
from simulator.training import Interrupted


def _reference(model, data, optimizer, eta, theta):
    """GD or heavy ball by autograd."""
    gradient = jax.jit(jax.grad(of_model(model, data)))
    beta = getattr(optimizer, "beta", 0.0)
    velocity = np.zeros_like(theta)
    for rate in eta:
        velocity = beta * velocity + np.asarray(gradient(theta))
        theta = theta - rate * velocity
    return theta


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", [sim.GD(), sim.Momentum(0.9)], ids=lambda o: o.name)
@pytest.mark.parametrize("activation", CODES)
@pytest.mark.parametrize("loss", ["mse", "xent"])
def test_three_hundred_steps_are_those_of_autograd(activation, loss, optimizer, digits):
    model = sim.MLP(8, 3, activation, "mup", loss, bias=True)
    # Cross-entropy sharpens more than tenfold, and beyond the threshold nothing is repeatable.
    eta = {"mse": 0.3, "xent": 0.02}[loss] * sim.eta_critical(model, digits, optimizer)
    schedule = sim.Warmup(0.1 * eta, eta, t_wrm=50, decay="cosine")
    run = sim.simulate(
        model, digits, optimizer=optimizer, schedule=schedule, steps=300, sharpness_every=0
    )
    theta = _reference(model, digits, optimizer, schedule.values(300), model.init(digits))
    np.testing.assert_allclose(run.theta, theta, rtol=1e-8, atol=1e-8 * np.abs(theta).max())


def test_minibatches_are_a_new_shuffle_every_epoch(digits):
    """The batches are those of the seed's stream, the last of an epoch smaller."""
    data = sim.Data(digits.x[:22], digits.y[:22])
    model = sim.MLP(6, 2, "tanh")
    run = sim.simulate(
        model, data, schedule=sim.Warmup(eta_trgt=0.1), steps=7, batch_size=8, seed=3,
        sharpness_every=0,
    )  # fmt: skip
    theta, losses = model.init(data, 3), []
    for step in range(7):
        order = generator(3, "batches", step // 3).permutation(22)
        rows = order[step % 3 * 8 :][:8]
        batch = sim.Data(data.x[rows], np.eye(data.classes)[data.y[rows]])
        losses.append(model.loss(theta, batch))
        theta = theta - 0.1 * model.gradient(theta, batch)
    np.testing.assert_allclose(run.loss, losses, rtol=1e-12)
    np.testing.assert_allclose(run.theta, theta, rtol=1e-12)
    assert run.loss_final == pytest.approx(model.loss(theta, data))


def test_a_batch_of_everything_is_full_batch(digits):
    model = sim.MLP(4)
    runs = [sim.simulate(model, digits, steps=20, batch_size=size) for size in (None, 128)]
    np.testing.assert_array_equal(runs[0].theta, runs[1].theta)


@given(z=st.floats(2.5, 100), seed=st.integers(0, 50))
def test_a_divergence_is_a_result_with_its_step(z, seed):
    model = sim.Quadratic([1.0])
    run = sim.simulate(model, schedule=sim.Warmup(eta_trgt=z), steps=1000, seed=seed)
    theta = float(model.init(seed=seed)[0])
    exact = None
    for step in range(1001):
        if not np.isfinite(0.5 * (theta * theta)):
            exact = step
            break
        theta -= z * theta
    assert run.diverged == (exact is not None)
    assert run.diverged_step == (-1 if exact is None else exact)
    if run.diverged:
        assert run.outcome == "diverged"
        assert np.isfinite(run.loss[: run.diverged_step]).all()
        assert not np.isfinite(run.loss[run.diverged_step :]).any()


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_a_divergence_by_the_last_update_is_seen(steps):
    """theta = 1e200: the loss overflows with the first update that makes it larger."""
    model = sim.Quadratic([1e-100])
    run = sim.simulate(
        model, theta0=[1e200], schedule=sim.Warmup(eta_trgt=1e300), steps=steps, sharpness_every=1
    )
    assert run.diverged_step == 1


def test_the_dead_stay_where_they_are(digits):
    """The short cut of a run whose gradient is exactly zero changes no value."""
    model = sim.MLP(8)
    theta = -np.abs(model.init(digits))
    images = sim.Data(np.abs(digits.x), digits.y)
    run = sim.simulate(model, images, theta0=theta, steps=40, sharpness_every=3, top_k=2)
    assert np.ptp(run.loss) == 0
    assert run.loss[0] == model.loss(theta, images)
    np.testing.assert_array_equal(np.isfinite(run.sharpness), np.arange(40) % 3 == 0)
    np.testing.assert_allclose(run.eigenvalues[::3], 0, atol=1e-12)
    assert run.outcome == "stuck"
    assert not run.trainable


def test_measuring_changes_no_step(digits):
    model = sim.MLP(8, activation="tanh")
    runs = [
        sim.simulate(model, digits, schedule=sim.Warmup(eta_trgt=0.5), steps=30, sharpness_every=k)
        for k in (0, 1, 7)
    ]
    for run in runs[1:]:
        np.testing.assert_array_equal(run.theta, runs[0].theta)
        np.testing.assert_array_equal(run.loss, runs[0].loss)
    assert np.isnan(runs[0].sharpness).all()
    assert np.isfinite(runs[2].sharpness[::7]).all()
    assert np.isnan(runs[2].sharpness).any()
    np.testing.assert_allclose(runs[1].sharpness[::7], runs[2].sharpness[::7], rtol=1e-4)


def test_runs_side_by_side_are_the_runs_alone(digits):
    """Bit for bit: threads, order and neighbours leave no trace."""
    model = sim.MLP(16)

    def one(seed):
        run = sim.simulate(
            model, digits, schedule=sim.Warmup(eta_trgt=1.0, t_wrm=16), steps=40, seed=seed,
            batch_size=50 if seed % 2 else None,
        )  # fmt: skip
        return run.theta.tobytes(), run.loss.tobytes(), run.eigenvalues.tobytes()

    alone = [one(seed) for seed in range(6)]
    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(one, reversed(range(6)))) == alone[::-1]


def test_the_callers_start_is_left_alone(digits):
    model = sim.MLP(4)
    theta0 = model.init(digits)
    before = theta0.copy()
    run = sim.simulate(model, digits, theta0=theta0, steps=3)
    np.testing.assert_array_equal(theta0, before)
    assert not np.array_equal(run.theta, before)


def test_single_precision_runs_in_single_precision(digits):
    model = sim.MLP(16)
    schedule = sim.Warmup(eta_trgt=0.2)
    runs = [
        sim.simulate(model, digits, schedule=schedule, steps=30, dtype=dtype)
        for dtype in ("float32", "float64")
    ]
    assert runs[0].theta.dtype == np.float32
    np.testing.assert_allclose(runs[0].loss, runs[1].loss, rtol=1e-4)
    np.testing.assert_allclose(runs[0].sharpness, runs[1].sharpness, rtol=1e-3)


def test_the_loss_rises_at_the_first_step_only_beyond_two_over_the_curvature_it_meets(digits):
    """L(theta - eta g) > L to second order iff eta > 2 |g|^2 / g.Hg, which is >= 2 / sharpness."""
    model = sim.MLP(64, 2, "linear", "ntp")
    theta = model.init(digits)
    g = model.gradient(theta, digits)
    eta = 2 * (g @ g) / (g @ model.hvp(theta, g, digits))
    assert eta >= sim.eta_critical(model, digits, sim.GD()) * (1 - 1e-9)
    before = model.loss(theta, digits)
    assert model.loss(theta - 0.9 * eta * g, digits) < before


def test_accuracies_are_counted_on_both_splits(digits):
    model = sim.MLP(32)
    eta = 4 * sim.eta_critical(model, digits, sim.GD())
    run = sim.simulate(
        model, digits, schedule=sim.Warmup(eta_trgt=eta), steps=200, sharpness_every=0
    )
    assert run.accuracy_final > 0.9
    assert 0.6 < run.test_accuracy_final < run.accuracy_final
    test = sim.Data(digits.x_test, np.eye(10)[digits.y_test])
    assert run.test_loss_final == pytest.approx(model.loss(run.theta, test))


def test_a_run_can_be_told_to_stop(digits):
    asked = iter([False, False, True])
    with pytest.raises(Interrupted):
        sim.simulate(sim.MLP(4), digits, stop=lambda: next(asked))


@pytest.mark.parametrize(
    ("arguments", "option"),
    [
        ({"steps": 0}, "steps"),
        ({"sharpness_every": -1}, "sharpness_every"),
        ({"top_k": 0}, "top_k"),
        ({"sharpness_tol": 0}, "sharpness_tol"),
        ({"dtype": "float16"}, "dtype"),
        ({"seed": -1}, "seed"),
        ({"batch_size": 0}, "batch_size"),
        ({"batch_size": 129}, "batch_size"),
        ({"theta0": [1.0]}, "theta0"),
        ({"theta0": [np.nan]}, "theta0"),
    ],
)
def test_arguments_that_cannot_be_are_refused_by_name(arguments, option, digits):
    with pytest.raises(sim.InputError) as error:
        sim.simulate(sim.MLP(4), digits, **arguments)
    assert error.value.option == option


def test_a_quadratic_has_no_batches():
    with pytest.raises(sim.InputError, match="batch_size"):
        sim.simulate(sim.Quadratic([1.0]), batch_size=4)
