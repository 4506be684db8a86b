"""The headline: longer warmup survives a larger eta_trgt, in SP much more than in muP."""

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
