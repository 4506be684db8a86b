"""Smaller batches give a lower full sharpness; the batch sharpness stays near 2 / eta.

Andreyev & Beneventano 2412.20553, after warmup to a large learning rate. The study trains two
networks on 256 digits: tanh at 6 times eta_critical and ReLU at 24 times eta_critical. The full
sharpness is the top eigenvalue of the Hessian on all samples. The batch sharpness is the mean of
g.Hg / g.g with g and H of one batch. Both are given in units of 2 / eta. The top eigenvalue of a
single batch, which a minibatch run reports as its sharpness, is a third quantity and larger than
both. The mean curvature along the updates of SGD equals the batch sharpness, so it can be measured
without extra cost.

With 8 samples per batch or fewer, some ReLU networks die and some tanh networks diverge. The
numbers are of the other networks.

Limitations: the batch sharpness is not exactly 2 / eta but 0.7 to 1.05 of it, and it is lower at
medium batch sizes than at large ones. It stays far below 2 / eta in three cases: at a small eta, in
linear networks that cannot fit the data, and with cross-entropy, whose curvature vanishes once the
data are fitted.
"""

from __future__ import annotations

import numpy as np
import xarray as xr

import simulator as sim
from simulator.studying import Lab, claim, in_median
from simulator.studying.style import COLORS, band, legend, panels, threshold

SAMPLES, STEPS, T_WRM = 256, 3000, 1000
TANH = sim.MLP(width=32, activation="tanh", var_w=1.0)
RELU = sim.MLP(width=32)
# The network and its eta_trgt, in units of eta_critical; what is said to be so, and what not.
SETTINGS = {"tanh": (TANH, 6), "relu": (RELU, 24)}
BATCHES = (4, 8, 16, 64, 256)
ELSEWHERE = {
    "small eta": (RELU, 4), "linear": (sim.MLP(width=32, activation="linear", var_w=1.0), 6),
    "cross-entropy": (sim.MLP(width=32, loss="xent"), 4),
}  # fmt: skip
TITLES = {"tanh": "tanh", "relu": "ReLU"}
NAMES = ("full", "mean", "own", "single")


def late(curve: np.ndarray, eta: np.ndarray, mean: object = np.nanmedian) -> float:
    """Over the last half, in units of 2 / eta."""
    half = len(eta) // 2
    values = (curve * eta / 2)[half:]
    return float(mean(values)) if np.isfinite(values).any() else np.nan


def measure(lab: Lab) -> xr.Dataset:
    data, every = lab.data(SAMPLES), STEPS // 24

    def one(model: sim.MLP, multiple: float, batch: int, seed: int) -> list[float]:
        eta = multiple * sim.eta_critical(model, data, sim.GD(), seed)
        run = sim.simulate(
            model, data, schedule=sim.Warmup(eta_trgt=eta, t_wrm=T_WRM), steps=STEPS, seed=seed,
            batch_size=batch, measure=("sharpness", "directional", "batch", "full"),
            sharpness_every=every, batch_every=every,
        )  # fmt: skip
        if run.diverged:
            return [np.nan] * len(NAMES)
        own = late(run.directional_sharpness, run.eta, np.nanmean)
        curves = run.full_sharpness, run.batch_sharpness, run.sharpness
        full, mean, single = (late(curve, run.eta) for curve in curves)
        # A ReLU network that died has no curvature.
        return [full, mean, own, single] if full > 0 else [np.nan] * len(NAMES)

    def table(settings: dict, batches: tuple[int, ...]) -> np.ndarray:
        cells = [(*s, b, seed) for s in settings.values() for b in batches for seed in lab.seeds]
        found = lab.each(one, *zip(*cells, strict=True))
        return np.reshape(found, (len(settings), len(batches), lab.count, len(NAMES)))

    main, other = table(SETTINGS, BATCHES), table(ELSEWHERE, (64,))[:, 0]
    over = ("setting", "batch", "seed")
    return xr.Dataset(
        {name: (over, main[..., i]) for i, name in enumerate(NAMES)}
        | {f"{name} elsewhere": (("where", "seed"), other[..., i]) for i, name in enumerate(NAMES)},
        {
            "setting": list(SETTINGS), "batch": list(BATCHES), "seed": list(lab.seeds),
            "where": list(ELSEWHERE),
        },
    )  # fmt: skip


