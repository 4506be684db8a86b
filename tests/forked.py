"""A run to fork, and whether two runs have the same bits."""

import numpy as np

import simulator as sim

CURVES = (
    "loss", "eigenvalues", "preconditioned_sharpness", "eta", "residual", "converged", "theta",
    "directional_sharpness", "critical_sharpness", "batch_sharpness", "batch_sharpness_error",
    "full_sharpness", "gradient_noise_interaction", "rises",
)  # fmt: skip
NUMBERS = (
    "loss_init", "loss_final", "sharpness_final", "preconditioned_sharpness_final", "products",
    "n_unconverged", "forward_passes", "diverged_step", "updates_per_epoch", "gradient_final",
    "outcome",
)  # fmt: skip


def assert_same_bits(one, other):
    for name in CURVES:
        mine, its = getattr(one, name), getattr(other, name)
        assert (mine is None) == (its is None), name
        if mine is not None:
            np.testing.assert_array_equal(mine, its, err_msg=name)
    for name in NUMBERS:
        np.testing.assert_equal(getattr(one, name), getattr(other, name), err_msg=name)


def digits():
    return sim.load_data("digits", samples=64)


def run_to_fork(data):
    """Minibatches, momentum, and a schedule that goes on changing."""
    schedule = sim.Warmup(eta_trgt=0.05, t_wrm=20, decay="cosine")
    return sim.simulate(
        sim.MLP(8, 3, "tanh"), data, optimizer=sim.Momentum(0.9), schedule=schedule, steps=40,
        batch_size=24, seed=1,
    )  # fmt: skip
