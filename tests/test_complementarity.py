"""The complementarity problem of the central flow: known solutions, and its conditions."""

import numpy as np
import pytest

from simulator.flows.complementarity import coordinates, matrix, solve


def _random(rng):
    """A problem of 1 to 7 directions, of any scale, whose B may be of low rank."""
    k = rng.integers(1, 8)
    s = k * (k + 1) // 2
    a = rng.standard_normal((k, k))
    a = 10 ** rng.uniform(-6, 6) * (a + a.T - rng.uniform(0, 3) * np.eye(k))
    root = rng.standard_normal((s, s + rng.integers(0, 20)))
    return a, 10 ** rng.uniform(-6, 6) * root @ root.T


def test_coordinates_keep_the_inner_product():
    a, b = np.random.default_rng(0).standard_normal((2, 4, 4))
    a, b = a + a.T, b + b.T
    assert np.allclose(matrix(coordinates(a)), a, rtol=1e-15)
    assert coordinates(a) @ coordinates(b) == pytest.approx(np.sum(a * b))


def test_one_direction_is_a_ratio():
    for a, x in ((-0.3, 0.6), (0.3, 0.0)):
        found = solve(np.array([[a]]), np.array([[0.5]]))
        assert found.x == pytest.approx(x, rel=1e-15)
        assert found.y == pytest.approx(max(a, 0.0), abs=1e-16)


def test_the_solution_of_lower_rank():
    a = -np.array([[0.05, 0.0675], [0.0675, 0.03]])
    found = solve(a, np.diag([0.1, 0.1125, 0.1]))
    expected = [[0.5923421771, 0.5034192906], [0.5034192906, 0.4278455798]]
    assert found.x == pytest.approx(np.array(expected), abs=1e-9)
    assert np.linalg.eigvalsh(found.x) == pytest.approx([0, 1.0201877569], abs=1e-9)
    assert np.linalg.eigvalsh(found.y) == pytest.approx([0, 0.0220187757], abs=1e-9)


def test_random_problems_meet_the_conditions():
    """Feasibility, slack and complementarity, from the problem as it was given."""
    rng = np.random.default_rng(0)
    ranks = set()
    for _ in range(300):
        a, b = _random(rng)
        found = solve(a, b)
        slack = a + matrix(b @ coordinates(found.x))
        size, x_size = np.abs(a).max(), max(np.abs(found.x).max(), 1e-300)
        assert np.linalg.eigvalsh(found.x)[0] >= -1e-10 * x_size
        assert np.linalg.eigvalsh(slack)[0] >= -1e-10 * size
        assert abs(np.sum(found.x * slack)) <= 1e-10 * size * x_size
        assert np.abs(found.y - slack).max() <= 1e-10 * size
        ranks.add(np.linalg.matrix_rank(found.x, tol=1e-8 * x_size) - len(a))
    assert 0 in ranks
    assert len(ranks) > 3


def test_no_solution_is_reported():
    assert solve(np.array([[-1.0]]), np.zeros((1, 1))).residual == np.inf
    # The second direction has no third derivative to hold it back.
    found = solve(-np.eye(2), np.diag([1.0, 0.0, 0.0]))
    assert found.residual > 1e-3
    assert np.isfinite(found.x).all()
