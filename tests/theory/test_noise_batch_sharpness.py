"""The curvature of a batch's step: closed forms against the enumeration of every batch."""

import itertools

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import simulator as sim
from simulator import testing
from simulator.theory import noise

# Curvatures of four samples that share their minimum, in one dimension.
FOUR = np.array([0.2, 0.5, 1.0, 4.0])


def _batches(samples, batch, replacement):
    if replacement:
        return itertools.product(range(samples), repeat=batch)
    return itertools.combinations(range(samples), batch)


def _enumerated(g, h, batch, replacement):
    """BS, ratio of means, GNI and the three moments, over every batch."""
    of_all, full = g.mean(axis=0), h.mean(axis=0)
    rows = []
    for batch_rows in map(list, _batches(len(g), batch, replacement)):
        gb, hb = g[batch_rows].mean(axis=0), h[batch_rows].mean(axis=0)
        rows.append((gb @ hb @ gb, gb @ gb, gb @ full @ gb))
    rows = np.array(rows)
    with np.errstate(invalid="ignore", divide="ignore"):
        bs = np.mean(rows[:, 0] / rows[:, 1])
    mean = rows.mean(axis=0)
    return bs, mean[0] / mean[1], mean[2] / (of_all @ of_all), mean


@given(
    samples=st.integers(1, 5), size=st.integers(1, 3), batch=st.integers(1, 3),
    replacement=st.booleans(), seed=testing.seeds(),
)  # fmt: skip
def test_moments_of_a_batch_are_those_of_every_batch_one_by_one(
    samples, size, batch, replacement, seed
):
    """Any g_i and H_i, not only those of a model; N <= 2 too, where the third moment is 0."""
    batch = batch if replacement else min(batch, samples)
    rng = np.random.default_rng(seed)
    g, h = rng.standard_normal((samples, size)), rng.standard_normal((samples, size, size))
    h = h + h.mT
    found = noise.batch_moments(g, h, batch, replacement)
    assert isinstance(found, noise.BatchMoments)
    exact = _enumerated(g, h, batch, replacement)[3]
    scale = np.abs(g).max() ** 2 * max(np.abs(h).max(), 1.0) * size**2
    np.testing.assert_allclose(found, exact, rtol=1e-13, atol=1e-13 * scale)


@pytest.fixture(scope="module")
def network():
    """Gradients (8, P) and Hessians (8, P, P) of each digit, and those of a batch's own loss."""
    model = sim.MLP(width=4, depth=2, activation="tanh", parameterization="sp")
    data = sim.load_data("digits", samples=8)
    theta, objective = model.init(data, seed=0), model.bind(data)
    g, h = np.empty((8, theta.size)), np.empty((8, theta.size, theta.size))
    for row in range(8):
        objective.select(np.array([row]))
        objective.gradient(theta, g[row])
        h[row] = objective.hessian()
    return g, h


@pytest.mark.parametrize(
    ("batch", "replacement", "batch_sharpness", "ratio", "interaction"),
    [
        (1, False, 2.813403973795, 1.342673100101, 3.384266345211),
        (2, False, 1.304531248456, 0.675371933654, 1.731133098568),
        (3, False, 0.914447257418, 0.512869020906, 1.180088683021),
        (8, False, 0.491283163586, 0.491283163586, 0.491283163586),
        (2, True, 1.493140339124, None, None),
    ],
)
def test_a_network_s_batches(network, batch, replacement, batch_sharpness, ratio, interaction):
    """Measured once with another program, and again here; at b = N all three are one number."""
    g, h = network
    enumerated = _enumerated(g, h, batch, replacement)
    assert enumerated[0] == pytest.approx(batch_sharpness, rel=1e-10)
    moments = noise.batch_moments(g, h, batch, replacement)
    gg = g.mean(axis=0) @ g.mean(axis=0)
    assert moments.curvature / moments.squared_gradient == pytest.approx(enumerated[1], rel=1e-12)
    assert moments.full_curvature / gg == pytest.approx(enumerated[2], rel=1e-12)
    if ratio is not None:
        assert enumerated[1] == pytest.approx(ratio, rel=1e-10)
        assert enumerated[2] == pytest.approx(interaction, rel=1e-10)


