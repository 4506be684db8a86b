"""Pictures of Adam and GI-Adam."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from simulator.arrays import Array
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
        ax.plot(
            t[shown], size[shown], ls="none", marker=marker, ms=5, color=colour,
            label=f"measured: {optimizer.name}",
        )  # fmt: skip
    ax.plot(t, np.ones(t.size), color="#252525", lw=1.2, ls="--", label=r"$\eta$")
    ax.plot(
        t, adaptive.hidden_warmup(t, GIAdam().beta2), color="#a63603", lw=1.5,
        label=r"$\eta \sqrt{1 - \beta_2^t}$",
    )  # fmt: skip
    ax.set(
        xscale="log", yscale="log", xlabel="t (updates)",
        ylabel=r"median $|\theta_{t+1} - \theta_t|$ / $\eta$",
        title="GI-Adam is Adam with a warmup",
    )  # fmt: skip
    ax.legend(loc="lower right")
