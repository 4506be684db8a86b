"""Momentum moves the boundary of warmup to smaller eta_trgt; cosine decay hardly moves it.

Kalra & Barkeshli 2024, section F and figure 21: digits in batches of 16, SP with mean squared
error, without and with momentum 0.9, with a constant rate or a cosine decay to a tenth after
warmup. Learning rates are in units of 2 / lambda_0 in all four cases. Decay raises the final loss
at small eta_trgt and lowers it at the boundary. It hardly moves the boundary. So warmup gains more
with decay than without.

Limitations: in the paper warmup helps momentum more than SGD, and momentum with decay is the best
of the four. Here warmup moves the boundary of momentum less than that of SGD (2 times, not 6), and
the best loss with momentum and decay is about that with neither.
"""

from __future__ import annotations

import numpy as np
import xarray as xr

import simulator as sim
from simulator.figures import symbols
from simulator.studying import Lab, claim, in_median
from simulator.studying.style import COLORS, band, legend, panels
from simulator.sweeps.boundary import boundary

MODEL, SAMPLES, BATCH, STEPS, BETA = sim.MLP(width=32), 512, 16, 512, 0.9
OPTIMIZERS = {"SGD": sim.GD(), "momentum": sim.Momentum(BETA)}
DECAYS, T_WRM = ("none", "cosine"), (1, 16, 128)


def measure(lab: Lab) -> xr.Dataset:
    data, steps = lab.data(SAMPLES), STEPS // 2 if lab.quick else STEPS
    times = 2.0 ** np.arange(0, 7.1, 1.0 if lab.quick else 0.5)

    def grid(name: str, decay: str) -> xr.Dataset:
        # The unit of momentum is 2 (1 + beta) / lambda_0.
        unit = 1 + BETA if name == "momentum" else 1
        found = sim.sweep(
            MODEL, data, optimizer=OPTIMIZERS[name], eta_trgt=times / unit, decay=decay,
            t_wrm=T_WRM[::2] if lab.quick else T_WRM, seeds=lab.seeds, steps=steps,
            eta_unit="critical", batch_size=BATCH, sharpness_every=0, workers=lab.workers,
        )  # fmt: skip
        found = found.assign_coords(eta_trgt=times)
        loss = found["loss_final"].where(found["trainable"])
        return xr.Dataset({"edge": boundary(found), "loss": loss})

    rows = [
        xr.concat([grid(name, decay) for decay in DECAYS], xr.Variable("decay", [*DECAYS]))
        for name in OPTIMIZERS
    ]
    found = xr.concat(rows, xr.Variable("optimizer", [*OPTIMIZERS]))
    return found.squeeze("eta_init", drop=True)


def claims(found: xr.Dataset) -> list:
    edge, loss = found["edge"], found["loss"]
    left = (edge.sel(optimizer="momentum") / edge.sel(optimizer="SGD")).sel(decay="none")
    moved = edge.sel(decay="cosine") / edge.sel(decay="none")
    decayed = loss.sel(decay="cosine") / loss.sel(decay="none")
    small = decayed.sel(eta_trgt=1).min(["t_wrm", "optimizer"])
    # At the boundary, the lower of the two.
    last = decayed.where(decayed["eta_trgt"] == edge.min("decay")).max("eta_trgt").sel(t_wrm=128)
    best = loss.min("eta_trgt")
    gain, wider = (of.sel(t_wrm=1) / of.sel(t_wrm=128) for of in (best, 1 / edge))
    more = gain.sel(decay="cosine") / gain.sel(decay="none")
    wider = wider.sel(decay="none")
    both = best.sel(optimizer="momentum", decay="cosine") / best.sel(optimizer="SGD", decay="none")
    told = [
        in_median(
            "No warmup: boundary with momentum over that of SGD", left.sel(t_wrm=1), most=0.75
        ),
        claim("t_wrm 128: boundary with momentum over that of SGD", left.sel(t_wrm=128), most=0.3),
        claim(
            "Boundary with cosine decay over that without, smallest",
            moved.min(["t_wrm", "optimizer"]),
            least=0.5,
        ),
        claim(
            "Boundary with cosine decay over that without, largest",
            moved.max(["t_wrm", "optimizer"]),
            most=2,
        ),
        in_median("eta_trgt 1: final loss with decay over that without", small, least=1),
    ]
    for name in OPTIMIZERS:
        one = {"optimizer": name}
        told += [
            in_median(
                f"{name}, t_wrm 128, at the boundary: final loss with decay over that without",
                last.sel(one),
                most=0.8,
            ),
            in_median(
                f"{name}: factor by which warmup lowers the best loss, with decay over without",
                more.sel(one),
                1,
            ),
        ]
    return [
        *told,
        claim("SGD: boundary with warmup over that without", wider.sel(optimizer="SGD"), least=2),
        in_median(
            "Boundary with warmup over that without: momentum over SGD",
            wider.sel(optimizer="momentum") / wider.sel(optimizer="SGD"), most=0.75,
        ),
        in_median(
            "t_wrm 128: best loss of momentum with decay over that of SGD without decay",
            both.sel(t_wrm=128),
            0.7, 2,
        ),
    ]  # fmt: skip


def draw(found: xr.Dataset) -> object:
    edges, losses = axes = panels(2)
    looks = {"SGD": ("gd", "o"), "momentum": ("momentum, 0.9", "s")}
    for name, (color, mark) in looks.items():
        for decay, line in zip(DECAYS, ("-", ":"), strict=True):
            label = name if decay == "none" else f"{name}, cosine decay"
            style = {"color": COLORS[color], "ls": line, "marker": mark, "ms": 4, "label": label}
            one = found.sel(optimizer=name, decay=decay)
            band(edges, one["t_wrm"], one["edge"].transpose("seed", "t_wrm"), **style)
            last = one["loss"].sel(t_wrm=128).dropna("eta_trgt", how="all")
            band(losses, last["eta_trgt"], last.transpose("seed", "eta_trgt"), **style)
    edges.set(xscale="log", yscale="log", ylim=(1.5, 500), xlabel=f"{symbols.T_WRM} (updates)")
    edges.set_ylabel(rf"largest trainable {symbols.ETA_TRGT}$\,\lambda_0 / 2$")
    losses.set(xscale="log", yscale="log", xlabel=rf"{symbols.ETA_TRGT}$\,\lambda_0 / 2$")
    losses.set(ylabel="final loss", title=f"{symbols.T_WRM} = 128")
    legend(edges)
    return axes
