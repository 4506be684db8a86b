"""The cubic map, its cycles and its chaos, held to networks that are stepped weight by weight."""

from functools import cache

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from one_example import with_modes
from profiles import fewer

from simulator.theory import edge, uv

seeds = st.integers(0, 2**32 - 1)
edges = st.floats(1.001, 1.999)


# --- the cubic map ----------------------------------------------------------------------------


@given(mu=st.floats(0, 2), r=st.floats(-3, 3))
def test_the_slope_is_that_of_autograd(mu, r):
    import jax

    assert edge.cubic_slope(r, mu) == pytest.approx(float(jax.grad(edge.cubic)(r, mu)), abs=1e-12)


@given(mu=st.floats(0.01, 2))
def test_the_flattest_minimum_has_the_predicted_multiplier(mu):
    r = np.sqrt(2 * mu)
    assert edge.cubic(r, mu) == pytest.approx(r)
    assert edge.cubic_slope(r, mu) == pytest.approx(edge.fixed_point_multiplier(mu), abs=1e-12)
    # And in two dimensions, with 1 along the line of minima.
    found = np.linalg.eigvals(uv.jacobian(0.0, 2 * mu, 1.0, mu, 1.0))
    expected = [edge.fixed_point_multiplier(mu), 1.0]
    np.testing.assert_allclose(np.sort(found), np.sort(expected), atol=1e-9)


@given(mu=st.floats(0.01, 1.99), share=st.floats(0.001, 0.999), beyond=st.floats(1.001, 3))
def test_the_basin_ends_at_r_squared_equal_four_plus_two_mu(mu, share, beyond):
    border = np.sqrt(4 + 2 * mu)
    inside, outside = share * border, beyond * border
    for _ in range(200):
        inside = edge.cubic(inside, mu)
        assert abs(inside) <= border
        outside = edge.cubic(outside, mu) if abs(outside) < 1e50 else outside
    assert abs(outside) >= 1e50


@given(angle=st.floats(0, np.pi))
def test_at_mu_two_the_map_is_chebyshev_s_third_polynomial(angle):
    """r = 2 sqrt(2) cos: r' = -2 sqrt(2) cos(3 angle)."""
    found = edge.cubic(2 * np.sqrt(2) * np.cos(angle), 2.0)
    assert found == pytest.approx(-2 * np.sqrt(2) * np.cos(3 * angle), abs=1e-13)


# --- the cycle of period 2 ----------------------------------------------------------------------


@given(mu=edges)
def test_two_traces_alternate_and_their_geometric_mean_is_two(mu):
    traces = np.array(edge.cycle_traces(mu))
    assert traces[0] < traces[1]
    np.testing.assert_allclose(edge.cubic(np.sqrt(traces), mu) ** 2, traces[::-1], rtol=1e-9)
    eps = np.array(edge.cycle_residuals(mu))
    np.testing.assert_allclose(eps, traces / 2 - mu, rtol=1e-12, atol=1e-12)
    assert np.prod(eps) == pytest.approx(1 - mu)
    geometric, mean, _ = edge.cycle_means(mu)
    assert np.sqrt(np.prod(traces)) == pytest.approx(geometric)
    assert np.mean(traces) == pytest.approx(mean)
    slopes = edge.cubic_slope(np.sqrt(traces), mu)
    assert np.prod(slopes) == pytest.approx(edge.cycle_multiplier(mu), rel=1e-9, abs=1e-9)
    assert np.prod(1 + eps) == pytest.approx(edge.cycle_transverse_multiplier(mu), abs=1e-9)
    assert abs(edge.cycle_transverse_multiplier(mu)) < 1
    assert (abs(edge.cycle_multiplier(mu)) < 1) == (mu < np.sqrt(5) - 1)


# --- period doubling ----------------------------------------------------------------------------


def test_doublings_are_where_the_cycle_loses_stability():
    """An independent account: bisection on the multiplier of the cycle that an orbit settles on."""
    found = edge.period_doublings(7)
    np.testing.assert_allclose(found[:2], [1, np.sqrt(5) - 1], rtol=1e-15)
    np.testing.assert_allclose(found[2:5], [1.288032, 1.299228, 1.301629], atol=6e-7)
    for doubling in (0, 1, 2, 3):
        period = 2**doubling
        inside = (
            found[doubling] * (1 - 1e-3)
            if doubling == 0
            else found[doubling] - 0.02 * (found[doubling] - found[doubling - 1])
        )
        assert _multiplier(inside, period) == pytest.approx(-1, abs=0.06)
        assert _multiplier(inside, period) > -1
    assert _multiplier(found[3] + 0.05 * (found[4] - found[3]), 16) > 0.8


def _multiplier(mu, period):
    """Of the attracting cycle whose period divides this one."""
    r = 0.9
    for _ in range(100_000):
        r = r * (1 + mu) - r**3 / 2
    product = 1.0
    for _ in range(period):
        product *= 1 + mu - 1.5 * r**2
        r = r * (1 + mu) - r**3 / 2
    return product


def test_doublings_accumulate_by_feigenbaum_s_ratio():
    found = edge.period_doublings(9)
    windows = np.diff(found)
    assert (windows > 0).all()
    ratios = windows[:-1] / windows[1:]
    assert ratios[-1] == pytest.approx(4.669201609, abs=1e-4)
    limit = found[-1] + windows[-1] / 3.669201609
    assert pytest.approx(limit, abs=1e-7) == edge.ACCUMULATION
    assert found[-1] < edge.ACCUMULATION


# --- chaos --------------------------------------------------------------------------------------


