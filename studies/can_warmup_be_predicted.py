"""The length of a warmup cannot be predicted; a rate that is safe without warmup can.

The study measures the shortest warmup to 4 and 16 eta_critical, by bisection to a factor of 2, in
eight settings: ReLU and tanh networks of width 32 in SP and muP, squared error and cross-entropy,
on 128 digits, 512 updates. A simple rule says that this length is proportional to eta_trgt over
eta_critical. With the factor taken from the other settings, the rule is off by more than 8 in a
tenth of the networks. It cannot predict that a target is infeasible. Other seeds of the same
setting do not predict the length reliably either. So `warmup critical --shortest-warmup` measures
it, in several seeds.

The safe rate is a lower bound of the largest constant rate that trains. A probe trains for 64
updates at half of 2 / sharpness. lambda_p is the largest sharpness before updates 0, 16 and 64.
Every network trains at the rate 2 / lambda_p without warmup. With ReLU and cross-entropy in muP the
sharpness rises several times over within the probe, and 2 over the initial sharpness does not
train. The safe rate is not an estimate: the largest constant rate that trains, on a grid of ratio
sqrt 2, is 1 to 11 times as large. `warmup critical --safe` prints both.
"""

from __future__ import annotations

from itertools import product

import numpy as np
import xarray as xr

import simulator as sim
from simulator.figures import symbols
from simulator.studying import Lab, claim
from simulator.studying.style import COLORS, legend, panels

STEPS, T_MOST, TIMES = 512, 256, (4, 16)
SETTINGS = {
    f"{'SP' if param == 'sp' else 'muP'} {activation} {loss}": (activation, param, loss)
    for param, activation, loss in product(("sp", "mup"), ("relu", "tanh"), ("mse", "xent"))
}
QUICK = ("SP relu mse", "muP tanh mse", "muP relu xent")


def measure(lab: Lab) -> xr.Dataset:
    data = lab.data(128)
    settings = QUICK if lab.quick else tuple(SETTINGS)
    targets = TIMES[1:] if lab.quick else TIMES

    def one(name: str, seed: int) -> tuple[float, ...]:
        """Safe rate, sharpness of the probe, largest rate, all in eta_critical; warmups."""
        activation, param, loss = SETTINGS[name]
        model = sim.MLP(32, 3, activation, param, loss)
        safe = sim.safe_learning_rate(model, data, seed=seed)
        unit = 2 / safe.sharpness[0]
        largest, eta = 0.0, safe.eta
        while eta < 64 * safe.eta and trains(model, eta, seed):
            largest, eta = eta, eta * 2**0.5
        lengths = [
            sim.shortest_warmup(
                model, data, eta_trgt=times * unit, seed=seed, steps=STEPS, t_most=T_MOST,
                tolerance=1.0,
            ).t_wrm
            for times in targets
        ]  # fmt: skip
        return (largest / safe.eta, safe.eta / unit, *lengths)

    def trains(model: sim.MLP, eta: float, seed: int) -> bool:
        schedule = sim.Warmup(eta_trgt=eta)
        run = sim.simulate(
            model, data, schedule=schedule, steps=STEPS, seed=seed, sharpness_every=0
        )
        return run.trainable

    cells = [(name, seed) for name in settings for seed in lab.seeds]
    values = np.reshape(lab.each(one, *zip(*cells, strict=True)), (len(settings), lab.count, -1))
    over = ("setting", "seed")
    return xr.Dataset(
        {
            "over_safe": (over, values[:, :, 0]),
            "safe": (over, values[:, :, 1]),
            "t_wrm": ((*over, "times"), values[:, :, 2:]),
        },
        {"setting": list(settings), "seed": list(lab.seeds), "times": list(targets)},
    )


