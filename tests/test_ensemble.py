"""Many runs side by side say the same as each run alone, told from its curves."""

import numpy as np
import pytest

import simulator as sim
from simulator.numerics.summaries import ROWS
from simulator.sweeps import AXES
from simulator.sweeps.layout import VARIABLES
from simulator.training.ensemble import train_batched

OPTIMIZERS = [sim.GD(), sim.Momentum(0.8), sim.Momentum(0.9, ema=True), sim.Nesterov(0.6)]


def _problem(inputs, seed, **options):
    draw = np.random.default_rng(seed)
    data = sim.Data(draw.standard_normal((1, inputs)), draw.standard_normal((1, 1)))
    return sim.UV(**options), data


PROBLEMS = {
    "one example": _problem(1, 0, width=7),
    "one example, many inputs": _problem(5, 1, width=10**6, s=1.0),
    "target 0": (sim.UV(width=100), sim.Data([[1.0]], [[0.0]])),
}
# Everything that a store keeps of any run: what is added there is compared here.
WORDS = tuple(v.name for v in VARIABLES if v.of is not None and not v.needs)


def _sweep(model, data, **options):
    return sim.sweep(
        model, data, eta_init=[0.0, 0.3], eta_trgt=[0.5, 1.0, 1.5, 1.9, 2.4, 5.0], t_wrm=[1, 20],
        steps=97, seeds=2, eta_unit="critical", **options,
    )  # fmt: skip


def _alone(model, data, cell, optimizer, every, **options):
    unit = float(cell["eta_critical"])
    ends = float(cell["eta_init"]) * unit, float(cell["eta_trgt"]) * unit
    return sim.simulate(
        model, data, optimizer=optimizer, schedule=sim.Warmup(*ends, int(cell["t_wrm"])), steps=97,
        seed=int(cell["seed"]), sharpness_every=every, **options,
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", PROBLEMS)
@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=lambda o: f"{o.name} {o.options()}")
@pytest.mark.parametrize("every", [0, 1, 7])
def test_a_cell_is_what_its_run_says(name, optimizer, every):
    """Every number and word, bit for bit, though one comes from curves and one from none."""
    model, data = PROBLEMS[name]
    cells = _sweep(model, data, optimizer=optimizer, sharpness_every=every)
    for at in np.ndindex(cells["outcome"].shape):
        cell = cells.isel(dict(zip(AXES, at, strict=True)))
        run = _alone(model, data, cell, optimizer, every)
        for word in WORDS:
            found, told = cell[word].item(), getattr(run, word)
            assert found == told or (found != found and told != told), (at, word, found, told)


@pytest.mark.parametrize("name", PROBLEMS)
@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=lambda o: f"{o.name} {o.options()}")
def test_lanes_train_as_the_loop_does(name, optimizer):
    """Asked for two eigenvalues, a run goes through the general loop, weight by weight."""
    model, data = PROBLEMS[name]
    eta = sim.eta_critical(model, data, optimizer)
    for schedule in (sim.Warmup(0.1 * eta, 0.9 * eta, 10), sim.Warmup(eta_trgt=1.2 * eta)):
        arguments = {"optimizer": optimizer, "schedule": schedule, "steps": 14}
        ours = sim.simulate(model, data, **arguments)
        loop = sim.simulate(model, data, top_k=2, sharpness_tol=1e-10, **arguments)
        scale = loop.loss_init
        # The loss that is no longer finite may be an infinity or not a number.
        mine, theirs = (np.where(np.isfinite(run.loss), run.loss, np.nan) for run in (ours, loop))
        np.testing.assert_allclose(mine, theirs, rtol=1e-8, atol=1e-12 * scale)
        assert ours.diverged_step == loop.diverged_step
        np.testing.assert_allclose(ours.sharpness, loop.sharpness, rtol=1e-8)
        np.testing.assert_allclose(ours.theta, loop.theta, rtol=1e-6, atol=1e-7)
        assert ours.loss_final == pytest.approx(
            loop.loss_final, rel=1e-7, abs=1e-12 * scale, nan_ok=True
        )
        assert ours.sharpness_final == pytest.approx(loop.sharpness_final, rel=1e-8, nan_ok=True)


