"""Pictures of curvature against loss."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from simulator.laws.pictures.marks import finish, measured, predicted
from simulator.theory import chains

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["imbalances"]


def imbalances(ax: Axes, rng: np.random.Generator) -> None:
    """Sharpness of two weights above their target against the loss, balanced and not."""
    colours = {0.0: "#08306b", 3.0: "#4292c6", 10.0: "#9ecae1"}
    residual = np.geomspace(1e-2, 30.0, 60)
    f, loss = 1.0 + residual, 0.5 * residual**2
    for (imbalance, colour), marker in zip(colours.items(), "os^", strict=True):
        label = None if imbalance else "closed form"
        predicted(ax, loss, chains.two_layer_sharpness(f, 1.0, imbalance), label, lw=1.0)
        # w_1^2 + w_2^2 and w_1^2 - w_2^2 give the weights.
        total = np.hypot(2.0 * f, imbalance)
        first, second = 0.5 * (total + imbalance), 0.5 * (total - imbalance)
        off = 2.0 * f - 1.0
        hessians = np.moveaxis(np.array([[second, off], [off, first]]), 2, 0)
        tops = np.linalg.eigvalsh(hessians)[:, -1]
        measured(ax, loss[::6], tops[::6], f"C = {imbalance:g}", marker, colour, filled=True)
    finish(
        ax, r"loss $\frac{1}{2}(f - y)^2$, $y = 1$, $f > y$", "sharpness",
        "At one loss the sharpness of two layers is what their imbalance makes it",
        xscale="log", yscale="log",
    )  # fmt: skip
