"""The probe of a run's next update: exact, and without a trace."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import simulator as sim
from simulator.training import Probe, UpdateRule


def standing(problem, optimizer, updates=0, eta=0.01, *, probed=False, rates=None):
    """A probe after so many updates, its rule, and theta; probing on the way if so asked."""
    objective = problem.model.bind(problem.data)
    rule = UpdateRule(optimizer, problem.model, objective, rates, 0)
    probe, gradient = Probe(objective, rule), np.empty_like(problem.theta)
    theta = problem.theta.copy()
    for step in range(updates + 1):
        loss = objective.gradient(theta, gradient)
        if step == 0:
            rule.start(theta, gradient)
        probe.at(step, theta, gradient, loss)
        if probed:
            probe.quadratic_guess()
            probe.loss_after(eta)
        if step < updates:
            rule.step(theta, gradient, eta, step + 1)
    return objective, rule, probe, gradient, theta


networks = sim.testing.problems("mlp", "quadratic")


@given(problem=networks, optimizer=sim.testing.optimizers(), updates=st.integers(0, 3),
       eta=st.floats(1e-4, 0.1), own_rates=st.booleans())  # fmt: skip
def test_the_loss_after_is_the_step_s_to_the_last_bit(problem, optimizer, updates, eta, own_rates):
    rates = np.linspace(0.0, 2.0, problem.theta.size) if own_rates else None
    objective, rule, probe, gradient, theta = standing(problem, optimizer, updates, rates=rates)
    before = theta.copy(), gradient.copy()
    told = probe.loss_after(eta), probe.loss_after(2 * eta), probe.loss_after(eta)
    assert told[0] == told[2]
    assert probe.forward_passes == 3
    assert (probe.step, probe.loss) == (updates, objective.loss(theta))
    assert (theta == before[0]).all()
    assert (gradient == before[1]).all()
    rule.step(theta, gradient, eta, updates + 1)
    after = objective.loss(theta)
    assert told[0] == (after if math.isfinite(after) else math.inf)


@given(problem=networks, optimizer=sim.testing.optimizers(), updates=st.integers(1, 4))
def test_a_run_that_is_probed_goes_where_it_would_go(problem, optimizer, updates):
    *_, alone = standing(problem, optimizer, updates)
    *_, watched = standing(problem, optimizer, updates, probed=True)
    assert np.array_equal(alone, watched, equal_nan=True)


@given(curvatures=st.lists(st.floats(0.01, 10), min_size=1, max_size=6), seed=st.integers(0, 999),
       optimizer=sim.testing.optimizers(), own_rates=st.booleans())  # fmt: skip
def test_the_guess_is_exact_on_quadratics(curvatures, seed, optimizer, own_rates):
    """To second order along the update, and on a quadratic there is no more."""
    model = sim.Quadratic(curvatures)
    problem = sim.testing.Problem(model, model.init(seed=seed), None)
    rates = np.linspace(0.5, 2.0, len(curvatures)) if own_rates else None
    probe = standing(problem, optimizer, rates=rates)[2]
    guess = probe.quadratic_guess()
    if guess == guess:
        assert probe.loss_after(guess) == pytest.approx(probe.loss, rel=1e-9)
        assert probe.loss_after(0.5 * guess) < probe.loss
    else:
        assert optimizer.name == "adamw"  # its decay may lead uphill


def test_there_is_no_guess_where_the_loss_bends_down_and_no_loss_beyond_the_numbers():
    model = sim.Quadratic([-1.0])
    probe = standing(sim.testing.Problem(model, np.ones(1), None), sim.GD())[2]
    assert math.isnan(probe.quadratic_guess())
    model = sim.Quadratic([1.0])
    probe = standing(sim.testing.Problem(model, np.ones(1), None), sim.GD())[2]
    assert probe.loss_after(1e300) == math.inf
