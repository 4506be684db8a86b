"""eta < 2 / lambda and its kin at the minimum of a network: what decides is each optimizer's own.

On quadratics the same is exact (`test_optimizers`), and on UV the whole boundary is
(`theory/test_uv`).
"""

from functools import partial

import numpy as np
import pytest
from frozen import trajectory
from hypothesis import assume, given
from hypothesis import strategies as st
from profiles import fewer

import simulator as sim
from simulator import testing
from simulator.optimizers import OPTIMIZERS


def _minimum(seed, loss, decay):
    """A network on a noisy teacher of its own kind, at a minimum of L + sum(decay theta^2) / 2.

    None where Newton's method from the teacher does not find one to the last digit.
    """
    rng = np.random.default_rng(seed)
    model = sim.MLP(2, 2, "tanh", loss=loss)
    x = rng.standard_normal((24, 3))
    theta = rng.standard_normal(12)
    taught = np.tanh(x @ theta[:6].reshape(3, 2)) @ theta[6:].reshape(2, 3)
    taught += rng.gumbel(size=taught.shape) * (1.0 if loss == "xent" else 0.2)
    data = sim.Data(x, taught.argmax(axis=1) if loss == "xent" else taught)
    if loss == "xent" and data.classes != 3:
        return None
    for _ in range(30):
        gradient = model.gradient(theta, data) + decay * theta
        hessian = model.hessian(theta, data) + np.diag(decay)
        # Cross-entropy is flat exactly along a shift of all outputs: no step goes there.
        step = np.linalg.lstsq(hessian, gradient, rcond=1e-9)[0]
        theta = theta - step * min(1.0, 0.3 / np.linalg.norm(step))
        if np.abs(gradient).max() < 1e-15:
            break
    values = np.linalg.eigvalsh(hessian)
    if values[0] < -1e-12 or not np.abs(gradient).max() < 1e-14:
        return None
    return model, data, theta


@pytest.mark.slow
@fewer(0.5)
@pytest.mark.parametrize("name", OPTIMIZERS)
@given(data=st.data(), seed=st.integers(0, 10_000), loss=st.sampled_from(["mse", "xent"]))
def test_a_nudge_at_a_minimum_dies_below_the_threshold_and_grows_above_it(name, data, seed, loss):
    """1e-6 along the top eigenvector of P^-1 H, 50 updates at 0.98 and 1.02 of critical eta."""
    optimizer = data.draw(
        testing.optimizers(name).filter(
            lambda opt: (
                max(getattr(opt, "beta", 0), getattr(opt, "beta1", 0)) <= 0.9
                # An empty momentum is not at rest where the gradient balances the decay.
                and not (getattr(opt, "beta", 0) and opt.weight_decay)
            )
        )
    )
    size = 12
    p = (
        np.exp(np.random.default_rng(seed).uniform(-2, 1, size))
        if optimizer.adaptive
        else np.ones(size)
    )
    # Decoupled decay rests where the gradient of L + kappa P theta^2 / 2 vanishes.
    kappa = getattr(optimizer, "weight_decay", 0.0)
    found = _minimum(seed, loss, kappa * p)
    assume(found is not None)
    model, examples, minimum = found
    assert minimum.size == size
    hessian = model.hessian(minimum, examples)
    values, vectors = np.linalg.eigh(hessian / np.sqrt(np.outer(p, p)))
    sharpness = sim.sharpness(model, minimum, examples, preconditioner=p)
    assert sharpness == pytest.approx(values[-1], rel=1e-9)
    nudge = vectors[:, -1] / np.sqrt(p)
    nudge *= 1e-6 / np.linalg.norm(nudge)
    critical = optimizer.eta_critical(sharpness)
    for side in (0.98, 1.02):
        path = trajectory(
            optimizer, partial(model.gradient, data=examples), minimum, nudge, p, side * critical
        )
        away = np.linalg.norm((path - minimum) * np.sqrt(p), axis=1)
        # What the empty momentum does at first is no sign of either.
        grew = away[-10:].max() > away[5:15].max()
        assert grew == (side > 1), (side, away)