def errors(found: xr.Dataset) -> np.ndarray:
    """Factors by which T = c k is off, c the median of T / k in the other settings."""
    lengths = np.log2(found["t_wrm"] / found["times"]).transpose("setting", "seed", "times").values
    counted = np.isfinite(lengths) & (found["t_wrm"].values > 1)
    off = []
    for setting in range(len(lengths)):
        others, rows = np.delete(counted, setting, 0), np.delete(lengths, setting, 0)
        off.append(lengths[setting][counted[setting]] - np.median(rows[others]))
    return 2.0 ** np.abs(np.concatenate(off))


def of_the_setting(found: xr.Dataset) -> np.ndarray:
    """Largest over smallest length among the seeds of a setting, where there are several."""
    lengths = found["t_wrm"].where(np.isfinite(found["t_wrm"]) & (found["t_wrm"].max("seed") > 1))
    several = lengths.where(lengths.notnull().sum("seed") > 1)
    spread = (several.max("seed") / several.min("seed")).values.ravel()
    return spread[np.isfinite(spread)]


def claims(found: xr.Dataset) -> list:
    over_safe, lengths = found["over_safe"], found["t_wrm"].sel(times=16)
    low, middle, high = np.quantile(over_safe, (0.1, 0.5, 0.9))
    hard = {"setting": "muP relu xent"}
    easy, infeasible = (lengths.sel(setting=name) for name in ("SP relu mse", "muP tanh mse"))
    below, share = (over_safe * found["safe"]).sel(hard), (over_safe > 0).mean("setting")
    told = [
        claim("Share of the networks of a seed that train at the safe rate", share, least=1),
        claim("Largest rate that trains over the safe rate, median of all networks", middle, 3, 9),
        claim(
            "muP ReLU cross-entropy: lambda_p over the initial sharpness",
            1 / found["safe"].sel(hard),
            2,
        ),
        claim("muP ReLU cross-entropy: largest rate that trains, in eta_critical", below, most=1),
        claim("SP ReLU squared error: shortest warmup to 16 eta_critical", easy, most=64),
        claim(
            "muP tanh squared error: 16 eta_critical is infeasible", np.isinf(infeasible), least=1
        ),
    ]
    if found.sizes["setting"] == len(SETTINGS):
        off, spread = np.quantile(errors(found), 0.9), of_the_setting(found).max()
        told += [
            claim(
                "Largest rate that trains over the safe rate: 90 % quantile over 10 % quantile",
                high / low,
                least=2.5,
            ),
            claim("Error factor of the rule T = c k, 90 % quantile", off, least=8),
            claim(
                "Seeds of one setting: longest over shortest warmup, largest of all settings",
                spread,
                least=4,
            ),
        ]
    return told


def draw(found: xr.Dataset) -> object:
    safe, length = axes = panels(2)
    names = [str(name) for name in found["setting"].values]
    rows = np.arange(len(names))
    for row, name in enumerate(names):
        color = COLORS["mup" if name.startswith("muP") else "sp"]
        safe.plot(
            found["over_safe"].sel(setting=name),
            np.full(found.sizes["seed"], row),
            "o",
            color=color,
            alpha=0.7,
        )
    beyond = 2 * T_MOST
    for times, color, shift in zip(TIMES, ("warmup", "loss"), (-0.12, 0.12), strict=True):
        if times not in found["times"]:
            continue
        values = found["t_wrm"].sel(times=times).where(np.isfinite, beyond)
        for row, name in enumerate(names):
            label = f"to {times} {symbols.ETA_CRITICAL}" if row == 0 else None
            at = np.full(found.sizes["seed"], row + shift)
            length.plot(
                values.sel(setting=name), at, "o", color=COLORS[color], alpha=0.7, label=label
            )
    safe.axvline(1, color=COLORS["theory"], ls="--", lw=1.2)
    safe.set(
        xscale="log", xlabel="largest rate that trains / safe rate", yticks=rows, yticklabels=names
    )
    length.axvline(1.41 * T_MOST, color=COLORS["theory"], ls=":", lw=1.2)
    length.set(
        xscale="log", xlabel=f"shortest warmup (right of the line: none to {T_MOST})", yticks=[]
    )
    legend(length)
    return axes
