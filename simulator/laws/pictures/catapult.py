"""Pictures of the catapult."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from simulator.arrays import Array
from simulator.data import Data
from simulator.laws.one_example import Example, random_example
from simulator.laws.pictures.marks import finish, measured, predicted
from simulator.models import UV
from simulator.theory import catapult

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["half_ellipses", "peak_time_against_width", "peak_times"]

_STYLES = (
    (2.3, "o", "#6baed6"),
    (2.6, "s", "#3182bd"),
    (3.0, "^", "#08519c"),
    (3.5, "D", "#252525"),
)


def peak_times(s0: float, widths: Array, seeds: Array) -> Array:
    """Update at which the loss of a simulated run peaks, the mean over seeds, for each width.

    From Gaussian weights in the NTK parameterization, y = 0, at eta = s0 / lam_0.
    """
    steps = round(60 + 2 * np.log(widths.max()) * catapult.peak_time_slope(s0))
    data = Data(np.ones((1, 1)), np.zeros((1, 1)))
    peaks = np.empty((len(widths), len(seeds)))
    for row, width in zip(peaks, widths, strict=True):
        example = Example(UV(int(width)), data)
        for column, seed in enumerate(seeds):
            theta = example.model.init(data, int(seed))
            eta = s0 / example.state(theta)[1]
            row[column] = np.argmax(example.train(theta, eta, steps).loss)
    return peaks.mean(axis=1)


def peak_time_against_width(ax: Axes, rng: np.random.Generator) -> None:
    """Mean time of the largest loss against width, with lines of the predicted slope."""
    widths = 4 ** np.arange(3, 15)
    seeds = rng.integers(2**32, size=8)
    for s0, marker, colour in _STYLES:
        times = peak_times(s0, widths, seeds)
        slope = catapult.peak_time_slope(s0)
        line = times.mean() + slope * (np.log(widths) - np.log(widths).mean())
        label = rf"measured, $\eta\lambda_0$ = {s0}"
        measured(ax, widths, times, label, marker, colour, filled=True)
        predicted(ax, widths, line, f"slope {slope:.2f} per e-fold", color=colour)
    title = r"The catapult peaks later by $1 / (2 \ln(\eta\lambda_0 - 1))$ an e-fold of width"
    finish(
        ax, "width n", "update of the largest loss", title, "upper left", xscale="log",
        ylim=(0, None),
    )  # fmt: skip


def half_ellipses(ax: Axes, rng: np.random.Generator) -> None:
    """Residual and overshoot through catapults at three mu, and their predicted ellipses."""
    start = 0.02
    for mu, marker, colour in ((0.0, "o", "#6baed6"), (0.4, "s", "#3182bd"), (0.7, "D", "#252525")):
        example = random_example(rng, y=float(rng.uniform(0.5, 3.0)) if mu else 0.0)
        eta = mu / (example.kappa * example.y) if mu else 1.0
        modes = 1.0 + 0.5 * start + np.array([1.0, -1.0]) * (mu + 1e-4)
        path = example.descend(example.weights(modes / eta, rng), eta, 600)
        states = eta * np.array([example.state(at) for at in path])
        eps, over = example.kappa * states[:, 0], states[:, 1]
        over = catapult.midpoint_overshoot(eps, over, mu) / start
        label = rf"measured, $\mu$ = {mu:g}"
        shown = over[::5], np.abs(eps[::5]) / start
        measured(ax, *shown, label, marker, colour, filled=True, ms=4)
        turn = np.linspace(0.0, np.pi, 200)
        peak = catapult.peak_excursion(2.0 + start, mu) / start
        label = r"$o^2 / 2 + (1 - \mu^2)\,\varepsilon^2$ constant"
        predicted(ax, np.cos(turn), peak * np.sin(turn), None if mu else label)
    finish(
        ax, r"overshoot $o / d$, $o = \eta\lambda - 2 - 2\mu\varepsilon$", r"$|\varepsilon| / d$",
        r"Catapults from $\eta\lambda_0 = 2 + d$, left to right, $d = 0.02$",
        "upper right", xlim=(1.25, -1.25), ylim=(0, 1.25),
    )  # fmt: skip
