"""What warmup is worth for one example: every statement on weights of finite width.

Labels are noisy wherever training first converges: without noise a residual becomes exactly 0, and
then nothing diverges at any learning rate.
"""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from profiles import fewer

import simulator as sim
from simulator.theory import uv, warmup

seeds = st.integers(0, 10_000)
scales = st.floats(0, 1)


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


def _survival(seed, runs, width, s, y, reach, floor, share):
    """Measured and predicted share of survivors at t_wrm = share * shortest_warmup."""
    weights = Weights(seed, runs, width, s, y)
    lam = 2 / warmup.first_crossing(*weights.state)
    eta = reach / lam
    t_wrm = np.round(share * warmup.shortest_warmup(eta, lam, floor))[0].astype(int)
    # The noise that makes `residual_floor` this floor, spelled out.
    sigma = floor * lam / (2 * weights.kappa)
    assert warmup.residual_floor(sigma, lam, weights.kappa) == pytest.approx(floor)
    alive = weights.train(_ramp(eta, t_wrm), sigma).bounded(eta)
    return alive.mean(), warmup.survival_probability(t_wrm, eta, lam, floor)[0]


@given(
    seed=seeds, width=st.integers(1, 32), s=scales, y=st.one_of(st.just(0.0), st.floats(-2, 2)),
    top=st.floats(0.5, 8.0), updates=st.integers(1, 25),
)  # fmt: skip
def test_a_schedule_that_never_falls_is_survived_iff_it_stays_within_bounds(
    seed, width, s, y, top, updates
):
    """Of y = 0: diverges iff eta_t lam_t > 4 at some update; and the last update says it all."""
    weights = Weights(seed, 1, width, s, y)
    etas = np.sort(weights.rng.uniform(0, top, updates)) / weights.lam
    path, margins = [], []
    for eta in etas:
        path.append((weights.delta[0], weights.lam[0], eta))
        a, b, mu = uv.dimensionless(*path[-1][:2], weights.kappa, y, eta)
        margins += [abs(a + b - 4 - mu * uv.residual(a, b, mu)), abs(abs(mu) - 2)]
        weights.train([eta])
        if not abs(weights.delta) < 1e6:
            break
    assume(min(margins) > 1e-3)
    # Converged exactly, a run goes on for ever at any learning rate.
    assume(abs(weights.delta) > 1e-9)
    deltas, lams, etas = np.array(path).T
    found = warmup.survives(deltas, lams, weights.kappa, y, etas)
    assert found == uv.is_bounded(deltas[-1], lams[-1], weights.kappa, y, etas[-1])
    if y == 0:
        assert found == (etas * lams < 4).all()
    assert weights.blows_up(etas[-1])[0] == (not found)


@fewer(0.25)
@given(seed=seeds, width=st.integers(2, 32), s=scales, y=st.floats(0.1, 4), mu=st.floats(2.05, 3),
       t_wrm=st.sampled_from([1, 10, 100, 1000, 5000]))  # fmt: skip
def test_no_warmup_gets_beyond_the_ceiling(seed, width, s, y, mu, t_wrm):
    weights = Weights(seed, 10, width, s, y)
    eta = mu / 2 * uv.eta_ceiling(weights.kappa, y)
    weights.train(_ramp(eta, t_wrm), sigma=1e-6)
    assert weights.blows_up(eta, 1000).all()


@fewer(0.25)
@given(seed=seeds, width=st.integers(2, 64), s=scales, y=st.floats(0.1, 4), mu=st.floats(0.05, 0.9))
def test_a_warmup_twice_the_shortest_is_survived_below_the_ceiling(seed, width, s, y, mu):
    """And then trains: bounded for ever, at a floor of 1e-6."""
    floor = 1e-6
    weights = Weights(seed, 30, width, s, y)
    lam = 2 / warmup.first_crossing(*weights.state)
    eta = mu / (weights.kappa * y)
    t_wrm = int(np.ceil(2 * warmup.shortest_warmup(eta, lam, floor).max()))
    weights.train(_ramp(eta, t_wrm), floor * lam / (2 * weights.kappa))
    assert weights.bounded(eta).all()
    assert not weights.blows_up(eta, 300).any()


@given(
    seed=seeds, width=st.sampled_from([16, 64]), s=scales, mu=st.floats(0, 0.3),
    reach=st.floats(6, 24), floor=st.floats(-9, -3).map(lambda x: 10**x),
    share=st.floats(0.85, 1.25),
)  # fmt: skip
def test_as_many_survive_a_warmup_as_noise_lets(seed, width, s, mu, reach, floor, share):
    """erfc(1 / (2 (pi tau)^(1/4) floor exp((3 ln 3 - 2) tau))) of 400 runs, from eta_init = 0."""
    # mu of most runs stays below 1, where their minima end.
    y = 2 * mu / reach * width ** (0.5 * (1 - s))
    measured, predicted = _survival(seed, 400, width, s, y, reach, floor, share)
    assert measured == pytest.approx(predicted, abs=0.15)


