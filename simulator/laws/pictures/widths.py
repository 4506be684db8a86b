"""Pictures of what width and parameterization do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from simulator.laws.pictures.marks import finish, measured, predicted
from simulator.laws.relu_networks import ReluNetwork, mean_example, measured_rates, moves
from simulator.theory import widths as theory

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = [
    "adam_rates", "growth_by_width", "initial_kernels", "learning_rates_by_width",
    "moving_features",
]  # fmt: skip

_FORMS = {"sp": ("SP", "o"), "ntp": ("NTP", "s"), "mup": ("muP", "^")}


def initial_kernels(ax: Axes, rng: np.random.Generator) -> None:
    """Mean kernels at initialisation over the width, in three parameterizations."""
    x = rng.standard_normal((1, 16))
    x *= 4.0 / np.linalg.norm(x)
    widths = np.array([4, 8, 16, 32, 64, 128, 256, 512])
    for name, (label, marker) in _FORMS.items():
        kernels = [theory.initial_kernel(name, int(n), 3, x).item() for n in widths]
        predicted(ax, widths, kernels, "predicted" if name == "sp" else None)
        found = [_mean_kernel(name, int(n), x, rng) for n in widths]
        measured(ax, widths, found, f"mean of draws, {label}", marker)
    ylabel = r"$|\partial f / \partial\theta|^2$ at initialisation"
    _finish(ax, ylabel, "ReLU networks of depth 3: NTK trace of one input")


def _finish(ax: Axes, ylabel: str, title: str, **axes: Any) -> None:
    finish(ax, "width n", ylabel, title, xscale="log", yscale="log", **axes)


def _mean_kernel(name: str, n: int, x: Any, rng: np.random.Generator) -> float:
    # The narrower, the more they scatter.
    seeds = rng.integers(2**31, size=max(12, 4000 // n))
    return float(
        np.mean([ReluNetwork.draw(name, n, 3, x, int(seed)).kernels().sum() for seed in seeds])
    )


def moving_features(ax: Axes, rng: np.random.Generator) -> None:
    """How far features move in one step at half of 1 / lambda_0, over the width."""
    widths = np.array([32, 64, 128, 256, 512])
    for name, (label, marker) in _FORMS.items():
        a, b = theory.abc_exponents(name, 3)
        exponent = theory.movement_exponent(a, b, theory.kernel_exponent(a, b))
        moved = moves(name, widths, rng)[0]
        _power(ax, widths, moved, exponent, label=name == "sp")
        measured(ax, widths, moved, f"measured, {label}", marker)
    title = r"One update at $\eta = 0.5 / \lambda_0$: only muP's features keep moving"
    _finish(ax, r"$|\Delta h| / |h|$, last hidden layer, residual 1", title)


def adam_rates(ax: Axes, rng: np.random.Generator) -> None:
    """What Adam's first update moves in muP, at its rates and with two of them swapped."""
    widths = np.array([32, 64, 128, 256, 512])
    for printed, kind in ((False, "1/n, readout $n^{-1/2}$"), (True, "$n^{-1/2}$, readout 1/n")):
        features, readout = moves("mup", widths, rng, printed=printed)
        exponent = 0.5 if printed else 0.0
        _power(ax, widths, features, exponent, label=not printed)
        _power(ax, widths, readout, -exponent, label=False)
        measured(ax, widths, features, f"features: hidden {kind}", filled=printed)
        measured(ax, widths, readout, f"output: hidden {kind}", "s", filled=printed)
    title = "Adam in muP: the order of the rates"
    _finish(ax, r"movement at $\eta = 10^{-3}$", title, ylim=(1e-5, 3e-1))


def _power(ax: Axes, widths: Any, values: Any, exponent: float, *, label: bool) -> None:
    """The line of the predicted slope through the middle of what is measured."""
    offset = np.exp(np.mean(np.log(values) - exponent * np.log(widths)))
    predicted(ax, widths, offset * widths**exponent, "predicted slope" if label else None)


def growth(n: int, s: float, y: float, size: float) -> list[float]:
    """What kernel and features are multiplied by until small simulated steps have fitted y > 0."""
    example, theta = mean_example(n, s, y, size)
    eta = 0.01 / max(2.0 * size**2, 2.0 * example.kappa * y)
    end = example.train(theta, eta, 4000).theta
    before, after = (example.model.gram(t, example.data) for t in (theta, end))
    fed = np.array([1.0, 1.0])
    return [after.trace() / before.trace(), np.sqrt(fed @ after @ fed / (fed @ before @ fed))]


def growth_by_width(ax: Axes, rng: np.random.Generator) -> None:
    """Growth of the kernel and of the features of UV over the width."""
    line = np.geomspace(3.0, 1e7, 80)
    y = rng.uniform(1.5, 2.5)
    for s, marker in ((0.0, "o"), (0.5, "^"), (1.0, "s")):
        r = theory.laziness(line, s, 1.0, 1.0, y)
        predicted(ax, line, theory.kernel_growth(r) - 1.0, None if s else "kernel")
        predicted(ax, line, theory.feature_growth(r) - 1.0, None if s else "features", "--")
        widths = np.geomspace(3.0, 1e7, 9).astype(int)
        found = np.array([growth(int(n), s, float(y), 1.0) for n in widths]) - 1.0
        measured(ax, widths, found[:, 0], f"measured, s = {s:g}", marker)
        measured(ax, widths, found[:, 1], None, marker, filled=True)
    title = "UV on one example: NTK trace (open) and features (filled)"
    _finish(ax, "relative growth until y is fitted", title)


def learning_rates_by_width(ax: Axes, rng: np.random.Generator) -> None:
    """The first unstable, the largest constant and the last stable learning rate over the width."""
    line = np.geomspace(3.0, 1e6, 80)
    y = float(rng.uniform(1.5, 2.5))
    names = (r"2 / $\lambda_\infty$", "largest constant", r"last stable, 1 / ($\kappa$|y|)")
    styles = ("-", "--", ":")
    for s in (0.0, 1.0):
        rates = theory.transferring_rates(theory.laziness(line, s, 1.0, 1.0, y))
        widths = np.geomspace(3.0, 1e6, 6).astype(int)
        found = [measured_rates(int(n), s, y, 1.0) for n in widths]
        for rate, column, style, name, marker in zip(
            rates, np.transpose(found), styles, names, "o^s", strict=True
        ):
            predicted(ax, line, rate, None if s else name, style)
            kind = f"measured, {'muP' if s else 'NTP'}" if marker == "o" else None
            measured(ax, widths, column, kind, marker, filled=bool(s))
    _finish(ax, r"$\eta\lambda_0$", "UV on one example: which learning rates transfer")
