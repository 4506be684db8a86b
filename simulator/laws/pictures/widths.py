"""Pictures of what width and parameterization do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from simulator.laws.relu_networks import ReluNetwork, mean_example, measured_rates, moves
from simulator.theory import widths as theory

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = [
    "adam_rates", "growth_by_width", "initial_kernels", "learning_rates_by_width",
    "moving_features",
]  # fmt: skip

_PREDICTED = "#a63603"
_MEASURED: dict[str, Any] = {"ls": "none", "mfc": "none", "mec": "#08519c", "ms": 5}
_FORMS = {"sp": ("SP", "o"), "ntp": ("NTP", "s"), "mup": ("muP", "^")}


def initial_kernels(ax: Axes, rng: np.random.Generator) -> None:
    """Mean kernels at initialisation over the width, in three parameterizations."""
    x = rng.standard_normal((1, 16))
    x *= 4.0 / np.linalg.norm(x)
    widths = np.array([4, 8, 16, 32, 64, 128, 256, 512])
    for name, (label, marker) in _FORMS.items():
        predicted = [theory.initial_kernel(name, int(n), 3, x).item() for n in widths]
        ax.plot(widths, predicted, color=_PREDICTED, label="predicted" if name == "sp" else None)
        found = [_mean_kernel(name, int(n), x, rng) for n in widths]
        ax.plot(widths, found, marker=marker, label=f"mean of draws, {label}", **_MEASURED)
    ax.set(
        xlabel="width n", ylabel=r"$|\partial f / \partial\theta|^2$ at initialisation",
        xscale="log", yscale="log", title="ReLU networks of depth 3: NTK trace of one input",
    )  # fmt: skip
    ax.legend(fontsize="small")


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
        ax.plot(widths, moved, marker=marker, label=f"measured, {label}", **_MEASURED)
    ax.set(
        xlabel="width n", ylabel=r"$|\Delta h| / |h|$, last hidden layer, residual 1",
        xscale="log", yscale="log",
        title=r"One update at $\eta = 0.5 / \lambda_0$: only muP's features keep moving",
    )  # fmt: skip
    ax.legend(fontsize="small")


def adam_rates(ax: Axes, rng: np.random.Generator) -> None:
    """What Adam's first update moves in muP, at its rates and with two of them swapped."""
    widths = np.array([32, 64, 128, 256, 512])
    for printed, kind in ((False, "1/n, readout $n^{-1/2}$"), (True, "$n^{-1/2}$, readout 1/n")):
        features, readout = moves("mup", widths, rng, printed=printed)
        exponent = 0.5 if printed else 0.0
        _power(ax, widths, features, exponent, label=not printed)
        _power(ax, widths, readout, -exponent, label=False)
        filled = _MEASURED | {"mfc": "#08519c" if printed else "none"}
        ax.plot(widths, features, marker="o", label=f"features: hidden {kind}", **filled)
        ax.plot(widths, readout, marker="s", label=f"output: hidden {kind}", **filled)
    ax.set(
        xlabel="width n", ylabel=r"movement at $\eta = 10^{-3}$", xscale="log", yscale="log",
        ylim=(1e-5, 3e-1), title="Adam in muP: the order of the rates",
    )  # fmt: skip
    ax.legend(fontsize="small")


def _power(ax: Axes, widths: Any, values: Any, exponent: float, *, label: bool) -> None:
    """The line of the predicted slope through the middle of what is measured."""
    offset = np.exp(np.mean(np.log(values) - exponent * np.log(widths)))
    ax.plot(
        widths, offset * widths**exponent, color=_PREDICTED, lw=1.2,
        label="predicted slope" if label else None,
    )  # fmt: skip


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
        first = s == 0.0
        ax.plot(
            line, theory.kernel_growth(r) - 1.0, color=_PREDICTED, label="kernel" if first else None
        )
        ax.plot(
            line, theory.feature_growth(r) - 1.0, color=_PREDICTED, ls="--",
            label="features" if first else None,
        )  # fmt: skip
        widths = np.geomspace(3.0, 1e7, 9).astype(int)
        found = np.array([growth(int(n), s, float(y), 1.0) for n in widths]) - 1.0
        for column, filled in zip(found.T, ("none", "#08519c"), strict=True):
            shown = _MEASURED | {"mfc": filled}
            label = f"measured, s = {s:g}" if filled == "none" else None
            ax.plot(widths, column, marker=marker, label=label, **shown)
    ax.set(
        xlabel="width n", ylabel="relative growth until y is fitted", xscale="log", yscale="log",
        title="UV on one example: NTK trace (open) and features (filled)",
    )  # fmt: skip
    ax.legend(fontsize="small")


def learning_rates_by_width(ax: Axes, rng: np.random.Generator) -> None:
    """The first unstable, the largest constant and the last stable learning rate over the width."""
    line = np.geomspace(3.0, 1e6, 80)
    y = float(rng.uniform(1.5, 2.5))
    names = (r"2 / $\lambda_\infty$", "largest constant", r"last stable, 1 / ($\kappa$|y|)")
    styles = ("-", "--", ":")
    for s, filled in ((0.0, "none"), (1.0, "#08519c")):
        rates = theory.transferring_rates(theory.laziness(line, s, 1.0, 1.0, y))
        widths = np.geomspace(3.0, 1e6, 6).astype(int)
        found = [measured_rates(int(n), s, y, 1.0) for n in widths]
        for rate, column, style, name, marker in zip(
            rates, np.transpose(found), styles, names, "o^s", strict=True
        ):
            ax.plot(line, rate, color=_PREDICTED, ls=style, label=None if s else name)
            kind = f"measured, {'muP' if s else 'NTP'}" if marker == "o" else None
            ax.plot(widths, column, marker=marker, label=kind, **(_MEASURED | {"mfc": filled}))
    ax.set(
        xlabel="width n", ylabel=r"$\eta\lambda_0$", xscale="log", yscale="log",
        title="UV on one example: which learning rates transfer",
    )  # fmt: skip
    ax.legend(fontsize="small")
