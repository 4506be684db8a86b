"""One example in the UV model: where training diverges, oscillates, and first raises the loss."""

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from one_example import ensemble, networks, with_modes

from simulator.theory import uv

seeds = st.integers(0, 2**32 - 1)
targets = st.floats(0.05, 4) | st.floats(-4, -0.05)
mus = st.floats(-1.99, 1.99)
modes = st.floats(0, 8)


# --- divergence -------------------------------------------------------------------------------


@given(mu=mus, a=modes, b=modes)
def test_the_invariant_moves_away_from_one_by_the_predicted_ratio(mu, a, b):
    w = uv.invariant(a, b, mu)
    eps = uv.residual(a, b, mu)
    assert w == pytest.approx((a + b - mu * (eps + mu)) / (4 - mu**2), rel=1e-9, abs=1e-9)
    after = uv.invariant(*uv.mode_step(a, b, mu), mu)
    ratio = uv.invariant_ratio(eps, mu)
    scale = 1 + abs(after) + (1 + w) * ratio
    assert 1 - after == pytest.approx((1 - w) * ratio, rel=1e-9, abs=1e-9 * scale)
    assert ratio > 0


@given(mu=mus, a=st.floats(1e-3, 20), b=st.floats(1e-3, 20))
def test_the_distance_from_one_in_units_of_the_modes_never_falls(mu, a, b):
    """|1 - W| / (a^(1-h) b^h) with h = (2 + mu) / 4: why nothing beyond W = 1 stays bounded."""
    after = uv.mode_step(a, b, mu)
    h = (2 + mu) / 4
    assume(min(after) > 1e-9 and abs(1 - uv.invariant(a, b, mu)) > 1e-6)
    before, now = (
        abs(1 - uv.invariant(*modes, mu)) / (modes[0] ** (1 - h) * modes[1] ** h)
        for modes in ((a, b), after)
    )
    assert now >= before * (1 - 1e-6)


@given(mu=st.floats(2, 4))
def test_only_below_two_does_the_ratio_keep_its_sign(mu):
    assert uv.invariant_ratio(-0.5 * mu, mu) <= 0


@given(network=networks(), fraction=st.floats(0.01, 0.999), beyond=st.floats(1.001, 100))
def test_the_largest_eta_is_where_runs_stop_being_bounded(network, fraction, beyond):
    largest = uv.eta_max(*network.setting)
    assert uv.is_bounded(*network.setting, fraction * largest)
    assert not uv.is_bounded(*network.setting, beyond * largest)
    if abs(network.y) > 1e-100:
        assert largest <= uv.eta_ceiling(network.kappa, network.y) * (1 + 1e-6)


@given(network=networks(y=st.just(0.0)))
def test_at_target_zero_the_largest_eta_is_four_over_the_trace(network):
    assert uv.eta_max(*network.setting) == pytest.approx(4 / network.trace, rel=1e-12)
    assert uv.eta_edge(network.kappa, 0.0) == np.inf


@given(r=st.floats(0.01, 100), kappa=st.floats(0.1, 2), y=targets)
def test_from_zero_output_the_largest_eta_depends_on_one_ratio(r, kappa, y):
    """eta_max lam_0 = 8 / (1 + sqrt(1 + 16 / r^2)), r = lam_0 / (kappa |y|)."""
    lam = r * kappa * abs(y)
    expected = 8 / (1 + np.sqrt(1 + 16 / r**2))
    assert uv.eta_max(-y, lam, kappa, y) * lam == pytest.approx(expected, rel=1e-9)


def _run_out(networks, steps=3000):
    """Which runs diverge, and their largest |eps| and S, each run out until it is settled.

    Settled is |eps| beyond 10^6, or below 10^-8 at an S below 2 by a margin: the residual then
    only shrinks and moves S by no more than itself.
    """
    runs = len(networks.y)
    diverged, excursion, trace = np.zeros(runs, bool), np.zeros(runs), np.zeros(runs)
    rows = np.arange(runs)
    for _ in range(steps):
        eps, s = np.abs(networks.eps), networks.eta * networks.trace
        excursion[rows], trace[rows] = np.maximum(excursion[rows], eps), np.maximum(trace[rows], s)
        gone = eps > 1e6
        diverged[rows[gone]] = True
        going = ~(gone | ((eps < 1e-8) & (s < 1.9999)))
        if not going.all():
            networks, rows = networks.take(going), rows[going]
        if not rows.size:
            break
        networks = networks.stepped()
    return diverged, excursion, trace


