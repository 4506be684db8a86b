"""Pictures of one example in the UV model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from simulator.laws.one_example import random_example

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["phases_of_one_example"]

# Shape and lightness both tell them apart.
_MARKERS: dict[str, dict[str, Any]] = {
    "converges": {"marker": "o", "mfc": "none", "mec": "#6baed6"},
    "oscillates": {"marker": "D", "mfc": "#08519c", "mec": "none"},
    "diverges": {"marker": "x", "mfc": "none", "mec": "#252525"},
}


def phases_of_one_example(ax: Axes, rng: np.random.Generator) -> None:
    """What runs from f_0 = 0 come to, in the plane (mu, eta lam_0), with the predicted borders."""
    found: dict[str, list[tuple[float, float]]] = {phase: [] for phase in _MARKERS}
    columns = 26
    for column in range(columns * 16):
        mu = 2.4 * (column % columns + rng.uniform()) / columns
        start = 4.6 * (column // columns + rng.uniform()) / 16
        found[_phase(mu, start, rng)].append((mu, start))
    for phase, style in _MARKERS.items():
        ax.plot(*np.transpose(found[phase]), ls="none", ms=4, label=f"measured: {phase}", **style)
    border = np.linspace(0.0, 2.0, 200)
    ax.plot(border, 4.0 - border**2, color="#a63603", lw=2, label=r"$\eta\lambda_0 = 4 - \mu^2$")
    ax.plot([1.0, 1.0], [0.0, 3.0], color="#a63603", ls="--", lw=2, label=r"$\mu = 1$")
    ax.set(
        xlabel=r"$\mu = \eta\kappa y$", ylabel=r"$\eta\lambda_0$ (NTK trace)", xlim=(0, 2.4),
        ylim=(0, 4.6), title="One example from $f_0 = 0$: what a constant learning rate comes to",
    )  # fmt: skip
    ax.legend(loc="upper right", fontsize="small", framealpha=0.95)


def _phase(mu: float, start: float, rng: np.random.Generator) -> str:
    example = random_example(rng, y=float(rng.uniform(0.5, 3.0)))
    eta = mu / (example.kappa * example.y)
    run = example.train(example.weights([0.5 * start / eta] * 2, rng), eta, 600)
    if run.diverged:
        return "diverges"
    # Of the late losses the largest: an oscillation passes near 0 on its way.
    late = eta * example.kappa * np.sqrt(2.0 * run.loss[-16:].max())
    return "converges" if late < 1e-3 else "oscillates"
