"""With momentum the sharpness meets 2 (1 + beta) / eta, under warmup and at the edge of stability.

Kalra & Barkeshli 2024, sections 4.2 and B.1, figures 9 and 10: full batch, mean squared error, ReLU
in muP. The ratio is the sharpness over its threshold 2 (1 + beta) / eta. With beta = 0.9 the loss
is not monotone below the threshold, as on a quadratic. A rise of the loss is no sign of instability
there.

Limitations: at a constant rate with beta = 0.9 most networks converge before they reach the
threshold. Over seeds 0 to 4 of slices 0 to 4 and 11 the late ratio was 0.37 to 0.75, and the
largest ratio 0.79 to 1.05; another seed ended at 0.93. With beta = 0.5 the late ratio was 0.98 to
1.02 in 29 of these 30 runs; one overshot and stayed at 0.85. At a tenth of the critical rate the
loss of a network rises in 2 of 512 steps at most. On a linear teacher with few inputs warmup raises
the ratio to 1.5, and a constant rate converges below the threshold.
"""

from __future__ import annotations

import numpy as np
import xarray as xr

import simulator as sim
from simulator.figures import symbols
from simulator.studying import Lab, claim, in_median
from simulator.studying.style import COLORS, band, panels

SMALL = sim.MLP(width=128, depth=2, parameterization="mup")
LARGE = sim.MLP(width=64, parameterization="mup")
# Model, samples, beta, k at the end of warmup, t_wrm, steps.
CASES = {
    "warmup, 0": (SMALL, 64, 0.0, 2, 1024, 1024),
    "warmup, 0.5": (SMALL, 64, 0.5, 2, 1024, 1024),
    "warmup, 0.9": (SMALL, 64, 0.9, 2, 1024, 1024),
    "large, 0.9": (LARGE, 512, 0.9, 2, 512, 512),
    "constant, 0.5": (SMALL, 64, 0.5, 0.7, 1, 1000),
    "constant, 0.9": (SMALL, 64, 0.9, 0.7, 1, 1000),
}
STEPS = 1024


def measure(lab: Lab) -> xr.Dataset:
    """Sharpness times eta, its part of the threshold, and which steps raise the loss."""

    def run(case: str, seed: int) -> np.ndarray:
        model, samples, beta, k, t_wrm, steps = CASES[case]
        data, optimizer = lab.data(samples), sim.Momentum(beta)
        schedule = sim.Warmup(
            eta_trgt=k * sim.eta_critical(model, data, optimizer, seed), t_wrm=t_wrm
        )
        run = sim.simulate(
            model, data, optimizer=optimizer, schedule=schedule, steps=steps, seed=seed,
            sharpness_every=2 if t_wrm > 1 else 4, sharpness_tol=1e-3,
        )  # fmt: skip
        curves = np.full((2, STEPS), np.nan)
        curves[0, :steps], curves[1, : steps - 1] = run.ratio, np.diff(run.loss) > 0
        return curves

    cells = [(case, seed) for case in CASES for seed in lab.seeds]
    curves = np.reshape(lab.each(run, *zip(*cells, strict=True)), (len(CASES), lab.count, 2, STEPS))
    over = ("case", "seed", "step")
    return xr.Dataset(
        {"ratio": (over, curves[:, :, 0]), "rises": (over, curves[:, :, 1])},
        {"case": list(CASES), "seed": list(lab.seeds), "step": np.arange(STEPS)},
    )


def _met(ratio: np.ndarray) -> np.ndarray:
    """The median of the ratio from where it first exceeds 1; NaN where it never does."""
    over = [np.flatnonzero(one > 1) for one in ratio]
    pairs = zip(ratio, over, strict=True)
    return np.array([np.nanmedian(one[at[0] :]) if at.size else np.nan for one, at in pairs])


def _below(found: xr.Dataset, case: str) -> np.ndarray:
    """The share of steps that raise the loss, of those at 0.8 to 0.95 of the threshold."""
    one = found.sel(case=case)
    near = (one["ratio"] > 0.8) & (one["ratio"] < 0.95)
    return (one["rises"].where(near).sum("step") / near.sum("step")).values


def claims(found: xr.Dataset) -> list:
    ratio = {case: found["ratio"].sel(case=case).values for case in CASES}
    none, half, most, large = (_met(ratio[case]) for case in list(CASES)[:4])
    edge, idle = (np.nanmean(ratio[f"constant, {b}"][:, 500:], axis=1) for b in (0.5, 0.9))
    below, still = _below(found, "warmup, 0.9"), _below(found, "warmup, 0")
    return [
        claim("beta = 0, warmup: sharpness over 2 / eta after they meet, median", none, 0.95, 1.2),
        claim("beta = 0.5, warmup: sharpness over 3 / eta after they meet, median",
              half, 0.95, 1.15),
        claim("beta = 0.9, warmup: sharpness over 3.8 / eta after they meet, median",
              most, 0.75, 1.05),
        claim("beta = 0.9, warmup, 512 samples: sharpness over 3.8 / eta after they meet, median",
              large, 0.85, 1.05),
        in_median("beta = 0.5, constant rate: late sharpness over 3 / eta, mean", edge, 0.97, 1.03),
        in_median("beta = 0.9, constant rate: late sharpness over 3.8 / eta, mean", idle, most=0.8),
        claim("beta = 0.9, ratio 0.8 to 0.95: share of updates that raise the loss",
              below, least=0.03),
        claim("beta = 0, ratio 0.8 to 0.95: share of updates that raise the loss",
              still, most=0.02),
    ]  # fmt: skip


def draw(found: xr.Dataset) -> object:
    axes = panels(2)
    looks = {"0": ("gd", ":"), "0.5": ("momentum, 0.5", "-"), "0.9": ("momentum, 0.9", "-.")}
    for beta, (color, line) in looks.items():
        for ax, kind in zip(axes, ("warmup", "constant"), strict=True):
            if f"{kind}, {beta}" in CASES:
                one = found["ratio"].sel(case=f"{kind}, {beta}").dropna("step")
                style = {"color": COLORS[color], "ls": line, "label": rf"$\beta$ = {beta}"}
                band(ax, one["step"], one, **style)
    titles = (f"warmup to 2 {symbols.ETA_CRITICAL}", f"constant, 0.7 {symbols.ETA_CRITICAL}")
    for ax, title in zip(axes, titles, strict=True):
        ax.axhline(1, color=COLORS["theory"], ls="--", lw=1.2)
        ax.set(xlabel="update", ylabel=r"sharpness / (2 (1 + $\beta$) / $\eta$)", ylim=(0, 1.6))
        ax.set_title(title)
        ax.legend(frameon=False, fontsize="small", loc="lower right")
    return axes
