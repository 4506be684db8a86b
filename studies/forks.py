"""The batch size and the learning rate at which a network trains depend on its history.

Runs on 256 digits are continued from update 2,000 with one thing changed, and compared with the
same run unchanged. The full sharpness is in units of the 2 / eta before the change. ReLU networks
train at 16 times eta_critical with 64 samples per batch: a larger eta or a smaller batch causes a
catapult, after which the network is flatter, and a smaller eta lets the sharpness rise again. Tanh
networks train at 6 times eta_critical with 4 samples per batch: larger batches let the sharpness
rise. The largest effect is this one: tanh networks trained with 16 samples diverge after a change
to batches of 4, in 60 to 100 % of the networks. At the same eta and warmup, batches of 4 diverge
from the start in 20 to 40 %. (ReLU with smaller batches diverged in 1 of 15. The claims on these
shares, and the medians for ReLU's changes, were worded after slice 20 and seeds 10 to 14, which are
shown here.)

The effect is from Cohen et al. and Andreyev & Beneventano 2412.20553, here with exact values. (Tanh
with MSE does not train at twice the eta.)
"""

from __future__ import annotations

import numpy as np
import xarray as xr

import simulator as sim
from simulator.studying import Lab, claim, in_median
from simulator.studying.style import COLORS, band, legend, panels

SAMPLES, AT, STEPS, T_WRM, EVERY = 256, 2000, 3000, 1000, 25
RELU, TANH = sim.MLP(width=32), sim.MLP(width=32, activation="tanh", var_w=1.0)
# From where: network, eta_trgt in eta_critical, samples of a batch. What is changed.
FROM = {"relu, 64": (RELU, 16, 64), "tanh, 4": (TANH, 6, 4), "tanh, 16": (TANH, 6, 16)}
FORKS = {
    "relu, 64": {
        "unchanged": {}, "eta x 1.5": {"eta": 1.5}, "batch / 4": {"batch_size": 16},
        "eta / 2": {"eta": 0.5},
    },
    "tanh, 4": {"unchanged": {}, "batch x 4": {"batch_size": 16}},
    "tanh, 16": {"unchanged": {}, "batch / 4": {"batch_size": 4}},
}  # fmt: skip


def measure(lab: Lab) -> xr.Dataset:
    data = lab.data(SAMPLES)

    def forks(origin: str, seed: int) -> list[list[np.ndarray]]:
        """Loss over its median before, and full sharpness in units of 2 / eta before."""
        model, multiple, batch = FROM[origin]
        eta = multiple * sim.eta_critical(model, data, sim.GD(), seed)
        run = sim.simulate(
            model, data, schedule=sim.Warmup(eta_trgt=eta, t_wrm=T_WRM), steps=STEPS, seed=seed,
            batch_size=batch, measure=("full",), batch_every=EVERY,
        )  # fmt: skip
        if run.diverged:
            # There is nothing to go on from; as it is: diverged.
            full = run.full_sharpness[::EVERY] * eta / 2
            return [[np.nan, np.nan, 1.0, *full]] * len(FORKS[origin])
        before = np.median(run.loss[AT - 100 : AT])
        found = []
        for change in FORKS[origin].values():
            fork = sim.fork(run, at=AT, **change)
            smooth = np.convolve(fork.loss, np.ones(4) / 4, "same")
            found.append(
                [
                    np.inf if fork.diverged else smooth[AT : AT + 100].max() / before,
                    np.nan if fork.diverged else np.nanmedian(fork.full_sharpness[-500:]) * eta / 2,
                    float(fork.diverged),
                    *(fork.full_sharpness[::EVERY] * eta / 2),
                ]
            )
        return found

    def whole(origin: str) -> np.ndarray:
        return np.array(lab.each(forks, [origin] * lab.count, lab.seeds), float)

    found = {origin: whole(origin) for origin in FROM}
    names = [f"{origin}: {change}" for origin in FROM for change in FORKS[origin]]
    values = np.concatenate(list(found.values()), axis=1)
    over = ("seed", "fork")
    return xr.Dataset(
        {name: (over, values[..., i]) for i, name in enumerate(("peak", "late", "diverged"))}
        | {"full": ((*over, "update"), values[..., 3:])},
        {"seed": list(lab.seeds), "fork": names, "update": np.arange(0, STEPS, EVERY)},
    )


def claims(found: xr.Dataset) -> list:
    peak, diverged = found["peak"], found["diverged"]

    def change(fork: str) -> xr.DataArray:
        """Of the late full sharpness, against the same run unchanged; where neither diverges."""
        unchanged = f"{fork.partition(':')[0]}: unchanged"
        return (found["late"].sel(fork=fork) - found["late"].sel(fork=unchanged)).dropna("seed")

    shares = diverged.mean("seed")
    late, early = (float(shares.sel(fork=f)) for f in ("tanh, 16: batch / 4", "tanh, 4: unchanged"))

    return [
        in_median("ReLU, unchanged: peak of the loss after the fork over that before",
                  peak.sel(fork="relu, 64: unchanged"), most=2),
        in_median("ReLU, eta x 1.5: peak of the loss after the fork over that before",
                  peak.sel(fork="relu, 64: eta x 1.5"), least=6),
        in_median(
            "ReLU, eta x 1.5: change of the full sharpness, in 2 / eta",
            change("relu, 64: eta x 1.5"),
            most=-0.1,
        ),
        in_median(
            "ReLU, batches of 16: change of the full sharpness, in 2 / eta",
            change("relu, 64: batch / 4"), most=-0.05
        ),
        in_median("ReLU, eta / 2: change of the full sharpness, in 2 / eta",
                  change("relu, 64: eta / 2"), least=0),
        claim(
            "tanh, batches of 4, then 16: change of the full sharpness, in 2 / eta",
            change("tanh, 4: batch x 4"), least=0.03,
        ),
        claim("tanh, batches of 16, then 4: share of seeds that diverge", late, least=0.5),
        claim("tanh, batches of 16, then 4: that share minus the share with batches of 4 from "
              "the start", late - early, 0.1),
    ]  # fmt: skip


def draw(found: xr.Dataset) -> object:
    axes = panels(2)
    looks = {
        "unchanged": ("gd", "-"), "eta x 1.5": ("adam", "-."), "batch / 4": ("mup", ":"),
        "eta / 2": ("ntp", "--"), "batch x 4": ("ntp", "-."),
    }  # fmt: skip
    titles = {"relu, 64": "ReLU, 64 samples a batch", "tanh, 4": "tanh, 4 samples a batch"}
    for ax, (origin, title) in zip(axes, titles.items(), strict=True):
        for change in FORKS[origin]:
            color, line = looks[change]
            of = found["full"].sel(fork=f"{origin}: {change}")
            band(ax, found["update"], of, color=COLORS[color], ls=line, label=change)
        ax.axvline(AT, color=COLORS["theory"], lw=0.8)
        ax.set(xlabel="update", title=title, xlim=(1500, STEPS), ylim=(0.2, 1.4))
    axes[0].set_ylabel(r"full sharpness $\times \, \eta_\mathrm{before} / 2$")
    for ax in axes:
        legend(ax)
    return axes