def _around_the_boundary(rng, runs, n):
    """Networks whose eta is 0.03 % to 60 % from their largest, by a margin of 1e-3 at least."""
    some = ensemble(rng, 2 * runs, n)
    some = some._replace(y=np.where(rng.uniform(size=2 * runs) < 0.1, 0.0, some.y))
    setting = some.delta, some.trace, some.kappa, some.y
    away = rng.choice([-1, 1], 2 * runs) * 10 ** rng.uniform(-3.5, -0.2, 2 * runs)
    some = some.at(uv.eta_max(*setting) * (1 + away))
    a, b, mu = uv.dimensionless(*setting, some.eta)
    margin = 4 + mu * uv.residual(a, b, mu) - (a + b)
    clear = (np.abs(margin) > 1e-3) & (np.abs(np.abs(mu) - 2) > 1e-3)
    return some.take(np.flatnonzero(clear)[:runs])


@pytest.mark.slow
def test_ten_thousand_networks_diverge_exactly_beyond_the_boundary():
    """And no bounded one has |eta kappa delta| > 2 or eta lam > 4 + 2 |mu| at any update."""
    rng = np.random.default_rng(0)
    total = 0
    for n in (1, 2, 4, 8, 16, 32, 64, 128):
        some = _around_the_boundary(rng, 1250, n)
        bounded = uv.is_bounded(some.delta, some.trace, some.kappa, some.y, some.eta)
        assert 0.2 < bounded.mean() < 0.8
        diverged, excursion, trace = _run_out(some)
        assert (diverged != bounded).all()
        assert excursion[bounded].max() <= 2
        limit = 4 + 2 * np.abs(some.eta * some.kappa * some.y)
        assert (trace <= limit)[bounded].all()
        losses = 0.5 * (excursion / (some.eta * some.kappa)) ** 2
        assert (losses <= uv.loss_cap(some.kappa, some.eta))[bounded].all()
        assert diverged[excursion > 2].all()
        total += len(bounded)
    assert total == 10_000


@given(kappa=st.floats(0.1, 3), lam=st.floats(0.1, 10))
def test_at_target_zero_the_cap_of_the_loss_is_that_of_the_trace(kappa, lam):
    """2 kappa |f| <= lam_0."""
    widest = lam / (2 * kappa)
    assert uv.loss_cap(kappa, 4 / lam) == pytest.approx(0.5 * widest**2)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("low", "high", "phase"), [(0.02, 0.95, "converges"), (1.05, 1.95, "oscillates")]
)
def test_below_the_edge_training_converges_and_beyond_it_oscillates_for_good(low, high, phase):
    """After 20,000 updates: |eps| < 1e-6 and eta lam < 2; or a spread of delta, and B < 1e-6."""
    rng = np.random.default_rng(1)
    runs = 400
    mu = rng.uniform(low, high, runs) * rng.choice([-1, 1], runs)
    share = rng.dirichlet([1, 1, 1], runs)
    a, b = share[:, 0] * (4 + 2 * mu), share[:, 1] * (4 - 2 * mu)
    some = ensemble(rng, runs, 4, mu, a, b)
    assert (uv.late_phase(some.delta, some.trace, some.kappa, some.y, some.eta) == phase).all()
    for _ in range(19_000):
        some = some.stepped()
    eps = np.array([now.eps for now in some.path(1000)])
    assert np.abs(eps).max() <= 2
    if phase == "converges":
        assert np.abs(eps[-1]).max() < 1e-6
        assert (some.eta * some.trace).max() < 2
    else:
        assert eps.std(axis=0).min() > 0.01
        dying = [part * some.eta for part in uv.modes(some.delta, some.trace, some.kappa, some.y)]
        assert np.where(mu > 0, dying[1], dying[0]).max() < 1e-6


@example(mu=2.5, a=20.0, b=0.1, seed=0, n=2)
@given(mu=st.floats(2.05, 4) | st.floats(-4, -2.05), a=st.floats(0.01, 40), b=st.floats(1e-3, 40),
       seed=seeds, n=st.integers(1, 8))  # fmt: skip
def test_beyond_the_ceiling_nothing_is_bounded(mu, a, b, seed, n):
    """Nor where S < 4 + mu eps, which far beyond it holds again."""
    network = with_modes(seed, n, 1.0, mu, [a, b])
    assert uv.late_phase(*network.setting, 1.0) == "diverges"
    for _ in range(3000):
        network.step(1.0)
        # Almost surely: round numbers may land on the target, and rest there.
        assume(network.output != network.y)
        if abs(network.output) > 1e6:
            return
    raise AssertionError(network.setting)


@given(seed=seeds, n=st.integers(1, 16), kappa=st.floats(0.1, 2), y=targets, a=st.floats(0, 8),
       tilt=st.floats(0.5, 2))  # fmt: skip
