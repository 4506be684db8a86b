"""What cannot be forked, and checkpoints in files."""

import math
import pickle
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest
from forked import assert_same_bits, digits, run_to_fork

import simulator as sim
from simulator import InputError


@pytest.fixture(scope="module")
def data():
    return digits()


@pytest.fixture(scope="module")
def parent(data):
    return run_to_fork(data)


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
    with pytest.raises(InputError, match="schedule patient: its chooser has a state that it does"):
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
        (lambda path, arrays: path.write_bytes(b""), "not a complete .npz"),
        (lambda path, arrays: path.write_bytes(path.read_bytes()[:-300]), "not a complete .npz"),
        (lambda path, arrays: np.savez(path, x=np.ones(3)), "is not a checkpoint"),
        (
            lambda path, arrays: np.savez(path, **arrays | {"checkpoint": np.ones(4)}),
            "is not a check",
        ),
        (lambda path, arrays: np.savez(path, **arrays | {"theta": np.array([Bomb()])}), "objects"),
        (lambda path, arrays: np.savez(path, **arrays | {"theta": np.arange(3)}), "parameters"),
        (_without("checkpoint"), "is not a checkpoint"),
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
