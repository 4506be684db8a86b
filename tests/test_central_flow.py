"""The central flow on models small enough to know it: the toy, UV's one example, the quartic."""

from itertools import pairwise

import numpy as np
import pytest

import simulator as sim
from simulator.flows import central_flow
from simulator.schedules import SCHEDULES
from simulator.theory import central, stabilization


def custom(start, loss, gradient, hvp):
    return sim.Custom(
        "toy", loss=loss, gradient=gradient, hvp=hvp, init=lambda rng: np.array(start, float)
    )


def toy(start, h=0.5):
    """L = (30 + 2 w) x^2 / 2 - h w, theta = (x, w)."""
    return custom(
        start,
        lambda at: float((30 + 2 * at[1]) * at[0] ** 2 / 2 - h * at[1]),
        lambda at: np.array([(30 + 2 * at[1]) * at[0], at[0] ** 2 - h]),
        lambda at, v: np.array([(30 + 2 * at[1]) * v[0] + 2 * at[0] * v[1], 2 * at[0] * v[0]]),
    )


def scalar_uv(start):
    """L = (u v - 1)^2 / 2."""
    return custom(
        start,
        lambda at: float((at[0] * at[1] - 1) ** 2 / 2),
        lambda at: (at[0] * at[1] - 1) * at[::-1],
        lambda at, v: (at[1] * v[0] + at[0] * v[1]) * at[::-1] + (at[0] * at[1] - 1) * v[::-1],
    )


def quartic(start):
    """L = 1.25 w^2 - 0.5 w^4."""
    return custom(
        start,
        lambda at: float(1.25 * at[0] ** 2 - 0.5 * at[0] ** 4),
        lambda at: 2.5 * at - 2 * at**3,
        lambda at, v: (2.5 - 6 * at**2) * v,
    )


def flow(model, eta, **options):
    """Its central flow at these rates; differences of polynomials of degree 4 are exact."""
    return central_flow(model, schedule=eta, steps=len(eta), difference=1.0, **options)


def descend(start, gradient, eta, steps):
    at = [np.array(start, float)]
    for _ in range(steps):
        at.append(at[-1] - eta * gradient(at[-1]))
    return np.array(at)


@pytest.mark.parametrize("substeps", [1, 4])
def test_the_flow_rests_where_the_push_balances_sharpening(substeps):
    found = flow(toy([0, 5]), [0.05] * 50, substeps=substeps, beside=False)
    assert found.variance == pytest.approx(0.5, rel=1e-12)
    assert found.theta == pytest.approx([0, 5], abs=1e-12)
    assert found.predicted_loss == pytest.approx(7.5, rel=1e-12)
    assert found.predicted_gradient_square == pytest.approx(0.25 + 4 * 0.5 / 0.05**2, rel=1e-12)
    assert found.alpha == pytest.approx(1.0)
    assert found.beta == pytest.approx(4.0)
    assert found.kappa == pytest.approx(0.05)


def test_its_averages_are_those_of_the_cycle_of_gradient_descent():
    model, at = toy([0, 5]), np.array([np.sqrt(0.5), 5])
    steps = descend(at, model.gradient, 0.05, 10)
    losses = [model.loss(step) for step in steps]
    assert np.mean(losses[:-1]) == pytest.approx(7.5, rel=1e-12)
    assert np.mean(steps[:-1, 0] ** 2) == pytest.approx(0.5, rel=1e-12)
    assert np.diff(np.sign(steps[:, 0])).all()


@pytest.mark.parametrize("substeps", [1, 4, 16])
def test_it_meets_the_threshold_and_stays(substeps):
    found = flow(toy([0, 4]), [0.05] * 200, substeps=substeps, beside=False)
    assert np.flatnonzero(found.variance)[0] in (39, 40)
    assert found.theta[1] == pytest.approx(5, rel=1e-12)
    assert found.variance[-1] == pytest.approx(0.5, rel=1e-12)


