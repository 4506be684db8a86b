"""Weight decay moves a network away from the edge far more than it moves the edge.

This is not a figure of a paper. On a quadratic, gradient descent with decoupled weight decay kappa
is stable iff eta lambda < 2 - eta kappa (`warmup theory --law threshold-under-weight-decay`). So
eta kappa = 0.02 lowers the threshold by a hundredth. The study uses full batches, mean squared
error and ReLU. muP networks of width 128 and depth 2 train on 64 samples, at 0.9 of the critical
rate and under a warmup to three times that rate. Networks of width 32 and depth 3 train on 128
samples at a tenth of it.

At small rates decay shrinks the weights, and the sharpness falls with them to below the threshold.
There is less progressive sharpening, and at eta kappa = 0.1 none. At large rates eta lambda stays
above 2, at twice its value without decay, while the loss rises at every second update.

Limitations: eta kappa = 0.02 does not move every network away from the edge. Over seeds 0 to 9 of
slices 0 and 5 eta lambda ended at 1.16 to 1.99. At eta kappa = 0.2 a warmup to three times the
critical rate killed 1 of 10 networks.

On slice 3 with seeds 80 to 84, one claim fails: "3 times critical, eta kappa = 0.05: late eta
lambda (edge: 1.95)" is [2.68 3.72 4.62], not 2.8 to 5.3, every seed.
"""

from __future__ import annotations

import numpy as np
import xarray as xr

import simulator as sim
from simulator.figures import symbols
from simulator.studying import Lab, claim, in_median
from simulator.studying.style import COLORS, band, legend, panels

EDGE = sim.MLP(width=128, depth=2, parameterization="mup")
SMALL = {name: sim.MLP(width=32, parameterization=name) for name in ("mup", "sp")}
# Model, samples, k at the end of warmup, t_wrm, and the values of eta kappa.
KINDS = {
    "constant": (EDGE, 64, 0.9, 1, (0.0, 0.02, 0.1)),
    "warmup": (EDGE, 64, 3.0, 64, (0.0, 0.01, 0.05)),
    "muP, slow": (SMALL["mup"], 128, 0.1, 1, (0.0, 0.001, 0.005)),
    "SP, slow": (SMALL["sp"], 128, 0.1, 1, (0.0, 0.001, 0.005)),
}
STEPS, EVERY = 800, 8


def measure(lab: Lab) -> xr.Dataset:
    """Eta times the sharpness, what is left of |theta|^2, and how often the loss rises late."""

    def measured(kind: str, decay: float, seed: int) -> np.ndarray:
        model, samples, k, t_wrm, _ = KINDS[kind]
        data = lab.data(samples)
        eta = k * sim.eta_critical(model, data, sim.GD(), seed)
        run = sim.simulate(
            model, data, optimizer=sim.GD(weight_decay=decay / eta),
            schedule=sim.Warmup(eta_trgt=eta, t_wrm=t_wrm), steps=STEPS, seed=seed,
            sharpness_every=EVERY, sharpness_tol=1e-3,
        )  # fmt: skip
        left = np.sum(run.theta**2) / np.sum(model.init(data, seed) ** 2)
        rises = np.mean(np.diff(run.loss[STEPS // 2 :]) > 0)
        return np.array([*(run.eta * run.sharpness)[::EVERY], left, rises])

    cells = [
        (kind, decay, seed) for kind in KINDS for decay in KINDS[kind][4] for seed in lab.seeds
    ]
    found = np.array(lab.each(measured, *zip(*cells, strict=True)))
    found = found.reshape(len(KINDS), 3, lab.count, -1)
    axes = ("kind", "strength", "seed")
    return xr.Dataset(
        {
            "product": ((*axes, "step"), found[..., :-2]),
            "left": (axes, found[..., -2]), "rises": (axes, found[..., -1]),
        },
        {
            "kind": list(KINDS), "strength": [0, 1, 2], "seed": list(lab.seeds),
            "step": np.arange(0, STEPS, EVERY),
        },
    )  # fmt: skip


def claims(found: xr.Dataset) -> list:
    half = found.sizes["step"] // 2
    late = found["product"].isel(step=slice(half, None)).mean("step")
    ended = found["product"].isel(step=slice(-12, None)).mean("step")
    share = ended / ended.sel(strength=0)
    edge, warm = late.sel(kind="constant"), late.sel(kind="warmup")
    left = found["left"].sel(kind="constant")
    checks = [
        claim("0.9 of critical, no decay: late eta lambda (edge: 2)", edge[0], 1.98, 2.1),
        in_median("0.9 of critical, eta kappa = 0.02: late eta lambda (edge: 1.98)",
                  edge[1], 1.1, 1.9),
        claim("0.9 of critical, eta kappa = 0.1: late eta lambda (edge: 1.9)", edge[2], 0.3, 1.5),
        claim("0.9 of critical, eta kappa = 0.1: |theta|^2, last over first", left[2], most=0.1),
        claim("0.9 of critical, no decay: |theta|^2, last over first", left[0], least=1.2),
        claim("3 times critical, no decay: late eta lambda (edge: 2)", warm[0], 1.98, 2.25),
        claim("3 times critical, eta kappa = 0.01: late eta lambda (edge: 1.99)",
              warm[1], 2.4, 4.5),
        claim("3 times critical, eta kappa = 0.05: late eta lambda (edge: 1.95)",
              warm[2], 2.8, 5.3),
        claim(
            "3 times critical, eta kappa = 0.05: share of updates that raise the loss",
            found["rises"].sel(kind="warmup", strength=2), 0.45, 0.55,
        ),
    ]  # fmt: skip
    for kind, most in (("muP, slow", (0.9, 0.6)), ("SP, slow", (0.5, 0.05))):
        checks += [
            claim(
                f"{kind[:-6]}, a tenth of critical, eta kappa = {KINDS[kind][4][i]:g}: sharpness "
                "over that without decay", share.sel(kind=kind, strength=i), most=most[i - 1],
            )
            for i in (1, 2)
        ]  # fmt: skip
    return checks


def draw(found: xr.Dataset) -> object:
    axes = panels(3)
    slow = {"muP, slow": "mup", "SP, slow": "sp"}
    for ax, kinds in zip(axes, (["constant"], ["warmup"], slow), strict=True):
        for kind in kinds:
            curves = found["product"].sel(kind=kind)
            for i, line in enumerate(("-", "-.", ":")):
                name = f"{kind[:-6]}, " if kind in slow else ""
                values = curves.sel(strength=i)
                if kind in slow:
                    values = values / values.isel(step=0)
                label = rf"{name}$\eta\kappa$ = {KINDS[kind][4][i]:g}"
                color = COLORS[slow.get(kind, "mup")]
                band(ax, found["step"], values, color=color, ls=line, label=label)
        ax.set(xlabel="update", ylabel=r"$\eta_t$ times sharpness")
        if kinds is not slow:
            ax.axhline(2, color=COLORS["theory"], ls="--", lw=1.2)
    axes[0].set(title=f"0.9 {symbols.ETA_CRITICAL}", ylim=(0, 2.5))
    axes[1].set(title=f"warmup to 3 {symbols.ETA_CRITICAL}", ylim=(0, 6.5))
    axes[2].set(title=f"0.1 {symbols.ETA_CRITICAL}", yscale="log", ylabel="sharpness / first")
    for ax in axes:
        legend(ax)
    return axes
