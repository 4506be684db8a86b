"""Catapults, natural phases and outcomes on curves whose story is known."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import simulator as sim
from simulator.regimes import (
    NATURAL_PHASES,
    OUTCOMES,
    Catapult,
    catapults,
    natural_phase,
    outcome,
    trainable,
)

decay = np.exp(-0.05 * np.arange(100))


def _bump(height, at=40, width=5.0):
    return decay * (1 + height * np.exp(-(((np.arange(100) - at) / width) ** 2)))


def test_a_loss_that_only_falls_has_no_catapult():
    assert catapults(decay) == []


def test_a_loss_that_rises_and_comes_back_is_a_catapult():
    (found,) = catapults(_bump(20.0))
    assert found.peak == np.argmax(_bump(20.0)[20:]) + 20
    assert found.start < found.peak < found.end
    assert _bump(20.0)[found.end] <= _bump(20.0)[found.start]


@given(st.lists(st.integers(10, 30), min_size=1, max_size=4), st.floats(0.2, 50))
def test_as_many_catapults_as_there_were(gaps, height):
    loss, expected, level = [1.0], [], 1.0
    for gap in gaps:
        loss += list(level * 0.99 ** np.arange(1, gap))
        level = loss[-1]
        start = len(loss) - 1
        loss += [level * (1 + 0.5 * height), level * (1 + height), level * (1 + 0.1 * height)]
        loss.append(0.9 * level)
        level = loss[-1]
        expected.append(Catapult(start, start + 2, start + 4))
    loss += list(level * 0.99 ** np.arange(1, 20))
    assert catapults(np.array(loss)) == expected


def test_below_the_threshold_a_rise_is_no_catapult():
    """Momentum and minibatches make the loss rise without any instability."""
    loss = _bump(20.0)
    assert catapults(loss, np.full(100, 0.9)) == []
    assert len(catapults(loss, np.full(100, 1.1))) == 1
    # Never measured: the loss alone must do.
    sparse = np.full(100, np.nan)
    assert len(catapults(loss, sparse)) == 1
    # Measured before and after it: that decides.
    sparse[::99] = 0.5
    assert catapults(loss, sparse) == []
    sparse[99] = 1.5
    assert len(catapults(loss, sparse)) == 1


def test_a_rise_that_has_not_come_back_is_not_counted_yet():
    assert catapults(np.concatenate([decay[:50], np.linspace(decay[50], 1, 50)])) == []


def test_a_divergence_is_no_catapult():
    assert catapults(np.array([1.0, 3.0, 1e9, np.nan, np.nan])) == []


def test_a_death_is_no_catapult():
    """A dead network comes back to the loss of its constant output, and stays there."""
    assert catapults(np.array([0.5, 3.0, 1e9, 0.05, 0.05, 0.05, 0.05])) == []


def test_wiggles_of_less_than_a_tenth_are_no_catapults():
    assert catapults(decay * (1 + 0.05 * (-1.0) ** np.arange(100))) == []


@pytest.mark.parametrize(
    ("sharpness", "phase"),
    [
        (np.linspace(1, 2, 50), "progressive_sharpening"),
        (np.linspace(2, 1, 50), "sharpness_reduction"),
        (np.linspace(1, 1.04, 50), "constant"),
        # The dip of muP: what counts is where it stands when it meets the threshold.
        (
            np.concatenate([np.linspace(1, 0.6, 20), np.linspace(0.6, 2, 30)]),
            "progressive_sharpening",
        ),
        (np.full(50, np.nan), "unknown"),
    ],
)
def test_the_natural_phase_is_the_trend(sharpness, phase):
    assert natural_phase(sharpness, sharpness / 100) == phase


def test_after_the_first_crossing_nothing_is_natural():
    """Catapults take the sharpness down, whatever it did before."""
    sharpness = np.concatenate([np.linspace(1, 2, 30), np.linspace(1.9, 0.1, 70)])
    assert natural_phase(sharpness, sharpness / 1.95) == "progressive_sharpening"
    assert natural_phase(sharpness, sharpness / 0.9) == "unknown"


def test_a_dead_network_is_finite_and_not_trained():
    """Its loss may be a tenth of the initial one: only the best constant output tells."""
    loss = np.full(100, 0.05)
    loss[0] = 0.46
    assert not trainable(loss, baseline=0.045)
    assert trainable(loss * 0.5, baseline=0.045)
    assert not trainable(np.append(loss * 0.1, np.nan), baseline=0.045)


def test_where_a_constant_is_perfect_the_initial_loss_is_the_measure():
    assert trainable(decay, baseline=0.0)
    assert trainable(decay, baseline=None)
    assert not trainable(np.ones(100), baseline=0.0)


def _outcome(loss, ratio, trained=True, diverged=False):
    n = len(catapults(loss, ratio))
    return outcome(loss, ratio, diverged=diverged, trained=trained, n_catapults=n)


def test_outcomes_are_judged_by_the_late_ratio():
    low, late_high = np.full(100, 0.5), np.r_[np.full(50, 1.2), np.full(50, 0.97)]
    assert _outcome(decay, low) == "stable"
    assert _outcome(_bump(20.0), np.r_[np.full(45, 1.5), np.full(55, 0.4)]) == "catapult"
    assert _outcome(decay, late_high) == "edge_of_stability"
    assert _outcome(decay, low, trained=False) == "stuck"
    assert _outcome(decay, low, diverged=True) == "diverged"
    assert _outcome(decay, np.full(100, np.nan)) == "unknown"


def test_near_the_threshold_without_ever_crossing_is_stable():
    assert _outcome(decay, np.full(100, 0.95)) == "stable"


def test_a_vanished_residual_at_an_unstable_minimum_is_stuck_not_stable():
    """Theory W6: rounding to exactly zero looks stable at any learning rate."""
    loss = np.r_[decay[:20], np.zeros(80)]
    assert _outcome(loss, np.full(100, 3.0)) == "stuck"
    assert _outcome(loss, np.r_[np.full(20, 3.0), np.full(80, 0.97)]) == "stable"
    # A ramp that has only just crossed: the last ratio decides, not the median.
    assert _outcome(loss, np.linspace(0, 1.05, 100)) == "stuck"
    # In single precision rounding leaves more than nothing, but it stands still.
    assert _outcome(np.maximum(loss, 1e-14), np.full(100, 1.5)) == "stuck"


def test_chaos_beyond_the_edge_is_the_edge():
    """Late ratios on both sides of 1, their median below: still crossing (UV at 1 < |mu| < 2)."""
    ratio = np.tile([0.3, 0.4, 2.2], 34)[:100]
    assert _outcome(decay * (1 + 0.01 * np.sin(np.arange(100))), ratio) == "edge_of_stability"


def test_a_loss_without_a_floor_is_never_trained():
    assert not trainable(np.linspace(1, -100, 50), baseline=None)


def test_a_run_that_rounding_has_frozen_is_not_called_stable():
    """One example, slow warmup to eta lambda = 16: some seed ends with a residual of rounding."""
    data = sim.Data(np.ones((1, 1)), np.zeros((1, 1)))
    # In gram space the residual is stepped, and has no such floor.
    model = sim.UV(16, representation="parameters")
    frozen = 0
    for seed in range(20):
        eta = 8 * sim.eta_critical(model, data, sim.GD(), seed)
        run = sim.simulate(
            model, data, schedule=sim.Warmup(eta_trgt=eta, t_wrm=512), steps=600, seed=seed
        )
        if run.diverged or run.ratio[-1] <= 1:
            continue
        assert run.outcome not in ("stable", "catapult")
        if run.loss[-1] < 1e-30:
            frozen += 1
            assert run.outcome == "stuck"
            assert run.trainable
    assert frozen > 0, "no run met the artefact: this test shows nothing"


@given(
    st.lists(st.floats(0, 1e300), min_size=1, max_size=40),
    st.lists(st.one_of(st.floats(0, 10), st.just(np.nan)), min_size=40, max_size=40),
)
def test_any_curve_has_a_story(loss, ratio):
    curve, ratios = np.array(loss), np.array(ratio[: len(loss)])
    found = catapults(curve, ratios)
    assert all(c.start < c.peak < c.end for c in found)
    assert all(a.end <= b.start for a, b in pairwise(found))
    assert natural_phase(ratios, ratios) in NATURAL_PHASES
    trained = trainable(curve, 0.1)
    assert (
        outcome(curve, ratios, diverged=False, trained=trained, n_catapults=len(found)) in OUTCOMES
    )
