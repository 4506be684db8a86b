"""Runs continued from a step of another: the same bits where nothing is changed, and what is."""

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest
from forked import assert_same_bits, digits, run_to_fork

import simulator as sim
from simulator.optimizers import OPTIMIZERS
from simulator.schedules import Scaled
from simulator.seeding import generator


@pytest.fixture(scope="module")
def data():
    return digits()


@pytest.fixture(scope="module")
def parent(data):
    return run_to_fork(data)


# --- nothing changed ------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [
    {}, {"batch_size": 10, "sharpness_every": 7}, {"layer_rates": True, "batch_size": 16},
    {"dtype": "float32", "sharpness_every": 5, "top_k": 2},
], ids=["full", "minibatch", "rates", "single"])  # fmt: skip
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_with_nothing_changed_a_fork_is_the_run(name, options, data, tmp_path):
    """Sharpness and its cost included; also from a file, and of a fork that is forked again."""
    optimizer = OPTIMIZERS[name]()
    eta = {"gd": 0.5, "momentum": 0.05, "nesterov": 0.05}.get(name, 0.01)
    schedule = sim.Warmup(eta_trgt=eta, t_wrm=12, decay="cosine")
    model = sim.MLP(8, 3, "tanh", "mup" if options.get("layer_rates") else "sp")
    run = sim.simulate(
        model, data, optimizer=optimizer, schedule=schedule, steps=30, seed=3, **options
    )
    forked = sim.fork(run, at=13)
    assert_same_bits(forked, run)
    assert (run.forked_at, forked.forked_at) == (-1, 13)
    sim.checkpoint(run, 13).save(tmp_path / "run.npz")
    assert_same_bits(sim.fork(run, at=sim.Checkpoint.load(tmp_path / "run.npz")), run)
    changed = sim.fork(run, at=13, eta=1.5)
    np.testing.assert_array_equal(changed.loss[:14], run.loss[:14])
    assert (changed.loss[14:] != run.loss[14:]).all()
    assert_same_bits(sim.fork(changed, at=20), changed)


@pytest.mark.parametrize("optimizer", [sim.GD(), sim.Adam()])
@pytest.mark.parametrize("batch_size", [None, 10])
def test_what_is_measured_beside_the_sharpness_goes_on_in_a_fork(optimizer, batch_size, data):
    everything = ("sharpness", "directional", "critical", "batch", "full", "interaction")
    run = sim.simulate(
        sim.MLP(8, 3, "tanh"), data, optimizer=optimizer, steps=30, seed=3, measure=everything,
        schedule=sim.Warmup(eta_trgt=0.02, t_wrm=12), batch_size=batch_size, sharpness_every=3,
        batch_every=5, batches=4,
    )  # fmt: skip
    for at in (0, 7, 15):
        assert_same_bits(sim.fork(run, at=at), run)


@pytest.mark.parametrize("measure", [("sharpness",), ("sharpness", "batch", "full")])
def test_a_dead_network_is_forked_as_it_is(measure, data):
    run = sim.simulate(
        sim.MLP(8, 3), data, schedule=sim.Warmup(eta_trgt=1e3), steps=30, seed=0, measure=measure,
        sharpness_every=4, batch_every=5,
    )  # fmt: skip
    assert not run.diverged
    assert run.loss[-1] == run.loss[-20]
    for at in (0, 9, 16, 23):
        assert_same_bits(sim.fork(run, at=at), run)


def test_a_fork_remembers_that_single_precision_would_not_do(data):
    """A Hessian beyond it is followed in double for some measurements before it is tried again."""
    model, large = sim.MLP(8, 2, "tanh"), sim.Data(data.x, 1e20 * np.eye(10)[data.y])
    schedule = sim.Warmup(eta_trgt=1e-23)
    run = sim.simulate(model, large, schedule=schedule, steps=30)
    assert run.sharpness.min() > 1e18
    assert run.n_unconverged == 0
    assert_same_bits(sim.fork(run, at=8), run)


@pytest.mark.parametrize("at", [0, 1, 17, 39])
def test_a_fork_begins_at_any_step(at, parent):
    assert_same_bits(sim.fork(parent, at=at), parent)


