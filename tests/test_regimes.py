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
    stuck,
    trainable,
)
from simulator.trajectory import Trajectory

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
        # It ends below its start, but rises for nine tenths of the time.
        (np.concatenate([np.linspace(450, 67, 32), np.linspace(67, 212, 300)]) / 9,
         "progressive_sharpening"),
        (np.concatenate([np.linspace(1, 3, 10), np.linspace(3, 2, 40)]), "sharpness_reduction"),
        (np.concatenate([np.linspace(2, 1, 10), np.full(40, 1.0)]), "sharpness_reduction"),
        (1 + 0.02 * (-1.0) ** np.arange(50), "constant"),
        (np.full(50, np.nan), "unknown"),
    ],
)  # fmt: skip
def test_the_natural_phase_is_the_longest_trend(sharpness, phase):
    assert natural_phase(sharpness, sharpness / 100) == phase


def test_the_collapse_of_a_preconditioner_is_a_transient():
    collapse = np.concatenate([np.geomspace(1000, 50, 30), np.full(70, 50.0)])
    assert natural_phase(collapse, collapse / 1e4) == "sharpness_reduction"
    assert natural_phase(collapse, collapse / 1e4, adaptive=True) == "constant"
    # Over most of the run it is how the sharpness evolves.
    slow = np.geomspace(1000, 50, 100)
    assert natural_phase(slow, slow / 1e4, adaptive=True) == "sharpness_reduction"


@given(st.lists(st.floats(0.1, 10), min_size=2, max_size=60))
def test_the_phase_is_that_of_plain_loops(values):
    """The definition once more, step by step, as a reader would write it."""
    low = high = 0
    for at, value in enumerate(values):
        low = at if value < 0.95 * values[low] * (1 - 1e-12) else low
        high = at if value > 1.05 * values[high] * (1 + 1e-12) else high
    corners, longest, phase = sorted({0, low, high, len(values) - 1}), 0, "constant"
    for first, last in pairwise(corners):
        if abs(values[last] / values[first] - 1) > 0.05 and last - first >= longest:
            longest = last - first
            rises = values[last] > values[first]
            phase = "progressive_sharpening" if rises else "sharpness_reduction"
    curve = np.array(values)
    assert natural_phase(curve, curve / 100) == phase


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


def _last(ratio):
    measured = ratio[np.isfinite(ratio)]
    return measured[-1] if measured.size else np.nan


def _outcome(loss, ratio, trained=True, diverged=False, loss_tells=True):
    n = len(catapults(loss, ratio))
    return outcome(
        loss, ratio, ratio, ratio_final=_last(ratio), diverged=diverged, trained=trained,
        stuck=not trained, n_catapults=n,
        loss_tells=loss_tells,
    )  # fmt: skip


ALTERNATING = 0.08 * (-1.0) ** np.arange(100)


def test_outcomes_are_judged_by_the_late_ratio():
    low, late_high = np.full(100, 0.5), 1.02 + ALTERNATING
    assert _outcome(decay, low) == "stable"
    assert _outcome(_bump(20.0), np.r_[np.full(45, 1.5), np.full(55, 0.4)]) == "catapult"
    assert _outcome(decay, late_high) == "edge_of_stability"
    assert _outcome(decay, low, trained=False) == "stuck"
    assert _outcome(decay, low, diverged=True) == "diverged"
    assert _outcome(decay, np.full(100, np.nan)) == "unknown"


def test_near_the_threshold_without_ever_crossing_is_stable():
    assert _outcome(decay, np.full(100, 0.95)) == "stable"


@pytest.mark.parametrize(
    ("ratio", "loss", "expected"),
    [
        # Crossed once, and then the loss falls geometrically at a constant ratio.
        (np.r_[np.full(9, 1.2), np.full(91, 0.935)], decay, "stable"),
        # Above the threshold all the way, far from it.
        (4.2 + ALTERNATING, decay, "unknown"),
        (1.58 + ALTERNATING, decay, "unknown"),
        # A quadratic that diverges slowly, and momentum that rings: the sharpness does not move.
        (np.full(100, 1.01), decay[::-1], "unknown"),
        (np.r_[1.01, np.full(99, 0.99)], decay * (1 + ALTERNATING), "stable"),
        # The ratio stays below, but only instability raises such a loss.
        (np.r_[1.01, 0.96 + 0.1 * ALTERNATING[1:]], decay * (1 + ALTERNATING), "edge_of_stability"),
        (np.linspace(0.9, 1.3, 100), decay, "unknown"),
    ],
)
def test_an_edge_is_crossed_again_and_again_near_1_or_shakes_the_loss(ratio, loss, expected):
    assert _outcome(loss, ratio) == expected


def test_with_momentum_or_minibatches_a_rising_loss_is_no_edge():
    ratio, loss = np.r_[1.01, 0.96 + 0.1 * ALTERNATING[1:]], decay * (1 + ALTERNATING)
    assert _outcome(loss, ratio, loss_tells=False) == "stable"
    assert sim.GD().limit.memoryless
    assert not sim.GD(weight_decay=0.1).limit.memoryless
    assert not sim.Momentum(0.9).limit.memoryless
    assert not sim.Nesterov(0.9).limit.memoryless


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


def test_a_loss_that_is_not_finite_is_not_trained():
    assert not trainable(np.append(np.linspace(1, -100, 50), -np.inf), baseline=None)


def test_a_negative_loss_can_be_trained():
    assert trainable(np.linspace(1, -100, 50), baseline=None)
    assert trainable(np.linspace(-1, -2, 100), baseline=-1.2)
    assert not trainable(np.full(50, -1.0), baseline=None)
    assert not trainable(np.linspace(-1, -1.05, 50), baseline=-1.0)


def test_a_few_steps_are_not_called_stuck():
    assert not stuck(np.ones(20), 0.5)
    assert stuck(np.ones(100), 0.5)
    # Without a baseline, only what is no better than at first.
    assert not stuck(np.linspace(1, 0.95, 100), None)
    assert stuck(np.linspace(1, 1.5, 100), None)


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
    assert _outcome(curve, ratios, trainable(curve, 0.1)) in OUTCOMES


def test_the_smooth_loss_forgets_a_spike():
    """A running sum would keep the rounding of the largest loss, or overflow."""
    loss = np.ones(400)
    loss[100:103] = 1e20, 1e300, 1.7e308
    blank = np.full(400, np.nan)
    run = Trajectory(
        step=np.arange(400), loss=loss, eta=np.ones(400), sharpness=blank,
        preconditioned_sharpness=None, limit=sim.StabilityLimit(2.0), updates_per_epoch=4,
    )  # fmt: skip
    assert (run.smooth_loss[:100] == 1.0).all()
    assert (run.smooth_loss[134:] == 1.0).all()
    assert np.isfinite(run.rise)
