"""Directional and critical sharpness: identities, thresholds, and training left as it is."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import simulator as sim
from simulator.catapult_search import near_search
from simulator.curvature.of_the_step import critical_bracket, sharpness_at
from simulator.training import Probe, UpdateRule
from simulator.training.batches import Batches

ALL = ("sharpness", "directional", "critical", "batch", "full", "interaction")
CURVATURES, START = [0.5, 1.0, 2.0, 4.0], np.array([1.0, -2.0, 0.5, 0.25])


def digits(samples):
    return sim.load_data("digits", samples=samples)


def on_the_quadratic(optimizer, eta=0.1, steps=40, **options):
    return sim.simulate(
        sim.Quadratic(CURVATURES), optimizer=optimizer, theta0=START, steps=steps,
        schedule=sim.Warmup(eta, eta), measure=("sharpness", "directional"), **options,
    )  # fmt: skip


def test_on_a_known_quadratic():
    model = sim.Quadratic(CURVATURES)
    assert model.loss(START) == 2.625
    assert sim.directional_sharpness(model, START) == pytest.approx(1.62, rel=1e-14)
    for eta, change in ((0.3, -1.419375), (1.2, -0.21), (1.4, 1.1725)):
        run = on_the_quadratic(sim.GD(), eta, 1)
        assert run.loss_final - run.loss[0] == pytest.approx(change, abs=1e-12)
        assert run.rises[0] == (change > 0) == (run.step_threshold[0] < 1.62)


@pytest.mark.parametrize(
    ("optimizer", "expected"),
    [
        (sim.GD(), (1.62, 1.3599020294, 0.9563488503)),
        (sim.Momentum(0.9), (1.62, 3.0685980799, 5.9774505719)),
        (sim.Nesterov(0.9), (3.078, 3.8259650919, 2.4973806188)),
    ],
)
def test_momentum_changes_the_directional_sharpness(optimizer, expected):
    found = on_the_quadratic(optimizer).directional_sharpness[[0, 1, 9]]
    assert found == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(
    ("optimizer", "uphill"),
    [
        (sim.GD(), 0), (sim.Momentum(0.9), 13), (sim.Nesterov(0.9), 14), (sim.Adam(), 8),
        (sim.GIAdam(), 0), (sim.RMSProp(), 0),
    ],
)  # fmt: skip
def test_the_second_order_change_is_the_change_of_a_quadratic(optimizer, uphill):
    """Delta L = -eta u.g (1 - eta lambda / 2), with u from the step that was taken."""
    places = [START, *(on_the_quadratic(optimizer, steps=n).theta for n in range(1, 41))]
    run, found = on_the_quadratic(optimizer), 0
    for step, (here, there) in enumerate(pairwise(places)):
        slope = (here - there) / 0.1 @ (np.array(CURVATURES) * here)
        found += slope < 0
        change = -0.1 * slope * (1 - 0.1 * run.directional_sharpness[step] / 2)
        after = run.loss[step + 1] if step < 39 else run.loss_final
        assert after - run.loss[step] == pytest.approx(change, abs=1e-13)
        assert run.rises[step] == (after > run.loss[step])
    assert found == uphill


@given(curvatures=st.lists(st.floats(0.01, 10), min_size=2, max_size=6), seed=st.integers(0, 999),
       eta=st.floats(0.01, 1.0))  # fmt: skip
def test_gradient_descent_rises_exactly_above_2_over_eta(curvatures, seed, eta):
    run = sim.simulate(
        sim.Quadratic(curvatures), seed=seed, steps=3, schedule=sim.Warmup(eta, eta),
        measure=("directional", "critical"),
    )  # fmt: skip
    directional = run.directional_sharpness
    assert (directional <= max(curvatures) * (1 + 1e-12)).all()
    assert (directional >= min(curvatures) * (1 - 1e-12)).all()
    clear = abs(directional * eta / 2 - 1) > 1e-9
    assert (run.rises == (directional > run.step_threshold))[clear].all()
    assert run.critical_sharpness == pytest.approx(directional, rel=0.04)
    assert np.isnan(run.sharpness).all()


@given(curvature=st.floats(0.1, 10), kappa=st.floats(0.01, 2), share=st.floats(0.1, 1.9))
def test_on_one_curvature_the_step_under_weight_decay_meets_the_optimizer_s_limit(
    curvature, kappa, share
):
    """u = (lambda + kappa) theta, so that 2 / eta is met where lambda is 2 / eta - kappa."""
    optimizer = sim.GD(weight_decay=kappa)
    eta = share * optimizer.eta_critical(curvature)
    run = sim.simulate(
        sim.Quadratic([curvature] * 3), optimizer=optimizer, steps=2,
        schedule=sim.Warmup(eta, eta), measure=("sharpness", "directional", "critical"),
    )  # fmt: skip
    np.testing.assert_allclose(run.directional_sharpness, curvature + kappa, rtol=1e-12)
    np.testing.assert_allclose(run.critical_sharpness, curvature + kappa, rtol=0.04)
    if abs(share - 1) > 1e-6:
        assert (run.rises == (share > 1)).all()
        assert ((run.directional_sharpness > run.step_threshold) == (share > 1)).all()
        assert ((run.sharpness > run.threshold) == (share > 1)).all()


@pytest.mark.parametrize(
    ("optimizer", "expected"),
    [
        (sim.GD(), 11.822728946), (sim.Momentum(0.9), 11.822728946),
        (sim.Nesterov(0.9), 22.4631849974), (sim.Adam(), 42.6240385854),
        (sim.GIAdam(), 1.3478906749), (sim.RMSProp(), 1347.88334005),
        (sim.AdamW(weight_decay=0.01), 42.6543147297),
    ],
)  # fmt: skip
def test_the_first_update_of_a_network(optimizer, expected):
    """u contains the decay of AdamW; the loss does not."""
    run = sim.simulate(
        sim.MLP(width=4, depth=2), digits(64), optimizer=optimizer, steps=1,
        schedule=sim.Warmup(0.01, 0.01), measure=("sharpness", "directional"), sharpness_tol=1e-10,
    )  # fmt: skip
    assert run.loss[0] == pytest.approx(0.563523768237, rel=1e-8)
    assert run.directional_sharpness[0] == pytest.approx(expected, rel=1e-8)
    assert run.sharpness[0] == pytest.approx(12.664098649, rel=1e-8)


def first_update(problem, optimizer, rates=None):
    """A probe of the first update from a problem's theta."""
    objective = problem.model.bind(problem.data)
    rule = UpdateRule(optimizer, problem.model, objective, rates, 0)
    probe, gradient = Probe(objective, rule), np.empty_like(problem.theta)
    loss = objective.gradient(problem.theta, gradient)
    rule.start(problem.theta, gradient)
    probe.at(0, problem.theta, gradient, loss)
    return probe


