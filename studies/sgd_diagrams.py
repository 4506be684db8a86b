"""With minibatches warmup widens SP's trainable learning rates with MSE, and hardly any others.

Kalra & Barkeshli 2024, section 5 and figure 3: SGD with batches of 64, ReLU, digits, test accuracy.
The largest learning rate that trains (test accuracy above 85 %) grows with t_wrm in SP with mean
squared error. Inside the boundary test accuracy depends on eta_trgt, not on t_wrm.

Not so: the boundary hardly moves in muP, nor with cross-entropy. The best accuracy does not grow
with t_wrm from 16 on. Needs classes and a test split.
"""

from __future__ import annotations

import numpy as np
import xarray as xr

import simulator as sim
from simulator.studying import Lab, claim, in_median
from simulator.studying.style import COLORS, band, legend, panels

CASES = {
    "SP, MSE": sim.MLP(width=32),
    "muP, MSE": sim.MLP(width=32, parameterization="mup"),
    "SP, xent": sim.MLP(width=32, loss="xent"),
    "muP, xent": sim.MLP(width=32, parameterization="mup", loss="xent"),
}
T_WRM = (1, 4, 16, 64, 256)
TRAINED = 0.85


def measure(lab: Lab) -> xr.Dataset:
    """Test accuracy after 1024 updates, over eta_trgt in critical learning rates, and t_wrm."""
    data = lab.data(512)
    t_wrm = (1, 16, 64, 256) if lab.quick else T_WRM
    grids = []
    for case, model in CASES.items():
        eta = 2.0 ** np.arange(-4 if case == "muP, xent" else -1, 8 if case == "SP, MSE" else 6)
        grid = sim.sweep(
            model, data, eta_trgt=eta, t_wrm=t_wrm, seeds=lab.count,
            steps=1024, eta_unit="critical", batch_size=64, sharpness_every=0, workers=lab.workers,
        )  # fmt: skip
        grids.append(grid["test_accuracy_final"].isel(eta_init=0, drop=True))
    # Rates that a case leaves out are unknown: NaN.
    names = xr.DataArray(list(CASES), dims="case", name="case")
    return xr.concat(grids, names, join="outer").sortby("eta_trgt").to_dataset(name="accuracy")


def _edge(accuracy: xr.DataArray) -> xr.DataArray:
    """The largest learning rate that trains; half the smallest where none does."""
    trained = accuracy["eta_trgt"].where(accuracy > TRAINED)
    return trained.max("eta_trgt").fillna(accuracy["eta_trgt"].min() / 2)


def claims(found: xr.Dataset) -> list:
    accuracy = found["accuracy"]
    edge = {case: _edge(accuracy.sel(case=case)) for case in CASES}
    gain = {case: edge[case].sel(t_wrm=64) / edge[case].sel(t_wrm=1) for case in CASES}
    sp = accuracy.sel(case="SP, MSE")
    falls = edge["SP, MSE"].sel(t_wrm=[1, 16, 64]).diff("t_wrm").min("t_wrm")
    inside = sp.sel(eta_trgt=[1, 2])
    spread = (inside.max("t_wrm") - inside.min("t_wrm")).max("eta_trgt")
    by_eta = (sp.sel(eta_trgt=4) - sp.sel(eta_trgt=0.5)).sel(t_wrm=16)
    best = sp.max("eta_trgt")
    late = best.sel(t_wrm=[16, 64, 256])
    kept, same = best.sel(t_wrm=16) - best.sel(t_wrm=1), late.max("t_wrm") - late.min("t_wrm")
    return [
        in_median("SP, MSE: 64 updates of warmup widen it by 8 (ratio)", gain["SP, MSE"], 8),
        claim("SP, MSE: in each seed by 4 (ratio)", gain["SP, MSE"], least=4),
        claim("SP, MSE: from 1 to 16 to 64 updates it never shrinks (steps)", falls, least=0),
        claim("muP, MSE: it hardly moves (ratio)", gain["muP, MSE"], 0.5, 2),
        in_median("SP, cross-entropy: nor there (ratio)", gain["SP, xent"], 0.5, 2),
        in_median("muP, cross-entropy: nor there (ratio)", gain["muP, xent"], 0.5, 2),
        claim("SP, MSE: inside, accuracy does not hang on t_wrm (range)", spread, most=0.03),
        claim("SP, MSE: eight times eta_trgt gains accuracy", by_eta, least=0.06),
        claim("SP, MSE: nor does the best, from 16 to 256 updates (range)", same, most=0.02),
        claim("SP, MSE: 16 updates lose none of it (difference)", kept, least=-0.005),
    ]  # fmt: skip


def draw(found: xr.Dataset) -> object:
    axes = panels(2)
    looks = {"SP": ("sp", "o"), "muP": ("mup", "s")}
    for case in CASES:
        name, _, loss = case.partition(", ")
        color, marker = looks[name]
        style = {"color": COLORS[color], "marker": marker, "ls": "-" if loss == "MSE" else ":"}
        edge = _edge(found["accuracy"].sel(case=case)).transpose("seed", "t_wrm")
        band(axes[0], found["t_wrm"], edge, label=case, **style)
    axes[0].set(xscale="log", yscale="log", xlabel="t_wrm (updates)", ylim=(0.2, 1000))
    axes[0].set_ylabel("largest trainable eta_trgt / eta_critical")
    shades = ("#fdae61", "#4d9221", "#2f8f9d", "#5e3c99", "#08306b")
    for t, color, marker in zip(found["t_wrm"].values[::2], shades[::2], "os^", strict=False):
        curve = found["accuracy"].sel(case="SP, MSE", t_wrm=t).transpose("seed", "eta_trgt")
        label = f"t_wrm = {t}"
        band(axes[1], found["eta_trgt"], 100 * curve, color=color, marker=marker, label=label)
    axes[1].axhline(100 * TRAINED, color=COLORS["theory"], ls="--", lw=1)
    axes[1].set(xscale="log", xlabel="eta_trgt / eta_critical", title="SP, MSE", ylim=(60, 100))
    axes[1].set_ylabel("test accuracy (%)")
    for ax in axes:
        legend(ax)
    return axes
