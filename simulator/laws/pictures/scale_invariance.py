"""Pictures of scale-invariant weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from simulator.arrays import Array
from simulator.laws.pictures.marks import finish, measured, predicted
from simulator.optimizers import GD, Optimizer
from simulator.schedules import Warmup
from simulator.theory import scale_invariance as theory

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["norms", "path", "ramp", "rotations", "torque"]


def path(
    optimizer: Optimizer, gradient: Callable[[Array, int], Array], begin: Array, etas: Array
) -> Array:
    """Weights (updates + 1, P) of an optimizer on ``gradient(w, t)``, t from 0."""
    w, u = np.empty((len(etas) + 1, begin.size)), np.empty(begin.size)
    w[0] = begin
    state = optimizer.start(begin, gradient(begin, 0), 0)
    for t, eta in enumerate(etas):
        optimizer.direction(w[t], gradient(w[t], t), state, t + 1, u)
        w[t + 1] = w[t] - eta * u
    return w


def torque(pull: float) -> Callable[[Array, int], Array]:
    """Gradient of ``pull`` times the angle of w in the plane: of one length where |w| is 1."""
    return lambda w, t: pull * np.array([-w[1], w[0]]) / (w @ w)


def norms(w: Array) -> Array:
    """|w| along a path (updates + 1, P)."""
    return np.linalg.norm(w, axis=1)


def rotations(w: Array) -> Array:
    """Angles (updates,) between one and the next w of a path, exact where they are small."""
    unit = w / norms(w)[:, None]
    apart, together = unit[1:] - unit[:-1], unit[1:] + unit[:-1]
    return 2.0 * np.arctan2(np.linalg.norm(apart, axis=1), np.linalg.norm(together, axis=1))


def ramp(ax: Axes, rng: np.random.Generator) -> None:
    """Angles of the updates of three warmups, and the largest that theory knows of each."""
    slopes = np.geomspace(0.01, 1.0, 60)
    largest = [theory.largest_rotation_of_a_ramp(1.0, 1.0, 300.0 * s, 300) for s in slopes]
    updates, angles = np.transpose(largest)[::-1]
    predicted(ax, updates, angles, r"largest angle, at $t = (3/s^2)^{1/3}$")
    colours = {0.01: "#08306b", 0.05: "#4292c6", 0.25: "#9ecae1"}
    for (slope, colour), marker in zip(colours.items(), "os^", strict=True):
        eta = Warmup(0.0, 300.0 * slope, 300).values(300)
        turned = rotations(path(GD(), torque(1.0), np.array([1.0, 0.0]), eta))
        steps = np.unique(np.geomspace(1, 300, 30).astype(int))
        measured(ax, steps, turned[steps - 1], f"descent, s = {slope:g}", marker, colour)
    finish(
        ax, "update of a linear warmup", "angle of the update [rad]",
        r"The norm grows, and warmup turns $w$ by $(s/\sqrt{3})^{1/3}$ at most",
        xscale="log", yscale="log",
    )  # fmt: skip