@fewer(0.1)
@given(mu=st.floats(0.05, 0.9) | st.floats(1.03, 1.2))
def test_in_cycles_the_exponent_is_that_of_the_multiplier(mu):
    multiplier = edge.fixed_point_multiplier(mu) if mu < 1 else edge.cycle_multiplier(mu)
    assume(abs(multiplier) > 0.02)
    expected = np.log(abs(multiplier)) / (1 if mu < 1 else 2)
    assert edge.lyapunov(mu, 4000, 2000) == pytest.approx(expected, abs=1e-3)


def test_the_exponent_in_chaos():
    found = edge.lyapunov(np.array([1.1, 1.5, 2.0]), 100_000)
    np.testing.assert_allclose(found, [-0.857, 0.492, edge.CHAOS_EXPONENT], atol=0.01)
    assert pytest.approx(np.log(3)) == edge.CHAOS_EXPONENT
    around = edge.ACCUMULATION + np.array([-1.2e-2, -7e-3, -2e-3, 1e-3, 4e-3, 8e-3])
    assert ((edge.lyapunov(around, 30_000) > 0) == (around > edge.ACCUMULATION)).all()


@given(a=st.floats(0.1, 3), b=st.floats(0.1, 2), mu=st.floats(0.1, 1.5), kappa=st.floats(0.3, 2))
def test_a_few_updates_stretch_as_the_differences_of_their_end_do(a, b, mu, kappa):
    """The first vector from that of delta; both together the area."""
    delta, lam = (a - b) / (2 * kappa) - mu / kappa, a + b
    assume(uv.eta_max(delta, lam, kappa, mu / kappa) > 1.0)

    def end(change):
        state = delta + change[0], lam + change[1]
        for _ in range(3):
            state = uv.step(*state, kappa, mu / kappa, 1.0)
        return np.array(state)

    h = 1e-6
    columns = [(end(h * e) - end(-h * e)) / (2 * h) for e in np.eye(2)]
    stretch, area = np.linalg.norm(columns[0]), abs(np.linalg.det(columns))
    assume(min(stretch, area) > 1e-2)
    assume(max(np.abs(columns).max(), np.abs(end(np.zeros(2))).max()) < 1e2)
    found = edge.lyapunov_exponents(delta, lam, kappa, mu / kappa, 1.0, 3)
    np.testing.assert_allclose(3 * found, [np.log(stretch), np.log(area / stretch)], atol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("mu", [0.7, 1.1, 1.5, 1.8])
def test_both_exponents_in_function_space(mu):
    """That of the cubic map, and that of B: twice the mean of ln |1 + eps|, as B is quadratic."""
    kappa, eta = 0.7, 0.9
    y = mu / (kappa * eta)
    start = 0.9 * 2 * mu / eta
    found = edge.lyapunov_exponents(start / (2 * kappa) - y, start, kappa, y, eta, 8000, 500)
    assert found[0] >= found[1]
    r, across = np.sqrt(0.9 * 2 * mu), []
    for update in range(8500):
        if update >= 500:
            across.append(2 * np.log(abs(1 + r**2 / 2 - mu)))
        r = edge.cubic(r, mu)
    expected = [float(edge.lyapunov(mu, 50_000)), np.mean(across)]
    np.testing.assert_allclose(found, sorted(expected)[::-1], atol=0.03)


# --- the flip in one dimension --------------------------------------------------------------------


def _settle(slope, eta, x, steps=60_000):
    """The last two points of descent, or None once it has left the neighbourhood."""
    previous = x
    for _ in range(steps):
        previous, x = x, x - eta * slope(x)
        if abs(x) > 0.5:
            return None
    return previous, x


def test_known_losses_flip_as_known():
    """ln cosh x settles; x^2 / 2 + x^4 / 4 diverges from the bifurcation on."""
    assert edge.flip_is_stable(1.0, 0.0, -2.0)
    assert not edge.flip_is_stable(1.0, 0.0, 6.0)
    before, after = _settle(np.tanh, 2.001, 0.1)
    assert before == pytest.approx(-after, abs=1e-9)
    assert edge.flip_amplitude(2.001, 1.0, 0.0, -2.0) == pytest.approx(abs(after), rel=0.01)
    assert _settle(lambda x: x + x**3, 2.001, 0.1) is None


@cache
def _derivatives():
    """Second to fourth derivative of a loss by the length of p, where |q|^2 is ``rest``."""
    import jax

    def loss(r, rest, kappa, y):
        return 0.5 * (0.5 * kappa * (r**2 - rest) - y) ** 2

    second = jax.grad(jax.grad(loss))
    third = jax.grad(second)
    fourth = jax.grad(third)
    return jax.jit(lambda *at: (second(*at), third(*at), fourth(*at)))


@given(kappa=st.floats(0.1, 3), y=st.floats(0.1, 4), seed=seeds, n=st.integers(1, 8))
def test_along_the_sum_of_the_layers_the_flip_is_always_stable(kappa, y, seed, n):
    """3 L'''^2 - L'' L'''' = 24 kappa^4 |p|^2, L'' to L'''' by autograd along p at a minimum."""
    network = with_modes(seed, n, kappa, y, [2 * kappa * y + 1.0, 1.0])
    p = (network.feature + network.v) / np.sqrt(2)
    q = (network.feature - network.v) / np.sqrt(2)
    length, rest = np.linalg.norm(p), q @ q
    derivatives = [float(f) for f in _derivatives()(length, rest, kappa, y)]
    margin = 3 * derivatives[1] ** 2 - derivatives[0] * derivatives[2]
    assert edge.sum_mode_flip_margin(kappa, length**2) == pytest.approx(margin, rel=1e-9)
    assert edge.flip_is_stable(*derivatives)