def claims(found: xr.Dataset) -> list:
    tanh, relu = found.sel(setting="tanh"), found.sel(setting="relu")
    rise = tanh["full"].sel(batch=[4, 8, 16, 64]).diff("batch").min("batch")
    # Of the networks that survive such batches.
    small = relu[["full", "mean"]].sel(batch=8).dropna("seed")
    few, other = tanh["full"].sel(batch=4).dropna("seed"), found["mean elsewhere"]
    return [
        claim("tanh: smallest increase of the full sharpness from one batch size (4 to 64) to "
              "the next", rise, least=0),
        claim("tanh, 4 samples: full sharpness, in 2 / eta", few, 0.4, 0.75),
        claim("tanh, 64 samples: full sharpness, in 2 / eta",
              tanh["full"].sel(batch=64), 0.93, 1.1),
        claim(
            "tanh, all batch sizes: smallest batch sharpness, in 2 / eta",
            tanh["mean"].min("batch"), 0.65, 1.1
        ),
        claim("tanh, all batch sizes: largest batch sharpness, in 2 / eta",
              tanh["mean"].max("batch"), most=1.1),
        in_median(
            "tanh, 4 and 8 samples: batch sharpness minus full sharpness, in 2 / eta",
            (tanh["mean"] - tanh["full"]).sel(batch=[4, 8]).min("batch"), least=0.02,
        ),
        in_median("ReLU, 8 samples: full sharpness, in 2 / eta", small["full"], most=0.75),
        in_median("ReLU, 64 samples: full sharpness, in 2 / eta",
                  relu["full"].sel(batch=64), least=0.95),
        in_median("ReLU, 8 samples: batch sharpness, in 2 / eta", small["mean"], 0.7, 1.1),
        claim(
            "tanh, 4 to 16 samples: sharpness of one batch over full sharpness",
            (tanh["single"] / tanh["full"]).sel(batch=[4, 8, 16]).min("batch"), least=1.1,
        ),
        claim(
            "tanh, 4 to 16 samples: mean curvature along SGD's updates over batch sharpness",
            (tanh["own"] / tanh["mean"]).sel(batch=[4, 8, 16]).mean("batch"), 0.85, 1.15,
        ),
        in_median("Small eta: batch sharpness, in 2 / eta", other.sel(where="small eta"), most=0.7),
        in_median("Linear networks: batch sharpness, in 2 / eta",
                  other.sel(where="linear"), most=0.5),
        in_median("Cross-entropy: batch sharpness, in 2 / eta",
                  other.sel(where="cross-entropy"), most=0.2),
    ]  # fmt: skip


def draw(found: xr.Dataset) -> object:
    axes = panels(2, sharey=True)
    looks = {"full": ("sharpness", "-", "full"), "mean": ("loss", "-.", "batch sharpness")}
    for ax, setting in zip(axes, found["setting"].values, strict=True):
        of = found.sel(setting=setting).transpose("seed", "batch", ...)
        for name, (color, line, label) in looks.items():
            band(
                ax, of.coords["batch"], of[name], color=COLORS[color], ls=line, marker="o", ms=4,
                label=label,
            )  # fmt: skip
        band(
            ax, of.coords["batch"], of["single"], color=COLORS["momentum, 0.9"], ls=":",
            marker="s", ms=4, label="of one batch",
        )  # fmt: skip
        threshold(ax, [4, 256], [1, 1], r"$2 / \eta$")
        ax.set(
            xscale="log",
            xlabel="samples in a batch",
            title=TITLES[setting],
        )
        ax.set_xticks(BATCHES, map(str, BATCHES))
        ax.minorticks_off()
    axes[0].set_ylabel(r"sharpness $\times \, \eta / 2$")
    legend(axes[0])
    return axes
