"""With minibatches warmup moves the boundary in SP with squared error only.

Kalra & Barkeshli 2024, section 5 and figure 3, on digits instead of CIFAR-10, with SGD in batches
of 64. A run trains if its test accuracy ends above 85 %. The boundary moves a lot in SP with mean
squared error and hardly in muP. With cross-entropy it does not move, in contrast to the paper's
networks. Where networks train, the test accuracy depends on eta_trgt, and is nearly the same at
every t_wrm. Needs data with classes.
"""

from __future__ import annotations

import numpy as np
import xarray as xr

import simulator as sim
from simulator.figures import symbols
from simulator.studying import Lab, claim, in_median
from simulator.studying.style import COLORS, band, legend, panels

STEPS, BATCH, GOOD = 1536, 64, 0.85
# Cross-entropy first: it refuses data without classes.
CASES = {
    "SP, xent": sim.MLP(width=64, loss="xent"),
    "muP, xent": sim.MLP(width=64, parameterization="mup", loss="xent"),
    "SP, MSE": sim.MLP(width=64),
    "muP, MSE": sim.MLP(width=64, parameterization="mup"),
}


def measure(lab: Lab) -> xr.Dataset:
    data = lab.data(1024)
    grid = {"t_wrm": [1, 64] if lab.quick else [1, 4, 16, 64, 256]}
    found = []
    for case, model in CASES.items():
        low, high = (1, 7) if case == "SP, MSE" else (0, 4) if case == "muP, MSE" else (-3, 4)
        sweep = sim.sweep(
            model, data, eta_trgt=2.0 ** np.arange(low, high + 1), seeds=lab.seeds, steps=STEPS,
            eta_unit="critical", batch_size=BATCH, sharpness_every=0, workers=lab.workers, **grid,
        )  # fmt: skip
        found.append(sweep["test_accuracy_final"].squeeze("eta_init", drop=True).fillna(0.0))
    accuracy = xr.concat(found, xr.DataArray(list(CASES), dims="case", name="case"), join="outer")
    return accuracy.rename("accuracy").to_dataset()


def _edge(accuracy: xr.DataArray) -> xr.DataArray:
    """The largest eta_trgt up to which every one is good."""
    accuracy = accuracy.dropna("eta_trgt", how="all")
    count = (accuracy > GOOD).astype(int).cumprod("eta_trgt").sum("eta_trgt")
    grid = np.concatenate([[0.0], accuracy["eta_trgt"].values])
    return count.copy(data=grid[count.values])


def claims(found: xr.Dataset) -> list:
    edges = {case: _edge(found["accuracy"].sel(case=case)) for case in CASES}
    sp = edges["SP, MSE"]
    gain, falls = sp.sel(t_wrm=64) / sp.sel(t_wrm=1), sp.sel(t_wrm=slice(64)).diff("t_wrm")
    alike = found["accuracy"].sel(case="SP, MSE", eta_trgt=[2.0, 4.0, 8.0, 16.0])
    alike = alike.where(alike > GOOD)
    spread = 100 * (alike.max("t_wrm") - alike.min("t_wrm"))
    told = [
        claim("SP, MSE: boundary at t_wrm 64 over that at t_wrm 1", gain, least=4),
        in_median("SP, MSE: boundary at t_wrm 64 over that at t_wrm 1, median", gain, least=8),
        claim(
            "SP, MSE: smallest change of the boundary from one t_wrm to the next, up to 64",
            falls.min("t_wrm"),
            least=0,
        ),
    ]
    for case in ("muP, MSE", "SP, xent", "muP, xent"):
        moved = edges[case].sel(t_wrm=64) / edges[case].sel(t_wrm=1)
        told.append(in_median(f"{case}: boundary at t_wrm 64 over that at t_wrm 1", moved, 0.5, 2))
    sentence = "SP, MSE: range of the accuracy over the t_wrm that train, at one eta_trgt, points"
    return [*told, in_median(sentence, spread, most=1.5)]


def draw(found: xr.Dataset) -> object:
    *boundaries, by_rate = axes = panels(3)
    for ax, loss, title in zip(boundaries, ("MSE", "xent"), ("MSE", "cross-entropy"), strict=True):
        for name, mark in (("SP", "o"), ("muP", "s")):
            edge = _edge(found["accuracy"].sel(case=f"{name}, {loss}")).transpose("seed", "t_wrm")
            style = {"color": COLORS[name.lower()], "marker": mark, "label": name}
            band(ax, found["t_wrm"], np.maximum(edge, 0.06), **style)
        ax.set(xscale="log", yscale="log", ylim=(0.08, 200), title=title)
        ax.set_xlabel(f"{symbols.T_WRM} (updates)")
        legend(ax)
    boundaries[0].set_ylabel(f"largest good {symbols.ETA_TRGT} / {symbols.ETA_CRITICAL}")
    rates = found["accuracy"].sel(case="SP, MSE").dropna("eta_trgt", how="all")
    shades = np.linspace(0.75, 0.0, rates.sizes["t_wrm"])
    for t_wrm, shade, mark in zip(rates["t_wrm"].values, shades, "os^Dv", strict=False):
        values = 100 * rates.sel(t_wrm=t_wrm).transpose("seed", "eta_trgt")
        style = {"color": str(shade), "marker": mark, "ms": 4}
        band(by_rate, rates["eta_trgt"], values, label=f"{symbols.T_WRM} {t_wrm}", **style)
    by_rate.set(xscale="log", ylim=(85, 100), ylabel="test accuracy (%)", title="SP, MSE")
    by_rate.set_xlabel(f"{symbols.ETA_TRGT} / {symbols.ETA_CRITICAL}")
    legend(by_rate)
    return axes
