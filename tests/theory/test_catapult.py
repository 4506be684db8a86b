"""The catapult, held to networks stepped weight by weight, and to wide ones in gram space."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from one_example import with_modes

from simulator.theory import catapult

seeds = st.integers(0, 2**32 - 1)


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


def test_the_slope_is_that_of_the_time_for_eps_falling_as_one_over_the_root_of_the_width():
    width = np.array([1e4, 1e9])
    for s0 in (2.1, 2.7, 3.5):
        times = catapult.peak_time(1 / np.sqrt(width), s0)
        slope = np.diff(times)[0] / np.diff(np.log(width))[0]
        assert catapult.peak_time_slope(s0) == pytest.approx(slope, rel=1e-9)
