"""Advice before a run: the safe rate is a bound, the shortest warmup a measurement."""

import math
import re
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from program import strict_json

import simulator as sim
from simulator import advice

SETTINGS = [*product(("sp", "mup"), ("relu", "tanh"), ("mse", "xent"))]


@given(curvatures=st.lists(st.floats(0.01, 100), min_size=1, max_size=4))
def test_on_a_quadratic_the_safe_rate_is_the_limit(curvatures):
    found = sim.safe_learning_rate(sim.Quadratic(curvatures))
    assert found.sharpness == pytest.approx((max(curvatures),) * 3, rel=1e-3)
    assert found.eta == pytest.approx(2 / max(curvatures), rel=1e-3)


@pytest.mark.parametrize(("parameterization", "activation", "loss"), SETTINGS)
def test_the_safe_rate_trains(parameterization, activation, loss):
    """One of the study's five seeds: the probe is a run, and 2 / lambda_p trains."""
    data = sim.load_data("digits", 128)
    model = sim.MLP(32, 3, activation, parameterization, loss)
    for seed in (3,):
        found = sim.safe_learning_rate(model, data, seed=seed)
        half = sim.Warmup(eta_trgt=1 / sim.sharpness(model, model.init(data, seed), data))
        probe = sim.simulate(model, data, schedule=half, steps=65, seed=seed, sharpness_every=16)
        assert found.sharpness == pytest.approx(probe.sharpness[[0, 16, 64]], rel=1e-2)
        assert found.eta == 2 / max(found.sharpness)
        run = sim.simulate(model, data, schedule=sim.Warmup(eta_trgt=found.eta), seed=seed,
                           sharpness_every=0)  # fmt: skip
        assert run.trainable
        if (parameterization, activation, loss) == ("mup", "relu", "xent"):
            assert max(found.sharpness) >= 2 * found.sharpness[0]


def test_a_probe_that_diverges_has_no_safe_rate():
    def loss(theta):
        return float("nan") if theta[0] < 1 else theta @ theta

    lost = sim.Custom(
        "lost", loss=loss, gradient=lambda theta: 2 * theta,
        hvp=lambda theta, v: 2 * v, init=lambda rng: np.full(1, 2.0),
    )  # fmt: skip
    found = sim.safe_learning_rate(lost)
    assert (found.eta, found.sharpness[1:]) == (0.0, (math.inf, math.inf))
    with pytest.raises(sim.InputError, match="not positive"):
        sim.safe_learning_rate(sim.Quadratic([-1.0]))


@given(shortest=st.integers(1, 700), holes=st.sets(st.integers(1, 512), max_size=3),
       steps=st.integers(2, 1024), tolerance=st.sampled_from([0.01, 1 / 16, 1.0]))  # fmt: skip
def test_the_search_ends_at_the_lower_end_of_what_trains(shortest, holes, steps, tolerance):
    """By runs that train from a known t_wrm on, save for some holes."""

    class Run:
        def __init__(self, t):
            self.trainable = t >= shortest and t not in holes

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(advice, "train", lambda experiment, *_, **__: Run(experiment.schedule.t_wrm))
        found = sim.shortest_warmup(
            sim.Quadratic([1.0]), eta_trgt=1.0, steps=steps, tolerance=tolerance
        )
    assert found.updates == len(found.tried) * steps
    assert next(iter(found.tried)) == steps // 2
    trained = sorted(t for t, trains in found.tried.items() if trains)
    failed = [t for t, trains in found.tried.items() if not trains]
    if not found.tried[steps // 2]:
        assert found.t_wrm == math.inf
        return
    assert found.t_wrm == trained[0] >= shortest
    assert all(t < found.t_wrm for t in failed)
    below = max(failed, default=0)
    assert found.t_wrm <= max(below + 1, (1 + tolerance) * below)


def test_a_target_that_no_warmup_reaches_is_infeasible():
    data = sim.load_data("digits", 64)
    model = sim.MLP(width=16, depth=2)
    unit = sim.eta_critical(model, data, sim.GD())
    assert sim.shortest_warmup(model, data, eta_trgt=4 * unit, steps=256).t_wrm == 1
    far = sim.shortest_warmup(model, data, eta_trgt=1e6 * unit, steps=64)
    assert far == (math.inf, {32: False}, 64)


SMALL = "critical --width 16 --depth 2 --samples 64"


def test_the_command_prints_the_bound_with_its_distribution(run, folder):
    told = run(f"{SMALL} --safe --seeds 2")
    assert told.code == 0
    assert "lower bound" in told.out
    found = strict_json(run(f"{SMALL} --safe --seeds 2 --json").out)
    for seed, one in enumerate(found["seeds"]):
        ours = sim.safe_learning_rate(sim.MLP(16, 2), sim.load_data("digits", 64), seed=seed)
        assert (one["eta"], tuple(one["sharpness"])) == ours
        assert f"{ours.eta:.4g}" in told.out
    quantiles = advice.LARGEST_OVER_SAFE
    assert found["largest_over_safe"] == {f"{part:g}": value for part, value in quantiles.items()}
    for value in quantiles.values():
        assert re.search(rf"times .* {value:.3g}\b", told.out)
    assert not list(folder.iterdir())


@pytest.mark.parametrize(("eta_trgt", "verdict"), [(8, "shortest warmup is"), (1e6, "infeasible")])
def test_the_command_prints_every_seed_and_the_cost_of_the_shortest_warmup(run, eta_trgt, verdict):
    line = f"{SMALL} --shortest-warmup --eta-trgt {eta_trgt} --steps 64"
    told, found = run(line), strict_json(run(f"{line} --json").out)
    assert told.code == 0
    assert verdict in told.out
    model, data, updates = sim.MLP(16, 2), sim.load_data("digits", 64), 0
    for seed, one in enumerate(found["seeds"]):
        eta = eta_trgt * sim.eta_critical(model, data, sim.GD(), seed)
        ours = sim.shortest_warmup(model, data, eta_trgt=eta, seed=seed, steps=64)
        assert one["t_wrm"] == (None if math.isinf(ours.t_wrm) else ours.t_wrm)
        assert one["tried"] == {str(t): trains for t, trains in ours.tried.items()}
        updates += ours.updates
    assert found["updates"] == updates
    assert f"took {updates} updates" in told.out
    assert len(found["seeds"]) == len(re.findall(r"^ +\d ", told.out, re.M)) == 5
