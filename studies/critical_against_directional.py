"""Critical and directional sharpness agree at the edge of stability, for every optimizer.

Kalra et al. 2601.16979. The critical sharpness, 2 over the smallest step length that raises the
loss, needs forward passes only. The directional sharpness, u.Hu / u.g with u the update, needs one
Hessian-vector product. To second order they are equal. The study trains tanh networks on 256 digits
after warmup. The two agree within 10 % at most updates of GD and SGD. They agree at nearly all late
updates of GD and of Adam with beta2 = 0.99, where both are at 2 / eta. There the sign of 1 - eta
lambda / 2 predicts whether an update of GD raises the loss.

Limitations: the two differ far from the edge. Adam with beta2 = 0.999 is there most of the time,
between its spikes, and its critical sharpness is 1.5 to 2.5 times its directional sharpness. A long
step kills small ReLU networks without raising the loss: then no step length raises the loss, and
the critical sharpness is 0.

On slice 3 with seeds 80 to 84, one claim fails: "GD, late: share of updates where directional
sharpness predicts whether the loss rises" is [0.742 0.894 0.944], not at least 0.75, every seed.
"""

from __future__ import annotations

import numpy as np
import xarray as xr

import simulator as sim
from simulator.studying import Lab, claim
from simulator.studying.style import COLORS, legend, panels, threshold

MODEL, SAMPLES, STEPS = sim.MLP(width=32, activation="tanh", var_w=1.0), 256, 1500
LATE = slice(1000, None)
WAYS = {
    "gd": (sim.GD(), None),
    "sgd": (sim.GD(), 16),
    "adam": (sim.Adam(beta2=0.99), None),
    "slow adam": (sim.Adam(), None),
}
DEAD = sim.MLP(8)


def measure(lab: Lab) -> xr.Dataset:
    data, few = lab.data(SAMPLES), lab.data(64)

    def one(way: str, seed: int) -> list[np.ndarray]:
        optimizer, batch = WAYS[way]
        gd = 6 * sim.eta_critical(MODEL, data, sim.GD(), seed)
        eta = 0.01 if optimizer.adaptive else gd
        run = sim.simulate(
            MODEL, data, optimizer=optimizer, batch_size=batch, steps=STEPS, seed=seed,
            schedule=sim.Warmup(eta_trgt=eta, t_wrm=500), measure=("directional", "critical"),
        )  # fmt: skip
        return [
            run.directional_sharpness * run.eta / 2, run.critical_sharpness * run.eta / 2, run.rises
        ]  # fmt: skip

    def first(seed: int) -> list[float]:
        """Of the first update of a small ReLU network."""
        run = sim.simulate(
            DEAD, few, steps=1, seed=seed, schedule=sim.Warmup(eta_trgt=1e-3),
            measure=("directional", "critical"),
        )  # fmt: skip
        return [run.directional_sharpness[0], run.critical_sharpness[0]]

    cells = [(way, seed) for way in WAYS for seed in lab.seeds]
    found = np.reshape(
        np.array(lab.each(one, *zip(*cells, strict=True)), float), (len(WAYS), lab.count, 3, STEPS)
    )
    over = ("way", "seed", "update")
    names = ("directional", "critical", "rises")
    return xr.Dataset(
        {name: (over, found[:, :, i]) for i, name in enumerate(names)}
        | {"first": (("seed", "of"), lab.each(first, lab.seeds))},
        {"way": list(WAYS), "seed": list(lab.seeds), "of": ["directional", "critical"]},
    )


def claims(found: xr.Dataset) -> list:
    near = np.abs(found["critical"] / found["directional"] - 1) < 0.1
    share, end = near.mean("update"), near.isel(update=LATE).mean("update")
    late = found.isel(update=LATE).sel(way="gd")
    first = found["first"]
    right = ((late["directional"] > 1) == (late["rises"] > 0)).mean("update")
    return [
        claim("GD: share of updates where the two agree within 10 %", share.sel(way="gd"), 0.7),
        claim("SGD, 16 samples: share of updates where the two agree within 10 %",
              share.sel(way="sgd"), 0.75),
        claim("GD, late: share of updates where the two agree within 10 %",
              end.sel(way="gd"), 0.99),
        claim("Adam, beta2 0.99, late: share of updates where the two agree within 10 %",
              end.sel(way="adam"), 0.95),
        claim("Adam, beta2 0.999: share of updates where the two agree within 10 %",
              share.sel(way="slow adam"), most=0.6),
        claim("GD, late: mean directional sharpness, in 2 / eta",
              late["directional"].mean("update"), 0.99, 1.01),
        claim("GD, late: share of updates where directional sharpness predicts whether the loss "
              "rises", right, 0.75),
        claim(
            "Small ReLU networks at initialisation: critical over directional sharpness (0: no "
            "step raises the loss)",
            first.sel(of="critical") / first.sel(of="directional"), most=0.9,
        ),
    ]  # fmt: skip


def draw(found: xr.Dataset) -> object:
    axes = panels(4, columns=2, sharey=True)
    for ax, way in zip(axes, WAYS, strict=True):
        of = found.sel(way=way).isel(seed=0)
        for name, color, mark in (("directional", "sharpness", "."), ("critical", "loss", "x")):
            ax.plot(of[name], mark, ms=2.5, color=COLORS[color], label=name)
        threshold(ax, [0, STEPS], [1, 1], r"$2 / \eta$")
        title = {
            "gd": "GD", "sgd": "SGD, 16 samples", "adam": r"Adam, $\beta_2 = 0.99$",
            "slow adam": r"Adam, $\beta_2 = 0.999$",
        }[way]  # fmt: skip
        ax.set(xlabel="update", ylim=(0, 2), title=title)
    for ax in axes[::2]:
        ax.set_ylabel(r"sharpness $\times \, \eta / 2$")
    legend(axes[0])
    return axes
