"""At the edge of stability the central flow predicts the loss: right in GELU, 11 % off in UV.

Cohen et al. 2410.24206 at constant learning rates. muP networks of width 16 on 64 digits train with
full batches for 600 updates, GELU at 0.9 and tanh at 0.7 times eta_critical. The claims are about
the networks that reach 2 / eta. The flow stays at the threshold, and the run oscillates about it.
In GELU networks the loss of the centre alone, without the oscillation, is below the run's mean
loss. The flow adds the loss of the oscillation, which makes up most of the difference.

For a UV network of width 1 on one example the flow is wrong at any amplitude. At eta y between 1
and sqrt(5) - 1 the run ends in an exact cycle of two updates with mean loss (y^2 - 1 / eta^2) / 4.
The flow predicts 8 / 9 of it (`simulator.theory.central.uv_cycle`), because the fourth derivative
enters at the same order as the third. All seeds start at u = 1.3, v = 0.9. (After a warmup there is
no cycle: the run is at the minimum to the last bit, where the gradient is 0.)

Limitations: tanh networks at 0.7 leave the threshold again, and there the flow equals its centre.
Some networks of both kinds never reach the threshold. The weights are not always right: in a
network with kappa_1 = 0.33 the flow ends 30 % of the path away from the run.

On slice 3 with seeds 80 to 84, 2 claims fail: "GELU, late: predicted loss over that of the run, in
every network" is [0.48 0.971 0.991], not 0.8 to 1.4, every seed; "GELU: distance of the flow from
the run, over that of the stable flow" is [0.0118 0.212 0.888], not at most 0.8, every seed.
"""

from __future__ import annotations

import numpy as np
import xarray as xr

import simulator as sim
from simulator.studying import Lab, claim, in_median
from simulator.studying.style import COLORS, legend, panels, threshold
from simulator.theory import central