def _shortest(survival, predicted):
    """T where half of the runs survive, by bisection over t_wrm."""
    low, high = 0.3 * predicted, 2.5 * predicted
    while high - low > 0.01 * predicted + 0.5:
        middle = 0.5 * (low + high)
        low, high = (low, middle) if survival(round(middle)) > 0.5 else (middle, high)
    return 0.5 * (low + high)


def _half(seed, runs, width, y, reach, floor):
    def survival(t_wrm):
        weights = Weights(seed, runs, width, 0.0, y)
        lam = 2 / warmup.first_crossing(*weights.state)
        sigma = floor * lam / (2 * weights.kappa)
        return weights.train(_ramp(reach / lam, t_wrm), sigma).bounded(reach / lam).mean()

    predicted = float(warmup.shortest_warmup(reach, 1.0, floor))
    return _shortest(survival, predicted), predicted


@fewer(0.1)
@given(seed=seeds, width=st.sampled_from([16, 64]), y=st.floats(0, 1),
       floor=st.sampled_from([1e-3, 1e-6, 1e-9]), reach=st.floats(8, 12))  # fmt: skip
def test_half_survive_the_shortest_warmup_which_is_linear_in_the_target(
    seed, width, y, floor, reach
):
    """T_50 = eta_trgt lam ln(1 / floor) / (3 ln 3 - 2) of 60 seeds; three times that at 3 eta."""
    found, predicted = _half(seed, 60, width, y / 4, reach, floor)
    assert 0.8 < found / predicted < 1.1
    tripled, _ = _half(seed, 60, width, y / 4, 3 * reach, floor)
    assert 2.7 < tripled / found < 3.3


@fewer(0.25)
@given(seed=seeds, size=st.floats(-6, -2), reach=st.floats(8, 32))
def test_warmup_from_the_threshold_needs_time_for_the_initial_residual_to_grow(seed, size, reach):
    """(K - 2)(ln(1 / eps_0) + c) / (3 ln 3 - 2) from eta_init = 2 / lam_0 at y = 0, with c = O(1).

    100 runs with eps_0 = kappa |f_0| eta_init within half a decade: what is left of their phases.
    """
    rng = np.random.default_rng(seed)
    eps = 10 ** (size + rng.uniform(-0.25, 0.25, 100))

    def survival(t_wrm):
        weights = Weights(seed, 100, 2, 1.0, 0.0)
        # lam = 1 and f = eps / 2, the layers at 45 degrees but for that.
        weights.u, weights.v = np.full((100, 2), 0.5), np.full((100, 2), 0.5)
        weights.v[:, 1] = -0.5 + eps
        weights.train(_ramp(reach, t_wrm, eta_init=2.0))
        return weights.bounded(reach).mean()

    predicted = float(warmup.shortest_warmup(reach, 1.0, 10**size, eta_init=2.0))
    constant = warmup.growth() / (reach - 2) * (_shortest(survival, predicted) - predicted)
    assert -0.2 < constant < 1.0


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


@fewer(0.25)
@given(seed=seeds, width=st.integers(8, 32), s=scales, y=st.floats(0.2, 3))
def test_the_gain_of_warmup_is_the_ceiling_over_what_no_warmup_bears(seed, width, s, y):
    """Of one initialisation, by bisection of simulated runs without warmup."""
    state = Weights(seed, 1, width, s, y).state
    ceiling = uv.eta_ceiling(state[2], y)
    shares = np.linspace(0, 1, 401)[1:]
    weights = Weights(seed, 1, width, s, y)
    weights.u, weights.v = (np.repeat(w, shares.size, axis=0) for w in (weights.u, weights.v))
    alive = ~weights.blows_up(shares * ceiling, 2000)
    measured = 1 / shares[alive].max()
    gain = warmup.largest_gain(*state)[0]
    assert gain >= 1
    assert 1 / measured == pytest.approx(1 / gain, abs=2 / 400)


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


@given(s=scales, var_w=st.floats(0.3, 2), chi=st.floats(0.3, 3), y=st.floats(0.1, 1))
def test_the_typical_gain_grows_with_the_width_unless_in_mup(s, var_w, chi, y):
    """As n^((1-s)/2), and it is the gain of a Gaussian draw where widths are large."""
    widths = np.array([1e8, 1e12])
    gain = warmup.typical_gain(widths, s, var_w, chi, y)
    r = 2 * var_w * np.sqrt(chi) * widths ** ((1 - s) / 2) / y
    np.testing.assert_allclose(gain, (r + np.sqrt(r**2 + 16)) / 4, rtol=1e-10)
    data = sim.Data(np.array([[np.sqrt(chi)]]), np.array([[y]]))
    model = sim.UV(10**8, s, var_w)
    k = model.gram(model.init(data, 0), data)
    lam = model.c**2 * chi * np.trace(k)
    drawn = warmup.largest_gain(-y, lam, model.c * np.sqrt(chi), y)
    assert gain[0] == pytest.approx(drawn, rel=1e-3)