def first_directional(problem, optimizer):
    probe = first_update(problem, optimizer)
    return probe.bend() / probe.slope() if probe.slope() else math.nan


@given(problem=sim.testing.problems("mlp", "quadratic"), beta=st.floats(0.0, 0.99),
       beta2=st.floats(0.5, 0.9999))  # fmt: skip
def test_first_updates_differ_by_known_factors(problem, beta, beta2):
    plain = first_directional(problem, sim.GD())
    assume(plain == plain)
    if problem.model.name != "quadratic":
        assert sim.directional_sharpness(*problem) == plain
    assert first_directional(problem, sim.Momentum(beta)) == pytest.approx(plain, rel=1e-12)
    nesterov = first_directional(problem, sim.Nesterov(beta))
    assert nesterov == pytest.approx((1 + beta) * plain, rel=1e-9)
    adam = first_directional(problem, sim.Adam(beta2=beta2, eps=0.0))
    gi_adam = first_directional(problem, sim.GIAdam(beta2=beta2, eps=0.0))
    rmsprop = first_directional(problem, sim.RMSProp(beta2=beta2, eps=0.0))
    root = math.sqrt(1 - beta2)
    assert gi_adam == pytest.approx(root * adam, rel=1e-9)
    assert rmsprop == pytest.approx(adam / root, rel=1e-9)


@given(problem=sim.testing.problems("mlp"), optimizer=sim.testing.optimizers("adam", "rmsprop"))
def test_the_first_directional_sharpness_is_below_the_preconditioned_one(problem, optimizer):
    """It is the Rayleigh quotient of D^-1/2 H D^-1/2, with u = g / D."""
    objective = problem.model.bind(problem.data)
    gradient = np.empty_like(problem.theta)
    objective.gradient(problem.theta, gradient)
    rule = UpdateRule(optimizer, problem.model, objective, None, 0)
    rule.start(problem.theta, gradient)
    found = first_directional(problem, optimizer)
    assume(found == found)
    # theta moves by m / P, and m is (1 - beta1) g after one update.
    share = 1 - getattr(optimizer, "beta1", 0.0)
    root = np.sqrt(rule.preconditioner(gradient, 1) / share)
    hessian = problem.model.hessian(problem.theta, problem.data) / root / root[:, None]
    values = np.linalg.eigvalsh(hessian)
    spread = 1e-9 * np.abs(values).max()
    assert values[0] - spread <= found <= values[-1] + spread


@given(problem=sim.testing.problems("mlp", "quadratic"), optimizer=sim.testing.optimizers(),
       own_rates=st.booleans())  # fmt: skip
