"""Pictures of the central flow."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from simulator.laws.pictures.marks import finish, measured, predicted
from simulator.laws.pictures.stabilization import descend
from simulator.theory import central

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["overshoot", "variance"]


def variance(ax: Axes, rng: np.random.Generator) -> None:
    """Mean of x^2 of descent on the toy against the drive of a ramp, and the flow's variance."""
    g, eta = 1.0, 0.002
    colours = {1.0: "#08306b", 0.0: "#4292c6", -1.0: "#9ecae1"}
    pushes = np.linspace(0.0, 3.0, 13)
    for (alpha, colour), marker in zip(colours.items(), "os^", strict=True):
        ramps = 0.5 * eta**3 * pushes
        predicted(
            ax,
            pushes,
            central.variance(alpha, g**2, eta, ramps),
            "" if alpha < 1 else "central flow",
            lw=1.0,
        )
        shown = pushes[pushes + alpha > 0.2]
        etas = eta + 0.5 * eta**3 * shown * np.arange(2000)[:, None]
        at_rest = np.sqrt(2.0 * (shown + alpha)) * rng.uniform(0.9, 1.1, shown.size)
        x, _ = descend(at_rest, 0.0, np.full(shown.size, g), np.full(shown.size, alpha / g), etas)
        measured(
            ax,
            shown,
            np.mean(x**2, axis=0),
            rf"descent, $\alpha = {alpha:+.0f}$",
            marker,
            colour,
            filled=True,
        )
    finish(
        ax, r"push of the ramp $2\,(d\eta/dt)/\eta^3$", r"variance $\sigma^2$ of the oscillation",
        r"The oscillation holds the sharpness at $2/\eta_t$", "upper left",
    )  # fmt: skip


def overshoot(ax: Axes, rng: np.random.Generator) -> None:
    """Peak of the sharpness in the first catapult against the kick that it grows from."""
    kicks = np.geomspace(1e-16, 1e-1, 16)
    for kappa, marker, colour in zip((0.005, 0.02), "os", ("#08306b", "#4292c6"), strict=True):
        eta, ones = np.full(kicks.size, kappa), np.ones(kicks.size)
        _, y = descend(np.sqrt(2.0) * kicks, 0.0, ones, ones, np.tile(eta, (round(12 / kappa), 1)))
        label = rf"descent, $\kappa = {kappa}$"
        measured(ax, kicks, 0.5 * y.max(axis=0), label, marker, colour, filled=True)
    predicted(ax, kicks, central.overshoot(1.0, 1.0, kicks), r"$\sqrt{\ln(\delta/s)/2}$", lw=1.0)
    finish(
        ax, r"kick $s / \delta$", r"overshoot $(S\eta/2 - 1) / \kappa$",
        "The smaller the kick, the higher the first catapult", "lower left", xscale="log",
    )  # fmt: skip
