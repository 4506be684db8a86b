"""The wider the network, the longer the shortest warmup: by half a logarithm of its width.

New, of UV models of width 10^2 to 10^12 on one example with y = 1 whose labels carry noise of size
sigma = 0.01: phase diagrams of eta_trgt and t_wrm. Without warmup all of them diverge beyond
theory.uv.eta_max, about 4 / lambda. With it they survive to the ceiling 2 / (kappa |y|), which grows
as the root of the width in the NTK parameterisation, from a t_wrm of eta_trgt lambda
ln(lambda / (2 kappa sigma)) / (3 ln 3 - 2) on, where kappa = width^(-1/2): theory.warmup. What
keeps the residual alive below the edge is the noise; without it a longer warmup does not help, as
the residual dies out, so that no catapult flattens the network in time. Within a fifth of the
ceiling (width 100) more is needed. The data of the lab play no part; its slice draws the noise.
"""

from __future__ import annotations

import numpy as np
import xarray as xr

import simulator as sim
from simulator.studying import Lab, claim, in_median
from simulator.studying.style import COLORS, legend, panels, threshold

WIDTHS, SIGMA, STEPS = (10**2, 10**4, 10**6, 10**8, 10**10, 10**12), 0.01, 640
ETAS = 2.0 ** np.array([0, 0.5, 1.5, 2, 2.5, 3, 3.5, 4, 4.5])
TIMES = np.array([1, *np.round(np.geomspace(8, 512, 19))], int)
UV, WARMUP = sim.theory.uv, sim.theory.warmup


def measure(lab: Lab) -> xr.Dataset:
    """Share of each seed's networks that survive, and what theory says of them."""
    noise = np.random.default_rng(lab.slice).standard_normal((128, 1))
    noise *= SIGMA / noise.std()
    noisy = sim.Data(np.ones((128, 1)), 1 + noise - noise.mean())
    found = [one_width(width, noisy, lab.count, 1 if lab.quick else 2) for width in WIDTHS]
    return xr.concat(found, xr.Variable("width", list(WIDTHS))).assign_coords(seed=list(lab.seeds))


def one_width(width: int, noisy: sim.Data, seeds: int, each: int) -> xr.Dataset:
    """The diagram of one width, eta_trgt in units of each network's eta_critical."""
    model, clean = sim.UV(width), sim.Data(np.ones((1, 1)), np.ones((1, 1)))
    diagram = sim.sweep(
        model, noisy, eta_trgt=ETAS, t_wrm=TIMES, seeds=seeds * each, steps=STEPS, batch_size=1,
        eta_unit="critical", sharpness_every=0,
    ).squeeze("eta_init", drop=True)  # fmt: skip
    constant = sim.sweep(
        model, clean, eta_trgt=np.linspace(0.5, 4, 141), seeds=200, steps=1000,
        eta_unit="critical", sharpness_every=0,
    ).squeeze("t_wrm", drop=True)  # fmt: skip
    too_large = constant["eta_trgt"] * constant["eta_critical"] > constant["theory_eta_max"]
    states = [model.one_example(model.init(clean, n), clean) for n in range(seeds * each)]
    delta, lam, kappa, y = np.transpose(states)
    unit = diagram["eta_critical"].values[:, 0, 0]
    met = UV.flow_limit(delta, lam, kappa, y)
    shortest = WARMUP.shortest_warmup(
        ETAS * unit[:, None], met[:, None], WARMUP.residual_floor(SIGMA, met, kappa)[:, None]
    )
    alive = ~diagram["diverged"].values
    beyond = alive & (ETAS * unit[:, None] > UV.eta_ceiling(kappa, y)[:, None])[..., None]

    def group(values: np.ndarray) -> np.ndarray:
        return values.reshape(seeds, each, *values.shape[1:]).mean(axis=1)

    return xr.Dataset({
        "alive": (("seed", "eta", "t_wrm"), group(alive)),
        "shortest": (("seed", "eta"), group(shortest)),
        "eta_max": ("seed", group(UV.eta_max(delta, lam, kappa, y) / unit)),
        "ceiling": ("seed", group(UV.eta_ceiling(kappa, y) / unit)),
        "beyond": ("seed", group(beyond.any((1, 2)))),
        "wrong": (too_large != constant["diverged"]).sum(),
    }, {"eta": ETAS, "t_wrm": TIMES})  # fmt: skip


def claims(found: xr.Dataset) -> list:
    return []


def draw(found: xr.Dataset) -> object:
    return panels(6, columns=3)
