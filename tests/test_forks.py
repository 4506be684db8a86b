"""Runs continued from a step of another: the same bits where nothing is changed, and what is."""

import math
import pickle
import re
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest
from program import strict_json

import simulator as sim
from simulator import InputError, figures
from simulator.optimizers import OPTIMIZERS
from simulator.schedules import Scaled
from simulator.seeding import generator

CURVES = (
    "loss", "eigenvalues", "preconditioned_sharpness", "eta", "residual", "converged", "theta",
    "directional_sharpness", "critical_sharpness", "batch_sharpness", "batch_sharpness_error",
    "full_sharpness", "gradient_noise_interaction", "rises",
)  # fmt: skip
NUMBERS = (
    "loss_init", "loss_final", "sharpness_final", "preconditioned_sharpness_final", "products",
    "n_unconverged", "forward_passes", "diverged_step", "updates_per_epoch", "gradient_final",
    "outcome",
)  # fmt: skip


def assert_same_bits(one, other):
    for name in CURVES:
        mine, its = getattr(one, name), getattr(other, name)
        assert (mine is None) == (its is None), name
        if mine is not None:
            np.testing.assert_array_equal(mine, its, err_msg=name)
    for name in NUMBERS:
        np.testing.assert_equal(getattr(one, name), getattr(other, name), err_msg=name)


@pytest.fixture(scope="module")
def data():
    return sim.load_data("digits", samples=64)


@pytest.fixture(scope="module")
def parent(data):
    """Minibatches, momentum, and a schedule that goes on changing."""
    schedule = sim.Warmup(eta_trgt=0.05, t_wrm=20, decay="cosine")
    return sim.simulate(
        sim.MLP(8, 3, "tanh"), data, optimizer=sim.Momentum(0.9), schedule=schedule, steps=40,
        batch_size=24, seed=1,
    )  # fmt: skip


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
    "schedule", [sim.PersistentCatapult(eta_trgt=100.0), sim.AtThreshold(eta_trgt=10.0, factor=1.1)]
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


# --- what cannot be -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"at": 40}, "at 40: give a step from 0 to 39"),
        ({"at": -1}, "at -1: "),
        ({"at": 2.5}, "at 2.5: "),
        ({"at": 3, "eta": 0}, "eta 0: "),
        ({"at": 3, "eta": math.nan}, "eta nan: "),
        ({"at": 3, "batch_size": 65}, "batch_size 65: "),
        ({"at": 3, "data": sim.Data(np.ones((64, 64)), np.arange(64) % 10)}, "checkpoint of a run"),
    ],
)
def test_what_a_run_cannot_be_forked_at_is_refused(arguments, says, parent):
    start = sim.checkpoint(parent, 3) if "data" in arguments else arguments["at"]
    with pytest.raises(InputError, match=says):
        sim.fork(parent, **arguments | {"at": start})


def test_a_step_before_a_fork_or_after_a_divergence_is_refused(parent):
    with pytest.raises(InputError, match="at 10: give a step from 20 to 39"):
        sim.fork(sim.fork(parent, at=20), at=10)
    lost = sim.simulate(sim.Quadratic([1.0]), schedule=sim.Warmup(eta_trgt=1e3), steps=200)
    assert lost.diverged
    with pytest.raises(InputError, match="the run diverged at step"):
        sim.fork(lost, at=lost.diverged_step)
    before = lost.diverged_step - 1
    assert not sim.fork(lost, at=before, eta=1e-3).diverged


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"seed": 2}, "checkpoint of seed 2"),
        ({"data": ""}, "checkpoint of a run on other data"),
        ({"step": 40}, "checkpoint at step 40"),
        ({"theta": np.zeros(3)}, "checkpoint of shape"),
        ({"state": np.zeros((2, 3))}, "checkpoint with a state of shape"),
        ({"memory": {}}, "checkpoint without its curves"),
    ],
)
def test_a_checkpoint_of_another_run_is_refused(changes, says, parent):
    with pytest.raises(InputError, match=says):
        sim.fork(parent, at=replace(sim.checkpoint(parent, 3), **changes))


def test_a_memory_of_another_shape_is_refused(parent):
    kept = sim.checkpoint(parent, 3)
    for name, value in kept.memory.items():
        if name == "eta" or name.startswith("record."):
            wrong = dict(kept.memory) | {name: np.zeros((*value.shape, 2))}
            if name.endswith("_losses"):  # as many as there are
                continue
            with pytest.raises(InputError, match="checkpoint with"):
                sim.fork(parent, at=replace(kept, memory=wrong))


