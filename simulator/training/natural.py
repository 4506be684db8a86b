"""The natural evolution of the sharpness, at a learning rate too small to change it."""

from __future__ import annotations

from simulator.data import Data
from simulator.models import Model
from simulator.optimizers import Optimizer
from simulator.schedules import Warmup
from simulator.training.loop import simulate
from simulator.training.rule import eta_critical

__all__ = ["GENTLE", "natural_phase"]

# Learning rate, as a fraction of the critical one at initialisation.
GENTLE = 0.1


def natural_phase(
    model: Model,
    data: Data | None = None,
    *,
    optimizer: Optimizer,
    seed: int = 0,
    steps: int = 512,
) -> str:
    """Progressive sharpening, sharpness reduction or neither, from a stable run.

    A run that starts above the threshold does not show the natural phase. This function trains a
    run at a tenth of the critical learning rate.

    Parameters
    ----------
    model : Model
    data : Data, optional
    optimizer : Optimizer
    seed : int
        As in `simulate`.
    steps : int
        Number of updates. The result holds for these, since the sharpness may turn later.

    Returns
    -------
    str
        One of `simulator.regimes.NATURAL_PHASES`.
    """
    eta = GENTLE * eta_critical(model, data, optimizer, seed)
    run = simulate(
        model, data, optimizer=optimizer, schedule=Warmup(eta_trgt=eta), steps=steps, seed=seed,
        sharpness_every=8,
    )  # fmt: skip
    return run.natural_phase
