"""At a constant learning rate, 0.9 of eta_critical, sharpness in muP rises to 2 / eta and stays.

The edge of stability (Cohen et al. 2021) that Kalra & Barkeshli 2024 start from in section 3 and
find at the end of their figure 1, mean squared error, full batch: ReLU at width 128 and depth 2 on
64 samples, tanh at width 32 and depth 2 on 128. The loss falls all the while, though not at every
step. Not so: in SP sharpness falls away from the threshold and never meets it; tanh with depth 3
meets it, then drifts below, at width 48 to 0.96 to 1 of it only. On the teacher's data muP ends
between 0.94 and 1 of 2 / eta, where the loss hardly rises any more, tanh with depth 3 stays, and SP
may come up to 2 / eta.
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
            claim(
                f"{case}: sharpness meets 2 / eta within {within} updates", met.sel(of), 0, within
            ),
            claim(f"{case}: and stays, within 5 % on average", mean, 0.95, 1.05),
            claim(f"{case}: with a standard deviation below 5 %", spread, most=0.05),
            claim(f"{case}: and always within 10 %", near.sel(of), 1, 1),
            claim(f"{case}: the loss falls to a fiftieth", found["loss"].sel(of)[:, -1], most=0.02),
            in_median(f"{case}: but rises at one update in twenty", found["rising"].sel(of), 0.05),
        ]
    first = found["ratio"].sel(case="muP, ReLU").max("step")
    away = late.sel(case=["SP, ReLU", "SP, ReLU, depth 3"]).max(("case", "step"))
    end = late.sel(case="SP, ReLU, depth 3")[:, -1]
    drift = late.mean("step").sel(case="muP, tanh, depth 3")
    return [
        *checks,
        claim("muP, ReLU: the first overshoot is at most twofold", first, 1.1, 2),
        claim("SP: late, it is always below 2 / eta (largest ratio)", away, most=1),
        claim("SP, ReLU, depth 3: it ends below a half of it", end, most=0.5),
        in_median("muP, tanh, depth 3: it drifts to below 0.96 of it", drift, 0.7, 0.96),
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
