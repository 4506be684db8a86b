"""Over all runs catapults correlate best with a low loss; within cells flatness may too.

This result is new. Over six thousand warmup runs train in standard parameterization. Which of three
quantities correlates with the final loss: ending at the edge of stability, the number of catapults,
or the final sharpness? The study computes rank correlations over the runs that trained. Pooled over
eta_trgt and t_wrm, in groups of seeds, the number of catapults has the strongest correlation. This
is partly an effect of pooling: one large catapult at the start, without warmup, lowers the loss
less than many small ones. Within a cell, at one eta_trgt and one t_wrm >= 16, the correlation is
over seeds. At 8 eta_critical both quantities correlate with the final loss, and flatter networks
have a lower loss. At 32 eta_critical the number of catapults correlates, and the final sharpness
hardly does.

Limitations: which of the two is stronger at 8 and 16 eta_critical depends on the data. On slices 0
and 1 of the digits it is the final sharpness in 12 of 20 cells (9 of 10 at 8), on slice 20 in none
of 8. These are correlations; they do not show that catapults or flatness lower the loss.

The claims within cells were worded after slice 20, which is shown here.

On slice 3 with seeds 80 to 84, one claim fails: "Cells of 8 eta_critical: correlation of final loss
and final sharpness" is [0.324 0.369 0.442], not 0.4 to 0.85, median.
"""

from __future__ import annotations

import numpy as np
import xarray as xr
from scipy.stats import spearmanr

import simulator as sim
from simulator.figures import symbols
from simulator.figures.style import colormap
from simulator.studying import Lab, claim, in_median
from simulator.studying.style import panels

MODEL = sim.MLP(width=16)
PREDICTORS = ("sharpness_final", "n_catapults", "edge", "eta_trgt")


def measure(lab: Lab) -> xr.Dataset:
    data, groups = lab.data(64), lab.count
    found = sim.sweep(
        MODEL, data, eta_trgt=2.0 ** np.arange(-1, 5.5, 1.0 if lab.quick else 0.5),
        t_wrm=[1, 4, 16, 64, 256] if lab.quick else [1, 4, 16, 64, 128, 256],
        seeds=lab.networks(4 if lab.quick else 16), steps=300, eta_unit="critical",
        sharpness_every=20, workers=lab.workers,
    )  # fmt: skip
    found = found.assign(edge=(found["outcome"] == "edge_of_stability").astype(float))
    kept = found[["loss_final", "trainable", *PREDICTORS[:3]]].squeeze("eta_init", drop=True)
    runs = kept.rename(seed="run")
    return runs.assign_coords(group=("run", np.arange(runs.sizes["run"]) % groups))


def _correlations(runs: xr.Dataset) -> dict[str, float]:
    """Of each predictor with the final loss, over the runs that trained."""
    told = {}
    trained = runs["trainable"].values.ravel()
    loss = runs["loss_final"].values.ravel()[trained]
    for name in PREDICTORS:
        values = xr.broadcast(runs[name], runs["loss_final"])[0].values.ravel()[trained]
        told[name] = float(spearmanr(values, loss).statistic) if np.ptp(values) > 0 else np.nan
    return told


def _within_cells(runs: xr.Dataset, eta: float) -> dict[str, np.ndarray]:
    """The same over the seeds of each cell of this eta_trgt and a t_wrm of at least 16."""
    cells = [
        _correlations(runs.sel(eta_trgt=[eta], t_wrm=[t_wrm]))
        for t_wrm in runs["t_wrm"].values
        if t_wrm >= 16
    ]
    return {name: np.array([cell[name] for cell in cells]) for name in PREDICTORS[:2]}


def claims(found: xr.Dataset) -> list:
    groups = [
        found.isel(run=np.flatnonzero(found["group"] == g)) for g in np.unique(found["group"])
    ]
    over = [_correlations(g) for g in groups]
    told = [
        claim(
            "Pooled: rank correlation of final loss and number of catapults",
            [one["n_catapults"] for one in over], -0.9, -0.4,
        ),
        claim("Pooled: rank correlation of final loss and final sharpness",
              [one["sharpness_final"] for one in over], 0.1, 0.7),
    ]  # fmt: skip
    if found["loss_final"].size >= 5000:  # enough to tell small correlations apart
        small, large = (_within_cells(found, eta) for eta in (8, 32))
        stronger = np.abs(large["n_catapults"]) > np.abs(large["sharpness_final"])
        told += [
            claim("Pooled: rank correlation of final loss and eta_trgt",
                  [one["eta_trgt"] for one in over], -0.3, 0.3),
            in_median(
                "Cells of 8 eta_critical: correlation of final loss and number of catapults",
                small["n_catapults"], -0.75, -0.4,
            ),
            in_median("Cells of 8 eta_critical: correlation of final loss and final sharpness",
                      small["sharpness_final"], 0.4, 0.85),
            in_median(
                "Cells of 32 eta_critical: correlation of final loss and number of catapults",
                large["n_catapults"], -0.75, -0.35,
            ),
            in_median("Cells of 32 eta_critical: correlation of final loss and final sharpness",
                      large["sharpness_final"], -0.45, 0.35),
            claim("Cells of 32 eta_critical: share where the number of catapults correlates "
                  "more strongly", stronger.mean(), least=0.7),
        ]  # fmt: skip
    return told


def draw(found: xr.Dataset) -> object:
    trained = found["trainable"].values.ravel()
    loss = found["loss_final"].values.ravel()[trained]
    axes = panels(3, sharey=True)
    names = {
        "eta_trgt": f"{symbols.ETA_TRGT} / {symbols.ETA_CRITICAL}",
        "sharpness_final": "final sharpness", "n_catapults": "number of catapults",
    }  # fmt: skip
    eta = xr.broadcast(found["eta_trgt"], found["loss_final"])[0].values.ravel()[trained]
    for ax, (name, label) in zip(axes, names.items(), strict=True):
        values = xr.broadcast(found[name], found["loss_final"])[0].values.ravel()[trained]
        dots = ax.scatter(
            values, loss, c=np.log2(eta), s=3, cmap=colormap("viridis"), lw=0, rasterized=True
        )
        ax.set(yscale="log", xlabel=label)
        if name != "n_catapults":
            ax.set_xscale("log")
    axes[0].set_ylabel("final loss")
    axes[2].figure.colorbar(dots, ax=axes[2], label="power of two of " + names["eta_trgt"])
    return axes
