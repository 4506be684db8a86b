"""What warmup is worth for one example: every statement on weights of finite width.

Labels are noisy wherever training first converges: without noise a residual becomes exactly 0, and
then nothing diverges at any learning rate.
"""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from profiles import fewer

from simulator.theory import uv, warmup

seeds = st.integers(0, 10_000)


class Weights:
    """Runs of f = c v . u on the example x = 1 with target y, one a row of u and v (runs, n)."""

    def __init__(self, seed, runs, width, s, y):
        self.rng = np.random.default_rng(seed)
        self.kappa, self.y = width ** (-0.5 * (1 - s)), y
        self.u, self.v = self.rng.standard_normal((2, runs, width)) * width ** (-0.5 * s)

    @property
    def delta(self):
        return self.kappa * (self.u * self.v).sum(axis=1) - self.y

    @property
    def lam(self):
        return self.kappa**2 * (self.u**2 + self.v**2).sum(axis=1)

    @property
    def state(self):
        return self.delta, self.lam, self.kappa, self.y

    def step(self, eta, sigma=0.0):
        noisy = self.delta - sigma * self.rng.standard_normal(len(self.u))
        pull = (eta * noisy * self.kappa)[:, None]
        self.u, self.v = self.u - pull * self.v, self.v - pull * self.u

    def train(self, etas, sigma=0.0):
        with np.errstate(over="ignore", invalid="ignore"):
            for eta in etas:
                self.step(eta, sigma)
        return self

    def bounded(self, eta):
        """Whether each run would go on for ever at this eta: the exact criterion, no simulation."""
        with np.errstate(over="ignore", invalid="ignore"):
            return np.isfinite(self.delta) & uv.is_bounded(*self.state, eta)

    def blows_up(self, eta, updates=3000):
        """Whether each run overflows within so many updates at this eta: no criterion."""
        self.train([eta] * updates)
        return ~np.isfinite(self.delta)


def _ramp(eta_trgt, t_wrm, eta_init=0.0):
    """Rates of every update (t_wrm, runs), from the definition."""
    t = np.arange(1, t_wrm + 1)[:, None] / t_wrm
    return eta_init + (eta_trgt - eta_init) * t


@given(lam=st.floats(0.1, 10), residual=st.floats(1e-12, 0.5), eta_trgt=st.floats(0.1, 10))
def test_the_shortest_warmup_has_the_largest_ramp(lam, residual, eta_trgt):
    ramp = warmup.largest_ramp(lam, residual)
    assert ramp == pytest.approx((3 * np.log(3) - 2) / (lam * np.log(1 / residual)), rel=1e-12)
    for eta_init in (0.0, min(0.5 * eta_trgt, 2.0 / lam)):
        t_wrm = warmup.shortest_warmup(eta_trgt, lam, residual, eta_init)
        if eta_trgt * lam <= 4.0 or eta_trgt - eta_init <= ramp:
            assert t_wrm == 1.0
        else:
            assert (eta_trgt - eta_init) / t_wrm == pytest.approx(ramp, rel=1e-12)


@given(tau=st.integers(100, 2000))
def test_a_residual_regrows_by_the_integral_between_two_and_four(tau):
    """sum ln(z_t - 1) = tau (3 ln 3 - 2) + (ln 3) / 2, the trapezoidal end included."""
    z = np.arange(2 * tau + 1, 4 * tau + 1) / tau
    measured = np.log(z - 1).sum() - 0.5 * np.log(3)
    assert measured / tau == pytest.approx(warmup.growth(), rel=1e-5)
    assert warmup.growth() == pytest.approx(3 * np.log(3) - 2, rel=1e-12)


@given(r=st.floats(0.05, 200), kappa=st.floats(0.01, 2), y=st.floats(0.1, 5))
def test_from_zero_output_the_gain_is_a_function_of_one_ratio(r, kappa, y):
    """(r + sqrt(r^2 + 16)) / 4, r = lam / (kappa |y|)."""
    found = warmup.largest_gain(-y, r * kappa * y, kappa, y)
    assert found == pytest.approx((r + np.sqrt(r**2 + 16)) / 4, rel=1e-10)


def test_numbers_of_the_gain():
    r = np.array([0.1, 10.0, 100.0])
    found = warmup.largest_gain(-1.0, r, 1.0, 1.0)
    np.testing.assert_allclose(found, [1.025, 5.19, 50.02], rtol=1e-3)
    assert warmup.largest_gain(0.5, 2.0, 0.1, 0.0) == np.inf


@given(lam=st.floats(0.5, 4), floor=st.floats(1e-9, 1e-2), largest=st.floats(0.1, 1.0),
       gain=st.floats(1.5, 50))  # fmt: skip
def test_the_boundary_is_flat_then_straight_then_flat(lam, floor, largest, gain):
    t_wrm = np.arange(1, 20_000, 7)
    found = warmup.boundary(t_wrm, lam, floor, largest, gain * largest)
    assert (np.diff(found) >= 0).all()
    assert found[0] >= largest
    assert found.max() <= gain * largest
    between = (found > largest) & (found < gain * largest)
    slopes = found[between] / t_wrm[between]
    np.testing.assert_allclose(slopes, warmup.largest_ramp(lam, floor), rtol=1e-12)


@fewer(0.25)
@given(seed=seeds, t_wrm=st.integers(30, 400), side=st.sampled_from([0.8, 1.35]))
def test_the_boundary_parts_warmups_that_survive_from_those_that_do_not(seed, t_wrm, side):
    """100 runs of width 16 at y = 0, floor 1e-6."""
    weights = Weights(seed, 100, 16, 0.0, 0.0)
    lam, floor = 2 / warmup.first_crossing(*weights.state), 1e-6
    limit = uv.eta_max(*weights.state)
    eta = side * warmup.boundary(t_wrm, lam, floor, limit, np.inf)
    assume((eta > 1.2 * limit).all())
    weights.train(_ramp(eta, t_wrm), floor * lam / (2 * weights.kappa))
    share = weights.bounded(eta).mean()
    assert share > 0.9 if side < 1 else share < 0.1


@given(eta_c=st.floats(0.01, 1), ratio=st.floats(1.01, 50), t_wrm=st.integers(100, 2000),
       passes=st.integers(0, 30))  # fmt: skip
def test_what_is_saved_is_what_is_not_needed_less_the_search(eta_c, ratio, t_wrm, passes):
    """T_reach + T_save = T_wrm - T_fp / 2 wherever T_reach is not the single update."""
    eta_trgt = ratio * eta_c
    reach = warmup.t_reach(eta_c, eta_trgt, t_wrm)
    assume(reach > 1)
    saved = warmup.t_save(eta_c, eta_trgt, t_wrm, passes)
    assert reach + saved == pytest.approx(t_wrm - passes / 2)
    assert warmup.t_save(eta_c, eta_c / 2, t_wrm, passes) == pytest.approx(t_wrm - passes / 2)


def test_numbers_of_the_saving():
    """Half of 512 updates at eta_trgt = 2 eta_c, less the five that ten forward passes cost."""
    assert warmup.t_reach(1.0, 2.0, 512) == 256
    assert warmup.t_save(1.0, 2.0, 512) == 251
    assert warmup.t_reach(2.0, 1.0, 512) == 1
