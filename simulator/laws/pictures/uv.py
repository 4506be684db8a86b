"""Pictures of one example in the UV model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from simulator.data import Data
from simulator.laws.one_example import Example, random_example
from simulator.laws.pictures.marks import finish, measured, predicted
from simulator.models import UV
from simulator.theory import uv

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["phases_of_one_example", "trace_and_sharpness"]

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
    predicted(ax, border, 4.0 - border**2, r"$\eta\lambda_0 = 4 - \mu^2$", lw=2)
    predicted(ax, [1.0, 1.0], [0.0, 3.0], r"$\mu = 1$", "--", lw=2)
    finish(
        ax, r"$\mu = \eta\kappa y$", r"$\eta\lambda_0$ (NTK trace)",
        "One example from $f_0 = 0$: what a constant learning rate comes to", "upper right",
        xlim=(0, 2.4), ylim=(0, 4.6),
    )  # fmt: skip


def _phase(mu: float, start: float, rng: np.random.Generator) -> str:
    example = random_example(rng, y=float(rng.uniform(0.5, 3.0)))
    eta = mu / (example.kappa * example.y)
    run = example.train(example.weights([0.5 * start / eta] * 2, rng), eta, 600)
    if run.diverged:
        return "diverges"
    # Of the late losses the largest: an oscillation passes near 0 on its way.
    late = eta * example.kappa * np.sqrt(2.0 * run.loss[-16:].max())
    return "converges" if late < 1e-3 else "oscillates"


def trace_and_sharpness(ax: Axes, rng: np.random.Generator) -> None:
    """NTK trace and Hessian sharpness on the way from f_0 = 0 to the target, in small steps."""
    y = float(rng.uniform(0.5, 3.0))
    example = Example(UV(10_000), Data(np.ones((1, 1)), np.array([[y]])))
    lam = 10.0 * example.kappa * y
    theta, eta, steps = example.weights([0.5 * lam, 0.5 * lam], rng), 0.01 / lam, 400
    run = example.train(theta, eta, steps, sharpness_every=1)
    states = np.array([example.state(at) for at in example.descend(theta, eta, steps - 1)])
    line = np.linspace(0.0, 1.0, 200)
    # Flow conserves lam^2 - 4 kappa^2 f^2.
    trace = np.sqrt(lam**2 + (2.0 * example.kappa * line * y) ** 2)
    top = uv.sharpness((line - 1.0) * y, trace, example.kappa, y)
    shown = np.unique(np.searchsorted(states[:, 0] / y + 1.0, np.linspace(0.0, 0.97, 24)))
    reached = states[shown, 0] / y + 1.0
    for values, found, style, marker, name in (
        (trace, states[shown, 1], "-", "o", r"NTK trace $\lambda$"),
        (top, run.sharpness[shown], "--", "D", r"Hessian sharpness $\lambda^H$"),
    ):
        predicted(ax, line, values / lam, f"predicted: {name}", style)
        measured(ax, reached, found / lam, f"measured: {name}", marker)
    ax.axvline(0.4, color="#252525", lw=0.8, ls=":", label="f = 2 y / 5")
    title = r"From $f_0 = 0$ the sharpness first falls, the trace only rises"
    finish(ax, "f / y", r"in units of $\lambda_0$", title)
