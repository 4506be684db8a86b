"""A schedule in a sweep: a template, user-defined ones, and schedules as an axis."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
from program import assert_same

import simulator as sim
from simulator import GD, MLP, InputError


@pytest.fixture(scope="module")
def data():
    return sim.load_data("digits", samples=8)


def test_a_schedule_may_be_a_template(data):
    kept = {"eta_trgt": [1.0], "t_wrm": [4], "steps": 8}
    model = MLP(3, 2)
    named = sim.sweep(model, data, decay="cosine", warmup_exponent=2.0, **kept)
    template = sim.Warmup(9.0, 9.0, 9, exponent=2.0, decay="cosine")
    assert_same(named, sim.sweep(model, data, schedule=template, **kept))
    plain = sim.Warmup(exponent=2.0)
    assert_same(named, sim.sweep(model, data, schedule=plain, decay="cosine", **kept))
    with pytest.raises(InputError, match="decay cosine: the schedule modified has no such option"):
        sim.sweep(model, data, schedule=sim.ModifiedWarmup(), decay="cosine", **kept)
    with pytest.raises(InputError, match="is not a Schedule; give one, or its name"):
        sim.sweep(model, data, schedule=[0.1], **kept)


@dataclass(frozen=True)
class Steps(sim.Schedule):
    """A user-defined schedule: eta_trgt, then eta_end from update t_wrm on, times a factor."""

    name: ClassVar[str] = "steps"

    eta_trgt: float = 1.0
    t_wrm: int = 1
    eta_end: float = 0.5
    times: float = 1.0

    def values(self, steps):
        t = np.arange(1, steps + 1)
        return np.where(t < self.t_wrm, self.eta_trgt, self.eta_end) * self.times


def test_a_user_defined_schedule_is_swept_like_ours(run, data, folder):
    model, over = MLP(3, 2), {"times": [0.5, 1.0]}
    kept = {"eta_trgt": [0.5, 1.5], "t_wrm": [1, 4], "steps": 8, "eta_unit": "critical"}
    kept |= {"over": over, "output": "steps.zarr"}
    found = sim.sweep(model, data, schedule=Steps(eta_end=0.25), curves=True, **kept)
    unit = sim.eta_critical(model, data, GD())
    alone = sim.simulate(model, data, schedule=Steps(1.5 * unit, 4, 0.25 * unit, 0.5), steps=8,
                         sharpness_every=16)  # fmt: skip
    cell = found.sel(times=0.5, eta_trgt=1.5, t_wrm=4).squeeze()
    for curve in ("loss", "eta"):
        np.testing.assert_array_equal(cell[curve], getattr(alone, curve))
    kept["over"] = {"times": [0.5, 1.0, 2.0]}
    assert_same(found, sim.sweep(model, data, schedule=Steps(eta_end=0.25), curves=True, grow=True,
                                 **kept).sel(times=[0.5, 1.0]))  # fmt: skip
    with pytest.raises(InputError, match="was made with schedule eta_end 0"):
        sim.sweep(model, data, schedule=Steps(), curves=True, resume=True, **kept)
    assert run("plot steps.zarr --where times=1 --figure steps.png").code == 0
    assert "steps" in run("info steps.zarr").out
    for command in ("run --replay steps.zarr --cell times=1,eta_trgt=0.5,t_wrm=4",
                    "info steps.zarr --command"):  # fmt: skip
        refused = run(command)
        assert refused.code == 2
        assert "steps" in refused.err
        assert "is user-defined" in refused.err


def test_schedules_as_a_whole_are_an_axis(data):
    kept = {"eta_trgt": [0.5, 4.0], "t_wrm": [4], "steps": 8, "eta_unit": "critical"}
    over = {"schedule": ["modified", sim.Warmup(decay="cosine"), sim.Warmup(), Steps()]}
    found = sim.sweep(MLP(3, 2), data, over=over, **kept)
    assert found["schedule"].values.tolist() == [
        "modified", "warmup decay=cosine", "warmup decay=none", "steps",
    ]  # fmt: skip
    for label, schedule in zip(found["schedule"].values, over["schedule"], strict=True):
        alone = sim.sweep(MLP(3, 2), data, schedule=schedule, **kept)
        assert_same(alone, found.sel(schedule=label, drop=True))