@fewer(0.25)
@given(seed=seeds, width=st.integers(2, 64), s=scales, y=st.floats(-3, 3),
       tau=st.integers(300, 600))  # fmt: skip
def test_a_slow_warmup_meets_the_edge_where_gradient_flow_ends(seed, width, s, y, tau):
    """eta lam passes 2 at eta = 2 / lam_flow within 2 %; before 2 / lam_0 iff |f_0| < |y|.

    tau updates a unit of eta lam. The residual goes at eta lam of about sqrt(2 / tau), and steps of
    that size end flatter than gradient flow by eta (kappa delta)^2 / 2: small, unless the start is
    far from any minimum.
    """
    weights = Weights(seed, 1, width, s, y)
    first, expected = weights.lam[0], warmup.first_crossing(*weights.state)[0]
    assume(abs(weights.kappa * weights.delta[0] * expected / 2) < 0.5)
    sharpens = abs(weights.delta[0] + y) < abs(y)
    ramp = expected / (2 * tau)
    eta = 0.0
    while (eta + ramp) * weights.lam[0] <= 2:
        eta += ramp
        weights.step(eta)
    assert eta / expected == pytest.approx(1, abs=0.02)
    if abs(expected * first / 2 - 1) > 0.02:
        assert (eta < 2 / first) == sharpens


def _slow_ramp(seed, width, s, mu, updates, noise=1e-4):
    """Weights from a minimum, rates, and eta lam and delta of updates; mu is the last rate's."""
    weights = Weights(seed, 1, width, s, 0.0)
    y = weights.y = mu * weights.lam[0] / (16 * weights.kappa)
    for _ in range(500):
        weights.step(0.1 / weights.lam)
    lam = weights.lam[0]
    assume(16 / lam * weights.kappa * y < 0.85)
    sigma = noise * lam / (2 * weights.kappa)
    etas = np.linspace(0.5, 16, updates) / lam
    path = np.empty((updates, 2))
    for t, eta in enumerate(etas):
        path[t] = eta * weights.lam[0], weights.delta[0]
        weights.step(eta, sigma)
    late = etas * lam > 2.5
    return weights, etas[late], path[late]


@fewer(0.1)
@given(seed=seeds, width=st.sampled_from([16, 64]), s=scales, mu=st.sampled_from([0.0, 0.4, 0.8]))
def test_slow_warmup_holds_an_example_at_the_edge(seed, width, s, mu):
    """<eta_t lam_t> = 2 while eta grows sixfold, never far from it."""
    _, _, path = _slow_ramp(seed, width, s, mu, 6000)
    assert path[:, 0].mean() == pytest.approx(2, abs=0.03)
    assert path[:, 0].min() > 1.7
    assert path[:, 0].max() < 2.4


@fewer(0.1)
@given(seed=seeds, width=st.sampled_from([16, 64]), s=scales, mu=st.sampled_from([0.0, 0.4, 0.8]))
def test_slow_warmup_keeps_up_the_loss_that_flattens_as_fast(seed, width, s, mu):
    """Over a ramp the sum of the loss over `edge_loss` is the number of its updates."""
    weights, etas, path = _slow_ramp(seed, width, s, mu, 6000)
    expected = warmup.edge_loss(etas, etas[1] - etas[0], weights.kappa, weights.y)
    assert np.sum(0.5 * path[:, 1] ** 2 * etas**2) == pytest.approx(
        np.sum(expected * etas**2), rel=0.15
    )


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


@given(eta_c=st.floats(0.01, 1), ratio=st.floats(0.2, 50), t_wrm=st.integers(1, 2000))
def test_starting_at_the_critical_rate_reaches_the_target_when_it_says(eta_c, ratio, t_wrm):
    """The first t with eta_c + eta_trgt t / t_wrm >= eta_trgt is T_reach, rounded up."""
    eta_trgt = ratio * eta_c
    reach = warmup.t_reach(eta_c, eta_trgt, t_wrm)
    t = np.arange(1, t_wrm + 1)
    first = 1 + np.argmax(eta_c + eta_trgt * t / t_wrm >= eta_trgt * (1 - 1e-12))
    assert first == pytest.approx(np.ceil(reach - 1e-9))
    if reach > 1:
        # The same ramp as a Warmup of that many updates.
        equal = sim.Warmup(eta_c, eta_trgt, int(first)).values(int(first))
        assert equal[0] - eta_c <= eta_trgt / t_wrm * (1 + 1e-9)
        assert eta_trgt / t_wrm <= (eta_trgt - eta_c) / (reach * (1 - 1e-9))


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