@dataclass(frozen=True)
class Patient(sim.Schedule):
    """Doubles eta when the loss has fallen often enough."""

    name: ClassVar[str] = "patient"
    remembers: bool = True

    def chooser(self):
        def choose(probe):
            state["falls"] += probe.loss < state["loss"]
            state["loss"] = probe.loss
            return 0.01 * 2.0 ** (state["falls"] // 5)

        class Choose:
            MEMORY = ("falls", "loss")

            def __init__(self):
                self.falls, self.loss = 0, math.inf

            def __call__(self, probe):
                self.falls += probe.loss < self.loss
                self.loss = probe.loss
                return 0.01 * 2.0 ** (self.falls // 5)

        state = {"falls": 0, "loss": math.inf}
        return Choose() if self.remembers else choose


def test_a_schedule_of_one_s_own_says_what_it_remembers(data):
    model = sim.MLP(8, 3, "tanh")
    run = sim.simulate(model, data, schedule=Patient(), steps=30)
    assert run.eta[-1] > 0.01
    assert_same_bits(sim.fork(run, at=13), run)
    silent = sim.simulate(model, data, schedule=Patient(remembers=False), steps=30)
    np.testing.assert_array_equal(silent.loss, run.loss)
    with pytest.raises(InputError, match="schedule patient: its chooser does not name"):
        sim.fork(silent, at=13)


def test_a_pickled_run_leaves_its_data_out(parent, data):
    loaded = pickle.loads(pickle.dumps(parent))
    assert loaded.given.data is None
    assert len(pickle.dumps(parent)) < 0.1 * len(pickle.dumps(data)) + 3 * parent.theta.nbytes
    with pytest.raises(InputError, match="data None: the model mlp needs data"):
        sim.fork(loaded, at=3)
    assert_same_bits(sim.fork(loaded, at=3, data=data), parent)
    assert "given" not in repr(parent)


# --- files ----------------------------------------------------------------------------------------


def _without(name):
    def change(path, arrays):
        np.savez(path, **{key: value for key, value in arrays.items() if key != name})

    return change


class Bomb:
    def __reduce__(self):
        return (exec, ("raise SystemExit('unpickled')",))


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda path, arrays: path.write_bytes(b""), "not a whole .npz file"),
        (lambda path, arrays: path.write_bytes(path.read_bytes()[:-300]), "not a whole .npz file"),
        (lambda path, arrays: np.savez(path, x=np.ones(3)), "is no checkpoint"),
        (lambda path, arrays: np.savez(path, **arrays | {"checkpoint": np.ones(4)}), "is no check"),
        (lambda path, arrays: np.savez(path, **arrays | {"theta": np.array([Bomb()])}), "objects"),
        (lambda path, arrays: np.savez(path, **arrays | {"theta": np.arange(3)}), "parameters"),
        (_without("checkpoint"), "is no checkpoint"),
        (_without("theta"), "without its parameters"),
        (lambda path, arrays: path.unlink(), "does not exist"),
    ],
)
def test_a_file_that_is_no_checkpoint_is_refused(spoil, says, parent, tmp_path):
    path = tmp_path / "run.npz"
    sim.checkpoint(parent, 5).save(path)
    with np.load(path) as held:
        spoil(path, dict(held))
    with pytest.raises(InputError, match=says) as caught:
        sim.Checkpoint.load(path)
    assert "\n" not in str(caught.value)


def test_a_checkpoint_is_written_whole_or_not_at_all(parent, tmp_path):
    kept = sim.checkpoint(parent, 5)
    with pytest.raises(InputError, match="there is no folder"):
        kept.save(tmp_path / "missing" / "run.npz")
    with pytest.raises(InputError, match="is a folder"):
        kept.save(tmp_path)
    kept.save(tmp_path / "run")  # the name is left as it is
    kept.save(tmp_path / "run")
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


# --- pictures and the command ---------------------------------------------------------------------


def test_a_fork_is_drawn_from_where_it_begins(parent):
    forked = sim.fork(parent, at=15, eta=1.25)
    panels = figures.compare([parent, forked], ["run", "fork"])
    for panel in panels:
        lines = [line.get_xdata() for line in panel.lines if len(line.get_xdata()) > 2]
        assert {line[0] for line in lines} == {0, 15}
        marks = [line.get_xdata() for line in panel.lines if line.get_linestyle() == ":"]
        assert marks == [[15, 15]]


SMALL = "run --width 8 --activation tanh --samples 32 --steps 30 --eta-trgt 2 --t-wrm 4 --seed 1"


@pytest.mark.usefixtures("folder")
def test_the_command_does_both_runs(run):
    options = "--fork-at 12 --fork-eta 1.5 --fork-batch-size 8"
    document = strict_json(run(f"{SMALL} {options} --json --curves").out)
    plain = strict_json(run(f"{SMALL} --json --curves").out)
    first, second = document["runs"]
    assert first["at"] == {}
    assert second["at"] == {"fork_at": 12, "fork_eta": 1.5, "fork_batch_size": 8}
    assert first["result"].items() <= plain["result"].items()
    assert first["curves"] == plain["curves"]
    eta = np.array(first["curves"]["eta"])
    assert second["curves"]["eta"] == pytest.approx(np.where(np.arange(30) < 12, 1, 1.5) * eta)
    assert second["curves"]["loss"][:12] == first["curves"]["loss"][:12]
    assert second["curves"]["loss"][12:] != first["curves"]["loss"][12:]
    table = run(f"{SMALL} --fork-at 12 --fork-batch-size full").out
    assert re.search(r"^fork at 12: batch size 32  \w+", table, re.M)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ("--fork-eta 2", "--fork-eta 2.0: belongs to --fork-at"),
        ("--fork-batch-size full", "--fork-batch-size full: belongs to --fork-at"),
        ("--fork-at 30", "--fork-at 30: give a step from 0 to 29"),
        ("--fork-at 3 --fork-eta 0", "--fork-eta 0.0: "),
        ("--fork-at 3 --fork-batch-size 33", "--fork-batch-size 33: "),
        ("--fork-at 3 --seed 1,2", "--seed"),
        ("--fork-at 3 --width 4,8", "--fork-at 3: forks one run, not 2"),
        ("--fork-at 3 -o run.zarr", "--output run.zarr: "),
        ("--fork-at 3 --live", "--live"),
        ("--fork-at 20 --eta-unit absolute --eta-trgt 1e9 --t-wrm 1", "--fork-at 20: the run div"),
    ],
)
def test_a_fork_that_cannot_be_is_refused_and_leaves_nothing(options, says, run, folder):
    result = run(f"{SMALL} {options}")
    assert result.code == 2
    assert says in result.err
    assert not list(folder.iterdir())
