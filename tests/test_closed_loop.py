"""Schedules that ask the run: what they choose, what it costs, and what they survive."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import simulator as sim
from simulator.schedules import SCHEDULES

QUADRATIC = sim.Quadratic(curvatures=[1.0])


def digits(samples=128):
    return sim.load_data("digits", samples=samples)


class Line:
    """A probe of a quadratic in one dimension: the loss after an update is known."""

    def __init__(self, curvature, theta=1.0):
        self.curvature, self.theta, self.step, self.passes = curvature, theta, 0, 0

    @property
    def loss(self):
        return 0.5 * self.curvature * self.theta**2

    def loss_after(self, eta):
        self.passes += 1
        return self.loss * (1 - eta * self.curvature) ** 2

    def slope(self):
        return (self.curvature * self.theta) ** 2

    def bend(self):
        return self.curvature * self.slope()

    def eta_critical(self):
        return 2.0 / self.curvature


@given(curvature=st.floats(1e-3, 1e3), delta=st.floats(0.01, 1))
def test_persistent_catapult_stops_where_one_update_raises_the_loss_a_little(curvature, delta):
    probe = Line(curvature)
    eta = sim.PersistentCatapult(100 / curvature, delta=delta).chooser()(probe)
    assert 2 <= eta * curvature <= (1 + math.sqrt(1 + delta)) * (1 + 1e-12)


@given(curvature=st.floats(1e-3, 1e3), share=st.floats(0.05, 0.99))
def test_it_searches_again_only_below_the_loss_of_the_last_search(curvature, share):
    choose, probe = sim.PersistentCatapult(100 / curvature).chooser(), Line(curvature)
    first, passes = choose(probe), probe.passes
    probe.theta = 1.5  # the catapult
    assert choose(probe) == first
    assert probe.passes == passes
    # Flatter, and back: the critical rate is larger now.
    probe.theta, probe.curvature = 0.5, share * curvature
    second = choose(probe)
    assert probe.passes > passes
    assert second >= first
    assert second * probe.curvature >= 2 * (1 - 1e-12)


def test_it_ends_at_eta_trgt_and_stays_there():
    choose, probe = sim.PersistentCatapult(1.5).chooser(), Line(1.0)
    assert choose(probe) == 1.5
    passes = probe.passes
    probe.theta = 0.1
    assert choose(probe) == 1.5
    assert probe.passes == passes


@given(curvature=st.floats(1e-3, 1e3), factor=st.floats(0.1, 4), trgt=st.floats(1e-3, 1e3))
def test_at_threshold_is_a_multiple_of_what_the_sharpness_allows(curvature, factor, trgt):
    eta = sim.AtThreshold(trgt, factor).chooser()(Line(curvature))
    assert eta == pytest.approx(min(factor * 2 / curvature, trgt), rel=1e-12)


@given(
    c=st.floats(0, 2), trgt=st.floats(1e-3, 1), t_wrm=st.integers(1, 200),
)  # fmt: skip
def test_modified_warmup_has_the_slope_of_warmup_from_zero(c, trgt, t_wrm):
    eta_init = c * trgt
    eta = sim.ModifiedWarmup(eta_init, trgt, t_wrm).values(t_wrm + 1)
    for t in range(1, t_wrm + 2):
        assert eta[t - 1] == pytest.approx(min(eta_init + trgt * t / t_wrm, trgt), rel=1e-12)
    if eta_init < trgt:
        # T_reach = t_wrm (1 - eta_init / eta_trgt): the first whole update at or after it.
        reached = int(np.argmax(eta >= trgt * (1 - 1e-12))) + 1
        exact = sim.theory.warmup.t_reach(eta_init, trgt, t_wrm)
        assert exact - 1e-6 <= reached <= max(exact, 1) + 1


def test_on_a_quadratic_at_threshold_holds_the_loss_and_just_below_lowers_it():
    """eta lambda = 2 is neutral: theta changes its sign and nothing else."""
    at = sim.simulate(QUADRATIC, schedule=sim.AtThreshold(1e9, 1.0), steps=20)
    np.testing.assert_allclose(at.loss, at.loss[0], rtol=1e-9)
    below = sim.simulate(QUADRATIC, schedule=sim.AtThreshold(1e9, 0.9), steps=20)
    assert (np.diff(below.loss) < 0).all()


@pytest.mark.parametrize("schedule", ["threshold", "loss-gap"])
def test_at_threshold_and_loss_gap_need_the_sharpness(schedule):
    with pytest.raises(sim.InputError, match=f"schedule {schedule} needs it"):
        sim.simulate(QUADRATIC, schedule=SCHEDULES[schedule](), sharpness_every=0)
    with pytest.raises(sim.InputError, match=f"schedule {schedule} needs it"):
        sim.sweep(QUADRATIC, eta_trgt=[1.0], schedule=schedule, sharpness_every=0)


@pytest.mark.parametrize("optimizer", [sim.GD(), sim.Momentum(), sim.Adam(), sim.AdamW()])
@pytest.mark.parametrize(
    "schedule",
    [sim.PersistentCatapult(0.3, delta=0.5), sim.CDAT(0.3, 1.5, 0.5), sim.LossGap(0.3, memory=0.5)],
)
def test_a_chosen_rate_makes_the_same_run_as_the_same_rates_planned(schedule, optimizer):
    """A search commits nothing: neither theta, nor the optimizer's state, nor the batch."""
    model, data = sim.MLP(width=8), digits(64)
    every = 30 if schedule.needs_sharpness else 0
    chosen = sim.simulate(
        model, data, optimizer=optimizer, schedule=schedule, steps=30, batch_size=16,
        sharpness_every=every,
    )  # fmt: skip
    assert (chosen.forward_passes > 0) == (schedule.name == "persistent-catapult")
    assert chosen.products == 30 or schedule.name != "cdat"

    class Planned(sim.Schedule):
        name = "planned"

        def values(self, steps):
            return chosen.eta.copy()

    again = sim.simulate(
        model, data, optimizer=optimizer, schedule=Planned(), steps=30, batch_size=16,
        sharpness_every=0,
    )  # fmt: skip
    np.testing.assert_array_equal(again.loss, chosen.loss)
    np.testing.assert_array_equal(again.theta, chosen.theta)
    assert again.forward_passes == 0


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_persistent_catapult_survives_what_a_constant_rate_does_not(seed):
    """Kalra & Barkeshli 2024, figure 7: without a length of warmup."""
    model, data = sim.MLP(width=32), digits()
    eta_trgt = 32 * sim.eta_critical(model, data, sim.GD(), seed)
    options = {"steps": 300, "seed": seed, "sharpness_every": 0}
    constant = sim.simulate(model, data, schedule=sim.Warmup(0, eta_trgt, 1), **options)
    assert not constant.trainable
    found = sim.simulate(model, data, schedule=sim.PersistentCatapult(eta_trgt), **options)
    assert found.trainable
    assert found.eta[-1] == eta_trgt
    assert (np.diff(found.eta) >= 0).all()


