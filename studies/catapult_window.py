"""Between 2 / sharpness and twice that a catapult trains; beyond it linear networks diverge.

Lewkowycz et al. 2020 and the eta_c, eta_max of Kalra & Barkeshli 2024, section 3: one output (+-1
for odd and even digits), NTK parameterisation, width 512, depth 2, 64 samples, 200 updates at a
constant eta. Below 2 / lambda_0 the loss never rises. Above, it peaks within some 30 updates, and
ends in a flatter place. The window closes at 4 / lambda_0 for linear and tanh networks; ReLU trains
to 12 and beyond. On one example and y = 0 the window is exact at any width: a first update raises
the loss from theory.uv.eta_loss on, training diverges from eta lambda_0 = 4 on; the loss stays
below lambda_0^2 / (8 kappa^2), and its peak comes later by 1 / (2 ln(eta lambda_0 - 1)) updates for
an e-fold of width. On the teacher's data, with few directions and small targets, ReLU diverges from
2 to 4 on and linear networks may outlive 2.05.
"""

from __future__ import annotations

import numpy as np
import xarray as xr

import simulator as sim
from simulator.studying import Lab, claim, in_median
from simulator.studying.style import COLORS, band, legend, panels, threshold

ACTIVATIONS = ("linear", "relu", "tanh")
RATES = (0.6, 0.9, 1.1, 1.25, 1.5, 1.75, 1.95, 2.05, 2.2, 3.0, 4.0, 6.0, 8.0, 12.0)
WIDTHS, S0 = (10**2, 10**4, 10**6, 10**8, 10**10, 10**12), (2.3, 2.6, 3.0)


def measure(lab: Lab) -> xr.Dataset:
    """Both: each network by rate, and one example by width."""

    def train(activation: str, seed: int) -> list:
        model = sim.MLP(width=512, depth=2, activation=activation, parameterization="ntp")
        data, ends = lab.parity(64), []
        unit = sim.critical_eta(model, data, sim.GD(), seed)
        for rate in RATES:
            run = sim.simulate(
                model, data, schedule=sim.Warmup(eta_trgt=rate * unit), steps=200, seed=seed,
                sharpness_every=200,
            )  # fmt: skip
            done = np.nan if run.diverged else 1.0
            peak, end = run.loss_max / run.loss_init, run.loss_final / run.loss_init
            ends.append((peak * done, end, run.sharpness_final / run.sharpness_init))
        return ends

    cells = [(activation, seed) for activation in ACTIVATIONS for seed in lab.seeds]
    ends = np.array(lab.each(train, *zip(*cells, strict=True)), float)
    ends = ends.reshape(len(ACTIVATIONS), lab.count, len(RATES), 3)
    names = dict(zip(("peak", "loss", "sharpness"), np.moveaxis(ends, -1, 0), strict=True))
    found = {name: (("activation", "seed", "rate"), values) for name, values in names.items()}
    axes = {"activation": list(ACTIVATIONS), "seed": list(lab.seeds), "rate": list(RATES)}
    uv = [one_example(width, 20 if lab.quick else 200) for width in WIDTHS]
    return xr.merge([xr.Dataset(found, axes), xr.concat(uv, xr.Variable("width", list(WIDTHS)))])


def one_example(width: int, networks: int) -> xr.Dataset:
    """The window of so many UV models on x = 1, y = 0, in eta lambda_0, lambda_0 the NTK trace."""
    model, data = sim.UV(width), sim.Data(np.ones((1, 1)), np.zeros((1, 1)))
    states = np.array([model.one_example(model.init(data, n), data) for n in range(networks)])
    options = {"seeds": networks, "eta_unit": "critical", "sharpness_every": 0}
    grid = np.linspace(0.81, 2.39, 80)
    first = sim.sweep(model, data, eta_trgt=grid, steps=1, **options).squeeze(drop=True)
    whole = sim.sweep(model, data, eta_trgt=grid, steps=1000, **options).squeeze(drop=True)
    delta, lam, kappa, y = (states[:, i, None] for i in range(4))
    eta = first["eta_critical"].values.reshape(networks, -1)[:, :1] * grid
    rises, gone = (first["loss_final"] > first["loss_init"]).values, whole["diverged"].values
    expected = (eta > sim.theory.uv.eta_loss(delta, lam, kappa, y)) | (eta * lam > 4)
    largest = whole["loss_max"].where(~whole["diverged"], 0).values
    late = sim.sweep(
        model, data, eta_trgt=np.divide(S0, 2), steps=200, curves=True, **options
    ).squeeze(drop=True)
    peak = late["loss"].fillna(0).argmax("step").mean("seed")
    return xr.Dataset({
        "rises from": np.where(rises, eta * lam, np.inf).min(), "cap": (largest * 8 * kappa**2 / lam**2).max(),
        "rises wrongly": (rises != expected).sum(), "bounded to": (eta * lam)[~gone].max(),
        "diverges from": (eta * lam)[gone].min(), "peak time": ("s0", peak.values),
        "predicted time": ("s0", [np.mean(sim.theory.catapult.peak_time(
            s0 / lam * kappa * delta, s0)) for s0 in S0]),
    }, {"s0": list(S0)})  # fmt: skip


