"""Pictures of the laws of quadratics."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from simulator.arrays import Array
from simulator.figures import symbols
from simulator.laws.bisection import late_growth, measured_threshold
from simulator.laws.pictures.marks import finish, measured, predicted
from simulator.models import Quadratic
from simulator.optimizers import Adam, Momentum, Nesterov, Optimizer, RMSProp
from simulator.schedules import Warmup
from simulator.theory import quadratics
from simulator.training import simulate

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["cycles", "growth", "thresholds", "warmup"]


def _sizes(schedule: Warmup, steps: int, optimizer: Optimizer, start: float) -> Array:
    """|theta| before each update on the curvature 1."""
    run = simulate(
        Quadratic([1.0]), theta0=[start], schedule=schedule, steps=steps, optimizer=optimizer,
        sharpness_every=0,
    )  # fmt: skip
    return np.sqrt(2.0 * run.loss)


def thresholds(ax: Axes, rng: np.random.Generator) -> None:
    """Limits of eta lambda against beta: three kinds of momentum."""
    beta = np.linspace(0.0, 0.95, 200)
    hessian = np.diag(rng.uniform(0.1, 1.0, 2))
    for name, limit, style, marker, make in (
        ("moving average", quadratics.heavy_ball_limit(beta, beta), "-", "o",
         lambda b: Momentum(b, ema=True)),
        ("heavy ball", quadratics.heavy_ball_limit(beta), "--", "s", Momentum),
        ("Nesterov", quadratics.nesterov_limit(beta), ":", "^", Nesterov),
    ):  # fmt: skip
        predicted(ax, beta, limit, name, style)
        points = np.linspace(0.05, 0.9, 6)
        found = [measured_threshold(make(b), hessian) * hessian.max() for b in points]
        measured(ax, points, found, f"bisection, {name}", marker)
    ax.set_yscale("log")
    ax.set_yticks([1, 2, 4, 10, 20, 40], ["1", "2", "4", "10", "20", "40"])
    ax.minorticks_off()
    finish(ax, r"momentum $\beta$", r"largest stable $\eta\lambda$", "Momentum on a quadratic")


def growth(ax: Axes, rng: np.random.Generator) -> None:
    """Growth of |theta| a step against eta lambda: heavy ball's plateau at sqrt(beta)."""
    for beta, style, marker in zip((0.0, 0.5, 0.9), ("-", "--", ":"), "os^", strict=True):
        z = np.linspace(0.0, 2.3 + 2.0 * beta, 600)
        factor = quadratics.heavy_ball_growth(z, beta)
        predicted(ax, z, factor, rf"$\beta={beta}$", style)
        points = np.sort(rng.uniform(0.02, 2.2 + 2.0 * beta, 9))
        found = [
            np.exp(late_growth(Momentum(beta), np.eye(1), p, np.ones(1), 1.0, transients=8))
            for p in points
        ]
        measured(ax, points, found, rf"iterates, $\beta={beta}$", marker)
    ax.axhline(1.0, color="grey", linewidth=0.8)
    title = "Heavy ball on a quadratic: late growth"
    finish(ax, r"$\eta\lambda$", r"factor of $|\theta|$ in an update", title)


def warmup(ax: Axes, rng: np.random.Generator) -> None:
    """ln|theta / theta_0| / tau along linear warmups of three lengths."""
    z = np.linspace(1e-3, 5.0, 500)
    predicted(ax, z, quadratics.warmup_decay(z), r"$(z-1)\,\ln|z-1|-z$")
    # Primes: no update meets the pole at 1.
    for t_wrm, marker in ((53, "^"), (167, "s"), (691, "o")):
        target = rng.uniform(4.9, 5.0)
        size = _sizes(Warmup(eta_trgt=target, t_wrm=t_wrm), t_wrm, Momentum(0.0), 1.0)
        picked = np.linspace(1, t_wrm - 1, 26).astype(int)
        # What stands before an update has seen the learning rates up to the one before it.
        shown = picked * target / t_wrm, np.log(size[picked]) * target / t_wrm
        measured(ax, *shown, f"measured, {symbols.T_WRM} = {t_wrm}", marker, ms=4)
    ax.plot(quadratics.warmup_reach(0.0), 0.0, "k*", markersize=12, label="as large as at first")
    ax.axhline(0.0, color="grey", linewidth=0.8)
    title = "Linear warmup on a quadratic"
    finish(ax, r"$z=\eta_t\lambda$", r"$\ln|\theta_t/\theta_0|\,/\,\tau$", title)


def cycles(ax: Axes, rng: np.random.Generator) -> None:
    """|theta| over the cycle's, for RMSProp and for Adam below and above the critical beta1."""
    start = rng.uniform(0.2, 0.4)
    for name, optimizer, beta1, style in (
        ("RMSProp", RMSProp(0.9, eps=0.0), 0.0, "-"),
        (r"Adam, $\beta_1=0.1$", Adam(0.1, 0.9, eps=0.0), 0.1, "--"),
        (r"Adam, $\beta_1=0.3$", Adam(0.3, 0.9, eps=0.0), 0.3, ":"),
    ):
        size = _sizes(Warmup(), 200, optimizer, start)
        ax.plot(size / quadratics.adam_cycle_amplitude(1.0, beta1), style, label=name)
    ax.axhline(1.0, color="grey", linewidth=0.8)
    critical = float(quadratics.adam_cycle_critical_beta1(0.9))
    title = rf"Cycles at $\beta_2=0.9$, where the critical $\beta_1$ is {critical:.3f}"
    finish(ax, "update", r"$|\theta|$ over that of the cycle", title, ylim=(0.0, 4.0))