@given(
    samples=st.integers(2, 6), size=st.integers(1, 4), away=st.floats(-3, 3), seed=testing.seeds()
)
def test_batch_sharpness_of_linear_regression_is_the_trace_at_any_theta(samples, size, away, seed):
    rng = np.random.default_rng(seed)
    x, y = rng.standard_normal((samples, size)), rng.standard_normal(samples)
    theta = away * rng.standard_normal(size)
    g = (x @ theta - y)[:, None] * x
    h = x[:, :, None] * x[:, None, :]
    found = noise.regression_batch_sharpness(x)
    assert found == pytest.approx(_enumerated(g, h, 1, False)[0], rel=1e-12)
    assert found == pytest.approx(np.trace(h.mean(axis=0)), rel=1e-12)


@given(
    size=st.integers(1, 30), batch=st.integers(1, 50), variance=st.floats(0.1, 10),
    seed=testing.seeds(),
)  # fmt: skip
def test_gaussian_inputs_by_wick_s_theorem(size, batch, variance, seed):
    """E over N inputs of four and of six Gaussian factors, term by term of which samples agree.

    g_B.H_B g_B is (1 / b^3) sum over i, j, k of (x_i.theta)(x_j.theta)(x_i.x_k)(x_k.x_j).
    """
    d, b, lam = size, batch, variance
    # All alike: E (x.e)^2 |x|^4; i = j != k; i = k != j and j = k != i; all different.
    alike = lam**3 * (d + 2) * (d + 4)
    pairs = lam**3 * (d + 2) + 2 * lam**3 * (d + 2)
    curvature = (b * alike + b * (b - 1) * pairs + b * (b - 1) * (b - 2) * lam**3) / b**3
    squared = (b * lam**2 * (d + 2) + b * (b - 1) * lam**2) / b**2
    found = noise.gaussian_batch_sharpness(lam, d, b)
    assert found.ratio_of_means == pytest.approx(curvature / squared, rel=1e-9)
    assert found.interaction == pytest.approx(squared / lam, rel=1e-9)
    if b == 1:
        np.testing.assert_allclose(found, [lam * (d + 4), lam * (d + 2)], rtol=1e-12)


def test_the_printed_case_of_gaussian_inputs():
    found = noise.gaussian_batch_sharpness(1.0, 5, 3)
    assert isinstance(found, noise.GaussianSharpness)
    assert found.ratio_of_means == pytest.approx(107 / 27, rel=1e-14)


# --- one dimension ----------------------------------------------------------------------------


def test_four_learning_rates_at_which_four_things_begin():
    """Ratio of means, mean square, full batch, typical run: curvatures 0.2, 0.5, 1 and 4, b = 1."""
    theta = 1.7
    moments = noise.batch_moments(FOUR[:, None] * theta, FOUR[:, None, None], 1)
    assert 2 * moments.squared_gradient / moments.curvature == pytest.approx(0.530914, abs=1e-6)
    of_gni = 2 * (FOUR.mean() * theta) ** 2 / moments.full_curvature
    assert of_gni == pytest.approx(0.659341, abs=1e-6)
    assert of_gni == pytest.approx(noise.mean_square_limit(FOUR.mean(), FOUR.var()), rel=1e-12)
    bs = _enumerated(FOUR[:, None] * theta, FOUR[:, None, None], 1, False)[0]
    assert bs == pytest.approx(FOUR.mean(), rel=1e-12)
    assert 2 / bs == pytest.approx(1.403509, abs=1e-6)
    assert noise.typical_limit(FOUR) == pytest.approx(2.336569, abs=1e-6)


@pytest.mark.parametrize(("eta", "factor"), [(0.65, 0.973756), (0.67, 1.030870)])
def test_the_mean_square_just_below_and_just_above_its_limit(eta, factor):
    maps = noise.gradient_maps(FOUR[:, None, None], eta)
    operator = noise.mean_square_operator(maps, 1.0)
    assert noise.mean_square_growth(operator) == pytest.approx(factor, abs=1e-6)


@pytest.mark.parametrize(
    ("batch", "without", "with_", "typical"),
    [(2, 1.019830, 0.897196, 1.9477), (3, 1.247113, 1.019830, 1.9159),
     (4, 1.403509, 1.094641, 1.4035)],
)  # fmt: skip
def test_larger_batches_of_four_samples(batch, without, with_, typical):
    """In one dimension GNI = 2 / eta is the limit of the mean square, however batches are drawn."""
    for replacement, limit in ((False, without), (True, with_)):
        moments = noise.batch_moments(FOUR[:, None], FOUR[:, None, None], batch, replacement)
        assert 2 * FOUR.mean() ** 2 / moments.full_curvature == pytest.approx(limit, abs=1e-6)
        share = noise.share_of_variance(batch, np.inf if replacement else 4)
        of_square = noise.mean_square_limit(FOUR.mean(), FOUR.var() * share)
        assert of_square == pytest.approx(limit, abs=1e-6)
    means = np.array([FOUR[list(rows)].mean() for rows in _batches(4, batch, False)])
    assert noise.typical_limit(means) == pytest.approx(typical, abs=1e-4)


