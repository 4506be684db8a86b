"""Findings of the paper, each in the smallest setting that shows it in every seed."""

import numpy as np
import pytest

import simulator as sim
from simulator.sweeps.boundary import boundary


def _moves(parameterization, digits, t_wrm):
    """By which factor the median boundary moves from no warmup to t_wrm."""
    found = sim.sweep(
        sim.MLP(32, 3, parameterization=parameterization), digits,
        eta_trgt=2.0 ** np.arange(0, 7.5, 0.5), t_wrm=[1, t_wrm], seeds=5, steps=t_wrm + 256,
        eta_unit="critical", sharpness_every=0,
    )  # fmt: skip
    edge = boundary(found).squeeze("eta_init")
    return edge.quantile(0.5, "seed", method="higher").values, edge.values


@pytest.mark.slow
def test_warmup_of_sixteen_steps_moves_the_boundary_of_sp_at_least_threefold(digits):
    (none, warm), edges = _moves("sp", digits, 16)
    assert 4 <= none <= 16
    assert warm >= 3 * none
    assert (edges[:, 1] >= 2 * edges[:, 0]).all()


@pytest.mark.slow
def test_the_boundary_of_mup_moves_at_most_threefold_and_less_than_that_of_sp(digits):
    (none, warm), _ = _moves("mup", digits, 64)
    (sp_none, sp_warm), _ = _moves("sp", digits, 64)
    assert none <= warm <= 3 * none
    assert warm / none < sp_warm / sp_none


def _parity(digits):
    """One output, +1 or -1: whether the digit is odd. 64 samples."""
    return sim.Data(digits.x[:64], np.where(digits.y[:64, None] % 2, 1.0, -1.0))


@pytest.mark.slow
def test_wide_linear_networks_catapult_between_two_and_four_over_the_sharpness(digits):
    """Lewkowycz et al.: monotone below 2 / lambda, catapult up to 4 / lambda, divergence beyond."""
    data = _parity(digits)
    model = sim.MLP(512, 2, "linear", "ntp")
    for seed in range(5):
        eta_c = sim.eta_critical(model, data, sim.GD(), seed)

        def run(k, seed=seed, eta_c=eta_c):
            return sim.simulate(
                model, data, schedule=sim.Warmup(eta_trgt=k * eta_c), steps=200, seed=seed,
                sharpness_every=10,
            )  # fmt: skip

        lazy, first, middle, last, beyond = map(run, (0.9, 1.1, 1.5, 1.95, 2.05))
        assert lazy.loss_max == lazy.loss_init
        assert lazy.n_catapults == 0
        assert first.loss_max > 2 * first.loss_init
        assert middle.loss_final < 0.1 * middle.loss_init
        assert middle.sharpness_final < 0.2 * middle.sharpness_init
        assert middle.outcome == last.outcome == "catapult"
        assert beyond.outcome == "diverged"


@pytest.mark.slow
def test_mup_reaches_the_edge_of_stability_and_stays(digits):
    """Progressive sharpening at eta = 0.9 * 2 / lambda_0 meets 2 / eta within 50 steps."""
    data = sim.Data(digits.x[:64], digits.y[:64])
    model = sim.MLP(128, 2, "relu", "mup")
    for seed in range(3):
        eta = 0.9 * sim.eta_critical(model, data, sim.GD(), seed)
        run = sim.simulate(model, data, schedule=sim.Warmup(eta_trgt=eta), steps=500, seed=seed)
        assert np.argmax(run.ratio > 1) < 50
        late = run.ratio[250:]
        assert 0.95 < late.mean() < 1.05
        assert late.std() < 0.05
        assert run.outcome == "edge_of_stability"


@pytest.mark.slow
def test_warmup_meets_the_sharpness_of_sp_later_and_flatter_than_that_of_mup(digits):
    """Natural reduction runs ahead of the threshold, natural sharpening into it."""
    found = {}
    for parameterization, k in (("sp", 16), ("mup", 2)):
        model = sim.MLP(32, 3, parameterization=parameterization)
        eta = k * sim.eta_critical(model, digits, sim.GD())
        run = sim.simulate(model, digits, schedule=sim.Warmup(eta_trgt=eta, t_wrm=256), steps=256)
        first = int(np.argmax(run.ratio > 1))
        found[parameterization] = run.sharpness[first] / run.sharpness_init
    assert found["sp"] < 0.45
    assert found["mup"] > 1.2


@pytest.mark.slow
def test_warmup_from_the_critical_rate_ends_where_warmup_from_zero_does():
    """Kalra & Barkeshli 2024, figure 5: it saves t_wrm eta_c / eta_trgt updates, and no loss."""
    model, data, t_wrm = sim.MLP(width=64), sim.load_data("digits", samples=512), 64
    ratios = []
    for seed in range(8):
        found = sim.critical_learning_rate(model, data, seed=seed, steps=0)
        eta_trgt = 8 * found.eta_critical
        whole, short = (
            sim.simulate(model, data, schedule=s, steps=512, seed=seed, sharpness_every=0)
            for s in (
                sim.Warmup(eta_trgt=eta_trgt, t_wrm=t_wrm),
                sim.ModifiedWarmup(found.eta_c, eta_trgt, t_wrm),
            )
        )
        saved = np.sum(short.eta == eta_trgt) - np.sum(whole.eta == eta_trgt)
        assert abs(saved - t_wrm * found.eta_c / eta_trgt) <= 1
        ratios.append(np.log(short.loss_final) / np.log(whole.loss_final))
    assert 0.95 <= np.median(ratios) <= 1.05
