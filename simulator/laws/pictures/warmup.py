"""Pictures of warmup."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from simulator.figures import symbols
from simulator.figures.style import colormap
from simulator.laws.noisy_example import example, flowed_trace, noise_of, survived, train
from simulator.laws.pictures.marks import PREDICTED, finish, measured, predicted
from simulator.schedules import Warmup
from simulator.theory import uv, warmup

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["half_survive", "meeting_the_edge", "smallest_surviving_warmup", "survival"]


def survival(
    width: int,
    s: float,
    mu: float,
    reach: float,
    floor: float,
    t_wrm: int,
    runs: int,
    rng: np.random.Generator,
) -> float:
    """Share of simulated runs that survive a warmup from 0 to eta_trgt = reach / lam.

    lam is where each would meet the edge; mu = eta_trgt kappa y if that were 2; `noisy_example`.
    """
    one = example(width, s, 0.0)
    one = example(width, s, 2.0 * mu / (reach * one.kappa))
    alive = 0
    for seed in rng.integers(2**32, size=runs):
        theta = one.model.init(one.data, int(seed))
        lam = flowed_trace(one, theta)
        schedule = Warmup(0.0, reach / lam, t_wrm)
        run = train(one, theta, schedule, t_wrm, noise_of(one, lam, floor), rng)
        alive += survived(one, run)
    return alive / runs


def half_survive(
    width: int, s: float, mu: float, reach: float, floor: float, rng: np.random.Generator
) -> float:
    """t_wrm at which half of the runs survive: where the shares on a grid of it cross a half."""
    expected = float(warmup.shortest_warmup(reach, 1.0, floor))
    t_wrm = np.round(np.linspace(0.7, 1.3, 7) * expected).astype(int)
    shares = [survival(width, s, mu, reach, floor, int(t), 24, rng) for t in t_wrm]
    # Shares of few runs need not rise: the area above them is the mean of the smallest t_wrm.
    return float(t_wrm[0] + np.trapezoid(1.0 - np.array(shares), t_wrm))


def smallest_surviving_warmup(ax: Axes, rng: np.random.Generator) -> None:
    """Survival in the plane of eta_trgt and t_wrm, with the straight boundary of the theory."""
    floor, width, s, y = 1e-4, 256, 0.5, 1.0
    one = example(width, s, y)
    theta = one.model.init(one.data, int(rng.integers(2**32)))
    lam = flowed_trace(one, theta)
    largest, ceiling = float(uv.eta_max(*one.setting(theta))), float(uv.eta_ceiling(one.kappa, y))
    etas, times = np.linspace(0.4 * largest, 1.2 * ceiling, 15), np.arange(1, 180, 14)
    shares = np.empty((times.size, etas.size))
    sigma = noise_of(one, lam, floor)
    for row, t_wrm in zip(shares, times, strict=True):
        for i, eta in enumerate(etas):
            schedule, steps = Warmup(0.0, eta, int(t_wrm)), int(t_wrm) + 20
            runs = [survived(one, train(one, theta, schedule, steps, sigma, rng)) for _ in range(5)]
            row[i] = np.mean(runs)
    mesh = ax.pcolormesh(
        etas * lam / 2.0, times, shares, cmap=colormap("Blues"), vmin=0.0, vmax=1.0
    )
    ax.figure.colorbar(mesh, ax=ax, label="measured: share of 5 noisy runs that survive")
    fine = np.linspace(1, times[-1], 400)
    line = warmup.boundary(fine, lam, floor, largest, ceiling)
    predicted(ax, line * lam / 2.0, fine, "predicted: no warmup, line, ceiling", lw=2.5)
    shortest = rf"{symbols.ETA_TRGT}$\lambda\,\ln(1/\mathrm{{floor}})\,/\,(3 \ln 3 - 2)$"
    finish(
        ax, rf"{symbols.ETA_TRGT}$\lambda / 2$", f"{symbols.T_WRM} (updates)",
        f"The shortest warmup that survives is {shortest}", "lower right",
    )  # fmt: skip


def meeting_the_edge(ax: Axes, rng: np.random.Generator) -> None:
    """Sharpness over eta in slow warmups: where it meets 2 / eta, and what it does from there."""
    one = example(64, 0.5, 1.0)
    k, lam = one.kappa, 6.5 * one.kappa
    for output, marker, colour in ((0.0, "o", "#6baed6"), (3.0, "D", "#08519c")):
        theta = one.weights((0.5 * lam + k * output, 0.5 * lam - k * output), rng)
        expected = float(warmup.first_crossing(output - 1.0, lam, k, 1.0))
        schedule = Warmup(0.0, 0.9 / k, 8000)
        run = train(one, theta, schedule, 8000, noise_of(one, lam, 1e-4), rng, sharpness_every=2)
        found = np.flatnonzero(np.isfinite(run.sharpness))
        shown = found[np.searchsorted(run.eta[found], np.geomspace(5e-4, 0.89, 70) / k)]
        label = rf"measured, $f_0 = {output:g}\,y$"
        points = k * run.eta[shown], run.sharpness[shown] / k
        measured(ax, *points, label, marker, colour, filled=True, ms=4)
        ax.plot(
            k * expected, 2.0 / (k * expected), ls="none", marker="*", ms=15, mfc="none",
            mec=PREDICTED, label=None if output else r"predicted crossing, $2 / \lambda_\infty$",
        )  # fmt: skip
    line = np.geomspace(0.22, 1.0, 50)
    predicted(ax, line, 2.0 / line, r"$2 / \eta$")
    title = "Slow warmup: head on or from behind, and then along the edge"
    finish(ax, r"$\eta\kappa |y|$", r"sharpness / ($\kappa |y|$)", title, xscale="log")
