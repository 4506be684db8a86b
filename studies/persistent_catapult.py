"""Persistent catapult warmup needs no t_wrm.

Kalra & Barkeshli 2024, figure 7 and algorithm 3, on digits in standard parameterization. This
schedule trains at 32 times eta_critical in 14 of 15 networks, where a constant rate fails. It
reaches this rate in about as many updates as the shortest linear warmup that trains, with each
forward pass counted as half an update.

Limitations: at larger eta_trgt it fails where a long linear warmup still trains, at 64 in some
seeds and at 128 in all but one of ten. On the teacher's regression it trains at 128 too, but takes
forty times the shortest warmup.

The claim at 128 was worded after slice 20 and seeds 10 to 14, which are shown here.
"""

from __future__ import annotations

import numpy as np
import xarray as xr

import simulator as sim
from simulator.figures import symbols
from simulator.studying import Lab, claim, in_median
from simulator.studying.style import COLORS, band, legend, panels

MODEL, STEPS = sim.MLP(width=64), 512
TIMES, LENGTHS = (16, 32, 64, 128), (1, 2, 4, 8, 16, 32, 64, 128, 256)
# t_wrm of linear warmups; None for the persistent catapult's.
WAYS = {
    "constant": 1, "linear, 16 updates": 16, "linear, 128 updates": 128, "persistent catapult": None
}  # fmt: skip


def train(data: sim.Data, schedule: sim.Schedule, seed: int) -> sim.Run:
    """One run; the sharpness is not needed."""
    return sim.simulate(MODEL, data, schedule=schedule, steps=STEPS, seed=seed, sharpness_every=0)


def measure(lab: Lab) -> xr.Dataset:
    data = lab.data(512)
    times = TIMES[1:2] if lab.quick else TIMES

    def one(multiple: float, seed: int) -> tuple[float, ...]:
        """What each way to the same eta_trgt does; the last but one is its cost in updates."""
        eta_trgt = multiple * sim.eta_critical(MODEL, data, sim.GD(), seed)
        found = train(data, sim.PersistentCatapult(eta_trgt), seed)
        surviving = [
            t
            for t in LENGTHS
            if train(data, sim.Warmup(eta_trgt=eta_trgt, t_wrm=t), seed).trainable
        ]
        reached = int((found.eta < eta_trgt).sum()) + 1
        return (
            1 in surviving, found.trainable, reached + 0.5 * found.forward_passes,
            surviving[0] if surviving else np.inf,
        )  # fmt: skip

    def curves(seed: int) -> list:
        """Loss and eta of each way to 32 eta_critical."""
        eta_trgt = 32 * sim.eta_critical(MODEL, data, sim.GD(), seed)
        schedules = [
            sim.Warmup(eta_trgt=eta_trgt, t_wrm=t) if t else sim.PersistentCatapult(eta_trgt)
            for t in WAYS.values()
        ]
        runs = [train(data, schedule, seed) for schedule in schedules]
        return [[run.loss for run in runs], [run.eta / eta_trgt for run in runs]]

    cells = [(multiple, seed) for multiple in times for seed in lab.seeds]
    values = np.reshape(lab.each(one, *zip(*cells, strict=True)), (len(times), lab.count, 4))
    names = ("constant", "persistent", "cost", "shortest")
    found = {name: (("times", "seed"), values[:, :, i]) for i, name in enumerate(names)}
    loss, eta = np.moveaxis(lab.each(curves, lab.seeds), 1, 0)
    over = ("seed", "way", "step")
    return xr.Dataset(
        found | {"loss": (over, loss), "eta": (over, eta)},
        {"times": list(times), "seed": list(lab.seeds), "way": list(WAYS)},
    )


def claims(found: xr.Dataset) -> list:
    at = found.sel(times=32)
    told = [
        claim("A constant rate of 32 eta_critical trains (1: yes, 0: no)", at["constant"], most=0),
        in_median("Persistent catapult warmup to 32 eta_critical trains (1: yes, 0: no)",
                  at["persistent"], least=1),
        in_median(
            "Its updates to 32 plus half its forward passes, over the shortest linear warmup",
            at["cost"] / at["shortest"], most=3,
        ),
    ]  # fmt: skip
    if 128 in found["times"]:
        far = found.sel(times=128)
        told.append(
            in_median(
                "Persistent catapult warmup to 128 eta_critical trains (1: yes, 0: no)",
                far["persistent"],
                most=0,
            )
        )
    return told


def draw(found: xr.Dataset) -> object:
    loss, eta = axes = panels(2)
    looks = {
        "constant": ("gd", ":"), "linear, 16 updates": ("warmup", "-"),
        "linear, 128 updates": ("loss", "-"), "persistent catapult": ("persistent", "-."),
    }  # fmt: skip
    updates = np.arange(1, found.sizes["step"] + 1)
    for way, (color, line) in looks.items():
        run, style = found.sel(way=way), {"color": COLORS[color], "ls": line, "label": way}
        band(loss, updates, run["loss"], **style)
        band(eta, updates, run["eta"], **style)
    loss.set(xscale="log", yscale="log", xlabel="update", ylabel="loss", ylim=(5e-4, 10))
    eta.set(xscale="log", xlabel="update", ylabel=f"{symbols.ETA_T} / {symbols.ETA_TRGT}")
    loss.set_title(f"To 32 {symbols.ETA_CRITICAL}")
    legend(loss)
    return axes
