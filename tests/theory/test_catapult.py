"""The catapult, held to networks stepped weight by weight, and to wide ones in gram space."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from one_example import ensemble, networks, with_modes
from profiles import fewer

import simulator as sim
from simulator.theory import catapult, uv

seeds = st.integers(0, 2**32 - 1)


def _catapults(rng, runs, mu_max=0.8, over=(0.004, 0.012), eps=(-8.0, -6.0)):
    """Networks of width 4 close above the threshold, and S_0, mu and |eps_0| of each."""
    mu = rng.uniform(0.02, mu_max, runs) * rng.choice([-1, 1], runs)
    # The theory wants an overshoot far below 1 - mu^2.
    s0 = 2 + rng.uniform(*over, runs) * (1 - mu**2)
    size = 10 ** rng.uniform(*eps, runs)
    difference = 2 * (mu + size * rng.choice([-1, 1], runs))
    some = ensemble(rng, runs, 4, mu, (s0 + difference) / 2, (s0 - difference) / 2)
    return some, s0, mu, size


def _paths(some, steps):
    """eps and S before each update, each (steps, runs)."""
    pairs = [(now.eps, now.eta * now.trace) for now in some.path(steps)]
    return np.array(pairs).transpose(1, 0, 2)


@pytest.mark.slow
def test_near_the_threshold_the_peak_its_time_and_the_end_are_the_predicted_ones():
    rng = np.random.default_rng(0)
    some, s0, mu, size = _catapults(rng, 200)
    time = catapult.peak_time(size, s0, mu)
    eps, s = _paths(some, int(2.2 * time.max()))
    excursion = np.abs(eps)
    over, small = s0 - 2, (s0 - 2) / (1 - mu**2)
    assert (np.abs(excursion.argmax(axis=0) - time) <= 1 + 0.005 * time).all()
    error = np.abs(excursion.max(axis=0) / catapult.peak_excursion(s0, mu) - 1)
    assert (error <= 0.6 * small).all()
    assert excursion[-1].max() < 1e-3 * over.min()
    # The second order is held to an error of third order.
    error = np.abs(s[-1] - catapult.final_trace(s0, mu))
    assert (error <= 12 * small**3).all()
    assert np.median(error / over**2) < 0.05


@pytest.mark.slow
def test_near_the_threshold_a_catapult_conserves_its_invariant():
    rng = np.random.default_rng(1)
    some, s0, mu, size = _catapults(rng, 200)
    eps, s = _paths(some, int(1.6 * catapult.peak_time(size, s0, mu).max()))
    values = catapult.conserved(eps, s, mu)
    over = s0 - 2
    assert values[0] == pytest.approx(over**2 / 2, rel=0.01)
    assert (np.abs(values / values[0] - 1) <= 3 * over / (1 - mu**2)).all()
    # At the peak all of it is in eps, where the overshoot at midpoints, and no other, is 0.
    peak = np.abs(eps).argmax(axis=0), np.arange(len(mu))
    middle = catapult.midpoint_overshoot(eps, s, mu)[peak]
    assert (np.abs(middle) < 0.05 * over + 2 * over * over).all()


@given(eps=st.floats(-1e-3, 1e-3), over=st.floats(-1e-3, 1e-3), mu=st.floats(-0.9, 0.9), seed=seeds)
def test_the_midpoint_overshoot_is_the_mean_of_two_successive_ones(eps, over, mu, seed):
    s = 2 + over
    difference = 2 * (mu + eps)
    network = with_modes(seed, 3, 1.0, mu, [(s + difference) / 2, (s - difference) / 2])
    network.step(1.0)
    mean = 0.5 * (s + network.trace) - 2
    found = catapult.midpoint_overshoot(eps, s, mu)
    assert found == pytest.approx(mean, abs=1.5 * eps**2 + 1e-12)


@given(s0=st.floats(2.001, 2.1), mu=st.floats(-0.8, 0.8))
def test_peak_and_end_spend_what_is_conserved(s0, mu):
    peak = catapult.peak_excursion(s0, mu)
    start = catapult.conserved(0.0, s0, mu)
    # A state with no overshoot at midpoints and this eps.
    assert catapult.conserved(peak, 2 + 2 * mu * peak, mu) == pytest.approx(start)
    leading = 4 - s0
    assert catapult.conserved(0.0, leading, mu) == pytest.approx(start)
    curvature = (1 - 4 * mu**2) / (1 - mu**2)
    second = catapult.final_trace(s0, mu) - leading
    assert second == pytest.approx(-2 / 3 * (s0 - 2) ** 2 * curvature)


@pytest.mark.slow
@fewer(0.02)
@given(s0=st.floats(2.2, 3.6), seed=seeds)
def test_the_peak_comes_later_by_the_predicted_time_for_each_width(s0, seed):
    """Least squares over n = 4^4 ... 4^15, averaged over 16 seeds: within 5 %."""
    widths = 4 ** np.arange(4, 16)
    data = sim.Data([[1.0]], [[0.0]])
    peaks = np.empty((len(widths), 16))
    for row, width in zip(peaks, widths, strict=True):
        model = sim.UV(int(width))
        for draw in range(16):
            theta = model.init(data, seed + draw)
            gram = model.gram(theta, data)
            schedule = sim.Warmup(eta_trgt=float(s0 / (model.c**2 * np.trace(gram))))
            run = sim.simulate(
                model, data, theta0=theta, schedule=schedule, steps=160, sharpness_every=0
            )
            row[draw] = np.argmax(run.loss)
    slope = np.polyfit(np.log(widths), peaks.mean(axis=1), 1)[0]
    assert slope == pytest.approx(catapult.peak_time_slope(s0), rel=0.05)


def test_the_slope_is_that_of_the_time_for_eps_falling_as_one_over_the_root_of_the_width():
    width = np.array([1e4, 1e9])
    for s0 in (2.1, 2.7, 3.5):
        times = catapult.peak_time(1 / np.sqrt(width), s0)
        slope = np.diff(times)[0] / np.diff(np.log(width))[0]
        assert catapult.peak_time_slope(s0) == pytest.approx(slope, rel=1e-9)


@given(network=networks(y=st.just(0.0)), z=st.floats(0.01, 3.999))
def test_at_target_zero_the_trace_never_rises(network, z):
    """S' - S = eps^2 (S - 4); and no loss exceeds lam_0^2 / (8 kappa^2)."""
    first = network.trace
    eta = z / first
    cap = uv.loss_cap(network.kappa, 4 / first)
    before = first
    for _ in range(60):
        eps = eta * network.kappa * network.output
        assert 0.5 * network.output**2 <= cap * (1 + 1e-9)
        network.step(eta)
        after = network.trace
        change = eps**2 * (eta * before - 4)
        assert eta * (after - before) == pytest.approx(change, rel=1e-7, abs=1e-11)
        assert after <= before * (1 + 1e-12)
        before = after
