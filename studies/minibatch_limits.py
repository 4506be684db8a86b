"""With smaller batches the sharpness ends further below its threshold, most of all for Adam.

Kalra & Barkeshli 2024, sections B.1, 4.2 and E, figures 8, 10 and 13: muP networks on 256 digits,
with a warmup of 256 updates, then a constant rate. The sharpness is that of all samples over the
threshold of the optimizer, 2 / eta for SGD and 3.8 / eta for momentum 0.9. For Adam it is the
preconditioned sharpness over 38 / eta. With all samples SGD and Adam end at the threshold,
momentum at 0.5 to 1 of it. With 16 samples per batch SGD ends slightly below it, momentum far below
(many networks die), and Adam below a seventh of it, because v then holds the noise of the gradient.
The sharpness of one batch of 16, which the paper shows, is above that of all samples.

Limitations: for SGD the sharpness of a single batch is not below 2 / eta; only that of all samples
is. Adam's batch sharpness, of plain gradients, is hundreds of times below 2 / eta at any batch
size, so 2 / eta is not a limit for Adam.
"""

from __future__ import annotations

import numpy as np
import xarray as xr

import simulator as sim
from simulator.studying import Lab, claim, in_median
from simulator.studying.style import COLORS, legend, panels

MODEL, SAMPLES, STEPS, T_WRM = sim.MLP(width=32, parameterization="mup"), 256, 768, 256
BATCHES = (16, 64, 256)
# The rate is in units of the first threshold, but of Adam.
OPTIMIZERS = {"SGD": (sim.GD(), 2), "momentum": (sim.Momentum(0.9), 1), "Adam": (sim.Adam(), 0.01)}


def measure(lab: Lab) -> xr.Dataset:
    data, batches = lab.data(SAMPLES), BATCHES[::2] if lab.quick else BATCHES

    def one(name: str, batch: int, seed: int) -> tuple[float, ...]:
        """Late: of one batch and of all samples over the threshold; batch sharpness, eta / 2."""
        optimizer, eta = OPTIMIZERS[name]
        if name != "Adam":
            eta *= sim.eta_critical(MODEL, data, optimizer, seed)
        run = sim.simulate(
            MODEL, data, optimizer=optimizer, schedule=sim.Warmup(eta_trgt=eta, t_wrm=T_WRM),
            steps=STEPS, seed=seed, batch_size=batch, measure=("sharpness", "full", "batch"),
            sharpness_every=16, sharpness_tol=1e-2, batch_every=48,
        )  # fmt: skip
        late = slice(STEPS // 2, None)
        full = np.nanmedian(run.full_sharpness[late] / run.threshold[late])
        gradient = np.nan
        if name == "Adam":
            # The preconditioned sharpness of all samples is known after the last update.
            full = run.ratio_final
            gradient = np.nanmedian((run.batch_sharpness * run.eta / 2)[late])
        return np.nanmedian(run.ratio[late]), full, gradient

    cells = [(name, batch, seed) for name in OPTIMIZERS for batch in batches for seed in lab.seeds]
    values = np.reshape(
        lab.each(one, *zip(*cells, strict=True)), (len(OPTIMIZERS), len(batches), lab.count, 3)
    )
    names, over = ("single", "full", "gradient"), ("optimizer", "batch", "seed")
    return xr.Dataset(
        {name: (over, values[..., i]) for i, name in enumerate(names)},
        {"optimizer": list(OPTIMIZERS), "batch": list(batches), "seed": list(lab.seeds)},
    )


def claims(found: xr.Dataset) -> list:
    sgd, momentum, adam = (found.sel(optimizer=name) for name in OPTIMIZERS)
    few, whole = {"batch": 16}, {"batch": SAMPLES}
    made = [
        claim("SGD, all samples: sharpness over 2 / eta", sgd["full"].sel(whole), 0.8, 1.4),
        in_median(
            "SGD: sharpness with 16 samples over that with all",
            sgd["full"].sel(few) / sgd["full"].sel(whole),
            0.35, 0.95,
        ),
        claim(
            "SGD, 16 samples: sharpness of one batch over that of all samples",
            (sgd["single"] / sgd["full"]).sel(few), least=1.2,
        ),
        in_median("Momentum, all samples: sharpness over 3.8 / eta",
                  momentum["full"].sel(whole), 0.65, 1.05),
        claim("Momentum, 16 samples: sharpness over 3.8 / eta",
              momentum["full"].sel(few), most=0.3),
        claim("Adam, all samples: preconditioned sharpness over 38 / eta",
              adam["full"].sel(whole), 0.75, 1.05),
        claim("Adam, 16 samples: preconditioned sharpness over 38 / eta",
              adam["full"].sel(few), 0.03, 0.14),
        claim("Adam, 16 samples: preconditioned sharpness of one batch over 38 / eta",
              adam["single"].sel(few), 0.05, 0.2),
        claim("Adam: batch sharpness over 2 / eta", adam["gradient"].max("batch"), most=0.02),
    ]  # fmt: skip
    if 64 in found["batch"]:
        made += [
            in_median(
                "Momentum, 64 samples: sharpness over 3.8 / eta",
                momentum["full"].sel(batch=64),
                most=0.5,
            ),
            claim(
                "Adam, 64 samples: preconditioned sharpness over 38 / eta",
                adam["full"].sel(batch=64),
                0.15,
                0.55,
            ),
        ]
    return made


def draw(found: xr.Dataset) -> object:
    axes = panels(2, sharey=True)
    looks = {"SGD": ("gd", "o"), "momentum": ("momentum, 0.9", "s"), "Adam": ("adam", "^")}
    for ax, key, title in zip(axes, ("full", "single"), ("all samples", "one batch"), strict=True):
        for name, (color, mark) in looks.items():
            # A network that died has no sharpness.
            values = found[key].sel(optimizer=name).transpose("batch", "seed")
            values = values.where(values > 0).values
            ax.plot(found["batch"], np.nanmedian(values, axis=1), "-", color=COLORS[color], lw=1.4)
            ax.plot(found["batch"], values[:, 0], mark, ms=4, color=COLORS[color], label=name)
            ax.plot(found["batch"], values[:, 1:], mark, ms=4, color=COLORS[color])
        ax.axhline(1, color=COLORS["theory"], ls="--", lw=1)
        ax.set(xscale="log", yscale="log", xlabel="samples in a batch", title=f"Of {title}")
        ax.set_xticks(found["batch"].values, map(str, found["batch"].values))
        ax.minorticks_off()
    axes[0].set_ylabel("sharpness / threshold")
    legend(axes[0])
    return axes
