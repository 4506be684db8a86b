"""Between 2 / lambda_0 and 4 / lambda_0 a catapult trains; above, linear networks diverge.

Lewkowycz et al. 2020 and the eta_c, eta_max of Kalra & Barkeshli 2024, section 3. One output (+-1
for odd and even digits), NTK parameterization, width 512, depth 2, 64 samples, 200 updates at a
constant eta. The table gives eta in units of 2 / lambda_0. Below 2 / lambda_0 the loss never rises.
Above it the loss peaks within about 30 updates, and the run ends in a flatter region. The window
ends at 4 / lambda_0 for linear and tanh networks (one of ten tanh networks already failed at 3.9).
ReLU trains to 16 / lambda_0 and beyond: at that rate the last loss over the first was below 0.06 in
19 of 20 runs (slices 0 to 3), and 0.27 and 0.56 in single runs of slices 0 and 11. On 96 samples
ReLU at 8 / lambda_0 ends at 0.053 of the first loss in the median, which is not below a twentieth.

Limitations: on the teacher's data, with 8 inputs and one constant target, ReLU also fails above 4 /
lambda_0, linear networks may train above 4.1 / lambda_0, the catapult leaves two fifths of the
sharpness, and the part that a linear network cannot fit keeps its loss above a tenth.

On slice 3 with seeds 80 to 84, one claim fails: "linear, 1.1: largest loss over the first" is [1.47
3.69 4.79], not at least 1.5, every seed.
"""

from __future__ import annotations

import numpy as np
import xarray as xr

import simulator as sim
from simulator.studying import Lab, claim, in_median
from simulator.studying.style import COLORS, band, legend, panels

ACTIVATIONS = ("linear", "relu", "tanh")
RATES = (0.6, 0.9, 1.1, 1.25, 1.5, 1.75, 1.95, 2.05, 2.2, 3.0, 4.0, 6.0, 8.0, 12.0)


def measure(lab: Lab) -> xr.Dataset:
    """Largest and final loss, and final sharpness, over those at the start; NaN if it diverges."""

    def train(activation: str, seed: int) -> list:
        model = sim.MLP(width=512, depth=2, activation=activation, parameterization="ntp")
        data, ends = lab.parity(64), []
        unit = sim.eta_critical(model, data, sim.GD(), seed)
        for rate in RATES:
            run = sim.simulate(
                model, data, schedule=sim.Warmup(eta_trgt=rate * unit), steps=200, seed=seed,
                sharpness_every=200,
            )  # fmt: skip
            # Infinite by now or later.
            done = 1 if run.loss_final < 1e6 * run.loss_init else np.nan
            losses = (run.loss_max / run.loss_init, run.loss_final / run.loss_init)
            ends.append(np.multiply(done, (*losses, run.sharpness_final / run.sharpness_init)))
        return ends

    cells = [(activation, seed) for activation in ACTIVATIONS for seed in lab.seeds]
    ends = np.array(lab.each(train, *zip(*cells, strict=True)), float)
    ends = ends.reshape(len(ACTIVATIONS), lab.count, len(RATES), 3)
    names = dict(zip(("peak", "loss", "sharpness"), np.moveaxis(ends, -1, 0), strict=True))
    found = {name: (("activation", "seed", "rate"), values) for name, values in names.items()}
    axes = {"activation": list(ACTIVATIONS), "seed": list(lab.seeds), "rate": list(RATES)}
    return xr.Dataset(found, axes)


def claims(found: xr.Dataset) -> list:
    def at(name: str, activation: str, rate: float) -> np.ndarray:
        return found[name].sel(activation=activation, rate=rate).values

    below = found["peak"].sel(rate=[0.6, 0.9])
    return [
        claim("At 0.6 and 0.9 of 2 / lambda_0: largest loss over the first", below, 1, 1),
        claim("linear, 1.1: largest loss over the first", at("peak", "linear", 1.1), least=1.5),
        claim("linear, 1.5: last loss over the first", at("loss", "linear", 1.5), most=0.2),
        in_median("linear, 1.5: last loss over the first, in most seeds",
                  at("loss", "linear", 1.5), most=0.1),
        claim("linear, 1.5: last sharpness over the first",
              at("sharpness", "linear", 1.5), most=0.2),
        claim("linear, 1.95: last loss over the first", at("loss", "linear", 1.95), most=0.2),
        claim("linear, 2.05: it diverges (1: yes)", np.isnan(at("peak", "linear", 2.05)), 1, 1),
        claim("ReLU, 4: last loss over the first", at("loss", "relu", 4), most=0.1),
        in_median("ReLU, 4: last loss over the first, in most seeds",
                  at("loss", "relu", 4), most=0.05),
        claim("ReLU, 4: last sharpness over the first", at("sharpness", "relu", 4), most=0.25),
        in_median("ReLU, 8: last loss over the first, in most seeds",
                  at("loss", "relu", 8), most=0.1),
        claim("ReLU, 8: last loss over the first, in each seed", at("loss", "relu", 8), most=1),
        claim("tanh, 1.75: last loss over the first", at("loss", "tanh", 1.75), most=0.1),
        claim("tanh, 2.2: it diverges (1: yes)", np.isnan(at("peak", "tanh", 2.2)), 1, 1),
    ]  # fmt: skip


def draw(found: xr.Dataset) -> object:
    axes = panels(2)
    looks = {"linear": ("linear", "-.", "D"), "relu": ("ntp", "-", "o"), "tanh": ("tanh", ":", "^")}
    for activation, (color, line, mark) in looks.items():
        of, label = found.sel(activation=activation), activation.replace("relu", "ReLU")
        # Only where all survive.
        of = of.where(np.isfinite(of["peak"]).all("seed"))
        style = {"color": COLORS[color], "ls": line, "marker": mark, "ms": 4, "label": label}
        for ax, name in zip(axes, ("peak", "sharpness"), strict=True):
            values = of[name].dropna("rate")
            band(ax, values["rate"], values, **style)
    for ax in axes:
        for limit in (1, 2):
            ax.axvline(limit, color=COLORS["theory"], ls="--", lw=1)
        ax.set(xscale="log", yscale="log", xlabel=r"$\eta \lambda_0 / 2$", xticks=(1, 2, 4, 8))
        ax.xaxis.set_major_formatter("{x:g}")
        ax.xaxis.set_minor_formatter("")
        legend(ax)
    axes[0].set(ylabel=r"largest loss / $L_0$", title="As long as none diverges")
    axes[1].set(ylabel=r"final sharpness / $\lambda_0$", title="What a catapult leaves")
    return axes
