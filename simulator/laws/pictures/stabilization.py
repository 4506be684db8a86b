"""Pictures of self-stabilisation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from simulator.arrays import Array
from simulator.laws.pictures.marks import PREDICTED, finish, measured, predicted
from simulator.theory import stabilization

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["cycle", "descend", "regimes"]


def descend(
    x: Any, y: float, g: Array, h: Array, etas: Array, damping: Array | float = 0.0
) -> tuple[Array, Array]:
    """x and y = S - 2 / eta (updates + 1, runs) of gradient descent on the toy, weight by weight.

    L = S x^2 / 2 - h w + damping w^2 / 2 with S = S_0 + g w; from w = 0, where
    S_0 puts the sharpness y above the edge of the first eta (updates, runs).
    """
    w, curvature = np.zeros_like(x), 2.0 / etas[0] + y
    xs, ys = np.empty((2, len(etas) + 1, x.size))
    for t, eta in enumerate([*etas, etas[-1]]):
        sharpness = curvature + g * w
        xs[t], ys[t] = x, sharpness - 2.0 / eta
        x, w = x - eta * sharpness * x, w + eta * (h - 0.5 * g * x**2 - damping * w)
    return xs, ys


def cycle(ax: Axes, rng: np.random.Generator) -> None:
    """Cycles of displacement and excess sharpness, and where the theory closes them."""
    g, h = rng.uniform(0.8, 1.2, (2, 1))
    alpha, beta, eta = g * h, g**2, 0.004 / np.sqrt(g * h)
    delta = stabilization.amplitude(alpha, beta)
    x, y = np.geomspace(1e-4, 8.0, 400)[None] * delta, np.linspace(-4.5, 4.5, 400)[:, None]
    energy = stabilization.cycle_energy(x, y * np.sqrt(alpha), alpha, beta)
    colours = "#9ecae1", "#4292c6", "#08306b"
    for start, marker, colour in zip((0.5, 0.1, 0.005), "os^", colours, strict=True):
        level = stabilization.cycle_energy(start * delta, 0.0, alpha, beta)
        period = float(np.max(stabilization.cycle_period(alpha, eta)))
        xs, ys = descend(start * delta, 0.0, g, h, np.tile(eta, (round(3.0 * period), 1)))
        ax.contour(x[0] / delta, y[:, 0], energy, levels=level, colors=PREDICTED, linewidths=1.0)
        over = _once_around(ys[:, 0])
        shown = np.abs(xs[:over:12, 0]) / delta, ys[:over:12, 0] / np.sqrt(alpha)
        label = rf"descent from $X_0 = {start}\,\delta$"
        measured(ax, *shown, label, marker, colour, filled=True, ms=3.5)
    predicted(ax, [], [], r"$y^2 + \alpha(q - \ln q - 1)$ constant", lw=1.0)
    ax.plot(1.0, 0.0, "k+", ms=9, label="fixed point")
    finish(
        ax, r"displacement $X / \delta$ along the top eigenvector",
        r"excess sharpness $(S - 2/\eta) / \sqrt{\alpha}$",
        "Self-stabilisation: sharpening, blow-up, flattening, return", "lower left", xscale="log",
    )  # fmt: skip


def _once_around(y: Array) -> int:
    """Updates until y has risen through 0 again."""
    rising = np.flatnonzero((y[1:-1] < 0) & (y[2:] >= 0))
    return int(rising[0]) + 2 if rising.size else y.size


def regimes(ax: Axes, rng: np.random.Generator) -> None:
    """Displacement against time for each sign of alpha, with and without a ramp that drives."""
    eta, g = 0.002, rng.uniform(0.8, 1.2, 1)
    cases = (
        ("C1: sharpening, constant $\\eta$", 1.0, 0.0, "-", "#08306b"),
        ("C2: reduction, fast warmup", -1.0, 1.5, "--", "#a63603"),
        ("C2: reduction, slow warmup", -1.0, 0.5, "-.", "#fd8d3c"),
        ("C3: neither, warmup", 0.0, 0.75, ":", "#238b45"),
    )
    for label, alpha, from_ramp, style, colour in cases:
        ramp = 0.5 * eta**3 * from_ramp
        etas = eta + ramp * np.arange(9000)[:, None]
        x, _ = descend(np.full(1, 1e-2), 0.0, g, alpha / g, etas)
        drive = stabilization.effective_drive(alpha, eta, ramp)
        named = rf"{label}, $\alpha_{{eff}} = {drive:+.2f}$"
        ax.plot(np.abs(x[:, 0]), style, color=colour, lw=1.4, label=named)
    finish(
        ax, "update", "displacement $X$ along the top eigenvector",
        r"Catapults where $\alpha + 2\,(d\eta/dt)/\eta^3 > 0$", "upper right", yscale="log",
        ylim=(1e-6, 1e3),
    )  # fmt: skip