def test_the_guess_of_the_probe_is_2_over_the_directional_sharpness(problem, optimizer, own_rates):
    rates = np.linspace(0.5, 2.0, problem.theta.size) if own_rates else None
    probe = first_update(problem, optimizer, rates)
    slope, bend = probe.slope(), probe.bend()
    guess = probe.quadratic_guess()
    assert math.isnan(guess) == (not (slope > 0 and bend > 0))
    if guess == guess:
        assert guess == pytest.approx(2 * slope / bend, rel=1e-12)


@given(problem=sim.testing.problems("mlp"), seed=st.integers(0, 99))
def test_the_point_function_is_autograd_s(problem, seed):
    """u.Hu / u.g, by the dense Hessian, of any update."""
    update = np.random.default_rng(seed).standard_normal(problem.theta.size)
    slope = update @ problem.model.gradient(problem.theta, problem.data)
    assume(abs(slope) > 1e-9)
    bend = update @ problem.model.hessian(problem.theta, problem.data) @ update
    found = sim.directional_sharpness(*problem, update=update)
    assert found == pytest.approx(bend / slope, rel=1e-6, abs=1e-9)


def critical(model, data, theta, tolerance):
    """Critical sharpness of gradient descent, to this accuracy."""
    gradient, loss = model.gradient(theta, data), model.loss(theta, data)
    return sharpness_at(critical_bracket(
        lambda eta: model.loss(theta - eta * gradient, data), loss,
        2 / sim.directional_sharpness(model, theta, data), tolerance=tolerance,
    ))  # fmt: skip


@pytest.mark.parametrize(("scale", "gap"), [(0.1, -5.372e-2), (1e-2, -5.046e-3), (1e-3, -5.015e-4)])
def test_critical_and_directional_sharpness_meet_where_the_gradient_is_small(scale, gap):
    data, model = digits(64), sim.MLP(width=8, depth=3, activation="tanh", parameterization="mup")
    theta = model.init(data, 0)
    outputs = model.bind(data).outputs(theta, data.x)
    near = sim.Data(data.x, outputs + scale * (data.targets - outputs))
    directional = sim.directional_sharpness(model, theta, near)
    found = critical(model, near, theta, abs(gap) * 1e-3) / directional - 1
    assert found == pytest.approx(gap, rel=0.02)


def test_the_search_ends_where_no_step_raises_the_loss():
    data, model = digits(64), sim.MLP(width=8, depth=3)
    run = sim.simulate(model, data, steps=1, measure=("directional", "critical"))
    assert run.directional_sharpness[0] == pytest.approx(14.2515, rel=1e-4)
    assert run.critical_sharpness[0] == 0.0


@given(eta_c=st.floats(1e-3, 1e3), off=st.floats(1e-4, 30.0), tolerance=st.floats(1e-4, 1.0))
def test_a_near_search_brackets_the_crossing(eta_c, off, tolerance):
    asked = []
    bracket = near_search(
        lambda eta: asked.append(eta) or eta > eta_c, eta_c / off, tolerance=tolerance
    )
    assert bracket.lower <= eta_c < bracket.upper
    assert bracket.upper <= bracket.lower * (1 + tolerance) * (1 + 1e-12)
    assert len(asked) == len({*asked})


@pytest.mark.parametrize("rises", [True, False])
def test_a_near_search_ends_where_all_or_nothing_rises(rises):
    for guess in (1.0, 1e-300, 1e300):
        bracket = near_search(lambda eta: rises, guess)
        assert bracket.lower == 0.0 if rises else math.isinf(bracket.upper)


def test_a_near_search_from_a_good_guess_takes_two_calls():
    calls = []
    near_search(lambda eta: calls.append(eta) or eta > 1.03, 1.0)
    assert len(calls) == 2


def test_an_update_that_begins_uphill_has_no_critical_learning_rate():
    run = sim.simulate(
        sim.Quadratic(CURVATURES), optimizer=sim.Momentum(0.9), theta0=START, steps=40,
        schedule=sim.Warmup(0.1, 0.1), measure=("directional", "critical"),
    )  # fmt: skip
    uphill = run.directional_sharpness < 0
    assert uphill.sum() == 13
    assert (np.isinf(run.critical_sharpness) == uphill).all()
    assert run.critical_sharpness[~uphill] == pytest.approx(
        run.directional_sharpness[~uphill], rel=0.04
    )


BOUND = [
    (sim.GD(), {}), (sim.GD(), {"batch_size": 3}), (sim.Momentum(0.9), {"batch_size": 8}),
    (sim.Nesterov(0.9), {}), (sim.Adam(), {"batch_size": 5}), (sim.AdamW(), {}),
    (sim.GIAdam(), {"dtype": "float32"}), (sim.RMSProp(), {"batch_size": 3, "dtype": "float32"}),
]  # fmt: skip


