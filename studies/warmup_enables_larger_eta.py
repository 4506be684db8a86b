"""Warmup raises the largest trainable eta_trgt: by a lot in SP, slightly in muP.

Kalra & Barkeshli 2024, section 5 and figure 3: the largest trainable eta_trgt against t_wrm, on
digits with mean squared error and full-batch gradient descent, in runs of t_wrm + 256 updates. It
is the end of the contiguous part of the grid that trains, counted from the smallest rate. The grid
has steps of 2^0.5. With tanh a short warmup lowers the largest trainable eta_trgt, and a warmup of
hundreds of updates raises it. muP with cross-entropy gains nothing from 16 updates. A dead network
has a finite loss, but counts as not trained. Needs data with classes.
"""

from __future__ import annotations

import numpy as np
import xarray as xr

import simulator as sim
from simulator.figures import symbols
from simulator.studying import Lab, claim, in_median
from simulator.studying.style import COLORS, band, legend, panels
from simulator.sweeps.boundary import boundary

T_WRM = (1, 4, 16, 64, 256)
CASES = {
    "SP ReLU": sim.MLP(width=32),
    "SP linear": sim.MLP(width=32, activation="linear"),
    "SP tanh": sim.MLP(width=32, activation="tanh"),
    "muP ReLU": sim.MLP(width=32, parameterization="mup"),
    "SP ReLU, xent": sim.MLP(width=32, loss="xent"),
    "muP ReLU, xent": sim.MLP(width=32, parameterization="mup", loss="xent"),
}
LOOKS = {
    "SP ReLU": ("sp", "-", "o"), "SP linear": ("linear", "-.", "D"), "SP tanh": ("tanh", ":", "^"),
    "muP ReLU": ("mup", "-", "s"),
}  # fmt: skip


def measure(lab: Lab) -> xr.Dataset:
    data, t_wrm = lab.data(128), (1, 16, 256) if lab.quick else T_WRM

    def edge(case: str, model: sim.Model, t: int) -> np.ndarray:
        # Too small a learning rate does not train in so many updates either.
        low = -2 if "xent" in case else 1
        eta_trgt = 2.0 ** np.arange(low, 8.1, 1.0 if lab.quick else 0.5)
        found = sim.sweep(
            model, data, eta_trgt=eta_trgt, t_wrm=[t], seeds=lab.seeds, steps=t + 256,
            eta_unit="critical", sharpness_every=0, workers=lab.workers,
        )  # fmt: skip
        return boundary(found).values.ravel()

    edges = [[edge(*case, t) for t in t_wrm] for case in CASES.items()]
    return xr.Dataset(
        {"eta_trgt_max": (("case", "t_wrm", "seed"), np.array(edges))},
        {"case": list(CASES), "t_wrm": list(t_wrm), "seed": list(lab.seeds)},
    )


def claims(found: xr.Dataset) -> list:
    edge = found["eta_trgt_max"]
    # Over seeds: medians of the boundary, over that without warmup.
    gain = edge.median("seed") / edge.sel(t_wrm=1).median("seed")
    sp, mup, tanh = (gain.sel(case=case) for case in ("SP ReLU", "muP ReLU", "SP tanh"))
    each = edge / edge.sel(t_wrm=1)
    relu, xent = (each.sel(case=case) for case in ("SP ReLU", "muP ReLU, xent"))
    return [
        claim(
            "SP ReLU: eta_trgt at t_wrm 16 over that without warmup, medians over seeds",
            sp.sel(t_wrm=16),
            least=3,
        ),
        claim(
            "SP ReLU: eta_trgt at t_wrm 64 and 256 over that without warmup, medians over seeds",
            sp.sel(t_wrm=slice(64, 256)).min(),
            least=4,
        ),
        claim(
            "SP ReLU: eta_trgt at t_wrm 256 over that without warmup, each seed",
            relu.sel(t_wrm=256),
            least=2,
        ),
        claim(
            "muP ReLU: eta_trgt at t_wrm 256 over that without warmup, medians over seeds",
            mup.sel(t_wrm=256),
            1,
            3,
        ),
        claim(
            "ReLU: eta_trgt at t_wrm 256 over that without warmup, SP over muP",
            (sp / mup).sel(t_wrm=256),
            least=2,
        ),
        claim(
            "SP tanh: eta_trgt at t_wrm 16 over that without warmup, medians over seeds",
            tanh.sel(t_wrm=16),
            0.5,
            1,
        ),
        in_median(
            "muP ReLU, cross-entropy: eta_trgt at t_wrm 16 over that without warmup",
            xent.sel(t_wrm=16),
            most=1.42,
        ),
    ]


def draw(found: xr.Dataset) -> object:
    axes = panels(2, sharey=True)
    for case in CASES:
        name = case.removesuffix(", xent")
        color, line, mark = LOOKS[name]
        values = np.maximum(found["eta_trgt_max"].sel(case=case).transpose("seed", "t_wrm"), 0.2)
        style = {"color": COLORS[color], "ls": line, "marker": mark, "label": name}
        band(axes["xent" in case], found["t_wrm"], values, **style)
    for ax, title in zip(axes, ("MSE", "cross-entropy"), strict=True):
        ax.set(xscale="log", yscale="log", xlabel=f"{symbols.T_WRM} (updates)", title=title)
        legend(ax)
    axes[0].set_ylabel(f"largest trainable {symbols.ETA_TRGT} / {symbols.ETA_CRITICAL}")
    return axes
