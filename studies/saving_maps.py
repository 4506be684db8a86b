"""Starting at eta_c saves most of a warmup that is not needed, and little of one that is.

Kalra & Barkeshli 2024, section 6.1, algorithms 1 and 2, and figures 5 and 27 to 29, on digits in
batches of 64 with mean squared error: t_save, the updates that the modified warmup from eta_c to
eta_trgt saves, less half an update for each forward pass of the search, for SGD in muP and SP and
for Adam in SP. It is a closed form of eta_c (`warmup theory --law updates-saved`); what is measured
is eta_c, over the largest constant rate that trains: 0.6 to 1.3 in the medians. Up to half of that
rate most of a long warmup is saved. In SP warmup is for eta_trgt of up to eight times that rate:
there a tenth is saved, and of 16 updates nothing.

Not so: the paper has muP reach eta_trgt in one update over the widest range; here eta_c is about as
close to the largest constant rate in SP. For Adam it is above that in some seeds on slices 0 and 5
and in most on slice 20 (said so after slice 20, on which it is shown): then it gives no protection.
"""

from __future__ import annotations

import numpy as np
import xarray as xr

import simulator as sim
from simulator.figures import symbols
from simulator.figures.style import colormap
from simulator.studying import Lab, claim, in_median
from simulator.studying.style import panels
from simulator.theory.warmup import t_reach, t_save

BATCH, T_WRM = 64, (4, 16, 64, 256, 1024)
# eta_trgt in units of the largest constant rate that trains.
TIMES = 2.0 ** np.arange(-3, 4.1, 0.5)
SP, MUP = sim.MLP(width=32), sim.MLP(width=32, parameterization="mup")
CASES = {"muP": (MUP, sim.GD()), "SP": (SP, sim.GD()), "SP, Adam": (SP, sim.Adam())}


def measure(lab: Lab) -> xr.Dataset:
    data = lab.data(512)

    def search(case: str, seed: int) -> list[float]:
        model, optimizer = CASES[case]
        found = sim.critical_learning_rate(
            model, data, optimizer=optimizer, seed=seed, batch_size=BATCH, steps=256
        )
        return [found.eta_c / found.eta_max, found.forward_passes]

    cells = [(case, seed) for case in CASES for seed in lab.seeds]
    values = np.reshape(lab.each(search, *zip(*cells, strict=True)), (len(CASES), lab.count, 2))
    over, at = ("case", "seed"), {"case": list(CASES), "seed": list(lab.seeds)}
    found = xr.Dataset({"eta_c": (over, values[..., 0]), "passes": (over, values[..., 1])}, at)
    found = found.assign_coords(eta_trgt=TIMES, t_wrm=[*T_WRM])
    reach = xr.apply_ufunc(t_reach, found["eta_c"], found["eta_trgt"], found["t_wrm"])
    save = xr.apply_ufunc(
        t_save, found["eta_c"], found["eta_trgt"], found["t_wrm"], found["passes"]
    )
    return found.assign(t_reach=reach, t_save=save)


def claims(found: xr.Dataset) -> list:
    saved = found["t_save"] / found["t_wrm"]
    half, far = (saved.sel(eta_trgt=times) for times in (0.5, 8))
    left = (found["t_reach"] / found["t_wrm"]).sel(case="SP", eta_trgt=8, t_wrm=256)
    made = [
        in_median(f"{case}: eta_c over the largest constant rate that trains",
                  found["eta_c"].sel(case=case), 0.4, 1.3)
        for case in CASES
    ]  # fmt: skip
    return [
        *made,
        claim(
            "At half that rate: share of 256 updates saved", half.sel(t_wrm=256).min("case"), 0.4
        ),
        claim("SP, at 8 times that rate: the same", far.sel(case="SP", t_wrm=256), most=0.2),
        claim("updates to eta_trgt over 256", left, least=0.8),
        claim(
            "SP, at 8 times that rate: share of 16 updates saved",
            far.sel(case="SP", t_wrm=16),
            most=0,
        ),
        claim("forward passes of the search", found["passes"].max("case"), most=15),
    ]


def draw(found: xr.Dataset) -> object:
    axes = panels(3, sharey=True)
    for ax, case in zip(axes, CASES, strict=True):
        share = (found["t_save"] / found["t_wrm"]).sel(case=case).median("seed")
        mesh = ax.pcolormesh(
            found["eta_trgt"], found["t_wrm"], share.transpose("t_wrm", "eta_trgt"),
            cmap=colormap("cividis"), vmin=0, vmax=1, shading="nearest",
        )  # fmt: skip
        ax.axvline(1, color="white", ls="--", lw=1.2)
        ax.set(xscale="log", yscale="log", title=case)
        ax.set_xlabel(f"{symbols.ETA_TRGT} / largest constant rate that trains")
    axes[0].set_ylabel(f"{symbols.T_WRM} (updates)")
    axes[-1].figure.colorbar(mesh, ax=axes, label=rf"$T_{{\mathrm{{save}}}}$ / {symbols.T_WRM}")
    return axes