def test_sweeps_know_every_schedule(tmp_path):
    model, data = sim.UV(width=16), sim.Data([[1.0]], [[0.5]])
    for schedule in SCHEDULES:
        found = sim.sweep(
            model, data, eta_trgt=[0.5, 3.0], eta_unit="critical", steps=40, schedule=schedule,
            sharpness_every=1, curves=True,
        )  # fmt: skip
        eta_trgt = 3.0 * float(found["eta_critical"].values.flat[0])
        alone = sim.simulate(model, data, steps=40, schedule=SCHEDULES[schedule](eta_trgt=eta_trgt))
        cell = found.isel(seed=0, eta_init=0, eta_trgt=1, t_wrm=0)
        np.testing.assert_array_equal(cell["eta"], alone.eta)
        np.testing.assert_array_equal(cell["loss"], alone.loss)
        if schedule == "persistent-catapult":
            assert cell["forward_passes"] == alone.forward_passes > 0


@pytest.mark.parametrize(
    ("options", "option"),
    [({"t_wrm": [4]}, "t_wrm"), ({"delta": 0.2, "schedule": "warmup"}, "delta"),
     ({"warmup_exponent": 2.0}, "exponent"), ({"decay": "cosine"}, "decay"),
     ({"factor": 2.0}, "factor"), ({"schedule": "persistent"}, "schedule"),
     ({"delta": -1.0}, "delta"), ({"schedule": "threshold", "eta_init": [0.1]}, "eta_init")],
)  # fmt: skip
def test_what_a_schedule_would_not_look_at_is_refused(options, option):
    with pytest.raises(sim.InputError) as refused:
        sim.sweep(QUADRATIC, eta_trgt=[1.0], **{"schedule": "persistent-catapult", **options})
    assert refused.value.option == option


@pytest.mark.parametrize("schedule", ["threshold", "loss-gap"])
def test_a_run_that_hangs_on_the_sharpness_is_done_again_as_it_was(run, folder, schedule):
    """Measured more often it would be another run: refused, and explained as it was made."""
    small = f"--width 8 --samples 32 --steps 30 --schedule {schedule} --eta-trgt 8 --factor 1.2"
    assert run(f"sweep {small} --seeds 1 --sharpness-every 5 -o s.zarr").code == 0
    again = run("run --replay s.zarr --json")
    assert json.loads(again.out)["result"]["identical"]
    refused = run("run --replay s.zarr --sharpness-every 1")
    assert refused.code == 2
    assert f"the schedule {schedule} depends on it" in refused.err
    told = json.loads(run("explain s.zarr --json").out)
    alone = json.loads(run(f"explain {small} --sharpness-every 5 --json").out)
    assert told["events"] == alone["events"]