@pytest.mark.parametrize("every", [1, 16])
@pytest.mark.parametrize(
    "schedule",
    [
        sim.PersistentCatapult(eta_trgt=100.0),
        sim.AtThreshold(eta_trgt=10.0, factor=1.1),
        sim.CDAT(eta_trgt=100.0, memory=0.5),
        sim.LossGap(eta_trgt=100.0, memory=0.5),
    ],
)
def test_a_schedule_that_chooses_remembers_its_choices(schedule, every, data, tmp_path):
    run = sim.simulate(
        sim.MLP(16, 2, "relu", "mup"), data, schedule=schedule, steps=40, seed=1,
        sharpness_every=every,
    )  # fmt: skip
    if schedule.name == "persistent-catapult":  # at step 1 the loss has not come back
        assert run.eta[0] == run.eta[1] != run.eta[2]
    for at in (1, 23):
        assert_same_bits(sim.fork(run, at=at), run)
    sim.checkpoint(run, 23).save(tmp_path / "run.npz")
    assert_same_bits(sim.fork(run, at=sim.Checkpoint.load(tmp_path / "run.npz")), run)
    scaled = sim.fork(run, at=23, eta=0.5)
    np.testing.assert_array_equal(scaled.eta[:23], run.eta[:23])
    assert scaled.eta[23] == 0.5 * run.eta[23]
    again = sim.fork(scaled, at=30, eta=4.0)
    assert again.experiment.schedule == Scaled(schedule, 2.0)
    assert_same_bits(sim.fork(scaled, at=30), scaled)


@pytest.mark.parametrize(
    "optimizer",
    [sim.GD(), sim.Momentum(0.5), sim.Momentum(0.5, dampening=0.3), sim.Nesterov(0.5)],
)
def test_a_run_that_trains_as_a_whole_can_be_forked(optimizer, tmp_path):
    """UV on one example: its kernels step lengths, from the beginning again."""
    data, model = sim.Data(np.array([[1.0, 0.5]]), np.array([[0.3]])), sim.UV(256)
    run = sim.simulate(
        model, data, optimizer=optimizer, schedule=sim.Warmup(eta_trgt=0.4, t_wrm=50), steps=200,
        seed=2,
    )  # fmt: skip
    for at in (0, 1, 100, 199):
        assert_same_bits(sim.fork(run, at=at), run)
    sim.checkpoint(run, 60).save(tmp_path / "run.npz")
    assert_same_bits(sim.fork(run, at=sim.Checkpoint.load(tmp_path / "run.npz")), run)
    scaled = sim.fork(run, at=60, eta=1.5)
    np.testing.assert_array_equal(scaled.eta, np.where(np.arange(200) < 60, 1, 1.5) * run.eta)
    assert_same_bits(sim.fork(scaled, at=120), scaled)
    # The general loop goes on from where the kernels were: a schedule that chooses the same rates.
    early = sim.fork(run, at=20, schedule=sim.Warmup(eta_trgt=0.4))
    general = sim.fork(run, at=20, schedule=sim.AtThreshold(eta_trgt=0.4, factor=1e6))
    np.testing.assert_allclose(general.loss, early.loss, rtol=1e-9, atol=1e-20)
    np.testing.assert_allclose(general.sharpness, early.sharpness, rtol=1e-9)
    np.testing.assert_allclose(general.theta, early.theta, rtol=1e-9, atol=1e-12)


def test_a_parameter_space_and_a_quadratic_can_be_forked():
    data = sim.Data(np.array([[1.0, 0.5]]), np.array([[0.3]]))
    uv = sim.UV(16, representation="parameters")
    schedule = sim.Warmup(eta_trgt=0.01, t_wrm=5)
    for run in (
        sim.simulate(uv, data, optimizer=sim.Adam(), schedule=schedule, steps=30),
        sim.simulate(
            sim.Quadratic([1.0, 2.0]), optimizer=sim.Momentum(), schedule=schedule, steps=30,
            theta0=[1.0, 2.0], rates=[1.0, 0.5],
        ),
    ):  # fmt: skip
        assert_same_bits(sim.fork(run, at=11), run)


