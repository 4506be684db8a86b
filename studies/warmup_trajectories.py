"""Under warmup the sharpness meets 2 / eta and falls with it, closer if the warmup is slower.

Kalra & Barkeshli 2024, sections 3 and 4.1 and figure 1: full batch, mean squared error, ReLU,
warmup from 0. In muP the sharpness rises while the threshold falls (head-on collision). In SP the
sharpness falls on its own, and the faster falling threshold catches up with it (rear-end
collision). They meet where the sharpness first exceeds 2 / eta. k is eta over its critical value at
the start. The sharpness tracks 2 / eta only in slow warmups. In a fast warmup it stays above, and
how often it crosses 2 / eta depends on chance (1 to 74 times), as it stays a few percent above.

Limitations: with tanh, muP diverges at k = 8. With cross-entropy the sharpness falls faster than 1
/ eta once the samples are separated. In wider SP networks the sharpness falls less before it meets
the threshold: at width 48 they meet from k = 1.8 on, at 0.25 to 0.58 of the first sharpness, and
with a 4 times slower warmup at 1.4 times the k. Needs classes.

The claim that SP meets at k = 2 was worded after slice 20 and seeds 10 to 14, which are shown here.

On slice 3 with seeds 80 to 84, one claim fails: "muP, 8 times faster: eta * sharpness / 2 after
they meet, median" is [1.27 1.42 1.66], not at least 1.3, every seed.
"""

from __future__ import annotations

import numpy as np
import xarray as xr

import simulator as sim
from simulator.figures import symbols
from simulator.studying import Lab, claim, in_median
from simulator.studying.style import COLORS, band, panels, threshold

MUP = sim.MLP(width=128, depth=2, parameterization="mup")
SP, WIDE = sim.MLP(width=32), sim.MLP(width=128, depth=2)
TANH = sim.MLP(width=32, depth=2, activation="tanh", parameterization="mup")
# Model, samples, k at the end of warmup, t_wrm.
CASES = {
    "muP, slow": (MUP, 64, 2, 1024),
    "muP, 4 times faster": (MUP, 64, 2, 256),
    "muP, 8 times faster": (MUP, 64, 8, 512),
    "SP": (SP, 128, 16, 256),
    "SP, to 64": (SP, 128, 64, 256),
    "SP, to 64, slow": (SP, 128, 64, 1024),
    "SP, wide, slow": (WIDE, 64, 4, 1024),
    "tanh": (TANH, 128, 8, 512),
    "cross-entropy": (sim.MLP(width=32, loss="xent"), 128, 8, 512),
}
STEPS = 1024


def measure(lab: Lab) -> xr.Dataset:
    """Sharpness over 2 / eta, and the loss over the first, up to the end of warmup."""

    def run(case: str, seed: int) -> np.ndarray:
        model, samples, k, t_wrm = CASES[case]
        data = lab.data(samples)
        unit = sim.eta_critical(model, data, sim.GD(), seed)
        schedule = sim.Warmup(eta_trgt=k * unit, t_wrm=t_wrm)
        run = sim.simulate(
            model, data, schedule=schedule, steps=t_wrm, seed=seed, sharpness_tol=1e-4
        )
        curves = np.full((2, STEPS), np.nan)
        curves[:, :t_wrm] = run.ratio, run.loss / run.loss_init
        return curves

    cells = [(case, seed) for case in CASES for seed in lab.seeds]
    found = np.reshape(lab.each(run, *zip(*cells, strict=True)), (len(CASES), lab.count, 2, STEPS))
    over, step = ("case", "seed", "step"), np.arange(1, STEPS + 1)
    eta = [np.where(step <= t_wrm, k * step / t_wrm, np.nan) for *_, k, t_wrm in CASES.values()]
    return xr.Dataset(
        {"ratio": (over, found[:, :, 0]), "loss": (over, found[:, :, 1]), "k": (over[::2], eta)},
        {"case": list(CASES), "seed": list(lab.seeds), "step": step},
    )


