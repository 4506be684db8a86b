"""Closed forms lie beside the runs of a sweep that they speak of, and beside no other."""

import numpy as np
import pytest

from simulator import GD, MLP, UV, Adam, Data, Momentum, Nesterov, Quadratic, load_data, sweep


def test_closed_forms_lie_beside_the_runs_that_they_speak_of():
    """One example, one output: constant eta below eta_max survives, above it diverges."""
    data = Data(np.array([[1.0, -0.5]]), np.array([[0.7]]))
    etas = np.linspace(0.2, 6.0, 30)
    found = sweep(UV(8), data, eta_trgt=etas, seeds=4, steps=2000, sharpness_every=0)
    beyond = etas[None, None, :, None] > found["theory_eta_max"].values
    np.testing.assert_array_equal(found["diverged"].values, beyond)
    assert beyond.any()
    assert (~beyond).any()
    assert (found["theory_eta_max"] <= found["theory_eta_ceiling"]).all()


def test_the_flow_s_sharpness_is_where_a_small_eta_ends():
    data = Data(np.array([[1.0, -0.5]]), np.array([[0.7]]))
    found = sweep(UV(8), data, eta_trgt=[2e-3], seeds=3, steps=6000, sharpness_every=6000)
    np.testing.assert_allclose(found["sharpness_final"], found["theory_sharpness_flow"], rtol=2e-3)


@pytest.mark.parametrize(
    "optimizer",
    [
        GD(), Momentum(0.5), Nesterov(0.9), GD(weight_decay=0.4),
        Momentum(0.5, weight_decay=0.3), Nesterov(0.9, weight_decay=2.0),
    ],
)  # fmt: skip
def test_a_quadratic_survives_up_to_its_optimizer_s_threshold(optimizer):
    critical = optimizer.eta_critical(3.0)
    found = sweep(
        Quadratic([1.0, 3.0]), optimizer=optimizer, eta_trgt=critical * np.array([0.98, 1.02]),
        steps=500, sharpness_every=0,
    )  # fmt: skip
    np.testing.assert_allclose(found["theory_eta_max"], critical)
    assert (found["loss_final"] < found["loss_init"]).values.ravel().tolist() == [True, False]
    for side in (-0.02, 0.02):
        saddle = sweep(
            Quadratic([optimizer.least_curvature + side, 3.0]), optimizer=optimizer,
            eta_trgt=[0.5 * critical], steps=2000, sharpness_every=0,
        )  # fmt: skip
        held = abs(saddle["loss_final"].item()) < abs(saddle["loss_init"].item())
        assert held == (saddle["theory_eta_max"].item() > 0) == (side > 0)


@pytest.mark.parametrize(
    ("model", "optimizer"),
    [
        (MLP(4, 2), GD()), (UV(4), Momentum()), (UV(4), GD()), (UV(4), GD(weight_decay=0.1)),
        (Quadratic([1.0]), Adam()),
    ],
)  # fmt: skip
def test_where_there_is_no_closed_form_none_is_claimed(model, optimizer):
    decays = isinstance(optimizer, GD) and optimizer.weight_decay
    data = Data([[1.0]], [[1.0]]) if decays else load_data("digits", samples=16)
    found = sweep(model, data, optimizer=optimizer, eta_trgt=[0.1], steps=1)
    assert not [name for name in found.data_vars if name.startswith("theory_")]
