"""On one example training converges for eta kappa |y| < 1, oscillates up to 2, then diverges.

Kalra, He & Barkeshli 2023 (2311.02076), the universal route of UV models at the edge of stability.
simulator.theory.edge derives the numbers. The model has x = y = 1 in muP (kappa = 1), small initial
weights, and width 32; mu = eta kappa |y|. For mu < 1 training ends at the flattest minimum. Above 1
it ends in a cycle of two traces with the geometric mean 2 / eta. Above 2 it diverges. These are
theorems, checked by `warmup theory`. The study measures the rest: cycles double at sqrt(5) - 1,
1.288, 1.299, ..., followed by chaos, with windows of order, up to 2. From large weights training
may diverge earlier; see theory.uv.is_bounded. The data of the lab are not used.
"""

from __future__ import annotations

import numpy as np
import xarray as xr

import simulator as sim
from simulator.studying import Lab, claim, in_median
from simulator.studying.style import COLORS, legend, panels

# Steps of 0.004, none of them on 1 or 2.
MU, STEPS, LATE, EDGE = 0.802 + 0.004 * np.arange(325), 3000, 2000, sim.theory.edge


def measure(lab: Lab) -> xr.Dataset:
    """Late traces in units of 1 / eta, and Lyapunov exponents, of each mu."""
    parts = np.array_split(MU[:: 3 if lab.quick else 1], 8)
    return xr.concat([late(mu, lab.seeds) for mu in parts], "mu").assign_coords(
        seed=list(lab.seeds)
    )


def late(mu: np.ndarray, seeds: range) -> xr.Dataset:
    """What loss and sharpness of the late steps tell; eps and a of `simulator.theory.edge`.

    The loss is (eps / mu)^2 / 2. The sharpness tells the sign of eps: eta times it exceeds 2 mu
    only where eps > 0.
    """
    model = sim.UV(32, s=1.0, var_w=1e-3)
    data = sim.Data(np.ones((1, 1)), np.ones((1, 1)))
    found = sim.sweep(
        model, data, eta_trgt=mu, steps=STEPS, seeds=seeds, sharpness_every=1, curves=True
    ).squeeze(("eta_init", "t_wrm"), drop=True)  # fmt: skip
    found = (
        found.rename(eta_trgt="mu").transpose("mu", "seed", "step").isel(step=slice(-LATE, None))
    )
    excess = found["mu"] * np.sqrt(2 * found["loss"])
    sign = xr.where(found["sharpness"] > 2, 1, -1)
    trace = 2 * (found["mu"] + sign * excess)
    slope = np.abs(1 + found["mu"] - 1.5 * trace)
    return xr.Dataset({
        "trace": trace.isel(step=slice(-64, None)).drop_vars("step"),
        "exponent": np.log(np.maximum(slope, 1e-300)).mean("step", skipna=False),
    })  # fmt: skip


def first_beyond(found: xr.Dataset, period: int) -> np.ndarray:
    """The least mu (seeds,) whose late traces do not repeat after so many steps."""
    trace = found["trace"]
    repeats = np.abs(trace - trace.shift(step=period)).max("step") < 1e-3
    return found["mu"].where(~repeats).min("mu").values


def claims(found: xr.Dataset) -> list:
    mu = found["mu"]
    inside = found.sel(mu=slice(None, 1.99))
    off = np.abs(inside["exponent"] - EDGE.lyapunov(inside["mu"].values)[:, None])
    chaos = found["exponent"].sel(mu=slice(EDGE.ACCUMULATION, 1.99))
    doublings, step = EDGE.period_doublings(3), float(mu[1] - mu[0])
    checks = [
        claim(f"Value of mu where the period exceeds {2 ** n} (theory: {at:.4f})",
              first_beyond(found, 2**n),
              at - max(step, 0.01), at + max(step, 0.01))
        for n, at in enumerate(doublings)
    ]  # fmt: skip
    return [
        *checks,
        claim("Difference of the Lyapunov exponents from those of the cubic map, 90 % quantile",
              off.quantile(0.9, "mu"), most=0.05),
        claim("mu above 1.3023: share of positive Lyapunov exponents",
              (chaos > 0).mean("mu"), least=0.7),
        in_median("mu just below 2: Lyapunov exponent (theory: ln 3)", found["exponent"].sel(
            mu=1.99, method="nearest"), EDGE.CHAOS_EXPONENT - 0.1, EDGE.CHAOS_EXPONENT + 0.1),
    ]  # fmt: skip


def draw(found: xr.Dataset) -> object:
    above, below = axes = panels(2, columns=1, sharex=True)
    mu, shown = found["mu"].values, {"ls": "none", "marker": ".", "color": COLORS["sharpness"]}
    trace = found["trace"].values.reshape(len(mu), -1)
    above.plot(mu, trace, ms=1, alpha=0.5, rasterized=True, **shown)
    two = np.linspace(1, np.sqrt(5) - 1, 100)
    dashed = {"color": COLORS["theory"], "ls": "--", "lw": 1.5}
    above.plot([0.8, 1], [1.6, 2], label="theory", **dashed)
    for branch in EDGE.cycle_traces(two):
        above.plot(two, branch, **dashed)
    above.set(ylabel=r"late $\eta \lambda$", ylim=(0, 8.2), title="Converges, oscillates, diverges")
    below.plot(mu, found["exponent"].median("seed"), ms=3, label="measured", **shown)
    fine = np.linspace(0.8, 2, 600, endpoint=False)
    below.plot(fine, EDGE.lyapunov(fine, 4000), label="cubic map", **{**dashed, "lw": 0.8})
    below.axhline(0, color=COLORS["theory"], lw=0.6)
    below.set(
        xlabel=r"$\mu = \eta \kappa |y|$", ylim=(-1.6, 1.3), ylabel="Lyapunov exponent / update"
    )
    for ax in axes:
        for limit in (1, 2):
            ax.axvline(limit, color=COLORS["theory"], ls="--", lw=0.8)
        legend(ax)
    return axes