@given(curvatures=st.lists(st.floats(0.05, 20), min_size=1, max_size=6))
def test_below_its_limit_a_typical_run_shrinks_at_every_eta_and_at_it_begins_to_grow(curvatures):
    a = np.array(curvatures)
    limit = noise.typical_limit(a)
    below = limit * (1 - np.geomspace(1e-6, 1, 400, endpoint=False))
    assert noise.typical_growth(below, a).max() <= 1 + 1e-9
    assert noise.typical_growth(limit * (1 + 1e-9), a) >= 1 - 1e-6
    assert 1 / a.max() < limit <= 2 / a.min() * (1 + 1e-12)


def test_a_typical_run_may_grow_between_two_curvatures_that_are_far_apart():
    """The first stretch where it grows ends again: 1 - eta a is 0 at the other curvature."""
    a = np.array([1.0, 100.0])
    limit = noise.typical_limit(a)
    assert limit == pytest.approx(2 / 100, rel=0.05)
    assert noise.typical_growth(limit * 1.1, a) > 1 > noise.typical_growth(1.0001, a)


# --- stationary GNI ---------------------------------------------------------------------------


@given(
    samples=st.integers(2, 4), size=st.integers(1, 3), batch=st.integers(1, 2),
    replacement=st.booleans(), beta=st.floats(0, 0.9), share=st.floats(0.05, 0.6),
    seed=testing.seeds(),
)  # fmt: skip
def test_gradient_noise_interaction_of_stationary_heavy_ball(
    samples, size, batch, replacement, beta, share, seed
):
    """From the exact stationary moments of (theta, m, 1) over all batches; minima not shared."""
    batch = batch if replacement else min(batch, samples)
    rng = np.random.default_rng(seed)
    root = rng.standard_normal((samples, size, size))
    h, c = root @ root.mT + 0.1 * np.eye(size), rng.standard_normal((samples, size))
    # Well below the end of mean-square stability: that of the least stable direction.
    eta = share * (1 - beta) / np.abs(np.linalg.eigvalsh(h)).max()
    maps = []
    for rows in map(list, _batches(samples, batch, replacement)):
        hb, cb = h[rows].mean(axis=0), c[rows].mean(axis=0)
        m = np.hstack([hb, beta * np.eye(size), -cb[:, None]])
        theta = np.hstack([np.eye(size), np.zeros((size, size + 1))]) - eta * m
        maps.append(np.vstack([theta, m, np.eye(2 * size + 1)[-1]]))
    maps = np.array(maps)
    moment = _stationary(maps)
    full, offset = h.mean(axis=0), c.mean(axis=0)
    reads = np.hstack([full, np.zeros((size, size)), -offset[:, None]])  # G from (theta, m, 1)
    gg = np.trace(reads @ moment @ reads.T)
    ghg = np.trace(full @ reads @ moment @ reads.T)
    interaction = 0.0
    for rows in map(list, _batches(samples, batch, replacement)):
        own = np.hstack(
            [h[rows].mean(axis=0), np.zeros((size, size)), -c[rows].mean(axis=0)[:, None]]
        )
        interaction += np.trace(full @ own @ moment @ own.T) / len(maps)
    assume(gg > 1e-6)  # a full batch comes to rest, and G.G is 0
    expected = noise.gradient_noise_interaction(eta, beta, ghg / gg)
    assert interaction / gg == pytest.approx(expected, rel=1e-10)


def _stationary(maps):
    """E[x x^T] that the maps leave as it is, x ending in 1: a linear system."""
    size = maps.shape[-1]
    operator = np.mean([np.kron(one, one) for one in maps], axis=0)
    system = np.eye(size * size) - operator
    # The moment of the constant is 1; its own equation says nothing.
    system[-1] = np.eye(size * size)[-1]
    return np.linalg.solve(system, np.eye(size * size)[-1]).reshape(size, size)


def test_stationary_interaction_without_momentum_is_two_over_eta():
    assert noise.gradient_noise_interaction(0.25) == 8.0
    assert noise.gradient_noise_interaction(0.25, 0.9) == pytest.approx(0.8)
    # Where GNI and curvature are one there is no noise: the full batch's limit.
    limit = 2 * 1.9 / 0.25
    assert noise.gradient_noise_interaction(0.25, 0.9, limit) == pytest.approx(limit)