def claims(found: xr.Dataset) -> list:
    ratio, sharpness = found["ratio"], found["ratio"] / found["k"]
    since = (ratio > 1).cumsum("step") > 0
    meeting, after = since & ~since.shift(step=1, fill_value=False), ratio.where(since)
    log_k, falls = (np.log(x.where(since & (ratio > 0))) for x in (found["k"], sharpness))
    of = xr.Dataset({
        "k": found["k"].where(meeting).max("step"), "share": sharpness.where(meeting).max("step"),
        "median": after.median("step"), "largest": after.max("step"),
        "slope": xr.cov(log_k, falls, "step") / log_k.var("step", ddof=1),
        "rises": (found["loss"].diff("step") > 0).sum("step"), "loss": found["loss"].max("step"),
        "last": ratio.sel(step=512), "lost": np.isnan(found["loss"].sel(step=512)),
    })  # fmt: skip
    slow, brief, fast, sp, steep, gentle, wide, tanh, xent = (of.sel(case=case) for case in CASES)
    softer, sooner = slow["largest"] / fast["largest"], slow["k"] / brief["k"]
    nearer, same = gentle["median"] / steep["median"], gentle["k"] / steep["k"]
    return [
        claim("muP: k where the sharpness meets 2 / eta", slow["k"], most=0.7),
        claim("muP: sharpness where they meet, over the first", slow["share"], least=1.4),
        claim("muP: eta * sharpness / 2 after they meet, median", slow["median"], 0.95, 1.2),
        claim("muP: exponent of the sharpness as a power of eta after they meet",
              slow["slope"], -1.05, -0.8),
        claim("muP: number of updates that raise the loss", slow["rises"], least=50),
        claim("muP: largest loss over the first", slow["loss"], most=1),
        claim("muP, 8 times faster: eta * sharpness / 2 after they meet, median",
              fast["median"], least=1.3),
        claim("muP: largest eta * sharpness / 2, 8 times slower over faster", softer, most=0.8),
        claim("muP: k where they meet, 4 times slower over faster", sooner, most=1),
        in_median("SP: k where the sharpness meets 2 / eta", sp["k"], least=2.5),
        in_median("SP: sharpness where they meet, over the first", sp["share"], most=0.45),
        claim("SP, wide: eta * sharpness / 2 after they meet, median", wide["median"], 0.97, 1.07),
        in_median("SP to k = 64: median eta * sharpness / 2 after they meet, 4 times slower "
                  "over faster", nearer, most=0.95),
        in_median("SP to k = 64: k where they meet, 4 times slower over faster", same, 0.8, 1.25),
        claim("muP, tanh, k = 8: diverges (1: yes)", tanh["lost"], 1, 1),
        claim("Cross-entropy: last sharpness, in 2 / eta", xent["last"], most=0.5),
    ]  # fmt: skip


def draw(found: xr.Dataset) -> object:
    axes = panels(3)
    shown = {
        "muP: head-on": {"muP, slow": ("mup", "-"), "muP, 8 times faster": ("mup", ":")},
        "SP: rear-end": {"SP": ("sp", "-"), "SP, wide, slow": ("sp", ":")},
        "Where it fails": {"tanh": ("tanh", "-"), "cross-entropy": ("sp", "-.")},
    }
    limit = np.array([0.01, 32])
    for ax, (title, cases) in zip(axes, shown.items(), strict=True):
        for case, (color, line) in cases.items():
            of, label = found.sel(case=case), f"{case}, {CASES[case][3]} updates"
            sharpness = of["ratio"] / of["k"]
            # Up to where the first of them leaves the picture for good.
            kept = (sharpness < 10).all("seed").cumprod("step").astype(bool).values
            band(ax, of["k"][kept], sharpness[:, kept], color=COLORS[color], ls=line, label=label)
        threshold(ax, limit, 1 / limit, r"2 / $\eta$")
        ax.set(xscale="log", yscale="log", xlim=(0.02, 20), ylim=(0.02, 6), title=title)
        ax.set_xlabel(f"{symbols.ETA_T} / {symbols.ETA_CRITICAL}")
        ax.legend(frameon=False, fontsize="small", loc="lower left")
    axes[0].set_ylabel(r"sharpness $\lambda_t / \lambda_0$")
    return axes
