"""The searches for the critical learning rate, on losses whose answer is known."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator import InputError
from simulator.catapult_search import TOLERANCE, Bracket, bisect, paper_search, two_way_search

powers = st.floats(-3, 3).map(lambda power: 10.0**power)
spectra = st.lists(powers, min_size=1, max_size=8)


class Quadratic:
    """The loss after one update of gradient descent on curvatures c from theta, with its calls."""

    def __init__(self, c, theta):
        self.c, self.theta = np.asarray(c), np.asarray(theta)
        self.loss, self.calls = 0.5 * np.sum(self.c * self.theta**2), []

    def __call__(self, eta):
        self.calls.append(eta)
        return 0.5 * np.sum(self.c * ((1 - eta * self.c) * self.theta) ** 2)

    def rises(self, eta):
        return self(eta) > self.loss


@given(c=powers, theta=powers, z_0=st.floats(1e-6, 1e3), delta=st.floats(0.01, 1.0))
def test_the_paper_s_search_ends_where_a_quadratic_rises_a_little(c, theta, z_0, delta):
    """Upper eta c in (2, 1 + sqrt(1 + delta)], also where the loss has risen at eta_0."""
    quadratic = Quadratic([c], [theta])
    lower, upper = paper_search(quadratic, quadratic.loss, eta_0=z_0 / c, delta=delta)
    assert 2 * (1 - 1e-9) <= upper * c <= (1 + math.sqrt(1 + delta)) * (1 + 1e-9)
    assert lower * c <= 2 * (1 + 1e-9)


@given(c=spectra, seed=st.integers(0, 999), z_0=powers)
def test_in_several_dimensions_what_is_found_brackets_a_rise(c, seed, z_0):
    """The rise is at 2 |g|^2 / g.Hg exactly, at or above 2 / max(c)."""
    theta = np.random.default_rng(seed).standard_normal(len(c))
    g = np.array(c) * theta
    exact = 2 * np.sum(g**2) / np.sum(g**2 * c)
    quadratic = Quadratic(c, theta)
    for lower, upper in (
        paper_search(quadratic, quadratic.loss, eta_0=z_0 / max(c)),
        two_way_search(quadratic.rises, z_0 / max(c)),
    ):
        assert lower * (1 - 1e-9) <= exact <= upper * (1 + 1e-9)
    assert exact >= 2 / max(c) * (1 - 1e-9)


@given(threshold=powers, ratio=st.floats(1e-6, 1e6), tolerance=st.floats(1e-3, 0.5))
def test_both_ways_lead_to_the_threshold_in_as_many_calls_as_it_says(threshold, ratio, tolerance):
    calls = []

    def rises(eta):
        calls.append(eta)
        return eta >= threshold

    lower, upper = two_way_search(rises, threshold * ratio, tolerance=tolerance)
    assert lower < threshold <= upper <= (1 + tolerance) * lower
    halvings = math.ceil(math.log2(math.log(2) / math.log1p(tolerance)) + 1e-9)
    assert len(calls) <= abs(math.log2(ratio)) + 2 + halvings
    assert len(set(calls)) == len(calls)


@pytest.mark.parametrize("guess", [0.51, 0.8, 1.2, 1.9])
def test_from_a_guess_within_a_factor_two_it_takes_six_calls(guess):
    calls = []
    bracket = two_way_search(lambda eta: calls.append(eta) or eta >= 1.0, guess)
    assert bracket.found
    assert len(calls) == 6
    assert bracket.upper / bracket.lower <= 1 + TOLERANCE


@given(guess=powers, ratio=st.floats(0.01, 1))
def test_nothing_is_tried_outside_the_ends(guess, ratio):
    most, tried = guess * ratio, []

    def never(eta):
        tried.append(eta)
        return False

    for bracket in (
        two_way_search(never, guess, eta_most=most),
        two_way_search(never, 0.3 * most, eta_most=most),
        paper_search(lambda eta: 0.5 + never(eta), 1.0, eta_0=guess, eta_most=most),
    ):
        assert bracket == (most, math.inf)
        assert not bracket.found
    assert max(tried) == most
    tried.clear()
    found = two_way_search(lambda eta: not never(eta), guess, eta_least=most)
    assert found == (0.0, most)
    assert min(tried) == most


def test_a_loss_that_never_rises_or_always_does_ends_the_search():
    for never in (
        two_way_search(lambda eta: False, 1.0),
        paper_search(lambda eta: 0.0, 1.0),
    ):
        assert not never.found
        assert never.lower > 1e50
    always = two_way_search(lambda eta: True, 1.0)
    assert always.lower == 0.0
    assert always.upper < 1e-50
    # Halves of the bracket end where no number lies between.
    assert paper_search(lambda eta: math.inf, 1.0).lower == 0.0


def test_a_bracket_that_is_narrow_enough_stays():
    assert bisect(lambda eta: 1 / 0, Bracket(1.0, 1.01), 0.1) == (1.0, 1.01)


@pytest.mark.parametrize("bad", [0, -1, math.nan, math.inf, "fast"])
def test_what_no_search_can_use_is_refused(bad):
    with pytest.raises(InputError, match="guess"):
        two_way_search(lambda eta: True, bad)
    with pytest.raises(InputError, match="tolerance"):
        two_way_search(lambda eta: eta > 1, 1.0, tolerance=bad)
    for name in ("eta_0", "delta"):
        with pytest.raises(InputError, match=name):
            paper_search(lambda eta: eta, 1.0, **{name: bad})
