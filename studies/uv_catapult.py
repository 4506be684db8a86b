"""On one example the catapult window is exact at any width: 2 < eta lambda_0 < 4.

Lewkowycz et al. 2020 give this window to leading order in width. Here it is exact, with lambda_0
the NTK trace of a UV model on x = 1, y = 0 at widths 10^2 to 10^12. A first update raises the loss
above theory.uv.eta_loss, where eta lambda_0 is slightly above 2. Training diverges above 4, at
every width. The largest loss of a catapult is at most lambda_0^2 / (8 kappa^2), which is
proportional to the width. These are theorems, checked by `warmup theory`. The study measures how
near the largest loss comes to its bound, and at which update it occurs: later by 1 / (2 ln(eta
lambda_0 - 1)) updates for each e-fold of width. With y != 0 the window ends earlier or later; see
theory.uv.eta_max.
"""

from __future__ import annotations

import numpy as np
import xarray as xr

import simulator as sim
from simulator.studying import Lab, claim
from simulator.studying.style import COLORS, legend, panels, threshold

WIDTHS, S0 = (10**2, 10**4, 10**6, 10**8, 10**10, 10**12), (2.3, 2.6, 3.0)
# In units of 2 / sharpness; none at 1 or 2, where rounding would decide.
RATES = np.linspace(0.81, 2.39, 80)


def measure(lab: Lab) -> xr.Dataset:
    """The limits of eta lambda_0, the largest loss over its cap, and its update.

    A seed is a group of networks, of which the extremes and the means are kept.
    """
    each = 8 if lab.quick else 40
    widths = [one_width(width, lab.networks(each), lab.count) for width in WIDTHS]
    found = xr.concat(widths, xr.Variable("width", list(WIDTHS)))
    return found.assign_coords(seed=list(lab.seeds), s0=list(S0))


def one_width(width: int, networks: range, seeds: int) -> xr.Dataset:
    """The same of one width."""
    model, data = sim.UV(width), sim.Data(np.ones((1, 1)), np.zeros((1, 1)))
    states = np.array([model.one_example(model.init(data, n), data) for n in networks])
    delta, lam, kappa = (states[:, i, None] for i in range(3))

    def sweep(rates: np.ndarray, steps: int, curves: bool = False) -> xr.Dataset:
        return sim.sweep(
            model, data, eta_trgt=rates, steps=steps, seeds=networks, eta_unit="critical",
            sharpness_every=0, curves=curves,
        ).squeeze(("eta_init", "t_wrm"), drop=True)  # fmt: skip

    first, whole = sweep(RATES, 1), sweep(RATES, 1000)
    eta = whole["eta_critical"].values * RATES
    rises, gone = (first["loss_final"] > first["loss_init"]).values, whole["diverged"].values
    largest = np.where(gone, 0, whole["loss_max"].values)
    late, s0 = sweep(np.divide(S0, 2), 200, curves=True), np.array(S0)
    peak = late["loss"].argmax("step").values
    theory = sim.theory.catapult.peak_time(late["eta_critical"].values * kappa * delta * s0 / 2, s0)
    found = {
        "rises from": (np.where(rises, eta * lam, np.inf), "min"),
        "bounded to": (np.where(gone, 0, eta * lam), "max"),
        "diverges from": (np.where(gone, eta * lam, np.inf), "min"),
        "loss": (largest, "max"),
        "cap": (largest * 8 * kappa**2 / lam**2, "max"),
    }
    values = {
        name: ("seed", getattr(each_run.reshape(seeds, -1), kind)(axis=1))
        for name, (each_run, kind) in found.items()
    }
    for name, times in (("peak time", peak), ("predicted time", theory)):
        each_time = times.reshape(seeds, len(networks) // seeds, -1)
        values[name] = (("seed", "s0"), each_time.mean(axis=1))
    return xr.Dataset(values)


def claims(found: xr.Dataset) -> list:
    times = found["peak time"].assign_coords(width=np.log(WIDTHS))
    slope = times.polyfit("width", 1)["polyfit_coefficients"].sel(degree=1)
    slope = slope / sim.theory.catapult.peak_time_slope(np.array(S0))
    late = found["peak time"] - found["predicted time"]
    return [
        claim("Largest loss over its bound lambda_0^2 / (8 kappa^2)", found["cap"], least=0.8),
        claim("Delay of the peak per e-fold of width, over 1 / (2 ln(eta lambda_0 - 1))",
              slope, 0.85, 1.15),
        claim("Update of the peak minus ln(2 peak / start) / ln(eta lambda_0 - 1)", late, -1, 1),
    ]  # fmt: skip


def draw(found: xr.Dataset) -> object:
    window, loss, time = axes = panels(3)
    low, high = found["rises from"].min("seed"), found["bounded to"].max("seed")
    window.fill_between(WIDTHS, low, high, color="0.85", lw=0, label="catapults, trains")
    gone = found["diverges from"].min("seed")
    window.fill_between(WIDTHS, gone, 4.9, color="0.5", lw=0, label="diverges")
    for limit in (2, 4):
        threshold(window, WIDTHS, np.full(len(WIDTHS), limit))
    window.set(ylabel=r"$\eta \lambda_0$", ylim=(1.5, 5.8), title="The window")
    loss.plot(WIDTHS, found["loss"], "o", color=COLORS["loss"], ms=4)
    threshold(loss, WIDTHS, np.divide(WIDTHS, 2), r"$\lambda_0^2 / 8 \kappa^2$")
    loss.set(yscale="log", ylabel="largest loss", title="Its height")
    for s0, shade, mark in zip(S0, ("0", "0.35", "0.65"), "os^", strict=True):
        times, label = found.sel(s0=s0), rf"$\eta \lambda_0 = {s0}$"
        time.plot(WIDTHS, times["peak time"], mark, color=shade, ms=4)
        time.plot([], [], mark, color=shade, label=label)
        threshold(time, WIDTHS, times["predicted time"].mean("seed"))
    time.set(ylabel="update of the largest loss", title="Its time")
    for ax in axes:
        ax.set(xscale="log", xlabel="width")
        legend(ax)
    return axes
