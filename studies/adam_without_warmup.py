"""Without warmup Adam's first update makes the loss peak; GI-Adam's does not.

Kalra & Barkeshli 2024, sections 5, 6.2 and appendices G and I, figures 2, 4, 6, 26 and 31: full
batch, mean squared error, ReLU in SP, 512 steps. Without warmup the largest trainable learning rate
of GI-Adam is several times that of Adam. So are those of RI-Adam (the size of v_0 matters, not its
direction) and, here, of RAdam. At much larger rates no loss diverges to infinity: the networks die.

Limitations: GI-Adam does not reach a lower loss. Its best final loss over the learning rates is 1.9
times Adam's in the median of 30 runs (seeds 0 to 4 of slices 0 to 4 and 11; 0.27 to 5.3 times). In
the medians of slices it is 0.8 to 2.4 times Adam's. With a warmup of 128 updates Adam rarely peaks
at rates up to 0.5 (in one seed of five at width 48, in none at width 32). At 1 it peaked in three
seeds of five on slice 3 of the digits, and in none on slices 0 and 4. On a linear teacher with few
inputs Adam recovers from its peak, RI-Adam and RAdam gain less than four times, and a run at 4 may
diverge.

The claim on the final loss of GI-Adam was worded after slice 20 and seeds 10 to 14, which are shown
here.
"""

from __future__ import annotations

import numpy as np
import xarray as xr

import simulator as sim
from simulator.figures import symbols
from simulator.studying import Lab, claim, in_median
from simulator.studying.style import COLORS, band, panels
from simulator.sweeps.boundary import boundary

MODEL = sim.MLP(width=32)
OPTIMIZERS = {
    "adam": sim.Adam(), "gi-adam": sim.GIAdam(), "ri-adam": sim.RIAdam(), "radam": sim.RAdam()
}  # fmt: skip
NAMES = {"adam": "Adam", "gi-adam": "GI-Adam", "ri-adam": "RI-Adam", "radam": "RAdam"}
ETA = 0.125


def measure(lab: Lab) -> xr.Dataset:
    """Largest and final losses over a grid of learning rates, without and with warmup."""
    data = lab.data(128)
    eta = 2.0 ** np.arange(-7, 2.1, 2 if lab.quick else 1)
    parts = []
    for optimizer in OPTIMIZERS.values():
        grid = sim.sweep(
            MODEL, data, optimizer=optimizer, eta_trgt=eta, t_wrm=[1, 128], seeds=lab.seeds,
            steps=512, sharpness_every=0, workers=lab.workers,
        )  # fmt: skip
        part = {
            "peak": grid["loss_max"] / grid["loss_init"],
            "final": grid["loss_final"] / MODEL.constant_loss(data),
            "diverged": grid["diverged"].astype(float),
            "eta_max": boundary(grid),
        }
        parts.append(xr.Dataset(part).isel(eta_init=0, drop=True))
    names = xr.DataArray(list(OPTIMIZERS), dims="optimizer", name="optimizer")
    return xr.concat(parts, names)


def claims(found: xr.Dataset) -> list:
    none, warm = found.sel(t_wrm=1), found.sel(t_wrm=128)
    edge = {name: none["eta_max"].sel(optimizer=name).values for name in OPTIMIZERS}
    adam, gi = (none.sel(optimizer=name) for name in ("adam", "gi-adam"))
    here, there = adam.sel(eta_trgt=ETA), gi.sel(eta_trgt=ETA)
    best = gi["final"].min("eta_trgt") / adam["final"].min("eta_trgt")
    ever = found["diverged"].max([name for name in found["diverged"].dims if name != "seed"])
    calm = warm["peak"].sel(optimizer="adam", eta_trgt=slice(0, 0.5)).max("eta_trgt")
    return [
        in_median("Adam at 0.125: largest loss over the initial loss", here["peak"], least=10),
        claim("Adam at 0.125: largest loss over the initial loss, in each seed",
              here["peak"], least=2),
        in_median("Adam at 0.125: final loss over that of the best constant output",
                  here["final"], 0.95, 2),
        claim("GI-Adam at 0.125: largest loss over the initial loss", there["peak"], most=1),
        claim("GI-Adam at 0.125: final loss over that of the best constant output",
              there["final"], most=0.1),
        in_median("Largest trainable eta_trgt of GI-Adam over that of Adam",
                  edge["gi-adam"] / edge["adam"], 4),
        in_median("Largest trainable eta_trgt of RI-Adam over that of Adam",
                  edge["ri-adam"] / edge["adam"], 4),
        in_median("Largest trainable eta_trgt of RAdam over that of Adam",
                  edge["radam"] / edge["adam"], 4),
        claim("Any run of the four optimizers diverges at a rate up to 4 (0: no)", ever, most=0),
        in_median("Adam with 128 updates of warmup, up to 0.5: largest loss over the initial loss",
                  calm, most=1.05),
        in_median("Best final loss of GI-Adam over that of Adam", best, least=0.7),
    ]  # fmt: skip


def draw(found: xr.Dataset) -> object:
    axes = panels(2)
    looks = dict(zip(OPTIMIZERS, (("o", "-"), ("s", "-"), ("D", "-."), ("^", "-")), strict=True))
    for rule, name in NAMES.items():
        one, (mark, line) = found.sel(optimizer=rule, t_wrm=1), looks[rule]
        style = {"color": COLORS[rule], "marker": mark, "ls": line, "label": name}
        for ax, key in zip(axes, ("peak", "final"), strict=True):
            values = one[key].transpose("seed", "eta_trgt")
            band(ax, one["eta_trgt"], values, **style)
    warm = found.sel(optimizer="adam", t_wrm=128)
    for ax, key in zip(axes, ("peak", "final"), strict=True):
        values = warm[key].transpose("seed", "eta_trgt")
        style = {"ls": ":", "marker": "x", "label": "Adam, 128 updates of warmup"}
        band(ax, warm["eta_trgt"], values, color=COLORS["adam"], **style)
        ax.axhline(1, color=COLORS["theory"], ls="--", lw=1)
        ax.set(xscale="log", yscale="log", xlabel=symbols.ETA_TRGT)
    axes[0].set(ylabel="largest loss / first", ylim=(0.5, 1e6))
    axes[1].set(ylabel="final loss / best constant output's", ylim=(1e-6, 10))
    axes[1].legend(frameon=False, fontsize="small", loc="lower left")
    return axes
