"""Sharpness evolves by itself: it falls in SP, rises in muP, stays in wide NTP networks.

Kalra & Barkeshli 2024, section 4.1 and figure 1 (regimes C1 to C3), at a tenth of the critical
learning rate, mean squared error, ReLU. muP's rise comes after an early dip. It is the small output
that makes the difference, not the name: SP with its readout scaled by 0.1 rises too. With
cross-entropy sharpness rises, then collapses as the samples are separated. Not so: SP with tanh
(stays), SP with depth 2 (stays if wide), linear networks in muP (fall).
"""

from __future__ import annotations

import numpy as np
import xarray as xr

import simulator as sim
from simulator.studying import Lab, claim
from simulator.studying.style import COLORS, band, legend, panels

STEPS, EVERY = 600, 10
CASES = {
    "sp": sim.MLP(width=32),
    "mup": sim.MLP(width=32, parameterization="mup"),
    "ntp": sim.MLP(width=512, depth=2, parameterization="ntp"),
    "small output": sim.MLP(width=32),
    "mup xent": sim.MLP(width=32, parameterization="mup", loss="xent"),
}
SAMPLES = {"ntp": 64}


def measure(lab: Lab) -> xr.Dataset:
    """Sharpness over its initial value, at a tenth of the critical learning rate."""

    def curve(case: str, seed: int) -> np.ndarray:
        model, data = CASES[case], lab.data(SAMPLES.get(case, 128))
        theta = model.init(data, seed)
        unit = sim.critical_eta(model, data, sim.GD(), seed)
        if case == "small output":
            readout = model.width * data.outputs
            theta[-readout:] *= 0.1
            unit = 2 / sim.sharpness(model, theta, data)
        run = sim.simulate(
            model, data, schedule=sim.Warmup(eta_trgt=0.1 * unit), steps=STEPS, seed=seed,
            theta0=theta, sharpness_every=EVERY,
        )  # fmt: skip
        return run.sharpness[::EVERY] / run.sharpness[0]

    cells = [(case, seed) for case in CASES for seed in lab.seeds]
    curves = np.reshape(lab.each(curve, *zip(*cells, strict=True)), (len(CASES), lab.count, -1))
    coordinates = {"case": list(CASES), "seed": list(lab.seeds), "step": np.arange(0, STEPS, EVERY)}
    return xr.Dataset({"sharpness": (("case", "seed", "step"), curves)}, coordinates)


def claims(found: xr.Dataset) -> list:
    curves = {case: found["sharpness"].sel(case=case).values for case in CASES}
    peak = curves["mup xent"].max(axis=1)
    return [
        claim("SP: sharpness falls to less than half", curves["sp"][:, -1], most=0.5),
        claim("muP: it rises by half or more", curves["mup"][:, -1], least=1.5),
        claim("muP: after a dip", curves["mup"].min(axis=1), most=0.95),
        claim("NTP, width 512: within 10 % all the way", np.abs(curves["ntp"] - 1).max(axis=1), most=0.1),
        claim("SP with a small output rises", curves["small output"][:, -1], least=1.0),
        claim("muP, cross-entropy: it rises threefold", peak, least=3),
    ]  # fmt: skip


def draw(found: xr.Dataset) -> object:
    axes = panels(2, sharey=False)
    colors = {"sp": "sp", "mup": "mup", "ntp": "ntp", "small output": "linear", "mup xent": "xent"}
    for case, color in colors.items():
        ax = axes[case == "mup xent"]
        band(ax, found["step"], found["sharpness"].sel(case=case), color=COLORS[color], label=case)
    for ax in axes:
        ax.axhline(1, color=COLORS["theory"], ls="--", lw=1)
        ax.set(xlabel="step", ylabel="sharpness / its initial value", yscale="log")
        legend(ax)
    axes[0].set_title("MSE")
    axes[1].set_title("cross-entropy")
    return axes
