"""Warmup from eta_c reaches the same loss as warmup from 0, and saves the first updates.

Kalra & Barkeshli 2024, figure 5 and section 6.1, on digits in standard parameterization with mean
squared error and minibatches of 64. The modified warmup starts at the eta_c of a catapult search,
and saves t_wrm eta_c / eta_trgt updates (`warmup theory --law updates-saved`). This is little where
warmup matters most. With cross-entropy one update raises the loss only at rates where training
already fails. There eta_c is useless in some seeds of SP and in all of muP, and the search says so.
Needs data with classes.
"""

from __future__ import annotations

import numpy as np
import xarray as xr

import simulator as sim
from simulator.figures import symbols
from simulator.figures.style import current
from simulator.studying import Lab, claim, in_median
from simulator.studying.style import COLORS, panels

MODEL, STEPS, BATCH = sim.MLP(width=64), 2048, 64
XENT = sim.MLP(width=64, parameterization="mup", loss="xent")
SETTINGS = ((8, 64), (8, 256), (16, 64), (16, 256), (32, 256))


def measure(lab: Lab) -> xr.Dataset:
    data, count = lab.data(1024), max(lab.count, 2 if lab.quick else 8)
    seeds = range(lab.first, lab.first + count)
    settings = SETTINGS[:1] if lab.quick else SETTINGS

    def search(model: sim.Model, seed: int) -> sim.Critical:
        return sim.critical_learning_rate(model, data, seed=seed, batch_size=BATCH, steps=256)

    def compare(times: float, t_wrm: int, seed: int) -> tuple[float, ...]:
        critical = found[seed - lab.first]
        eta_trgt = times * critical.eta_critical
        schedules = (
            sim.Warmup(eta_trgt=eta_trgt, t_wrm=t_wrm),
            sim.ModifiedWarmup(critical.eta_c, eta_trgt, t_wrm),
        )
        whole, short = (
            sim.simulate(
                MODEL, data, schedule=schedule, steps=STEPS, seed=seed, batch_size=BATCH,
                sharpness_every=0,
            )
            for schedule in schedules
        )  # fmt: skip
        return (
            np.log(short.loss_final) / np.log(whole.loss_final),
            100 * (short.test_accuracy_final - whole.test_accuracy_final),
            (short.eta == eta_trgt).sum() - (whole.eta == eta_trgt).sum(),
        )

    found = lab.each(search, [MODEL] * count, seeds)
    useless = lab.each(search, [XENT] * count, seeds)
    cells = [(*setting, seed) for setting in settings for seed in seeds]
    values = np.reshape(lab.each(compare, *zip(*cells, strict=True)), (len(settings), count, 3))
    names = ("log_loss", "accuracy", "saved")
    measured = {name: (("setting", "seed"), values[:, :, i]) for i, name in enumerate(names)}
    measured["passes"] = "seed", [one.forward_passes for one in found]
    measured["usable"] = "seed", [one.usable for one in found]
    measured["usable_xent"] = "seed", [one.usable for one in useless]
    labels = [f"{times} eta_critical, t_wrm {t}" for times, t in settings]
    return xr.Dataset(measured, {"setting": labels, "seed": list(seeds)})


def claims(found: xr.Dataset) -> list:
    middle = found["log_loss"].median("seed")
    return [
        claim("Log final loss over that of warmup from 0, medians over seeds", middle, 0.95, 1.05),
        in_median("Test accuracy minus that of warmup from 0, points", found["accuracy"], -1, 1),
        claim("Forward passes of the search", found["passes"], most=30),
        claim("SP, mean squared error: eta_c is useful (1: yes)", found["usable"], least=1),
        claim("muP, cross-entropy: eta_c is useful (0: no)", found["usable_xent"], most=0),
    ]


def draw(found: xr.Dataset) -> object:
    (ax,) = panels(1, columns=1)
    ax.figure.set_size_inches(*current().size(7.5, 4))
    ax.axhspan(0.95, 1.05, color="#e2e2e2", lw=0, zorder=0)
    ax.axhline(1, color=COLORS["theory"], ls="--", lw=1)
    for place, setting in enumerate(found["setting"].values):
        values = found["log_loss"].sel(setting=setting)
        ax.plot([place] * values.size, values, "o", color="#6baed6", ms=5)
        ax.plot(place, values.median(), "_", color=COLORS["loss"], ms=24, mew=2)
    saved = found["saved"].median("seed").values
    labels = [
        f"{_in_symbols(name)}\nsaves {number:g}"
        for name, number in zip(found["setting"].values, saved, strict=True)
    ]
    ax.set_xticks(range(len(labels)), labels, fontsize="small")
    ax.set_ylabel("log final loss: from eta_c over from 0")
    ax.set_title("each seed, their median, and 5 % (grey)", fontsize="medium")
    return ax


def _in_symbols(setting: str) -> str:
    text = setting.replace("eta_critical", symbols.ETA_CRITICAL).replace("t_wrm", symbols.T_WRM)
    return text.replace(", ", "\n")
