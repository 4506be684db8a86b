"""Scale-invariant layers never diverge; warmup preserves their effective learning rate.

Derived here. With LN before each activation and without eps, the loss does not depend on the norms
of the hidden weights, and their gradient is orthogonal to them. An update turns a layer by
arctan(eta |g| / |w|) and makes it longer. So these weights do not diverge at any learning rate. But
a large first update makes them long, and then the effective rate eta / |w|^2 is small and all later
updates turn them only a little. In the study the readout stays at its initial value and the hidden
layers train, with tanh, SP and mean squared error, at learning rates 10 to 1000, on 128 samples. At
100 or more the final loss without warmup is about 0.4 of that of the best constant output. With 128
updates of warmup, which keep the layers short, it is below 0.04 of it.

Limitations: on the seeds on which the tolerances were set, every such run without warmup ends above
0.1. Here one seed does not (0.096). At learning rate 10 runs train with and without warmup. Warmup
does not decide here whether a run diverges: this mechanism differs from the loss catapults of Kalra
& Barkeshli 2024.
"""

from __future__ import annotations

import numpy as np
import xarray as xr

import simulator as sim
from simulator.figures import symbols
from simulator.studying import Lab, claim, in_median
from simulator.studying.style import COLORS, legend, panels

MODEL = sim.MLP(width=32, activation="tanh", norm="preactivation", norm_eps=0.0)
ETAS, WARMUPS, STEPS = (10.0, 100.0, 1000.0), (1, 128), 768


def measure(lab: Lab) -> xr.Dataset:
    data = lab.data(128)
    constant = MODEL.constant_loss(data)
    first, readout = data.inputs * MODEL.width, MODEL.width * data.outputs

    def train(eta: float, t_wrm: int, seed: int) -> tuple[float, ...]:
        theta = MODEL.init(data, seed)
        run = sim.simulate(
            MODEL, data, schedule=sim.Warmup(eta_trgt=eta, t_wrm=t_wrm), steps=STEPS, seed=seed,
            rates=np.arange(theta.size) < theta.size - readout, sharpness_every=0,
        )  # fmt: skip
        before = np.linalg.norm(theta[:first])
        step = eta / t_wrm * np.linalg.norm(MODEL.gradient(theta, data)[:first])
        growth = np.linalg.norm(run.theta[:first]) / before
        return run.loss_final / constant, growth, np.arctan(step / before), run.diverged

    cells = [(eta, t_wrm, seed) for eta in ETAS for t_wrm in WARMUPS for seed in lab.seeds]
    values = lab.each(train, *zip(*cells, strict=True))
    names = ("loss", "growth", "turn", "diverged")
    values = np.reshape(values, (len(ETAS), len(WARMUPS), lab.count, len(names)))
    measured = {name: (("eta", "t_wrm", "seed"), values[..., i]) for i, name in enumerate(names)}
    coordinates = {"eta": list(ETAS), "t_wrm": list(WARMUPS), "seed": list(lab.seeds)}
    return xr.Dataset(measured, coordinates)


def claims(found: xr.Dataset) -> list:
    without, with_it = (found.sel(t_wrm=t_wrm) for t_wrm in WARMUPS)
    large = found["eta"].values >= 100
    return [
        claim("Any run diverges (0: no)", found["diverged"], most=0),
        claim(
            "eta 100 and 1000, no warmup: angle of the first update, radians",
            without["turn"][large],
            least=1.2,
        ),
        claim(
            "eta 100 and 1000, with warmup: angle of the first update, radians",
            with_it["turn"][large],
            most=0.6,
        ),
        claim(
            "eta 100 and 1000, no warmup: |w_1|, end over start", without["growth"][large], least=3
        ),
        claim(
            "eta 100 and 1000, with warmup: |w_1|, end over start",
            with_it["growth"][large],
            most=10,
        ),
        in_median(
            "eta 100 and 1000, no warmup: loss over that of a constant output",
            without["loss"][large],
            0.2,
            1,
        ),
        claim(
            "eta 100 and 1000, with warmup: loss over that of a constant output",
            with_it["loss"][large],
            most=0.04,
        ),
        in_median(
            "eta 10, no warmup: loss over that of a constant output", without["loss"][0], 0.0, 0.08
        ),
    ]


def draw(found: xr.Dataset) -> object:
    axes = panels(2)
    for ax, name in zip(axes, ("loss", "growth"), strict=True):
        for t_wrm, color, mark in zip(WARMUPS, ("sp", "mup"), "os", strict=True):
            values = found[name].sel(t_wrm=t_wrm)
            ax.plot(ETAS, values, mark, color=COLORS[color], alpha=0.5, ms=5)
            ax.plot(
                ETAS, values.median("seed"), color=COLORS[color], label=f"{symbols.T_WRM} = {t_wrm}"
            )
        ax.set(xlabel=symbols.ETA_TRGT, xscale="log", yscale="log")
        legend(ax)
    axes[0].set_ylabel("final loss over that of a constant output")
    axes[1].set_ylabel(r"$|w_1|$, end over start")
    return axes
