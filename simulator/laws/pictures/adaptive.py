"""Pictures of Adam and GI-Adam."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from simulator.arrays import Array
from simulator.laws.pictures.marks import finish, measured, predicted
from simulator.optimizers import Adam, GIAdam, Optimizer
from simulator.theory import adaptive

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["hidden_warmup", "steps_of"]


def steps_of(optimizer: Optimizer, stream: Array) -> Array:
    """u_t (updates, P) of the optimizer on a stream of gradients (updates, P)."""
    state = optimizer.start(np.zeros(stream.shape[1]), stream[0], 0)
    steps = np.empty_like(stream)
    for t, gradient in enumerate(stream, 1):
        optimizer.direction(gradient, gradient, state, t, steps[t - 1])
    return steps


def hidden_warmup(ax: Axes, rng: np.random.Generator) -> None:
    """Median step of Adam and GI-Adam on noisy gradients, over eta, against t."""
    t = np.arange(1, 5001)
    stream = 1.0 + 0.2 * rng.standard_normal((t.size, 50))
    shown = np.unique(np.geomspace(1, t.size, 45).astype(int)) - 1
    for optimizer, marker, colour in ((Adam(), "s", "#9ecae1"), (GIAdam(), "o", "#08519c")):
        size = np.median(np.abs(steps_of(optimizer, stream)), axis=1)
        label = f"measured: {optimizer.name}"
        measured(ax, t[shown], size[shown], label, marker, colour, filled=True)
    predicted(ax, t, np.ones(t.size), r"$\eta$", "--", color="#252525")
    predicted(ax, t, adaptive.hidden_warmup(t, GIAdam().beta2), r"$\eta \sqrt{1 - \beta_2^t}$")
    finish(
        ax, "t (updates)", r"median $|\theta_{t+1} - \theta_t|$ / $\eta$",
        "GI-Adam is Adam with a warmup", "lower right", xscale="log", yscale="log",
    )  # fmt: skip
