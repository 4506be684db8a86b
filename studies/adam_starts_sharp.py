"""Adam starts far above 38 / eta, falls below it within ten steps, and returns to it.

Kalra & Barkeshli 2024, sections 4.3 and 6.2, figures 2, 6 and 30: the preconditioned sharpness,
full batch, mean squared error, ReLU, at a constant rate of 0.01 unless stated otherwise. At first
only coordinates with tiny gradients are above the threshold, so the loss does not exceed its
initial value. Later the threshold determines when the loss rises, and in long runs the
preconditioned sharpness stays near it. GI-Adam starts 1 / sqrt(1 - beta2) = 31.6 times flatter.
This ratio is exact at eps = 0, and smaller where gradients are small compared with eps = 1e-8 (down
to 13 in muP).

Limitations: networks learn a linear teacher with few inputs before they reach the threshold again.
At a rate of 0.001 the preconditioned sharpness is at 0.1 to 0.4 of the threshold after 2,000
steps.

On slice 3 with seeds 80 to 84, one claim fails: "SP: late preconditioned sharpness, in 38 / eta" is
[0.89 1 1.03], not 0.9 to 1.07, every seed.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import xarray as xr

import simulator as sim
from simulator.studying import Lab, claim, in_median
from simulator.studying.style import COLORS, band, legend, panels, threshold

MODELS = {"sp": sim.MLP(width=32), "mup": sim.MLP(width=32, parameterization="mup")}
OPTIMIZERS = {"adam": sim.Adam(), "gi-adam": sim.GIAdam()}
ETA, SLOW, STEPS = 0.01, 0.001, 2000


def measure(lab: Lab) -> xr.Dataset:
    """Loss and preconditioned sharpness of each step, at two learning rates."""
    data, steps = lab.data(128), STEPS // 2 if lab.quick else STEPS

    def curves(model: str, optimizer: str, seed: int) -> np.ndarray:
        def run(eta: float, optimizer: sim.Optimizer, steps: int, sharpness_tol: float) -> sim.Run:
            return sim.simulate(
                MODELS[model], data, optimizer=optimizer, schedule=sim.Warmup(eta_trgt=eta),
                steps=steps, seed=seed, sharpness_tol=sharpness_tol,
            )  # fmt: skip

        rule = OPTIMIZERS[optimizer]
        long, slow = run(ETA, rule, steps, 1e-3), run(SLOW, rule, 11, 1e-4)
        fall = slow.preconditioned_sharpness[[0, 9]]
        return np.concatenate([fall, long.preconditioned_sharpness, long.loss])

    cells = [(m, o, seed) for m in MODELS for o in OPTIMIZERS for seed in lab.seeds]
    found = np.reshape(lab.each(curves, *zip(*cells, strict=True)), (2, 2, lab.count, -1))
    over = ("model", "optimizer", "seed")
    return xr.Dataset(
        {
            "first": (over, found[..., 0]), "tenth": (over, found[..., 1]),
            "sharpness": ((*over, "step"), found[..., 2 : 2 + steps]),
            "loss": ((*over, "step"), found[..., 2 + steps :]),
        },
        {"model": list(MODELS), "optimizer": list(OPTIMIZERS), "seed": list(lab.seeds)},
    )  # fmt: skip


def claims(found: xr.Dataset) -> list:
    made = []
    for model, name in (("sp", "SP"), ("mup", "muP")):
        one = {key: found[key].sel(model=model).values for key in found.data_vars}
        adam, gi = one["first"]
        loss, ratio = one["loss"][0], one["sharpness"][0] * ETA / 38
        above, below = (_rises(loss, ratio, *ends) for ends in ((1, np.inf), (0, 0.8)))
        hover = ratio[:, -500:].mean(1)
        made += [
            in_median(f"{name}: initial preconditioned sharpness of Adam", adam, least=5e3),
            in_median(f"{name}: preconditioned sharpness at 0.001, initial over after 10 updates",
                      adam / one["tenth"][0], least=10),
            claim(f"{name}: initial preconditioned sharpness at 0.01, in 38 / eta",
                  ratio[:, 0], least=1),
            claim(f"{name}: largest loss over the initial loss", loss.max(1) / loss[:, 0], most=1),
            claim(f"{name}: initial preconditioned sharpness, Adam over GI-Adam",
                  adam / gi, least=10),
            claim(f"{name}: late preconditioned sharpness, in 38 / eta", hover, 0.9, 1.07),
            claim(f"{name}: above 38 / eta, share of updates that raise the loss",
                  above, least=0.4),
            claim(f"{name}: below 0.8 of 38 / eta, share of updates that raise the loss",
                  below, most=0.15),
        ]  # fmt: skip
    return made


def _rises(loss: np.ndarray, ratio: np.ndarray, least: float, most: float) -> np.ndarray:
    """The share of steps that raise the loss, of those with a ratio between the two; by seed."""
    there = (ratio[:, :-1] > least) & (ratio[:, :-1] < most)
    with np.errstate(invalid="ignore"):
        return ((np.diff(loss) > 0) & there).sum(1) / there.sum(1)


def draw(found: xr.Dataset) -> object:
    axes = panels(3)
    steps = np.arange(1, found.sizes["step"] + 1)
    edges = np.array([0, 0.2, 0.4, 0.6, 0.8, 0.9, 0.95, 1, 1.05, 1.1, 1.2])
    shown = (("sp", "SP", "o"), ("mup", "muP", "s"))
    for ax, (model, name, mark) in zip(axes, shown, strict=False):
        one = found.sel(model=model)
        for rule, label in (("adam", "Adam"), ("gi-adam", "GI-Adam")):
            curve = one["sharpness"].sel(optimizer=rule)
            band(ax, steps, curve, color=COLORS[rule], label=label)
        threshold(ax, steps, np.full(steps.size, 38 / ETA), r"38 / $\eta$")
        ax.set(xscale="log", yscale="log", title=name, xlabel="update")
        ax.set_ylabel("preconditioned sharpness")
        legend(ax)
        loss, ratio = (one[key].sel(optimizer="adam").values for key in ("loss", "sharpness"))
        share = np.transpose([_rises(loss, ratio * ETA / 38, *pair) for pair in pairwise(edges)])
        middle = (edges[:-1] + edges[1:]) / 2
        band(axes[2], middle, share, color=COLORS[model], marker=mark, ms=4, label=name)
    axes[2].axvline(1, color=COLORS["theory"], ls="--", lw=1.2)
    axes[2].set(xlabel=r"preconditioned sharpness / (38 / $\eta$)")
    axes[2].set_ylabel("share of updates that raise the loss")
    axes[2].set_title("Adam")
    legend(axes[2])
    return axes