@pytest.mark.parametrize("at", [1, 3, 5, 7, 20])
@pytest.mark.parametrize("every", [1, 3, 7])
def test_a_dead_network_stays_where_it_is_in_a_fork_too(at, every, data):
    """What such a run repeats instead of measuring it, its fork repeats."""
    model = sim.MLP(8)
    images, theta = sim.Data(np.abs(data.x), data.y), -np.abs(model.init(data))
    run = sim.simulate(model, images, theta0=theta, steps=40, sharpness_every=every, top_k=2)
    assert run.outcome == "stuck"
    assert_same_bits(sim.fork(run, at=at), run)


@pytest.mark.parametrize("at", [5, 6, 7, 8, 20])
def test_a_network_that_dies_on_its_way_is_measured_once_more(at, data):
    """At 5 it is dead; at 7, the next step that is due, it is measured, and then no more."""
    run = sim.simulate(
        sim.MLP(8, 3), data, schedule=sim.Warmup(eta_trgt=30.0, t_wrm=10), steps=40,
        sharpness_every=7,
    )  # fmt: skip
    assert np.flatnonzero(run.loss == run.loss[-1])[0] == 5
    assert_same_bits(sim.fork(run, at=at), run)


def test_a_run_goes_on_beyond_its_last_step(parent, data):
    """With `train`, from a checkpoint; the rates of both are the same up to there."""
    schedule = sim.Warmup(eta_trgt=0.05, t_wrm=20)
    short = sim.simulate(parent.experiment.model, data, schedule=schedule, steps=30, batch_size=24)
    longer = replace(short.experiment, steps=50)
    whole = sim.train(longer, data)
    resumed = sim.train(longer, data, start=sim.checkpoint(short, 29))
    np.testing.assert_array_equal(resumed.loss, whole.loss)
    np.testing.assert_array_equal(resumed.theta, whole.theta)


# --- what must be kept ----------------------------------------------------------------------------


def test_what_a_run_depends_on_is_kept(data):
    """Without the vectors, or with t restarted, Adam goes elsewhere; momentum has no t."""
    model, schedule = sim.MLP(16, 3, "tanh"), sim.Warmup(eta_trgt=0.01)
    for optimizer, depends_on_t in ((sim.Adam(), True), (sim.Momentum(), False)):
        run = sim.simulate(
            model, data, optimizer=optimizer, schedule=schedule, steps=60, batch_size=16,
            sharpness_every=0,
        )  # fmt: skip
        kept = sim.checkpoint(run, 30)
        assert (kept.step, kept.t, kept.state.shape) == (
            30,
            30,
            (optimizer.vectors, run.theta.size),
        )
        moved = np.linalg.norm(run.theta - kept.theta)
        for changes, matters in (
            ({}, False), ({"t": 0}, depends_on_t), ({"state": 0 * kept.state}, True),
        ):  # fmt: skip
            other = sim.fork(run, at=replace(kept, **changes))
            away = np.linalg.norm(other.theta - run.theta)
            assert (away > 0.01 * moved) == matters, (optimizer.name, changes)
            assert (away == 0) == (not matters)


def test_a_checkpoint_starts_many_forks_and_stays_as_it_is(parent):
    kept = sim.checkpoint(parent, 10)
    theta, state = kept.theta.copy(), kept.state.copy()
    forks = [sim.fork(parent, at=kept, eta=2.0) for _ in range(2)]
    assert_same_bits(*forks)
    assert_same_bits(forks[0], sim.fork(parent, at=10, eta=2.0))
    np.testing.assert_array_equal(kept.theta, theta)
    np.testing.assert_array_equal(kept.state, state)


# --- one thing changed ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Listed(sim.Schedule):
    """These learning rates."""

    name: ClassVar[str] = "listed"
    rates: tuple = ()

    def values(self, steps):
        return np.array(self.rates)


