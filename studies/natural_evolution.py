"""At a small rate the sharpness falls in SP, rises in muP, and is constant in wide NTP networks.

Kalra & Barkeshli 2024, section 4.1 and figure 1 (regimes C1 to C3), at a tenth of the critical
learning rate, mean squared error, ReLU, depth 3. In muP the rise does not become smaller with
width. At width 32 it follows a dip and depends on the initialisation, from 0.9 to 3.6. The small
output causes the rise: the sharpness also rises in SP with its readout scaled by 0.1. With
cross-entropy it rises far more, then collapses when the samples are separated.

Limitations: the sharpness falls by only a quarter in SP with tanh, is constant in SP with depth 2
and width 512, and falls in linear muP networks. At one and a half times these widths one seed of SP
in five keeps 0.52 of the initial sharpness, and the dip in muP may be only 4 %. On the teacher's
single target it is constant in SP, muP at width 32 need not dip, it rises in linear muP, and
cross-entropy has no classes to separate. The other claims also hold there.
"""

from __future__ import annotations

import numpy as np
import xarray as xr

import simulator as sim
from simulator.studying import Lab, claim, in_median
from simulator.studying.style import COLORS, band, legend, panels

STEPS, EVERY = 600, 10
CASES = {
    "SP": sim.MLP(width=32),
    "SP, small output": sim.MLP(width=32),
    "muP": sim.MLP(width=128, parameterization="mup"),
    "muP, width 32": sim.MLP(width=32, parameterization="mup"),
    "NTP, width 512": sim.MLP(width=512, depth=2, parameterization="ntp"),
    "SP, tanh": sim.MLP(width=32, activation="tanh"),
    "SP, width 512": sim.MLP(width=512, depth=2),
    "muP, linear": sim.MLP(width=32, parameterization="mup", activation="linear"),
    "muP, xent": sim.MLP(width=32, parameterization="mup", loss="xent"),
}
# Colour, line, marker and panel: what the paper says, where it does not hold, cross-entropy.
LOOKS = {
    "SP": ("sp", "-", "", 0), "muP": ("mup", "-", "", 0), "muP, width 32": ("mup", "-.", "", 0),
    "NTP, width 512": ("ntp", "-", "s", 0), "SP, small output": ("sp", ":", "", 0),
    "SP, tanh": ("tanh", ":", "^", 1), "SP, width 512": ("sp", "-", "", 1),
    "muP, linear": ("linear", "-.", "D", 1), "muP, xent": ("mup", "-", "", 2),
}  # fmt: skip


def measure(lab: Lab) -> xr.Dataset:
    """Sharpness over its initial value, at a tenth of the critical learning rate."""

    def curve(case: str, seed: int) -> np.ndarray:
        model, data = CASES[case], lab.data(64 if "512" in case else 128)
        if model.options()["loss"] == "xent" and not data.classes:
            return np.full(STEPS // EVERY, np.nan)
        theta = model.init(data, seed)
        if case == "SP, small output":
            theta[-model.width * data.outputs :] *= 0.1
        run = sim.simulate(
            model, data, schedule=sim.Warmup(eta_trgt=0.2 / sim.sharpness(model, theta, data)),
            steps=STEPS, seed=seed, theta0=theta, sharpness_every=EVERY,
        )  # fmt: skip
        return run.sharpness[::EVERY] / run.sharpness[0]

    cells = [(case, seed) for case in CASES for seed in lab.seeds]
    curves = np.reshape(lab.each(curve, *zip(*cells, strict=True)), (len(CASES), lab.count, -1))
    coordinates = {"case": list(CASES), "seed": list(lab.seeds), "step": np.arange(0, STEPS, EVERY)}
    return xr.Dataset({"sharpness": (("case", "seed", "step"), curves)}, coordinates)


def claims(found: xr.Dataset) -> list:
    curves = {case: found["sharpness"].sel(case=case).values for case in CASES}
    end = {case: values[:, -1] for case, values in curves.items()}
    off = {case: np.abs(values - 1).max(axis=1) for case, values in curves.items()}
    peak = curves["muP, xent"].max(axis=1)
    return [
        claim("SP: last sharpness over the first", end["SP"], most=0.8),
        claim("muP, width 128: last sharpness over the first", end["muP"], least=1.5),
        in_median("muP, width 32: last sharpness over the first", end["muP, width 32"], least=1.1),
        claim("muP, width 32: smallest sharpness over the first",
              curves["muP, width 32"].min(axis=1), most=0.95),
        claim("NTP, width 512: largest relative change of the sharpness",
              off["NTP, width 512"], most=0.1),
        claim("SP with a small output: last sharpness over the first",
              end["SP, small output"], least=1.0),
        in_median("SP with tanh: last sharpness over the first", end["SP, tanh"], least=0.6),
        claim("SP, depth 2, width 512: largest relative change of the sharpness",
              off["SP, width 512"], most=0.05),
        in_median("muP, linear: last sharpness over the first", end["muP, linear"], most=0.9),
        claim("muP, cross-entropy: largest sharpness over the first", peak, least=3),
        claim("muP, cross-entropy: last sharpness over the largest",
              end["muP, xent"] / peak, most=0.2),
    ]  # fmt: skip


def draw(found: xr.Dataset) -> object:
    axes = panels(3)
    for case, (color, line, mark, panel) in LOOKS.items():
        values = found["sharpness"].sel(case=case)
        style = {"color": COLORS[color], "ls": line, "marker": mark, "markevery": 8, "ms": 4}
        band(axes[panel], found["step"], values, label=case, **style)
    for ax, title in zip(axes, ("MSE, ReLU", "MSE, exceptions", "Cross-entropy"), strict=True):
        ax.axhline(1, color=COLORS["theory"], ls="--", lw=1)
        ax.set(xlabel="update", yscale="log", title=title)
        ax.yaxis.set_major_formatter("{x:g}")
        ax.yaxis.set_minor_formatter("")
        legend(ax)
    axes[0].set(ylim=(0.02, 5), yticks=(0.1, 0.2, 0.5, 1, 2, 4))
    axes[1].set_yticks((0.6, 0.7, 0.8, 0.9, 1))
    axes[0].set_ylabel(r"sharpness $\lambda_t / \lambda_0$")
    return axes
