"""The central flow in one direction: its variance, the first catapult, and exact 2-cycles."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.theory import central, stabilization

forces = st.floats(0.2, 4.0)
rates = st.floats(0.01, 2.0)


@given(alpha=st.floats(-3, 3), beta=forces, eta=rates, ramp=st.floats(0, 0.1))
def test_the_variance_holds_the_sharpness_at_a_falling_threshold(alpha, beta, eta, ramp):
    """One update moves S by eta (alpha - beta sigma^2 / 2), the threshold by as much."""
    variance = central.variance(alpha, beta, eta, ramp)
    moved, fallen = eta * (alpha - 0.5 * beta * variance), 2 / (eta + ramp) - 2 / eta
    if variance > 0:
        assert moved == pytest.approx(fallen, rel=1e-9, abs=1e-9)
    else:
        assert moved <= fallen + 1e-9


@given(alpha=forces, beta=forces, eta=rates)
def test_at_a_constant_rate_it_is_the_square_of_the_resting_amplitude(alpha, beta, eta):
    assert central.variance(alpha, beta, eta) == pytest.approx(
        stabilization.amplitude(alpha, beta) ** 2
    )


@given(alpha=forces, eta=rates)
def test_kappa_is_the_frequency_of_the_cycle(alpha, eta):
    period = stabilization.cycle_period(alpha, eta)
    assert np.sqrt(2) * central.kappa(alpha, eta) * period == pytest.approx(2 * np.pi)


@given(updates=st.integers(10, 10_000), eta=rates)
def test_on_a_linear_ramp_from_zero_kappa_counts_the_updates_to_contact(updates, eta):
    """Without sharpening, kappa_1 = sqrt(2 / t) at contact after t updates, for long ramps."""
    found = central.kappa(0.0, eta, eta / updates)
    assert found == pytest.approx(np.sqrt(2 / updates), rel=1 / updates)


@given(kappa=rates, delta=forces, fraction=st.floats(1e-30, 0.99))
def test_overshoot_times_delay_is_the_growth(kappa, delta, fraction):
    overshoot = central.overshoot(kappa, delta, fraction * delta)
    delay = central.delay(kappa, delta, fraction * delta)
    assert overshoot * delay == pytest.approx(-np.log(fraction))
    # y grows as t: the peak is half kappa^2 of the delay.
    assert overshoot == pytest.approx(0.5 * kappa**2 * delay)


def test_numbers_of_the_first_catapult():
    """Kicks of rounding, 1e-16 of a displacement of 1e-1.4: four kappa; 2.6 in single precision."""
    assert central.overshoot(1.0, 1.0, 2.5e-15) == pytest.approx(4.1, abs=0.01)
    assert central.overshoot(1.0, 1.0, 1.3e-6) == pytest.approx(2.6, abs=0.01)
    assert central.overshoot(0.3, 2.0, 2.0) == central.delay(0.3, 2.0, 2.0) == 0


@given(eta=rates, above=st.floats(1e-3, 5), q=forces)
def test_a_rod_is_at_rest_where_a_step_turns_it_over(eta, above, q):
    """W - eta g(w) = -w on S w^2 / 2 - Q w^4 / 4."""
    s = (2 + above) / eta
    w = np.sqrt(central.rod_fixed_point(s, q, eta))
    assert w - eta * (s * w - q * w**3) == pytest.approx(-w, rel=1e-9, abs=1e-12)


@given(eta=rates, above=st.floats(1e-3, 5), q=forces)
def test_the_flow_rests_at_the_threshold_where_its_push_is_the_gradient(eta, above, q):
    s = (2 + above) / eta
    square, variance = central.quartic_centre(s, q, eta)
    assert s - 3 * q * square == pytest.approx(2 / eta)
    w = np.sqrt(square)
    assert s * w - q * w**3 == pytest.approx(0.5 * variance * 6 * q * w)


@given(eta=rates, above=st.floats(1e-3, 0.2))
def test_the_two_cycle_of_one_example_repeats(eta, above):
    y = (1 + above) / eta
    centre, half, loss = central.uv_cycle(y, eta)
    high, low = np.sqrt(centre) + np.sqrt(half), np.sqrt(centre) - np.sqrt(half)
    assert high - eta * (high**2 - y) * high == pytest.approx(low, rel=1e-9)
    assert low - eta * (low**2 - y) * low == pytest.approx(high, rel=1e-9)
    assert loss == pytest.approx(((high**2 - y) ** 2 + (low**2 - y) ** 2) / 4, rel=1e-9)


@given(eta=rates, above=st.floats(1e-3, 0.2))
def test_the_flow_sees_eight_ninths_of_that_cycle(eta, above):
    y = (1 + above) / eta
    centre, variance, loss = central.uv_centre(y, eta)
    cycle = central.uv_cycle(y, eta)
    assert 3 * centre - y == pytest.approx(2 / eta)  # the sharpness along u = v
    assert variance / (2 * cycle[1]) == pytest.approx(8 / 9)
    assert loss / cycle[2] == pytest.approx(8 / 9)
    assert loss == pytest.approx((centre - y) ** 2 / 2 + variance / eta)
