"""Pictures of minibatches."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from simulator.laws.batches import measured_limit
from simulator.laws.pictures.marks import finish, measured, predicted
from simulator.theory import noise

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["batches"]


def batches(ax: Axes, rng: np.random.Generator) -> None:
    """Largest eta lambda stable in mean square against the batch size, three momenta."""
    curvatures = np.exp(rng.normal(0.0, 1.0, 6))
    mean, size = curvatures.mean(), np.arange(1, 7)
    fine = np.linspace(1.0, 6.0, 200)
    for beta, style, marker in zip((0.0, 0.5, 0.9), ("-", "--", ":"), "os^", strict=True):
        variance = curvatures.var() * noise.share_of_variance(fine, curvatures.size)
        limit = mean * noise.mean_square_limit(mean, variance, beta)
        predicted(ax, fine, limit, rf"$\beta={beta}$", style)
        found = [
            mean * measured_limit(curvatures, int(b), beta, replacement=False, accuracy=1e-3)
            for b in size
        ]
        measured(ax, size, found, rf"all batches, $\beta={beta}$", marker)
    finish(
        ax, "batch size $B$, of 6 samples, without replacement", r"largest stable $\eta\lambda$",
        "Heavy ball on minibatches: stability in mean square",
    )  # fmt: skip