@pytest.mark.slow
def test_a_runs_bits_do_not_depend_on_its_neighbours():
    """Alone, among others, behind ones that diverge, in another order, with other schedules."""
    model, data = PROBLEMS["one example"]
    batched, rng = model.batched(data), np.random.default_rng(0)
    eta = sim.eta_critical(model, data, sim.GD())
    begin = np.concatenate(
        [batched.begin(model.init(data, seed)[None]) for seed in range(100)], axis=1
    )
    ends = eta * np.stack([rng.uniform(0, 1, 100), rng.uniform(0.1, 9, 100)])
    weights = np.stack([sim.Warmup(t_wrm=t_wrm).weights(83) for t_wrm in (1, 5, 30, 83)])
    schedule = rng.integers(0, 4, 100)

    def seen(runs):
        ensemble = train_batched(
            batched, begin[:, runs], ends[:, runs], weights, schedule[runs], sim.GD(),
            measured=True, constant_loss=model.constant_loss(data),
        )  # fmt: skip
        return ensemble.summary, ensemble.states

    together = seen(np.arange(100))
    assert (together[0][ROWS["diverged"]] >= 0).sum() > 20
    for runs in (rng.permutation(100), np.arange(7), np.array([93]), np.arange(31, 64)):
        for mine, all_of_them in zip(seen(runs), together, strict=True):
            np.testing.assert_array_equal(mine, all_of_them[:, runs])


def test_curves_of_a_sweep_are_those_of_its_runs():
    model, data = PROBLEMS["one example, many inputs"]
    cells = _sweep(model, data, curves=True, sharpness_every=5)
    for at in [(0, 0, 0, 0), (1, 1, 3, 1), (0, 1, 5, 0)]:
        cell = cells.isel(dict(zip(AXES, at, strict=True)))
        run = _alone(model, data, cell, sim.GD(), 5)
        for curve in ("loss", "sharpness", "eta", "threshold"):
            np.testing.assert_array_equal(cell[curve], getattr(run, curve))


def test_where_everything_diverges_nothing_is_left():
    model, data = PROBLEMS["one example"]
    cells = sim.sweep(model, data, eta_trgt=[1e3, 1e6], steps=200, eta_unit="critical")
    assert (cells["outcome"] == "diverged").all()
    assert (cells["diverged_step"] > 0).all()
    assert np.isnan(cells["loss_final"]).all()
    assert np.isfinite(cells["loss_max"]).all()


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=lambda o: f"{o.name} {o.options()}")
def test_the_stepped_residual_stays_that_of_the_weights(optimizer):
    """Two records of one thing: at the edge of stability a wrong one would grow, step by step."""
    data = sim.Data([[1.0]], [[3.0]])
    model = sim.UV(width=4, s=0.5)
    eta = 1.5 / (model.c * 3.0)  # eta kappa y = 1.5: no minimum is stable for gradient descent
    limit, share = optimizer.limit.over_eta / 2, 0.85 if isinstance(optimizer, sim.GD) else 0.6
    run = sim.simulate(
        model, data, optimizer=optimizer, steps=5000, theta0=[0.9, 0.1, 1.4, 0.3],
        schedule=sim.Warmup(eta_trgt=share * limit * eta, t_wrm=500), sharpness_every=0,
    )  # fmt: skip
    assert not run.diverged
    assert run.loss_final == pytest.approx(model.loss(run.theta, data), rel=1e-8, abs=1e-24)


def test_a_seed_that_cannot_be_trained_fails_by_name_and_the_others_go_on(monkeypatch, caplog):
    model, data = PROBLEMS["target 0"]
    drawn = sim.UV.init

    def init(self, data=None, seed=0, dtype="float64"):
        if seed == 1:
            raise RuntimeError("no such draw")
        return drawn(self, data, seed, dtype)

    cells = {"eta_trgt": [0.1, 0.2], "steps": 5}
    monkeypatch.setattr(sim.UV, "init", init)
    statuses = sim.sweep(model, data, seeds=3, **cells)["status"].squeeze()
    assert statuses.sel(seed=[0, 2]).values.tolist() == [["done", "done"]] * 2
    assert statuses.sel(seed=1).values.tolist() == ["failed", "failed"]
    assert "the runs of seed 1 failed" in caplog.text