def claims(found: xr.Dataset) -> list:
    def at(name: str, activation: str, rate: float) -> np.ndarray:
        return found[name].sel(activation=activation, rate=rate).values

    below = found["peak"].sel(rate=[0.6, 0.9])
    slope = found["peak time"].assign_coords(width=np.log(WIDTHS)).polyfit("width", 1)
    slope = slope["polyfit_coefficients"].sel(degree=1)
    late = found["peak time"] - found["predicted time"]
    return [
        claim("At 0.6 and 0.9 of 2 / lambda_0 the loss never rises", below, 1, 1),
        claim("linear, 1.1: the loss doubles", at("peak", "linear", 1.1), least=2),
        claim("linear, 1.5: it ends below a fifth", at("loss", "linear", 1.5), most=0.2),
        in_median("and below a tenth in most seeds", at("loss", "linear", 1.5), most=0.1),
        claim("and leaves a fifth of the sharpness", at("sharpness", "linear", 1.5), most=0.2),
        claim("linear, 1.95: it trains", at("loss", "linear", 1.95), most=0.2),
        claim("linear, 2.05: it diverges", np.isnan(at("peak", "linear", 2.05)), 1, 1),
        claim("ReLU, 4: it trains", at("loss", "relu", 4), most=0.1),
        in_median("to a twentieth in most seeds", at("loss", "relu", 4), most=0.05),
        claim("and leaves a quarter of the sharpness", at("sharpness", "relu", 4), most=0.25),
        claim("ReLU, 8: it still trains", at("loss", "relu", 8), most=0.5),
        claim("tanh, 1.75: it trains", at("loss", "tanh", 1.75), most=0.1),
        claim("tanh, 2.2: it diverges", np.isnan(at("peak", "tanh", 2.2)), 1, 1),
        claim("UV: no first update rises where theory says it falls, nor the other way",
              found["rises wrongly"], 0, 0),
        claim("UV: nothing beyond eta lambda_0 = 4 stays bounded", found["bounded to"], most=4),
        claim("UV: nothing below it diverges", found["diverges from"], least=4),
        claim("UV: the largest loss meets its cap at every width", found["cap"], 0.9, 1),
        claim("UV: its peak comes later by 1 / (2 ln(S_0 - 1)) an e-fold of width",
              slope / sim.theory.catapult.peak_time_slope(np.array(S0)), 0.93, 1.07),
        claim("UV: and within an update of what theory says", late, -1, 1),
    ]  # fmt: skip


def draw(found: xr.Dataset) -> object:
    axes = panels(4, columns=2)
    for activation, line in zip(ACTIVATIONS, ("-", "--", ":"), strict=True):
        of, style = found.sel(activation=activation), {"color": COLORS[activation], "ls": line}
        for ax, name in zip(axes, ("peak", "sharpness"), strict=False):
            band(ax, found["rate"], of[name], label=activation, marker="o", ms=3, **style)
    for ax in axes[:2]:
        ax.axvline(1, color=COLORS["theory"], ls="--", lw=1)
        ax.axvline(2, color=COLORS["theory"], ls="--", lw=1)
        ax.set(xscale="log", yscale="log", xlabel=r"$\eta \lambda_0 / 2$", xticks=(1, 2, 4, 8))
        ax.xaxis.set_major_formatter("{x:g}")
        ax.xaxis.set_minor_formatter("")
        legend(ax)
    axes[0].set(ylabel=r"largest loss / $L_0$", title="Width 512, until it diverges")
    axes[1].set(ylabel=r"final sharpness / $\lambda_0$", title="What a catapult leaves")
    axes[2].fill_between(
        WIDTHS, found["rises from"], found["bounded to"], color=COLORS["linear"], alpha=0.4, lw=0,
        label="catapults and trains",
    )  # fmt: skip
    axes[2].fill_between(
        WIDTHS, found["diverges from"], 4.8, color=COLORS["tanh"], alpha=0.4, lw=0, label="diverges"
    )
    for limit in (2, 4):
        threshold(axes[2], WIDTHS, np.full(len(WIDTHS), limit))
    axes[2].set(ylabel=r"$\eta \lambda_0$", ylim=(1.5, 4.8), title="One example, $y = 0$")
    for s0, color in zip(S0, ("sp", "ntp", "mup"), strict=True):
        times, label = found.sel(s0=s0), rf"$\eta \lambda_0 = {s0}$"
        axes[3].plot(WIDTHS, times["peak time"], "o", color=COLORS[color], ms=5, label=label)
        threshold(axes[3], WIDTHS, times["predicted time"])
    axes[3].set(ylabel="update of the peak", title="The peak waits for the logarithm of width")
    for ax in axes[2:]:
        ax.set(xscale="log", xlabel="width")
        legend(ax)
    return axes