SAMPLES, STEPS, WINDOW = 64, 600, 31
LATE = slice(STEPS // 2, None)
# eta_trgt in units of eta_critical.
SETTINGS = {
    "gelu": (sim.MLP(16, activation="gelu", parameterization="mup"), 0.9),
    "tanh": (sim.MLP(16, activation="tanh", parameterization="mup", var_w=1.0), 0.7),
}
UV, TARGET = (
    sim.UV(1, s=1.0, representation="parameters"),
    sim.Data(np.ones((1, 1)), np.ones((1, 1))),
)
START = (1.3, 0.9)
ETAS = (1.03, 1.06, 1.1, 1.15, 1.2)
NAMES = ("kappa", "weights", "gain", "predicted", "centre", "run ratio", "flow ratio")


def measure(lab: Lab) -> xr.Dataset:
    data = lab.data(SAMPLES)
    settings = ["gelu"] if lab.quick else list(SETTINGS)

    def one(name: str, seed: int) -> list[np.ndarray]:
        """Of the last half, and the curves."""
        model, multiple = SETTINGS[name]
        eta = multiple * sim.eta_critical(model, data, sim.GD(), seed)
        flow = sim.central_flow(
            model, data, schedule=sim.Warmup(eta_trgt=eta), steps=STEPS, seed=seed
        )
        run = flow.run
        curves = np.array(
            [run.sharpness * eta / 2, flow.ratio, run.loss, flow.predicted_loss, flow.loss]
        )
        if flow.first_contact < 0:
            return [np.full(len(NAMES), np.nan), curves]
        mean = curves[:, LATE].mean(axis=1)
        numbers = [
            flow.kappa_1, flow.distance[-1] / flow.path[-1],
            flow.distance[-1] / flow.stable_distance[-1], mean[3] / mean[2], mean[4] / mean[2],
            np.median(curves[0, LATE]), np.median(curves[1, LATE]),
        ]  # fmt: skip
        return [np.array(numbers), curves]

    def cycle(eta: float, seed: int) -> list[float]:
        """Mean loss of the last two updates, that of the flow, and of the formula."""
        given = {"schedule": sim.Warmup(eta_trgt=eta), "seed": seed, "theta0": START}
        run = sim.simulate(UV, TARGET, steps=2000, sharpness_every=0, **given)
        flow = sim.central_flow(UV, TARGET, steps=300, beside=False, **given)
        return [run.loss[-2:].mean(), flow.predicted_loss[-1], central.uv_cycle(1.0, eta)[2]]

    cells = [(name, seed) for name in settings for seed in lab.seeds]
    numbers, curves = (
        np.array(p) for p in zip(*lab.each(one, *zip(*cells, strict=True)), strict=True)
    )
    numbers = numbers.reshape(len(settings), lab.count, -1)
    etas = ETAS[::2] if lab.quick else ETAS
    ends = [(eta, seed) for eta in etas for seed in lab.seeds]
    uv = np.reshape(lab.each(cycle, *zip(*ends, strict=True)), (len(etas), lab.count, 3))
    over = ("setting", "seed")
    return xr.Dataset(
        {name: (over, numbers[..., i]) for i, name in enumerate(NAMES)}
        | {
            "uv": (("eta", "seed", "by"), uv),
            "curves": ((*over, "curve", "update"), curves.reshape(*numbers.shape[:2], 5, STEPS)),
        },
        {
            "setting": settings, "seed": list(lab.seeds), "eta": list(etas),
            "by": ["run", "flow", "formula"], "update": np.arange(STEPS),
            "curve": ["run", "flow", "loss", "predicted", "centre"],
        },
    )  # fmt: skip


def claims(found: xr.Dataset) -> list:
    uv = found["uv"]
    run, flow, formula = (uv.sel(by=by) for by in ("run", "flow", "formula"))
    of = {
        name: found.sel(setting=name).dropna("seed", subset=["kappa"])
        for name in found["setting"].values
    }
    gelu = of["gelu"]
    told = [
        in_median("GELU, late: predicted loss over that of the run", gelu["predicted"], 0.93, 1.04),
        claim(
            "GELU, late: predicted loss over that of the run, in every network",
            gelu["predicted"],
            0.8,
            1.4,
        ),
        in_median(
            "GELU, late: loss of the centre alone over that of the run", gelu["centre"], most=0.995
        ),
        in_median("GELU: sharpness of the run, in 2 / eta", gelu["run ratio"], 0.95, 1.06),
        in_median(
            "GELU: distance of the flow from the run, over the path", gelu["weights"], most=0.1
        ),
        claim(
            "GELU: distance of the flow from the run, over that of the stable flow",
            gelu["gain"],
            most=0.8,
        ),
        claim(
            "UV, exact cycle: predicted loss over that of the run, smallest",
            (flow / run).min("eta"),
            0.885,
            0.893,
        ),
        claim(
            "UV, exact cycle: predicted loss over that of the run, largest",
            (flow / run).max("eta"),
            0.885,
            0.893,
        ),
        claim(
            "UV, exact cycle: mean loss of the run over the formula",
            (run / formula).mean("eta"),
            0.999,
            1.001,
        ),
    ]
    if "tanh" not in of:
        return told
    tanh = of["tanh"]
    apart = abs(tanh["run ratio"] - tanh["flow ratio"])
    added = tanh["predicted"] - tanh["centre"]
    return [
        *told,
        claim("tanh: distance of the flow from the run, over the path", tanh["weights"], most=0.12),
        claim("tanh: distance of the flow from the run, over that of the stable flow",
              tanh["gain"], most=0.6),
        in_median("tanh: difference of the sharpness of run and flow, in 2 / eta",
                  apart, most=0.08),
        in_median("tanh: loss of the oscillation, over that of the run", added, most=0.02),
    ]  # fmt: skip


def draw(found: xr.Dataset) -> object:
    sharpness, loss, cycle = axes = panels(3)
    known = found.sel(setting="gelu").dropna("seed", subset=["kappa"])
    at, heavy = found["update"], {"color": COLORS["sp"], "lw": 2}
    if known["seed"].size:
        curves = known["curves"].isel(seed=int(known["centre"].argmin("seed")))
        thin = {"color": COLORS["mup"], "lw": 0.8}
        sharpness.plot(at, curves.sel(curve="run"), **thin, label="run")
        sharpness.plot(at, curves.sel(curve="flow"), **heavy, label="central flow")
        looks = {
            "loss": ("run", {**thin, "lw": 1.6}), "predicted": ("central flow", heavy),
            "centre": ("its centre alone", {"color": COLORS["gd"], "ls": ":"}),
        }  # fmt: skip
        for curve, (label, style) in looks.items():
            mean = np.convolve(curves.sel(curve=curve), np.ones(WINDOW) / WINDOW, "valid")
            loss.plot(at[WINDOW // 2 : -(WINDOW // 2)], mean, **style, label=label)
    sharpness.set(xlabel="update", title="muP GELU, constant rate")
    sharpness.set_ylabel(r"sharpness $\times \, \eta / 2$")
    loss.set(xlabel="update", yscale="log", title="Loss, mean of 31 updates")
    uv, eta = found["uv"], np.linspace(1.001, 1.23)
    looks = {"run": ("o", COLORS["mup"], "run"), "flow": ("^", COLORS["sp"], "central flow")}
    for by, (marker, color, label) in looks.items():
        cycle.plot(
            found["eta"], uv.sel(by=by).median("seed"), ls="", marker=marker, color=color,
            label=label,
        )  # fmt: skip
    threshold(cycle, eta, central.uv_cycle(1.0, eta)[2], r"$(y^2 - \eta^{-2}) / 4$")
    cycle.plot(eta, central.uv_centre(1.0, eta)[2], ":", color=COLORS["theory"], label="8/9 of it")
    cycle.set(xlabel=r"$\eta y$", title="UV on one example: mean loss", ylim=(0, None))
    for ax in axes:
        legend(ax)
    return axes