def test_under_warmup_it_follows_the_threshold_down():
    eta = np.linspace(0.05, 0.1, 400)
    found = flow(toy([0, 5]), eta, beside=False)
    assert found.sharpness == pytest.approx(2 / eta, rel=1e-12)
    r = eta[1] - eta[0]
    expected = 0.5 * stabilization.effective_drive(1.0, eta[:-1], r)
    assert found.variance[:-1] == pytest.approx(expected, rel=1e-10)
    assert found.variance[0] == pytest.approx(1.5, abs=3e-3)
    assert found.variance[-2] == pytest.approx(0.625628, abs=1e-6)
    slow = 0.5 * (1.0 + 2 * r / eta[:-1] ** 3)
    assert np.abs(found.variance[:-1] / slow - 1).max() == pytest.approx(0.00166, abs=1e-4)


@pytest.mark.parametrize(("factor", "variance", "ratio"), [(0.5, 0, 0.9310218), (2, 0.4975148, 1)])
def test_a_ramp_slower_than_the_fall_of_the_sharpness_does_not_oscillate(factor, variance, ratio):
    eta = [0.05]
    for _ in range(199):
        eta.append(eta[-1] + factor * float(stabilization.critical_ramp(-1.0, eta[-1])))
    found = flow(toy([0, 5], h=-0.5), eta, beside=False)
    assert found.variance[100] == pytest.approx(variance, abs=1e-7)
    assert found.ratio[100] == pytest.approx(ratio, abs=1e-7)


def test_two_directions_share_a_covariance():
    """L = sum_i (30 + 2 w_i) x_i^2 / 2 + 1.5 w_3 x_1 x_2 - .5 w_1 - .3 w_2 - .2 w_3."""
    jnp = pytest.importorskip("jax.numpy")

    def loss(at):
        x, w = at[:2], at[2:]
        edges = jnp.sum((30 + 2 * w[:2]) * x**2) / 2 + 1.5 * w[2] * x[0] * x[1]
        return edges - 0.5 * w[0] - 0.3 * w[1] - 0.2 * w[2]

    model = sim.from_jax("two", loss=loss, init=lambda rng: np.array([0.0, 0, 5, 5, 0]))
    found = flow(model, [0.05] * 20, beside=False)
    # The trace, and the trace of the square, do not depend on the basis of the two.
    assert found.variance[-1] == pytest.approx(0.8, abs=1e-10)
    assert found.rank[-1] == found.critical[-1] == 2
    assert found.theta == pytest.approx([0, 0, 5, 5, 0], abs=1e-9)
    assert found.predicted_gradient_square[-1] == pytest.approx(0.38 + 4 * 0.8 / 0.0025)


@pytest.mark.parametrize(
    ("eta", "square", "variance", "loss"),
    [(1.1, 0.9393939, 0.0404040, 0.0385675), (1.2, 0.8888889, 0.0740741, 0.0679012)],
)
def test_one_example_in_the_uv_model(eta, square, variance, loss):
    found = flow(scalar_uv([1.3, 0.9]), [eta] * 400, beside=False)
    assert found.theta**2 == pytest.approx(square, abs=1e-7)
    assert found.variance[-1] == pytest.approx(variance, abs=1e-7)
    assert found.predicted_loss[-1] == pytest.approx(loss, abs=1e-7)


@pytest.mark.parametrize(
    ("eta", "square", "half", "loss"),
    [(1.1, 0.9318182, 0.0227273, 0.0433884), (1.2, 0.8750000, 0.0416667, 0.0763889)],
)
def test_gradient_descent_on_that_example(eta, square, half, loss):
    model = scalar_uv([1.3, 0.9])
    last = descend([1.3, 0.9], model.gradient, eta, 4000)[-2:]
    assert last.mean(axis=0) ** 2 == pytest.approx(square, abs=1e-7)
    assert (np.diff(last, axis=0)[0] / 2) ** 2 == pytest.approx(half, abs=1e-7)
    assert np.mean([model.loss(one) for one in last]) == pytest.approx(loss, abs=1e-7)


