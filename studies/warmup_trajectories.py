"""Under warmup the sharpness meets 2 / eta, and then falls with it: the slower, the closer.

Kalra & Barkeshli 2024, sections 3 and 4.1 and figure 1: full batch, mean squared error, ReLU,
warmup from 0. In muP sharpness and learning rate rise towards each other (head-on collision), in
SP the learning rate catches up with a sharpness that falls by itself (rear-end collision). They
meet where the sharpness is first seen above 2 / eta; k is eta over its critical value at the start.
That the sharpness tracks 2 / eta is a statement about slow warmups: in a fast one it stays above,
and how often it crosses 2 / eta hangs on chance (1 to 74 times): it hovers a few percent above.

Not so: with tanh muP diverges at k = 8; with cross-entropy the sharpness falls faster than 1 / eta
once the samples are separated. Needs classes.
"""

from __future__ import annotations

import numpy as np
import xarray as xr

import simulator as sim
from simulator.events import Curves, find_events
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
NUMBERS = [
    "k", "share", "median", "largest", "slope", "rises", "last", "loss", "diverged"
]  # fmt: skip


def measure(lab: Lab) -> xr.Dataset:
    """Curves up to the end of warmup, and numbers from the step on where the two meet."""

    def run(case: str, seed: int) -> np.ndarray:
        model, samples, k, t_wrm = CASES[case]
        data = lab.data(samples)
        unit = sim.critical_eta(model, data, sim.GD(), seed)
        schedule = sim.Warmup(eta_trgt=k * unit, t_wrm=t_wrm)
        run = sim.simulate(model, data, schedule=schedule, steps=t_wrm, seed=seed, accuracy=1e-4)
        crossings = find_events(Curves.of(run)).crossings
        after = np.arange(len(run.eta)) >= (crossings[0] if crossings else len(run.eta))
        after &= run.sharpness > 0
        numbers = [np.nan] * 5
        if after.sum() > 1:
            eta, sharpness, ratio = run.eta[after], run.sharpness[after], run.ratio[after]
            slope = np.polyfit(np.log(eta), np.log(sharpness), 1)[0]
            met = [eta[0] / unit, sharpness[0] / run.sharpness[0]]
            numbers = [*met, np.median(ratio), ratio.max(), slope]
        rises = np.count_nonzero(np.diff(run.loss) > 0)
        numbers += [rises, run.ratio[-1], run.loss_max / run.loss_init, run.diverged]
        curves = np.full((2, STEPS), np.nan)
        curves[:, :t_wrm] = run.eta / unit, run.sharpness / run.sharpness[0]
        return np.concatenate([numbers, curves.ravel()])

    cells = [(case, seed) for case in CASES for seed in lab.seeds]
    found = np.reshape(lab.each(run, *zip(*cells, strict=True)), (len(CASES), lab.count, -1))
    curves = found[..., len(NUMBERS) :].reshape(len(CASES), lab.count, 2, STEPS)
    variables = {name: (("case", "seed"), found[..., i]) for i, name in enumerate(NUMBERS)}
    variables["eta"] = (("case", "seed", "step"), curves[:, :, 0])
    variables["sharpness"] = (("case", "seed", "step"), curves[:, :, 1])
    coordinates = {"case": list(CASES), "seed": list(lab.seeds), "step": np.arange(STEPS)}
    return xr.Dataset(variables, coordinates)


def claims(found: xr.Dataset) -> list:
    slow, brief, fast, sp, steep, gentle, wide, tanh, xent = (
        {name: found[name].sel(case=case).values for name in NUMBERS} for case in CASES
    )
    softer, sooner = slow["largest"] / fast["largest"], slow["k"] / brief["k"]
    nearer, same = gentle["median"] / steep["median"], gentle["k"] / steep["k"]
    return [
        claim("muP: they meet below k = 0.7", slow["k"], most=0.7),
        claim("muP: the sharpness has risen by then", slow["share"], least=1.4),
        claim("muP: then eta * sharpness / 2 is near 1 (median)", slow["median"], 0.95, 1.2),
        claim("muP: the sharpness falls as 1 / eta (exponent)", slow["slope"], -1.05, -0.8),
        claim("muP: the loss rises again and again (steps)", slow["rises"], least=50),
        claim("muP: but never above the first", slow["loss"], most=1),
        claim("muP, 8 times faster: eta * sharpness / 2 stays above 1", fast["median"], least=1.3),
        claim("muP, 8 times slower: the largest of it is smaller (ratio)", softer, most=0.8),
        claim("muP, 4 times slower: they meet at a smaller eta (ratio)", sooner, most=1),
        claim("SP: they meet beyond k = 2.5", sp["k"], least=2.5),
        claim("SP: the sharpness has fallen by then", sp["share"], most=0.45),
        claim("SP, wide: then eta * sharpness / 2 is near 1", wide["median"], 0.97, 1.07),
        in_median("SP to k = 64, 4 times slower: it is nearer to 1 (ratio)", nearer, most=0.95),
        in_median("SP to k = 64, 4 times slower: they meet where they did", same, 0.8, 1.25),
        claim("muP, tanh, k = 8: diverges", tanh["diverged"], 1, 1),
        claim("Cross-entropy: sharpness ends below half of 2 / eta", xent["last"], most=0.5),
    ]  # fmt: skip


def draw(found: xr.Dataset) -> object:
    axes = panels(3)
    shown = [
        ("muP: head-on", {"muP, slow": "mup", "muP, 8 times faster": "adam"}),
        ("SP: rear-end", {"SP": "sp", "SP, wide, slow": "ntp"}),
        ("where it fails", {"tanh": "tanh", "cross-entropy": "sp"}),
    ]
    k = np.geomspace(0.01, 32, 50)
    for ax, (title, cases) in zip(axes, shown, strict=True):
        for case, color in cases.items():
            curves, t_wrm = found.sel(case=case, step=slice(0, CASES[case][3] - 1)), CASES[case][3]
            # Up to where the first of them leaves the picture for good.
            kept = (curves["sharpness"] < 10).all("seed").cumprod("step").astype(bool).values
            band(
                ax, curves["eta"].values[0, kept], curves["sharpness"].values[:, kept],
                color=COLORS[color], label=f"{case}, {t_wrm} steps",
            )  # fmt: skip
        threshold(ax, k, 1 / k, "2 / eta")
        ax.set(xscale="log", yscale="log", xlim=(0.02, 20), ylim=(0.02, 6), title=title)
        ax.set(xlabel="eta / eta_critical", ylabel="sharpness / its initial value")
        ax.legend(frameon=False, fontsize="small", loc="lower left")
    return axes
