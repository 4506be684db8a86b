"""A start at eta_c saves most of an unnecessary warmup, and little of a necessary one.

Kalra & Barkeshli 2024, section 6.1, algorithms 1 and 2, and figures 5 and 27 to 29, on digits in
batches of 64 with mean squared error, for SGD and Adam in muP and SP. t_save is the number of
updates that the modified warmup from eta_c to eta_trgt saves, minus half an update for each forward
pass of the search. It is a closed form of eta_c (`warmup theory --law updates-saved`). The study
measures eta_c over the largest constant rate that trains: 0.5 to 1.3 in the medians. For eta_trgt
up to half of that rate most of a long warmup is saved. In SP warmup makes eta_trgt up to eight
times that rate trainable. There a tenth of a long warmup is saved, and nothing of 16 updates.

Limitations: in the paper muP reaches eta_trgt in one update over the widest range. Here eta_c is
about as close to the largest constant rate in SP. For Adam in SP eta_c is above that rate in some
seeds on slices 0 and 5 and in most on slice 20 (worded after slice 20, which is shown here). Then a
start at eta_c gives no protection. For Adam in muP eta_c is about half of that rate. In one of the
seeds shown it is a fifth, and 0.37 of 256 updates are saved at half that rate, so this claim is one
of the median.
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
CASES = {
    "muP": (MUP, sim.GD()), "SP": (SP, sim.GD()), "muP, Adam": (MUP, sim.Adam()),
    "SP, Adam": (SP, sim.Adam()),
}  # fmt: skip
MAPS = {
    "t_reach": r"$T_\mathrm{reach}\,/\,T_\mathrm{wrm}$",
    "t_save": r"$T_\mathrm{save}\,/\,T_\mathrm{wrm}$",
}


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
        in_median(
            "eta_trgt at half that constant rate: share of 256 updates saved",
            half.sel(t_wrm=256).min("case"),
            0.4,
        ),
        claim(
            "SP, eta_trgt at 8 times that constant rate: share of 256 updates saved",
            far.sel(case="SP", t_wrm=256),
            most=0.2,
        ),
        claim(
            "SP, eta_trgt at 8 times that constant rate: updates to eta_trgt over 256",
            left,
            least=0.8,
        ),
        claim(
            "SP, eta_trgt at 8 times that constant rate: share of 16 updates saved",
            far.sel(case="SP", t_wrm=16),
            most=0,
        ),
        claim("Forward passes of the search", found["passes"].max("case"), most=15),
    ]


def draw(found: xr.Dataset) -> object:
    axes = panels(2 * len(CASES), columns=len(CASES), width=2.3, sharex=True, sharey=True)
    rows = axes[: len(CASES)], axes[len(CASES) :]
    for row, (name, label) in zip(rows, MAPS.items(), strict=True):
        for ax, case in zip(row, CASES, strict=True):
            share = (found[name] / found["t_wrm"]).sel(case=case).median("seed")
            mesh = ax.pcolormesh(
                found["eta_trgt"], found["t_wrm"], share.transpose("t_wrm", "eta_trgt"),
                cmap=colormap("cividis"), vmin=0, vmax=1, shading="nearest",
            )  # fmt: skip
            ax.axvline(1, color="white", ls="--", lw=1.2)
            ax.set(xscale="log", yscale="log")
        row[0].set_ylabel(f"{symbols.T_WRM} (updates)")
        row[-1].figure.colorbar(mesh, ax=row, label=label)
    for ax, case in zip(rows[0], CASES, strict=True):
        ax.set_title(case)
    for ax in rows[1]:
        ax.set_xlabel(f"{symbols.ETA_TRGT} / largest constant")
    return axes
