"""Pictures of minibatches."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from simulator.laws.batches import measured_limit
from simulator.theory import noise

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["batches"]


def batches(ax: Axes, rng: np.random.Generator) -> None:
    """Largest eta lambda stable in mean square against the batch size, three momenta."""
    curvatures = np.exp(rng.normal(0.0, 1.0, 6))
    mean, size = curvatures.mean(), np.arange(1, 7)
    fine = np.linspace(1.0, 6.0, 200)
    for beta, style, marker in ((0.0, "-", "o"), (0.5, "--", "s"), (0.9, ":", "^")):
        variance = curvatures.var() * noise.share_of_variance(fine, curvatures.size)
        limit = mean * noise.mean_square_limit(mean, variance, beta)
        (drawn,) = ax.plot(fine, limit, style, label=rf"$\beta={beta}$")
        found = [
            mean * measured_limit(curvatures, int(b), beta, replacement=False, accuracy=1e-3)
            for b in size
        ]
        ax.plot(size, found, marker, color=drawn.get_color(), markerfacecolor="white")
    ax.set(
        xlabel="batch size $B$, of 6 samples, without replacement",
        ylabel=r"largest $\eta\lambda$ stable in mean square",
    )
    ax.legend(title="line: theory, marks: all batches")
