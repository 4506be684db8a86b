"""How runs of the paper's findings are called; `test_studying` holds the findings themselves.

``pytest tests/test_findings.py --seeds 8`` tries so many seeds.
"""

import numpy as np
import pytest

import simulator as sim


def _parity(digits):
    """One output, +1 or -1: whether the digit is odd. 64 samples."""
    return sim.Data(digits.x[:64], np.where(digits.y[:64, None] % 2, 1.0, -1.0))


@pytest.mark.slow
def test_wide_linear_networks_catapult_between_two_and_four_over_the_sharpness(digits, seeds):
    """Lewkowycz et al.: monotone below 2 / lambda, catapult up to 4 / lambda, divergence beyond."""
    data = _parity(digits)
    model = sim.MLP(512, 2, "linear", "ntp")
    for seed in seeds:
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
def test_mup_reaches_the_edge_of_stability_and_stays(digits, seeds):
    """Progressive sharpening at eta = 0.9 * 2 / lambda_0 meets 2 / eta within 50 steps."""
    data = sim.Data(digits.x[:64], digits.y[:64])
    model = sim.MLP(128, 2, "relu", "mup")
    for seed in seeds:
        eta = 0.9 * sim.eta_critical(model, data, sim.GD(), seed)
        run = sim.simulate(model, data, schedule=sim.Warmup(eta_trgt=eta), steps=500, seed=seed)
        assert np.argmax(run.ratio > 1) < 50
        late = run.ratio[250:]
        assert 0.95 < late.mean() < 1.05
        assert late.std() < 0.05
        assert run.outcome == "edge_of_stability"
