"""Pictures of the edge of stability and of chaos."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from simulator.arrays import Array
from simulator.figures.style import write_title
from simulator.laws.pictures.marks import PREDICTED, measured, predicted
from simulator.theory import edge

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["bifurcations"]


def bifurcations(ax: Axes, rng: np.random.Generator) -> None:
    """Late eta lam of networks of width 16 against mu, and below it the Lyapunov exponent."""
    mu = np.linspace(0.8, 2.0, 600, endpoint=False)
    traces, exponents = _late(mu, rng)
    measured(
        ax, np.repeat(mu, traces.shape[1]), traces.ravel(), "measured: 100 late updates, width 16",
        ".", filled=True, ms=0.7, alpha=0.6, rasterized=True,
    )  # fmt: skip
    _predictions(ax)
    ax.set(ylabel=r"$\eta\lambda$ (NTK trace)")
    write_title(ax, "One example beyond the edge of stability")
    ax.legend(loc="upper left", fontsize="small", markerscale=8)

    place = ax.get_subplotspec()
    assert place is not None
    grid = place.subgridspec(2, 1, height_ratios=(3, 2))
    ax.set_subplotspec(grid[0])
    below = ax.figure.add_subplot(grid[1], sharex=ax)
    ax.tick_params(labelbottom=False)
    measured(below, mu, exponents, "measured", ".", filled=True, ms=3)
    predicted(below, mu, edge.lyapunov(mu, 4000), "cubic map", lw=0.8)
    below.plot(2.0, edge.CHAOS_EXPONENT, "D", color=PREDICTED, ms=5, label="ln 3")
    below.axhline(0.0, color="#252525", lw=0.6)
    below.set(
        xlabel=r"$\mu = \eta\kappa y$", ylabel="Lyapunov exponent\n(1 / update)", ylim=(-1.6, 1.3),
        xlim=(0.8, 2.02),
    )  # fmt: skip
    below.legend(loc="lower right", fontsize="small", ncols=3)


def _predictions(ax: Axes) -> None:
    stable, two = np.linspace(0.8, 1.0, 2), np.linspace(1.0, np.sqrt(5.0) - 1.0, 100)
    label = r"predicted: $2\mu$, then $R\mp\sqrt{R^2-4}$"
    predicted(ax, stable, 2.0 * stable, label, lw=3.5, zorder=1)
    for branch in edge.cycle_traces(two):
        predicted(ax, two, branch, lw=3.5, zorder=1)
    for number, doubling in enumerate(edge.period_doublings(4)):
        named = "predicted: period doublings" if number == 0 else None
        ax.axvline(float(doubling), color="#252525", lw=0.8, ls="--", label=named)


def _late(mu: Array, rng: np.random.Generator) -> tuple[Array, Array]:
    """Late eta lam (mu, 100), and the exponents (mu,), of weights stepped one by one.

    With kappa = eta = 1, so that y is mu. An exponent is the mean log growth of a small difference
    along the weights: across them are rotations, which never shrink.
    """
    width, small = 16, 1e-8
    u = 0.2 + 0.1 * rng.standard_normal((mu.size, width))
    # Towards mu = 2 the difference of the layers has to start ever smaller to stay bounded.
    v = u + 0.03 * np.sqrt(2.0 - mu)[:, None] * rng.standard_normal(u.shape)
    traces, growth = [], []
    for _ in range(1200):
        before = _trace(u, v)
        ahead = _step(u * (1.0 + small), v * (1.0 + small), mu)
        u, v = _step(u, v, mu)
        growth.append(np.sqrt(_trace(ahead[0] - u, ahead[1] - v) / before) / small)
        traces.append(_trace(u, v))
    return np.transpose(traces[-100:]), np.mean(np.log(growth[200:]), axis=0)


def _trace(u: Array, v: Array) -> Array:
    return np.sum(u**2 + v**2, axis=1)


def _step(u: Array, v: Array, y: Array) -> tuple[Array, Array]:
    delta = (np.einsum("mn,mn->m", u, v) - y)[:, None]
    return u - delta * v, v - delta * u
