"""Under warmup the batch sharpness follows 2 / eta_t, and the full sharpness falls with it.

This is the edge of stochastic stability (Andreyev & Beneventano 2412.20553) at a rising learning
rate, which those papers do not study. Tanh networks train on 256 digits, with eta_t linear in t up
to 8 times eta_critical over all 3,000 updates. In the second half of the ramp the batch sharpness
stays at 2 / eta_t, although 2 / eta_t falls by half. From a third of the ramp on, the full
sharpness falls by a factor above 2. With 16 samples per batch the full sharpness is at or below the
limit 2 / eta_t; with 64 and more it is slightly above.

With ReLU the ratio varies more: 0.65 to 1.15 with 8 samples per batch.
"""

from __future__ import annotations

import numpy as np
import xarray as xr

import simulator as sim
from simulator.studying import Lab, claim
from simulator.studying.style import COLORS, band, legend, panels, threshold

MODEL, SAMPLES, STEPS, TIMES = sim.MLP(width=32, activation="tanh", var_w=1.0), 256, 3000, 8
BATCHES, EVERY = (16, 64, 256), 25


def measure(lab: Lab) -> xr.Dataset:
    data = lab.data(SAMPLES)

    def one(batch: int, seed: int) -> list[np.ndarray]:
        eta = TIMES * sim.eta_critical(MODEL, data, sim.GD(), seed)
        run = sim.simulate(
            MODEL, data, schedule=sim.Warmup(eta_trgt=eta, t_wrm=STEPS), steps=STEPS, seed=seed,
            batch_size=batch, measure=("batch", "full"), batch_every=EVERY,
        )  # fmt: skip
        return [(c * run.eta / 2)[::EVERY] for c in (run.batch_sharpness, run.full_sharpness)]

    cells = [(batch, seed) for batch in BATCHES for seed in lab.seeds]
    found = np.reshape(
        lab.each(one, *zip(*cells, strict=True)), (len(BATCHES), lab.count, 2, STEPS // EVERY)
    )
    over = ("batch", "seed", "update")
    return xr.Dataset(
        {"mean": (over, found[:, :, 0]), "full": (over, found[:, :, 1])},
        {
            "batch": list(BATCHES), "seed": list(lab.seeds),
            "update": np.arange(0, STEPS, EVERY),
        },
    )  # fmt: skip


def claims(found: xr.Dataset) -> list:
    second = found.sel(update=slice(STEPS // 2, None)).median("update")
    start, end = (found["full"].sel(update=at) for at in (STEPS // 3, STEPS - EVERY))
    # In units of 2 / eta_t, and eta_t grows threefold in between.
    fall = start / end * (STEPS - EVERY) / (STEPS // 3)
    told = [
        claim(
            f"{batch} samples: batch sharpness in the second half of the ramp, in 2 / eta_t",
            second["mean"].sel(batch=batch), 0.85, 1.1,
        )
        for batch in (16, 64)
    ]  # fmt: skip
    return [
        *told,
        claim("all samples: batch sharpness in the second half of the ramp, in 2 / eta_t",
              second["mean"].sel(batch=256), 0.95, 1.05),
        claim("16 samples: full sharpness in the second half of the ramp, in 2 / eta_t",
              second["full"].sel(batch=16), 0.9, 1.05),
        claim("64 samples: full sharpness in the second half of the ramp, in 2 / eta_t",
              second["full"].sel(batch=64), 1.0, 1.15),
        claim(
            "Full sharpness after a third of the ramp over that at its end",
            fall.min("batch"), least=2,
        ),
    ]  # fmt: skip


def draw(found: xr.Dataset) -> object:
    axes = panels(2, sharey=True)
    colors = {16: "mup", 64: "ntp", 256: "sp"}
    share = (found["update"] + 1) / STEPS
    for ax, name in zip(axes, ("mean", "full"), strict=True):
        for batch, line in zip(BATCHES, ("-", "-.", ":"), strict=True):
            label = "all samples" if batch == SAMPLES else f"{batch} samples"
            band(
                ax, share, found[name].sel(batch=batch).transpose("seed", "update"),
                color=COLORS[colors[batch]], ls=line, label=label,
            )  # fmt: skip
        threshold(ax, [0, 1], [1, 1], r"$2 / \eta_t$")
        ax.set(xlabel="share of the ramp", ylim=(0, 1.4))
    axes[0].set(title="Batch sharpness", ylabel=r"sharpness $\times \, \eta_t / 2$")
    axes[1].set(title="Full sharpness")
    legend(axes[1])
    return axes
