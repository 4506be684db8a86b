"""Every optimizer stops at its own threshold, on quadratics where the threshold is exact."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import simulator as sim
from simulator.optimizers import OPTIMIZERS

# Each optimizer with the companion matrix of its update on an eigenvalue z / eta.
COMPANIONS = {
    "gd": lambda opt, z: np.array([[1 - z]]),
    "momentum": lambda opt, z: np.array([[1 + opt.beta - z, -opt.beta], [1, 0]]),
}

optimizers = st.one_of(
    st.just(sim.GD()), st.floats(0, 0.99).map(lambda beta: sim.Momentum(beta=beta))
)


def test_every_optimizer_is_in_this_table():
    assert set(COMPANIONS) == set(OPTIMIZERS)


@given(optimizer=optimizers, z=st.floats(1e-3, 8))
def test_the_threshold_is_where_the_companion_matrix_leaves_the_unit_circle(optimizer, z):
    limit = float(optimizer.threshold(1.0))
    radius = np.abs(np.linalg.eigvals(COMPANIONS[optimizer.name](optimizer, z))).max()
    if abs(z - limit) > 1e-6:
        assert (radius < 1) == (z < limit)


@given(optimizer=optimizers, z=st.floats(1e-2, 5), seed=st.integers(0, 99))
def test_training_is_powers_of_the_companion_matrix(optimizer, z, seed):
    model = sim.Quadratic([1.0])
    theta0 = model.init(seed=seed)
    matrix = COMPANIONS[optimizer.name](optimizer, z)
    # Before the first update the velocity is zero: theta_{-1} = theta_0.
    state = np.full(len(matrix), theta0[0])
    run = sim.simulate(
        model, optimizer=optimizer, schedule=sim.Warmup(eta_trgt=z), steps=50, seed=seed
    )
    for loss in run.loss:
        assert loss == pytest.approx(0.5 * state[0] ** 2, rel=1e-9, abs=1e-300)
        state = matrix @ state


@settings(max_examples=8)
@given(optimizer=optimizers, curvature=st.floats(0.1, 10), seed=st.integers(0, 99))
def test_a_thousandth_decides_between_decay_and_growth(optimizer, curvature, seed):
    model = sim.Quadratic([curvature, 0.3 * curvature])
    critical = optimizer.critical_eta(curvature)
    assert float(optimizer.threshold(critical)) == pytest.approx(curvature)
    early, late = {}, {}
    for factor in (0.999, 1.001):
        run = sim.simulate(
            model, optimizer=optimizer, schedule=sim.Warmup(eta_trgt=factor * critical),
            steps=40_000, seed=seed, sharpness_every=0,
        )  # fmt: skip
        loss = run.loss[np.isfinite(run.loss)]
        early[factor], late[factor] = loss[: len(loss) // 4].max(), loss[-len(loss) // 4 :].max()
    assert late[0.999] < 0.9 * early[0.999]
    assert late[1.001] > 1.1 * early[1.001]


def test_at_eta_zero_nothing_is_unstable():
    for optimizer in (sim.GD(), sim.Momentum()):
        assert np.isinf(optimizer.threshold(0.0))
        assert np.isinf(optimizer.critical_eta(-1.0))


def test_thresholds_are_two_over_eta_and_its_momentum_kin():
    eta = np.array([0.1, 0.5])
    np.testing.assert_allclose(sim.GD().threshold(eta), [20, 4])
    np.testing.assert_allclose(sim.Momentum(beta=0.9).threshold(eta), [38, 7.6])


@pytest.mark.parametrize("beta", [1.0, -0.1, float("nan")])
def test_momentum_outside_zero_to_one_is_refused(beta):
    with pytest.raises(sim.InputError, match="momentum"):
        sim.Momentum(beta=beta)
