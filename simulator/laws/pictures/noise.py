"""Pictures of minibatches."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from simulator.laws.batches import measured_limit
from simulator.laws.pictures.marks import finish, measured, predicted
from simulator.theory import noise

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["batches", "one_dimension"]


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


def one_dimension(ax: Axes, rng: np.random.Generator) -> None:
    """Growth an update of the root mean square and of typical runs, with four learning rates."""
    a = np.array([0.2, 0.5, 1.0, 4.0])
    fine, coarse = np.linspace(0.02, 2.8, 800), np.linspace(0.2, 2.7, 18)
    moments = noise.batch_moments(a[:, None], a[:, None, None], 1)
    limits = (
        (2.0 * moments.squared_gradient / moments.curvature, "2 / ratio of means", ":"),
        (float(noise.mean_square_limit(a.mean(), a.var())), "2 / GNI: mean square", "-"),
        (2.0 / a.mean(), "2 / batch sharpness: full batch", "-."),
        (noise.typical_limit(a), "typical run", "--"),
    )
    mean_square = np.sqrt([noise.mean_square_growth(
        noise.mean_square_operator(noise.gradient_maps(a[:, None, None], eta), 1.0)
    ) for eta in fine])  # fmt: skip
    predicted(ax, fine, mean_square, r"root of $E\theta^2$")
    predicted(ax, fine, noise.typical_growth(fine, a), "typical run", "--")
    drawn = rng.integers(4, size=(2000, 400))
    found = [np.median(np.mean(np.log(np.abs(1.0 - eta * a))[drawn], axis=1)) for eta in coarse]
    measured(ax, coarse, np.exp(found), "median of 2,000 runs of 400 updates")
    for eta, name, style in limits:
        ax.axvline(eta, color="0.5", lw=1, ls=style, label=f"{eta:.3f}: {name}")
    ax.axhline(1.0, color="0.7", lw=0.8)
    finish(
        ax, r"$\eta$", r"growth of $|\theta|$ an update",
        "Curvatures 0.2, 0.5, 1 and 4, one sample a batch", ylim=(0.5, 1.8), xlim=(0.0, 2.8),
    )  # fmt: skip
