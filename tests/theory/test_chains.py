"""Curvature against loss: products of weights, their branches, and what a run keeps."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import simulator as sim
from simulator.theory import chains

targets = st.floats(-3, 3)


@pytest.mark.parametrize(
    ("f", "y", "depth", "once", "others"),
    [
        (8, 1, 3, 76, -14),
        (0.5, 2, 4, -1.7677669529664, 1.0606601717798),
        (3, 1, 2, 8, -2),
        (0.7, 1, 2, 1.1, 0.3),
        (0.3, 1, 2, -0.1, 0.7),
        (-1, 2, 2, 5, -3),
        (-4, -1.5, 2, 10.5, -2.5),
        (0, 1.5, 2, -1.5, 1.5),
        (0, 1.5, 3, 0, 0),
    ],
)
def test_between_zero_and_half_the_target_the_other_eigenvalue_is_the_larger(
    f, y, depth, once, others
):
    np.testing.assert_allclose(chains.chain_eigenvalues(f, y, depth), [once, others], rtol=1e-12)
    assert chains.chain_sharpness(f, y, depth) == pytest.approx(max(once, others), rel=1e-12)


def test_two_layers_of_width_four():
    """U = V, c = 1/2, y = 1, f = 3: -c |Delta| 4 times, c |Delta| 3 times, and the sharpness."""
    model = sim.UV(4, 0.0, 1.0, "parameters")
    assert model.c == 0.5
    data = sim.Data(np.array([[1.0]]), np.array([[1.0]]))
    values = np.linalg.eigvalsh(model.hessian(np.full(8, np.sqrt(1.5)), data))
    np.testing.assert_allclose(values, [-1, -1, -1, -1, 1, 1, 1, 4], rtol=1e-10)
    assert 0.5 * chains.two_layer_sharpness(3.0, 1.0) == pytest.approx(4.0)


@pytest.mark.parametrize(("imbalance", "top"), [(0, 11), (1, 11.048963298), (10, 15.005449504)])
def test_at_one_loss_the_sharpness_is_what_the_imbalance_makes_it(imbalance, top):
    assert chains.two_layer_sharpness(4.0, 1.0, imbalance) == pytest.approx(top, rel=1e-9)


@given(f=targets, y=targets, imbalance=st.floats(0, 20))
def test_two_balanced_weights_are_a_chain_and_imbalance_only_adds(f, y, imbalance):
    balanced = chains.two_layer_sharpness(f, y)
    assert balanced == pytest.approx(chains.chain_sharpness(f, y, 2.0), rel=1e-12, abs=1e-12)
    assert chains.two_layer_sharpness(f, y, imbalance) >= balanced * (1 - 1e-12)


@given(f=st.floats(1e-3, 1e3), depth=st.integers(2, 12))
def test_with_target_zero_the_sharpness_is_a_power_of_the_loss(f, depth):
    """(2 L - 1) (2 loss)^(1 - 1/L)."""
    loss = 0.5 * f**2
    expected = (2 * depth - 1) * (2 * loss) ** chains.gap_exponent(depth)
    assert chains.chain_sharpness(f, 0.0, depth) == pytest.approx(expected, rel=1e-12)


@given(depth=st.integers(2, 6), size=st.floats(0.5, 1.4), share=st.floats(0.05, 0.9))
def test_descent_keeps_a_chain_balanced_and_so_the_law_along_the_run(depth, size, share):
    """Of the scalar chain, stepped weight by weight; the sharpness from a dense Hessian."""
    rng = np.random.default_rng(depth)
    w = size * rng.choice([-1.0, 1.0], depth)
    y = float(np.prod(np.sign(w)))
    for _ in range(10):
        f = np.prod(w)
        slopes = f / w
        hessian = np.outer(slopes, slopes) + (f - y) * (np.outer(slopes, slopes) / f)
        hessian[np.diag_indices(depth)] = slopes**2
        top = np.linalg.eigvalsh(hessian)[-1]
        assert chains.chain_sharpness(f, y, depth) == pytest.approx(top, rel=1e-10)
        w = w - share * 2 / max(top, 1.0) * (f - y) * slopes
        np.testing.assert_allclose(np.abs(w), np.abs(w[0]), rtol=1e-12)
        if abs(w[0]) < 0.2:
            break
