"""Warmup counts updates from one, and ends exactly where it should."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import simulator as sim

rates = st.floats(0, 1e3)
positive = st.floats(1e-6, 1e3)
exponents = st.floats(0.2, 5)


@given(init=rates, trgt=positive, t_wrm=st.integers(1, 200), exponent=exponents)
def test_every_update_of_the_ramp_has_the_rate_of_the_formula(init, trgt, t_wrm, exponent):
    steps = t_wrm + 50
    eta = sim.Warmup(init, trgt, t_wrm, exponent).values(steps)
    for t in range(1, steps + 1):
        expected = init + (trgt - init) * (min(t, t_wrm) / t_wrm) ** exponent
        assert eta[t - 1] == pytest.approx(expected, rel=1e-12, abs=1e-12)
    assert (eta[t_wrm - 1 :] == trgt).all()


@given(init=rates, trgt=positive, t_wrm=st.integers(1, 200), exponent=exponents)
def test_warmup_is_monotone_and_stays_between_its_ends(init, trgt, t_wrm, exponent):
    eta = sim.Warmup(init, trgt, t_wrm, exponent).values(t_wrm)
    low, high = sorted((init, trgt))
    assert (eta >= low * (1 - 1e-12)).all()
    assert (eta <= high * (1 + 1e-12)).all()
    differences = np.diff(eta) * np.sign(trgt - init)
    assert (differences >= -1e-12 * high).all()


@given(trgt=positive, steps=st.integers(1, 100))
def test_one_update_of_warmup_is_none(trgt, steps):
    assert (sim.Warmup(0.0, trgt, 1).values(steps) == trgt).all()


@given(init=rates, trgt=positive, t_wrm=st.integers(1, 60), exponent=exponents,
       decay=st.sampled_from(["linear", "cosine"]), steps=st.integers(1, 100),
       t_decay=st.none() | st.integers(1, 120), end=st.none() | st.floats(0, 2))  # fmt: skip
def test_a_decay_multiplies_the_last_rates(init, trgt, t_wrm, exponent, decay, steps, t_decay, end):
    """Warmup-stable-decay: up to the last t_decay updates eta is that of the warmup alone."""
    eta_end = None if end is None else end * trgt
    schedule = sim.Warmup(init, trgt, t_wrm, exponent, decay, t_decay, eta_end)
    plain = sim.Warmup(init, trgt, t_wrm, exponent).values(steps)
    eta = schedule.values(steps)
    length = t_decay or max(steps - t_wrm, 0)
    fraction = end if end is not None else {"linear": 0.0, "cosine": 0.1}[decay]
    for t in range(1, steps + 1):
        part = min(max((t - (steps - length)) / length, 0), 1) if length else 0
        if decay == "cosine":
            part = (1 - np.cos(np.pi * part)) / 2
        expected = plain[t - 1] * (1 - (1 - fraction) * part)
        assert eta[t - 1] == pytest.approx(expected, rel=1e-9, abs=1e-9 * trgt)
        if part == 0:
            assert eta[t - 1] == plain[t - 1]
    if length and steps >= t_wrm:
        assert eta[-1] == pytest.approx(fraction * trgt, rel=1e-9)


@given(trgt=positive, t_wrm=st.integers(1, 50), after=st.integers(1, 100))
def test_cosine_falls_from_the_end_of_warmup_to_a_tenth_at_the_last_update(trgt, t_wrm, after):
    steps = t_wrm + after
    eta = sim.Warmup(0.0, trgt, t_wrm, decay="cosine").values(steps)
    assert eta[t_wrm - 1] == pytest.approx(trgt)
    assert eta[-1] == pytest.approx(trgt / 10)
    assert (np.diff(eta[t_wrm - 1 :]) <= 1e-12 * trgt).all()
    middle = 0.5 * (eta[t_wrm - 1 :] + eta[t_wrm - 1 :][::-1])
    np.testing.assert_allclose(middle, 0.55 * trgt)


@given(trgt=st.floats(0.1, 3), t_wrm=st.integers(1, 30), curvature=st.floats(0.1, 1))
def test_on_a_quadratic_warmup_never_moves_the_largest_eta(trgt, t_wrm, curvature):
    """The negative control: theta_T = theta_0 prod (1 - eta_t lambda), and only the tail counts."""
    z = trgt * curvature
    assume(abs(z - 2) > 0.05)
    schedule = sim.Warmup(0.0, trgt, t_wrm)
    run = sim.simulate(sim.Quadratic([curvature]), schedule=schedule, steps=200)
    product = np.cumprod(1 - schedule.values(200) * curvature)
    np.testing.assert_allclose(
        run.loss[1:], run.loss[0] * product[:-1] ** 2, rtol=1e-9, atol=1e-300
    )
    assert (run.loss[-1] > run.loss[100]) == (z > 2) or run.loss[100] < 1e-290


@pytest.mark.parametrize(
    ("arguments", "option"),
    [
        ({"eta_init": -0.1}, "eta_init"),
        ({"eta_trgt": 0}, "eta_trgt"),
        ({"eta_trgt": float("inf")}, "eta_trgt"),
        ({"eta_trgt": "1"}, "eta_trgt"),
        ({"t_wrm": 0}, "t_wrm"),
        ({"t_wrm": 1.5}, "t_wrm"),
        ({"exponent": 0}, "exponent"),
        ({"decay": "linaer"}, "decay"),
        ({"t_decay": 8}, "t_decay"),
        ({"eta_end": 0.0}, "eta_end"),
        ({"decay": "linear", "t_decay": 0}, "t_decay"),
        ({"decay": "cosine", "eta_end": -1.0}, "eta_end"),
    ],
)
def test_schedules_that_cannot_be_are_refused_by_name(arguments, option):
    with pytest.raises(sim.InputError) as error:
        sim.Warmup(**arguments)
    assert error.value.option == option


@dataclass(frozen=True)
class Staged(sim.Schedule):
    """Learning rates of every kind that a field may hold, and what is none."""

    name: ClassVar[str] = "staged"

    eta_trgt: float = 1.0
    eta_stages: tuple[float, ...] = (0.5, 0.25)
    eta_end: float | None = None
    share: float = 0.5


def test_a_unit_multiplies_every_learning_rate_and_nothing_else():
    assert Staged().at(4.0, eta_trgt=3.0, t_wrm=8) == Staged(12.0, (2.0, 1.0), None, 0.5)
    assert Staged(eta_end=0.1).at(2.0).eta_end == 0.2
