"""GI-Adam without warmup trains at the rates where Adam needs a long warmup.

Kalra & Barkeshli 2024, section 5 and figures 4 and 22 to 25, on digits in batches of 64 in SP. For
each t_wrm the study measures the boundary, which is the largest eta_trgt that trains, and the best
rate, which has the highest test accuracy. With mean squared error, GI-Adam and RAdam at t_wrm 1
train at least as far as Adam after a warmup of 256 updates. SGD's best rate is close to its
boundary. Adam's best rate is far below its boundary, at every t_wrm.

Limitations: with cross-entropy neither warmup nor GI-Adam moves the boundary (in the paper's
networks it moves by 4 times). RAdam moves the boundary here, but not in the paper. A larger
boundary does not mean a better accuracy: GI-Adam's best accuracy is half a point below Adam's.
"""

from __future__ import annotations

import numpy as np
import xarray as xr

import simulator as sim
from simulator.figures import symbols
from simulator.studying import Lab, claim, in_median
from simulator.studying.style import COLORS, band, panels
from simulator.sweeps.boundary import boundary

SAMPLES, BATCH, STEPS, LONG = 512, 64, 512, 256
OPTIMIZERS = {"Adam": sim.Adam(), "GI-Adam": sim.GIAdam(), "RAdam": sim.RAdam(), "SGD": sim.GD()}
# Cross-entropy first: it refuses data without classes. SGD's rates are in 2 / lambda_0.
ADAM, SGD = 2.0 ** np.arange(-8, 0.1), 2.0 ** np.arange(0, 7.1)
CASES = {
    (loss, name): SGD if name == "SGD" else ADAM
    for loss in ("xent", "mse") for name in OPTIMIZERS if (loss, name) != ("xent", "SGD")
}  # fmt: skip


def measure(lab: Lab) -> xr.Dataset:
    data, steps = lab.data(SAMPLES), STEPS // 2 if lab.quick else STEPS

    def grid(loss: str, name: str) -> xr.Dataset:
        eta, few = CASES[loss, name], lab.quick or loss == "xent"
        found = sim.sweep(
            sim.MLP(width=32, loss=loss), data, optimizer=OPTIMIZERS[name], seeds=lab.seeds,
            eta_trgt=eta[1::2] if lab.quick and name != "SGD" else eta, steps=steps,
            t_wrm=[1, LONG] if few else [1, 32, LONG], batch_size=BATCH, sharpness_every=0,
            eta_unit="critical" if name == "SGD" else "absolute", workers=lab.workers,
        ).squeeze("eta_init", drop=True)  # fmt: skip
        return xr.Dataset(
            {
                "edge": boundary(found),
                "best": found["test_accuracy_final"].fillna(0).idxmax("eta_trgt"),
                "accuracy": 100 * found["test_accuracy_final"].max("eta_trgt"),
            }
        )

    names = xr.Variable("case", [f"{loss}, {name}" for loss, name in CASES])
    return xr.concat([grid(*case) for case in CASES], names, join="outer")


def claims(found: xr.Dataset) -> list:
    def of(variable: str, loss: str, name: str, t_wrm: int = 1) -> xr.DataArray:
        return found[variable].sel(case=f"{loss}, {name}", t_wrm=t_wrm)

    def ratio(loss: str, name: str, other: str, t_wrm: int = 1, other_t: int = 1) -> xr.DataArray:
        return of("edge", loss, name, t_wrm) / of("edge", loss, other, other_t)

    def below(name: str, t_wrm: int) -> xr.DataArray:
        return of("edge", "mse", name, t_wrm) / of("best", "mse", name, t_wrm)

    gi = of("accuracy", "mse", "GI-Adam") - of("accuracy", "mse", "Adam")
    warm = of("accuracy", "mse", "Adam", LONG) - of("accuracy", "mse", "Adam")
    adam = ratio("mse", "Adam", "Adam", LONG)
    return [
        *(
            claim(f"{name} without warmup: boundary over that of Adam with 256 updates of warmup",
                  ratio("mse", name, "Adam", 1, LONG), least=1)
            for name in ("GI-Adam", "RAdam")
        ),
        in_median("Both without warmup: boundary of GI-Adam over that of Adam",
                  ratio("mse", "GI-Adam", "Adam"), least=4),
        claim("Adam: boundary with 256 updates of warmup over that without", adam, least=2),
        in_median("GI-Adam: boundary with 256 updates of warmup over that without",
                  ratio("mse", "GI-Adam", "GI-Adam", LONG), 1, 4),
        in_median("Adam without warmup: boundary over best rate", below("Adam", 1), least=4),
        in_median("Adam with 256 updates of warmup: boundary over best rate",
                  below("Adam", LONG), least=4),
        in_median("SGD without warmup: boundary over best rate", below("SGD", 1), most=2),
        in_median("SGD with 256 updates of warmup: boundary over best rate",
                  below("SGD", LONG), most=2),
        in_median("Both without warmup: best accuracy of GI-Adam minus that of Adam, in points",
                  gi, -2.5, 1),
        in_median("Adam: best accuracy with 256 updates of warmup minus that without, in points",
                  warm, -0.5, 2),
        *(
            in_median(f"Cross-entropy, {name}: boundary with warmup over that without",
                      ratio("xent", name, name, LONG), 0.5, 1)
            for name in ("Adam", "GI-Adam")
        ),
        in_median("Cross-entropy, both without warmup: boundary of GI-Adam over that of Adam",
                  ratio("xent", "GI-Adam", "Adam"), 0.5, 2),
    ]  # fmt: skip


def draw(found: xr.Dataset) -> object:
    axes = panels(2, sharey=True)
    marks = {"Adam": "o", "GI-Adam": "s", "RAdam": "^"}
    for ax, loss, title in zip(axes, ("mse", "xent"), ("MSE", "cross-entropy"), strict=True):
        for name, mark in marks.items():
            one = found.sel(case=f"{loss}, {name}").dropna("t_wrm", how="all")
            style = {"color": COLORS[name.lower()], "marker": mark, "ms": 4}
            edge, best = (one[key].transpose("seed", "t_wrm") for key in ("edge", "best"))
            band(ax, one["t_wrm"], edge, label=f"{name}, boundary", **style)
            if name != "RAdam":
                middle = best.median("seed")
                ax.plot(one["t_wrm"], middle, ls=":", label=f"{name}, best accuracy", **style)
        ax.set(xscale="log", yscale="log", xlabel=f"{symbols.T_WRM} (updates)", title=title)
    axes[0].set(ylabel=symbols.ETA_TRGT, ylim=(3e-4, 2))
    axes[1].legend(frameon=False, fontsize="x-small", loc="lower left")
    return axes