@pytest.mark.parametrize(("optimizer", "options"), BOUND)
@pytest.mark.parametrize("parameterization", ["sp", "mup"])
def test_measuring_leaves_training_as_it_is(optimizer, options, parameterization):
    model = sim.MLP(width=5, depth=3, activation="tanh", parameterization=parameterization)
    rates = parameterization == "mup" and optimizer.adaptive
    shared = {
        "optimizer": optimizer, "steps": 25, "schedule": sim.Warmup(0.01, 0.02, 5), **options,
        "layer_rates": rates,
    }  # fmt: skip
    data = digits(32)
    bare = sim.simulate(model, data, measure=(), **shared)
    plain = sim.simulate(model, data, **shared)
    whole = sim.simulate(model, data, measure=ALL, batch_every=4, batches=3, **shared)
    assert np.array_equal(bare.theta, whole.theta)
    assert np.array_equal(bare.loss, whole.loss)
    assert np.array_equal(plain.sharpness, whole.sharpness)
    assert np.isnan(bare.sharpness).all()
    assert bare.directional_sharpness is None
    assert bare.rises is None
    for name in ("directional", "critical", "batch", "full"):
        curve = getattr(whole, f"{name}_sharpness")
        due = np.arange(25) % (4 if name in ("batch", "full") else 1) == 0
        assert (~np.isnan(curve) == due).all()


def test_measuring_leaves_a_run_with_a_schedule_that_probes_as_it_is():
    data, model = digits(32), sim.MLP(width=4, depth=2)
    shared = {"schedule": sim.PersistentCatapult(), "steps": 30}
    plain = sim.simulate(model, data, **shared)
    whole = sim.simulate(model, data, measure=ALL, **shared)
    assert np.array_equal(plain.theta, whole.theta)
    assert np.array_equal(plain.eta, whole.eta)
    assert plain.forward_passes == whole.forward_passes


def test_the_run_of_a_minibatch_says_whether_its_batch_rose():
    """By the loss of the batch after the update, evaluated here."""
    data, model, steps = digits(32), sim.MLP(width=8, depth=2, activation="tanh"), 12
    shared = {"batch_size": 8, "schedule": sim.Warmup(3.6, 3.6)}
    run = sim.simulate(model, data, steps=steps, measure=("directional", "critical"), **shared)
    batches, objective = Batches(32, 8, 0), model.bind(data)
    for step in range(steps):
        batches.select(objective, step)
        after = sim.simulate(model, data, steps=step + 1, **shared).theta
        assert run.rises[step] == (objective.loss(after) > run.loss[step])
    assert 0 < run.rises.sum() < steps
    without = sim.simulate(model, data, steps=3, measure=("directional",), **shared)
    assert np.isnan(without.rises).all()


def test_a_dead_network_has_no_curvature_along_its_step():
    model, data = sim.MLP(width=2, depth=2), digits(8)
    run = sim.simulate(
        model, data, theta0=np.zeros(model.init(data).size), steps=9, measure=ALL, batch_every=2
    )
    assert np.isnan(run.directional_sharpness).all()
    assert np.isnan(run.critical_sharpness).all()
    assert (run.rises == 0).all()
    assert (np.isfinite(run.full_sharpness) == (np.arange(9) % 2 == 0)).all()
    assert np.isnan(run.batch_sharpness).all()


def test_a_run_that_diverges_rose_last():
    run = on_the_quadratic(sim.GD(), 1e30, 40)
    assert run.diverged_step > 0
    assert (run.rises[: run.diverged_step] == 1).all()
    assert np.isnan(run.rises[run.diverged_step :]).all()


def test_gram_and_parameters_have_one_directional_sharpness():
    data = sim.load_data("teacher", samples=6)
    for representation in ("gram", "parameters"):
        model = sim.UV(width=8, representation=representation)
        theta = model.init(data, 0)
        found = sim.directional_sharpness(model, theta, data)
        assert found == pytest.approx(2.432381089114, rel=1e-10)
        assert sim.batch_sharpness(model, theta, data, 2) == pytest.approx(
            4.675742966814, rel=1e-10
        )


def test_a_network_at_the_edge_steps_at_2_over_eta():
    """MLP 32 x 3 with tanh: the curvature of the step, not the top eigenvalue, is at 2 / eta."""
    data = digits(256)
    model = sim.MLP(width=32, depth=3, activation="tanh", var_w=1.0)
    eta = 12 / sim.sharpness(model, model.init(data, 0), data)
    run = sim.simulate(
        model, data, schedule=sim.Warmup(0.0, eta, 200), steps=600, measure=("directional",)
    )
    late = (run.directional_sharpness / run.step_threshold)[400:]
    assert late.mean() == pytest.approx(1.0, abs=0.02)
    assert late.std() < 0.1
    assert ((late > 1) == run.rises[400:]).mean() > 0.75
