"""Runs that are measured now and then say what runs measured at every step say."""

import numpy as np
import pytest

import simulator as sim
from simulator.limits import StabilityLimit
from simulator.training.due import Due

GRID = {"eta_trgt": [0.5, 2.0, 6.0, 16.0, 40.0], "t_wrm": [1, 8, 64], "eta_unit": "critical"}
SETTINGS = {
    "relu": (sim.MLP(16), {}),
    "mup": (sim.MLP(16, parameterization="mup"), {}),
    "momentum": (sim.MLP(16), {"optimizer": sim.Momentum(0.9)}),
    "cross-entropy": (sim.MLP(16, loss="xent"), {}),
    "minibatches": (sim.MLP(16), {"batch_size": 16}),
}
WORDS = ("natural_phase", "n_catapults", "outcome")


@pytest.mark.slow
def test_sweeps_see_what_runs_see():
    """Of all cells the plain cadence tells every third otherwise."""
    data = sim.load_data("digits", 64)
    wrong = dict.fromkeys(WORDS, 0)
    cells = 0
    for seed, (model, options) in enumerate(SETTINGS.values()):
        asked = {"steps": 192, **GRID, **options}
        seen = [
            sim.sweep(model, data, sharpness_every=every, seeds=1 + seed % 2, **asked)
            for every in (1, 16)
        ]
        cells += seen[0]["outcome"].size
        for word in WORDS:
            wrong[word] += int((seen[0][word].values != seen[1][word].values).sum())
    assert wrong["natural_phase"] <= 0.03 * cells, wrong
    assert wrong["n_catapults"] <= 0.03 * cells, wrong
    assert wrong["outcome"] <= 0.05 * cells, wrong


def _measured(loss, sharpness, eta, every=16):
    """The steps before which this run is measured."""
    due, found = Due(every, len(loss), StabilityLimit(2.0)), []
    for step, (x, s, rate) in enumerate(zip(loss, sharpness, eta, strict=True)):
        if due.at(step, x, rate):
            found.append(step)
            due.note(step, s, rate)
    return found


def test_every_step_or_none():
    loss = np.geomspace(1, 0.1, 20)
    assert _measured(loss, loss, loss, every=1) == list(range(20))
    assert _measured(loss, loss, loss, every=0) == []


def test_an_excursion_is_measured_until_it_is_known_to_be_unstable():
    loss = np.geomspace(1, 0.5, 100)
    loss[50:56] = [0.8, 1.0, 1.4, 1.0, 0.9, 0.8]
    eta, sharpness = np.ones(100), np.full(100, 1.0)
    sharpness[52] = 3.0
    assert set(range(50, 53)) <= set(_measured(loss, sharpness, eta))
    assert 53 not in _measured(loss, sharpness, eta)


def test_a_learning_rate_that_jumps_is_met_where_it_jumps():
    eta = np.where(np.arange(200) < 150, 0.1, 5.0)
    loss, sharpness = np.geomspace(1, 0.5, 200), np.ones(200)
    assert 150 in _measured(loss, sharpness, eta)


def test_both_sides_of_an_oscillation_are_seen_at_the_end():
    sharpness = 2.0 + 0.1 * (-1.0) ** np.arange(128)
    late = [
        step for step in _measured(np.geomspace(1, 0.1, 128), sharpness, np.ones(128)) if step >= 96
    ]
    assert {step % 2 for step in late} == {0, 1}
