"""Of crossing, catapults and flatness, the number of catapults goes best with a low final loss.

New here: over ten thousand warmup runs in standard parameterization, which of ending at the edge of
stability, the number of catapults, and the final sharpness goes with the final loss? Rank
correlations over the runs that trained, in groups of seeds. The final sharpness says little once
eta_trgt is fixed: flatter is not lower. The more catapults, the lower the loss, also at a fixed
eta_trgt of 8 eta_critical or more: one large catapult at the start, without warmup, is worth less
than many small ones. Not so at width 24: there the final sharpness goes with the loss as well, at
0.43 to 0.52 in rank, and in one group of five better than the number of catapults. This is a
correlation; nothing says that catapults are what lowers the loss.
"""

from __future__ import annotations

import numpy as np
import xarray as xr
from scipy.stats import spearmanr

import simulator as sim
from simulator.studying import Lab, claim
from simulator.studying.style import panels

MODEL = sim.MLP(width=16)
PREDICTORS = ("sharpness_final", "n_catapults", "edge", "eta_trgt")


def measure(lab: Lab) -> xr.Dataset:
    data, groups = lab.data(64), lab.count
    found = sim.sweep(
        MODEL, data, eta_trgt=2.0 ** np.arange(-1, 5.5, 1.0 if lab.quick else 0.5),
        t_wrm=[1, 4, 16, 64, 256] if lab.quick else [1, 2, 4, 8, 16, 32, 64, 128, 192, 256],
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


def _at_fixed_eta(runs: xr.Dataset) -> dict[str, float]:
    """The same within each eta_trgt of at least 8, median over them."""
    each = [
        _correlations(runs.sel(eta_trgt=eta)) for eta in runs["eta_trgt"].values if 8 <= eta <= 32
    ]
    return {name: float(np.nanmedian([one[name] for one in each])) for name in PREDICTORS[:3]}


def claims(found: xr.Dataset) -> list:
    groups = [
        found.isel(run=np.flatnonzero(found["group"] == g)) for g in np.unique(found["group"])
    ]
    over, fixed = [_correlations(g) for g in groups], [_at_fixed_eta(g) for g in groups]
    strongest = [
        abs(one["n_catapults"]) - max(abs(one["sharpness_final"]), abs(one["edge"]))
        for one in fixed
    ]
    told = [
        claim(
            "rank correlation of the final loss with the number of catapults",
            [one["n_catapults"] for one in over], -0.9, -0.4,
        ),
        claim("with the final sharpness", [one["sharpness_final"] for one in over], 0.1, 0.7),
    ]  # fmt: skip
    if found["loss_final"].size >= 5000:  # enough to tell small correlations apart
        told += [
            claim("with eta_trgt: not monotone", [one["eta_trgt"] for one in over], -0.3, 0.3),
            claim(
                "at a fixed eta_trgt, 8 to 32: with the number of catapults",
                [one["n_catapults"] for one in fixed], -0.9, -0.35,
            ),
            claim("with the final sharpness", [one["sharpness_final"] for one in fixed], -0.5, 0.5),
            claim("catapults' is the strongest of the three, by", strongest, least=0),
        ]  # fmt: skip
    return told


def draw(found: xr.Dataset) -> object:
    trained = found["trainable"].values.ravel()
    loss = found["loss_final"].values.ravel()[trained]
    axes = panels(3, sharey=True)
    names = {
        "eta_trgt": r"$\eta_\mathrm{trgt}\,/\,\eta_\mathrm{critical}$",
        "sharpness_final": "final sharpness", "n_catapults": "number of catapults",
    }  # fmt: skip
    eta = xr.broadcast(found["eta_trgt"], found["loss_final"])[0].values.ravel()[trained]
    for ax, (name, label) in zip(axes, names.items(), strict=True):
        values = xr.broadcast(found[name], found["loss_final"])[0].values.ravel()[trained]
        dots = ax.scatter(values, loss, c=np.log2(eta), s=3, cmap="viridis", lw=0, rasterized=True)
        ax.set(yscale="log", xlabel=label)
        if name != "n_catapults":
            ax.set_xscale("log")
    axes[0].set_ylabel("final loss")
    axes[2].figure.colorbar(dots, ax=axes[2], label="power of two of " + names["eta_trgt"])
    return axes
