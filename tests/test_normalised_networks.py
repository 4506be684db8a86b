"""Networks with layer normalisation, against autograd, published definitions and exact laws."""

import itertools

import numpy as np
import pytest
from oracle import derivatives, multipliers

import simulator as sim
from simulator.models.mlp import NORMS
from simulator.numerics.activations import CODES
from simulator.numerics.dense import LOSSES
from simulator.parameterizations import PARAMETERIZATIONS

WIDTH, DEPTH = 5, 4


def _data(rng, loss, samples=7):
    x = rng.standard_normal((samples, 4))
    return sim.Data(
        x, rng.standard_normal((samples, 3)) if loss == "mse" else np.arange(samples) % 3
    )


def _close(ours, theirs, rtol):
    theirs = np.asarray(theirs)
    np.testing.assert_allclose(ours, theirs, rtol=rtol, atol=rtol * np.abs(theirs).max())


def _kinds():
    for norm, residual in itertools.product(NORMS, (False, True)):
        if (norm, residual) not in (("none", False), ("after", False)):
            yield norm, residual


KINDS = list(_kinds())


@pytest.mark.parametrize(("norm", "residual"), KINDS)
def test_derivatives_are_those_of_autograd(norm, residual):
    """Each with some values of the other options; all values occur with one or another."""
    others = itertools.cycle(itertools.product(CODES, LOSSES, PARAMETERIZATIONS))
    others = itertools.islice(others, 7 * KINDS.index((norm, residual)), None)
    rng = np.random.default_rng(list(NORMS).index(norm))
    for affine, bias in itertools.product((False, True), repeat=2):
        activation, loss, parameterization = next(others)
        data = _data(rng, loss)
        model = sim.MLP(
            WIDTH, DEPTH, activation, parameterization, loss, bias,
            norm=norm, residual=residual, affine=affine, norm_eps=0.01,
        )  # fmt: skip
        theta = model.init(data, seed=3)
        theta += 0.1 * rng.standard_normal(theta.size)
        v, widths = rng.standard_normal(theta.size), model.widths(data)
        options = (activation, loss, bias, widths, norm, residual, affine, 0.01)
        value, gradient, product = derivatives(*options)(
            theta, v, data.x, data.targets, multipliers(parameterization, widths)
        )
        assert model.loss(theta, data) == pytest.approx(float(value), rel=1e-10)
        _close(model.gradient(theta, data), gradient, 1e-10)
        _close(model.hvp(theta, v, data), product, 1e-10)
