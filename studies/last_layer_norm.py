"""Without its last LayerNorm a residual network in muP starts sharp, and its sharpness falls.

Kalra & Barkeshli 2024, section 4.1, on Pre-LN transformers: removing the last LN raises the initial
sharpness a lot, and the sharpness then falls during training instead of rising. The same happens
here in every seed, in residual Pre-LN networks of depth 8 and width 32 in muP, at a tenth of
eta_critical, with ReLU and mean squared error. The change of sign needs the small output of muP: in
SP the sharpness falls with and without the last LN. In a plain network the last LN has little
effect, because the layers before it keep its scale: the initial sharpness without it is within a
factor of 2.5.

Limitations: LN does not make larger learning rates possible. In SP with mean squared error LN
lowers the largest rate that trains without warmup from about 8 to about 2 times eta_critical.
"""

from __future__ import annotations

import numpy as np
import xarray as xr

import simulator as sim
from simulator.studying import Lab, claim, in_median
from simulator.studying.style import COLORS, band, legend, panels

STEPS, EVERY = 400, 8
DEEP = sim.MLP(width=32, depth=8, residual=True)
CASES = {
    "muP": DEEP.with_options(parameterization="mup", norm="activation"),
    "muP, no last LN": DEEP.with_options(parameterization="mup", norm="inner"),
    "SP": DEEP.with_options(norm="activation"),
    "SP, no last LN": DEEP.with_options(norm="inner"),
}
PLAIN = {norm: sim.MLP(width=32, depth=5, norm=norm) for norm in ("activation", "inner")}
NORMS = ("none", "activation")


def measure(lab: Lab) -> xr.Dataset:
    data = lab.data(128)

    def curve(case: str, seed: int) -> np.ndarray:
        eta = 0.1 * sim.eta_critical(CASES[case], data, sim.GD(), seed=seed)
        run = sim.simulate(
            CASES[case], data, schedule=sim.Warmup(eta_trgt=eta), steps=STEPS, seed=seed,
            sharpness_every=EVERY, sharpness_tol=1e-3,
        )  # fmt: skip
        return run.sharpness[::EVERY]

    def first(norm: str, seed: int) -> float:
        return sim.sharpness(PLAIN[norm], PLAIN[norm].init(data, seed), data)

    seeds = list(lab.seeds)
    cells = [(case, seed) for case in CASES for seed in seeds]
    curves = np.reshape(lab.each(curve, *zip(*cells, strict=True)), (len(CASES), len(seeds), -1))
    cells = [(norm, seed) for norm in PLAIN for seed in seeds]
    plain = np.reshape(lab.each(first, *zip(*cells, strict=True)), (len(PLAIN), len(seeds)))
    grid = sim.sweep(
        sim.MLP(width=32), data, over={"norm": NORMS}, eta_trgt=2.0 ** np.arange(6), t_wrm=[1],
        seeds=seeds, steps=128 if lab.quick else 384, eta_unit="critical", sharpness_every=0,
        workers=lab.workers,
    )  # fmt: skip
    below = grid["trainable"].isel(eta_init=0, t_wrm=0).astype(int).cumprod("eta_trgt")
    return xr.Dataset(
        {
            "sharpness": (("case", "seed", "step"), curves),
            "plain": (("kind", "seed"), plain),
            "largest": (below * grid["eta_trgt"]).max("eta_trgt"),
        },
        {
            "case": list(CASES),
            "kind": list(PLAIN),
            "seed": seeds,
            "step": np.arange(0, STEPS, EVERY),
        },
    ).drop_vars(("eta_init", "t_wrm"), errors="ignore")


def claims(found: xr.Dataset) -> list:
    curves = {case: found["sharpness"].sel(case=case).values for case in CASES}
    end = {case: values[:, -1] / values[:, 0] for case, values in curves.items()}
    ratio = curves["muP, no last LN"][:, 0] / curves["muP"][:, 0]
    plain = found["plain"].sel(kind="inner").values / found["plain"].sel(kind="activation").values
    largest = found["largest"]
    return [
        claim("muP: initial sharpness without the last LN over that with it", ratio, least=8),
        claim("muP, with the last LN: last sharpness over the first", end["muP"], least=1.25),
        claim(
            "muP, without the last LN: last sharpness over the first",
            end["muP, no last LN"],
            most=1.0,
        ),
        claim("SP, with the last LN: last sharpness over the first", end["SP"], most=0.95),
        claim(
            "SP, without the last LN: last sharpness over the first",
            end["SP, no last LN"],
            most=1.0,
        ),
        claim(
            "Plain network: initial sharpness without the last LN over that with it",
            plain,
            0.4,
            2.5,
        ),
        in_median(
            "SP, no LN: largest rate without warmup, in eta_critical",
            largest.sel(norm="none"),
            4,
            16,
        ),
        in_median(
            "SP, LN: largest rate without warmup, in eta_critical",
            largest.sel(norm="activation"),
            1,
            4,
        ),
    ]


def draw(found: xr.Dataset) -> object:
    axes = panels(2)
    for ax, name in zip(axes, ("muP", "SP"), strict=True):
        for case, line in ((name, "-"), (f"{name}, no last LN", "--")):
            values = found["sharpness"].sel(case=case)
            band(ax, found["step"], values, label=case, color=COLORS[name.lower()], ls=line)
        ax.set(xlabel="update", yscale="log", title=f"{name}, residual, depth 8")
        legend(ax)
    axes[0].set_ylabel(r"sharpness $\lambda_t$")
    return axes