def test_eta_is_a_factor_on_every_later_learning_rate(parent, data):
    """The fork is the run that has these rates from the beginning, bit for bit."""
    forked = sim.fork(parent, at=15, eta=1.25)
    eta = np.where(np.arange(40) < 15, 1.0, 1.25) * parent.eta
    np.testing.assert_array_equal(forked.eta, eta)
    at_once = sim.train(replace(parent.experiment, schedule=Listed(tuple(eta))), data, seed=1)
    assert_same_bits(forked, at_once)


def test_a_schedule_is_evaluated_at_the_run_s_own_steps(parent):
    schedule = sim.Warmup(eta_trgt=0.1, t_wrm=30)
    forked = sim.fork(parent, at=15, schedule=schedule, eta=0.5)
    np.testing.assert_array_equal(forked.eta[:15], parent.eta[:15])
    np.testing.assert_array_equal(forked.eta[15:], 0.5 * schedule.values(40)[15:])


def test_another_schedule_that_chooses_begins_anew(data):
    """What the first one has found is not taken over: here it lies beyond the second's eta_trgt."""
    schedule = sim.PersistentCatapult(eta_trgt=100.0)
    run = sim.simulate(sim.MLP(16, 2, "relu", "mup"), data, schedule=schedule, steps=30, seed=1)
    assert run.eta[9] > 20
    forked = sim.fork(run, at=10, schedule=sim.PersistentCatapult(eta_trgt=1.0))
    np.testing.assert_array_equal(forked.eta[:10], run.eta[:10])
    assert forked.eta[10:].max() <= 1.0


@pytest.mark.parametrize("size", [10, 64])
def test_batches_of_another_size_are_those_of_the_same_steps(size, parent, data):
    forked = sim.fork(parent, at=15, batch_size=size)
    theta, per_epoch = sim.checkpoint(parent, 15).theta, -(-64 // size)
    order = generator(1, "batches", 15 // per_epoch).permutation(64)
    rows = order[15 % per_epoch * size :][:size]
    batch = sim.Data(data.x[rows], np.eye(data.classes)[data.y[rows]])
    assert forked.loss[15] == pytest.approx(parent.experiment.model.loss(theta, batch), rel=1e-12)
    # The noise of the first 15 losses is that of the smaller batches.
    assert forked.updates_per_epoch == max(3, per_epoch)


@pytest.mark.parametrize("optimizer", [sim.Adam(), sim.Nesterov(0.5), sim.GD(), sim.RIAdam()])
def test_another_optimizer_starts_anew(optimizer, data):
    """As in a run that begins there: empty vectors, and bias corrections from t = 1."""
    model, schedule = sim.MLP(8, 3, "tanh"), sim.Warmup(eta_trgt=0.01)
    run = sim.simulate(model, data, optimizer=sim.Momentum(), schedule=schedule, steps=30)
    forked = sim.fork(run, at=12, optimizer=optimizer)
    begun = sim.simulate(
        model, data, optimizer=optimizer, schedule=schedule, steps=18,
        theta0=sim.checkpoint(run, 12).theta,
    )  # fmt: skip
    np.testing.assert_array_equal(forked.loss[12:], begun.loss)
    np.testing.assert_array_equal(forked.theta, begun.theta)
    assert_same_bits(sim.fork(forked, at=20), forked)
    if optimizer.adaptive:
        assert np.isnan(forked.preconditioned_sharpness[:12]).all()
        np.testing.assert_allclose(
            forked.preconditioned_sharpness[12:], begun.preconditioned_sharpness, rtol=1e-4
        )


def test_a_rise_of_eta_at_the_edge_is_a_catapult_that_flattens(data):
    model = sim.MLP(16, 3, "tanh", var_w=1.0)
    eta = 6.0 * sim.eta_critical(model, data, sim.GD())
    run = sim.simulate(model, data, schedule=sim.Warmup(eta_trgt=eta, t_wrm=100), steps=400)
    forked = sim.fork(run, at=300, eta=1.25)
    assert forked.loss[300:].max() > 3 * np.median(run.loss[250:300])
    assert run.loss[300:].max() < 3 * np.median(run.loss[250:300])
    assert forked.sharpness[-50:].mean() < 0.95 * run.sharpness[-50:].mean()