def test_the_quartic_is_beyond_it_and_it_says_so():
    found = central_flow(quartic([0.3]), schedule=[1.0] * 100, steps=100)
    assert found.theta[0] == pytest.approx(0.2886751, abs=1e-6)
    assert found.variance[-1] == pytest.approx(0.3888889, abs=1e-6)
    assert any("curvature changes by a fraction of up to 0.39" in doubt for doubt in found.doubts)
    run = descend([0.3], quartic([0.3]).gradient, 1.0, 200)
    assert [before[0] + after[0] for before, after in pairwise(run[-3:])] == pytest.approx([0, 0])
    assert run[-1] ** 2 == pytest.approx(0.25)


@pytest.mark.parametrize("substeps", [4, 8])
def test_rod_flow_rests_on_the_cycle_of_the_quartic(substeps):
    """Regis & Chewi, 2602.01480, integrated here: centre c, and S of the half step."""
    eta, c, s = 1.0, 0.3, (0.5 * (2.5 * 0.3 - 2 * 0.3**3)) ** 2
    for _ in range(100 * substeps):
        ends = c + np.sqrt(s), c - np.sqrt(s)
        plus, minus = (2.5 * w - 2 * w**3 for w in ends)
        curvature = sum(2.5 - 6 * w**2 for w in ends)
        c -= (eta / 2 * (plus + minus) + eta**2 / 8 * curvature * (plus + minus)) / substeps
        s += (eta**2 / 4 * (plus**2 + minus**2) - 2 * s) / substeps
    assert s == pytest.approx(central.rod_fixed_point(2.5, 2.0, eta), rel=1e-10)
    assert c == pytest.approx(0.0, abs=1e-6)


def test_a_quadratic_has_no_oscillation_that_would_hold_its_sharpness():
    found = central_flow(sim.Quadratic(curvatures=[1.0, 3.0]), schedule=[1.0] * 20, steps=20)
    assert np.isinf(found.residual[5])
    assert any("third derivatives are too small" in doubt for doubt in found.doubts)


def test_learning_rates_of_zero_do_nothing():
    found = flow(toy([0, 4]), [0.0, 0.0, 0.05, 0.05, 0.0], beside=False)
    assert found.theta[1] > 4
    assert found.loss[2] == found.loss[0]
    assert found.critical.max() == 0


@pytest.mark.parametrize(
    ("option", "given"),
    [
        ("optimizer", {"optimizer": sim.Momentum()}),
        ("optimizer", {"optimizer": sim.Adam(beta1=0.0)}),
        *(
            ("schedule", {"schedule": schedule()})
            for schedule in SCHEDULES.values()
            if schedule().chooser()
        ),
        ("schedule", {"schedule": [1.0, 2.0]}),
        ("schedule", {"schedule": [-1.0] * 8}),
        ("schedule", {"schedule": [np.nan] * 8}),
        ("theta0", {"theta0": np.zeros(2, np.float32)}),
        ("theta0", {"theta0": [0.0, np.inf]}),
        ("theta0", {"theta0": [0.0]}),
        ("start", {"start": 8}),
        ("start", {"start": -1}),
        ("start", {"start": "behind"}),
        ("start", {"start": "after"}),  # nothing is critical
        ("substeps", {"substeps": 0}),
        ("difference", {"difference": 0.0}),
        ("accuracy", {"accuracy": -1.0}),
        ("max_rank", {"max_rank": 0}),
        ("steps", {"steps": 0}),
    ],
)
def test_what_has_no_central_flow_is_refused(option, given):
    with pytest.raises(sim.InputError) as refused:
        central_flow(toy([0, 1]), **{"schedule": sim.Warmup(eta_trgt=1e-3), "steps": 8} | given)
    assert refused.value.option == option
