"""At a constant 0.9 of eta_critical the sharpness in muP rises to 2 / eta and stays there.

This is the edge of stability (Cohen et al. 2021). Kalra & Barkeshli 2024 start from it in section 3
and find it at the end of their figure 1. The study uses mean squared error and full batches, with
ReLU at width 128 and depth 2 on 64 samples, and tanh at width 32 and depth 2 on 128. The loss falls
over the whole run, but not at every step.

Limitations: in SP the sharpness falls away from the threshold and never meets it. Tanh networks of
depth 3 meet the threshold and then drift below it, at width 48 only to 0.96 to 1 of it. On the
teacher's data muP ends between 0.94 and 1 of 2 / eta, where the loss hardly rises any more, tanh
networks of depth 3 stay at 2 / eta, and SP may rise to 2 / eta.

On slice 3 with seeds 80 to 84, one claim fails: "muP, tanh: late sharpness, in 2 / eta, mean" is
[0.947 0.998 1.01], not 0.95 to 1.05, every seed.
"""

from __future__ import annotations

import numpy as np
import xarray as xr

import simulator as sim
from simulator.studying import Lab, claim, in_median
from simulator.studying.style import COLORS, band, legend, panels

STEPS, EVERY = 1200, 2
CASES = {
    "muP, ReLU": sim.MLP(width=128, depth=2, parameterization="mup"),
    "muP, tanh": sim.MLP(width=32, depth=2, parameterization="mup", activation="tanh"),
    "muP, tanh, depth 3": sim.MLP(width=32, parameterization="mup", activation="tanh"),
    "SP, ReLU, depth 3": sim.MLP(width=32),
    "SP, ReLU": sim.MLP(width=128, depth=2),
}
LOOKS = {
    "muP, ReLU": ("mup", "-"), "muP, tanh": ("tanh", "-."), "muP, tanh, depth 3": ("tanh", ":"),
    "SP, ReLU, depth 3": ("sp", ":"), "SP, ReLU": ("sp", "-"),
}  # fmt: skip


def measure(lab: Lab) -> xr.Dataset:
    """Sharpness over 2 / eta, and the loss, at 0.9 of the critical learning rate."""

    def curves(case: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
        model, data = CASES[case], lab.data(64 if CASES[case].width == 128 else 128)
        eta = 0.9 * sim.eta_critical(model, data, sim.GD(), seed)
        run = sim.simulate(
            model, data, schedule=sim.Warmup(eta_trgt=eta), steps=STEPS, seed=seed,
            sharpness_every=EVERY,
        )  # fmt: skip
        rising = np.full(STEPS // EVERY, np.mean(np.diff(run.loss) > 0))
        return run.ratio[::EVERY], run.loss[::EVERY] / run.loss_init, rising

    cells = [(case, seed) for case in CASES for seed in lab.seeds]
    found = np.array(lab.each(curves, *zip(*cells, strict=True)))
    ratio, loss, rising = np.moveaxis(found.reshape(len(CASES), lab.count, 3, -1), 2, 0)
    axes = ("case", "seed", "step")
    return xr.Dataset(
        {"ratio": (axes, ratio), "loss": (axes, loss), "rising": (axes[:2], rising[..., 0])},
        {"case": list(CASES), "seed": list(lab.seeds), "step": np.arange(0, STEPS, EVERY)},
    )


def claims(found: xr.Dataset) -> list:
    late = found["ratio"].isel(step=slice(STEPS // EVERY // 2, None))
    near = ((late > 0.9) & (late < 1.1)).mean("step")
    met = found["step"].where(found["ratio"] > 1).min("step")
    checks = []
    for case, within in (("muP, ReLU", 50), ("muP, tanh", 100)):
        of = {"case": case}
        mean, spread = late.mean("step").sel(of), late.std("step").sel(of)
        checks += [
            claim(f"{case}: updates until the sharpness exceeds 2 / eta", met.sel(of), 0, within),
            claim(f"{case}: late sharpness, in 2 / eta, mean", mean, 0.95, 1.05),
            claim(f"{case}: late sharpness, in 2 / eta, standard deviation", spread, most=0.05),
            claim(f"{case}: share of late updates within 10 % of 2 / eta", near.sel(of), 1, 1),
            claim(f"{case}: last loss over the first", found["loss"].sel(of)[:, -1], most=0.02),
            in_median(
                f"{case}: share of updates that raise the loss", found["rising"].sel(of), 0.04
            ),
        ]
    first = found["ratio"].sel(case="muP, ReLU").max("step")
    away = late.sel(case=["SP, ReLU", "SP, ReLU, depth 3"]).max(("case", "step"))
    end = late.sel(case="SP, ReLU, depth 3")[:, -1]
    drift = late.mean("step").sel(case="muP, tanh, depth 3")
    return [
        *checks,
        claim("muP, ReLU: largest sharpness, in 2 / eta", first, 1.1, 2),
        claim("SP: largest late sharpness, in 2 / eta", away, most=1),
        claim("SP, ReLU, depth 3: last sharpness, in 2 / eta", end, most=0.5),
        in_median("muP, tanh, depth 3: late sharpness, in 2 / eta, mean", drift, 0.7, 0.96),
    ]  # fmt: skip


def draw(found: xr.Dataset) -> object:
    axes = panels(3)
    for case, (color, line) in LOOKS.items():
        of, style = found.sel(case=case), {"color": COLORS[color], "ls": line, "lw": 1.2}
        band(axes[case.startswith("SP")], found["step"] + 1, of["ratio"], label=case, **style)
        band(axes[2], found["step"] + 1, of["loss"], **style)
    for ax in axes[:2]:
        ax.axhline(1, color=COLORS["theory"], ls="--", lw=1)
        ax.set(ylabel=r"sharpness / (2/$\eta$)", ylim=(0, 1.6))
        legend(ax)
    axes[0].set_title("The edge of stability")
    axes[1].set_title("Not so in SP")
    axes[2].set(yscale="log", ylabel=r"loss / $L_0$", title="All of them train")
    for ax in axes:
        ax.set(xscale="log", xlabel="update")
    return axes