def test_no_minimum_is_flatter_than_the_balanced_one(seed, n, kappa, y, a, tilt):
    """Zero loss with layers tilted by a factor; at 1 and equal directions it is the flattest."""
    b = max(a, 2 * abs(y))
    first, second = (b * kappa, (b - 2 * abs(y)) * kappa)
    network = with_modes(seed, n, kappa, y, (first, second) if y > 0 else (second, first))
    assert network.output == pytest.approx(y, rel=1e-9, abs=1e-9)
    flattest = uv.flattest_minimum(kappa, y)
    assert network.trace >= flattest * (1 - 1e-9)
    balanced = with_modes(seed, n, kappa, y, (2 * kappa * max(y, 0), 2 * kappa * max(-y, 0)))
    assert balanced.trace == pytest.approx(flattest, rel=1e-9)
    assert uv.eta_edge(kappa, y) == pytest.approx(2 / flattest)
    assert uv.eta_ceiling(kappa, y) == pytest.approx(4 / flattest)


@pytest.mark.slow
def test_the_edge_is_reachable_at_constant_eta_exactly_below_the_predicted_trace():
    """2,000 networks at mu = 1 + 1e-3, whose fate that of 1 decides, run out."""
    rng = np.random.default_rng(2)
    runs = 2000
    mu = np.full(runs, 1 + 1e-3) * rng.choice([-1, 1], runs)
    some = ensemble(rng, runs, 6, mu, rng.uniform(0, 5, runs), rng.uniform(0, 4, runs))
    setting = some.delta, some.trace, some.kappa, some.y
    reachable = uv.edge_is_reachable(*setting)
    assert 0.2 < reachable.mean() < 0.8
    clear = reachable == uv.is_bounded(*setting, some.eta)
    assert clear.mean() > 0.99
    diverged = _run_out(some.take(clear))[0]
    assert (diverged != reachable[clear]).all()


# --- the first update --------------------------------------------------------------------------


@given(network=networks(), z=st.floats(0.01, 10))
def test_the_first_update_raises_the_loss_exactly_where_predicted(network, z):
    eta = z / network.trace
    ratio = uv.first_step_ratio(*network.setting, eta)
    before = network.output - network.y
    assume(abs(before) > 1e-6)
    assume(abs(abs(ratio) - 1) > 1e-6)
    threshold = uv.eta_loss(*network.setting)
    network.step(eta)
    after = network.output - network.y
    assert after / before == pytest.approx(ratio, rel=1e-7, abs=1e-7 * (1 + z**2))
    assert (abs(after) > abs(before)) == (abs(ratio) > 1)
    if eta < threshold * (1 - 1e-6):
        assert abs(after) < abs(before)
    assert abs(eta / threshold - 1) > 1e-9


@given(network=networks())
def test_just_beyond_the_threshold_the_first_update_raises_the_loss(network):
    before = abs(network.output - network.y)
    assume(before > 1e-6)
    network.step(uv.eta_loss(*network.setting) * (1 + 1e-4))
    assert abs(network.output - network.y) > before


@given(network=networks(y=st.just(0.0)))
def test_at_target_zero_the_threshold_of_the_loss_is_that_of_the_alignment(network):
    """c_loss = (1 - sqrt(1 - 8 rho^2)) / (2 rho^2) up to rho^2 = 1/8; beyond, 1 / rho^2 > 4."""
    delta, lam, kappa, y = network.setting
    squared = (kappa * delta / lam) ** 2
    assume(squared > 1e-6)
    c_loss = uv.eta_loss(delta, lam, kappa, y) * lam
    if squared <= 1 / 8:
        expected = (1 - np.sqrt(1 - 8 * squared)) / (2 * squared)
        assert c_loss == pytest.approx(expected, rel=1e-6)
        assert 2 <= c_loss <= 4 + 1e-9
    else:
        assert c_loss == pytest.approx(1 / squared, rel=1e-9)
        assert c_loss >= 4 - 1e-9


@pytest.mark.parametrize("n", [30, 300])
def test_at_target_zero_the_threshold_is_two_and_one_over_the_width_on_average(n):
    """c_loss = 2 + 4 rho^2 + ..., E rho^2 = 1 / (4 (n + 1)), of Gaussian weights."""
    u, v = np.random.default_rng(3).standard_normal((2, 40_000, n)) / np.sqrt(n)
    output, trace = np.sum(u * v, axis=1), np.sum(u**2 + v**2, axis=1)
    excess = np.mean(uv.eta_loss(output, trace, 1.0, 0.0) * trace) - 2
    assert excess == pytest.approx(1 / n, rel=0.15)
    assert excess == pytest.approx(4 * uv.squared_alignment(n), rel=0.2)
