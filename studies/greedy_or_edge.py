"""The greedy learning rate trains worse than the one at the edge; in SP both act as a warmup.

Roulet et al., arXiv:2407.06183: eta_t is sigma times slope over curvature along the update
(`CDAT`). sigma = 1 is an exact line search to second order. sigma = 2 is the largest rate at which
the update does not raise the loss. ReLU networks of width 32 on 128 digits train by gradient
descent on all samples for 512 updates. The greedy rate (sigma = 1) stays below the edge of
stability, and its final loss is several times higher. With sigma = 2 the run stays at the edge of
stability. In SP its rate rises several times over within 8 updates, as in a warmup, but without a
length to choose. No run diverges at sigma up to 3, because a higher curvature lowers the rate at
once. From 2.5 on the networks train badly. Averaging over updates slows the rise of the rate and
raises the final loss.

Limitations: the statement "it outperforms tuned constant rates" does not hold in muP, where the
best of two constant rates ends about as low. In SP a linear warmup of 64 updates to the best rate
of a grid ends lower. Each update costs one extra Hessian-vector product. With cross-entropy eta
needs its cap, eta_trgt.
"""

from __future__ import annotations

import numpy as np
import xarray as xr

import simulator as sim
from simulator.figures import symbols
from simulator.studying import Lab, claim, in_median
from simulator.studying.style import COLORS, band, legend, panels, threshold

STEPS, LATE = 512, slice(384, None)
SIGMAS = (1.0, 1.9, 2.0, 2.5, 3.0)
# Multiples of eta_critical of the tuned rates, constant and after a warmup of 64 updates.
TIMES = {"sp": ((4, 8), (16, 32, 64)), "mup": ((2, 4), (2, 4))}
LENGTHS = (1, 64)


def measure(lab: Lab) -> xr.Dataset:
    data = lab.data(128)
    sigmas = (1.0, 2.0, 3.0) if lab.quick else SIGMAS

    def one(parameterization: str, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        model = sim.MLP(32, 3, parameterization=parameterization)
        unit = sim.eta_critical(model, data, sim.GD(), seed)
        constant = model.constant_loss(data)

        def train(schedule: sim.Schedule, every: int = 0) -> sim.Run:
            return sim.simulate(
                model, data, schedule=schedule, steps=STEPS, seed=seed, sharpness_every=every,
                sharpness_tol=1e-3,
            )  # fmt: skip

        rows, rates = [], []
        for sigma in sigmas:
            run = train(sim.CDAT(1e9, sigma), every=64 if sigma > 2 else 8)
            ratio = np.nanmedian((run.sharpness * run.eta / 2)[LATE])
            rows.append(
                (run.loss_final / constant, ratio, run.diverged, run.sharpness_final * unit / 2)
            )
            rates.append(run.eta / unit)
        averaged = train(sim.CDAT(1e9, 2.0, 0.9))
        best = [
            min(train(sim.Warmup(0.0, k * unit, t)).loss[-32:].mean() for k in times)
            for t, times in zip(LENGTHS, TIMES[parameterization], strict=True)
        ]
        others = np.array([averaged.loss_final, *best]) / constant
        return np.array(rows), np.array(rates), others

    cells = [(parameterization, seed) for parameterization in TIMES for seed in lab.seeds]
    found = lab.each(one, *zip(*cells, strict=True))
    shape = (len(TIMES), lab.count)
    rows, rates, others = (
        np.reshape(part, (*shape, *part[0].shape))
        for part in (np.array(part) for part in zip(*found, strict=True))
    )
    over = ("param", "seed")
    names = ("loss", "ratio", "diverged", "sharpness")
    values = {name: ((*over, "sigma"), rows[..., i]) for i, name in enumerate(names)}
    values |= {
        name: (over, others[..., i]) for i, name in enumerate(("averaged", "constant", "warmup"))
    }
    values["rate"] = ((*over, "sigma", "step"), rates)
    coordinates = {"param": list(TIMES), "seed": list(lab.seeds), "sigma": list(sigmas)}
    return xr.Dataset(values, coordinates)


def claims(found: xr.Dataset) -> list:
    sp, mup = (found.sel(param=param) for param in ("sp", "mup"))
    greedy, edge = ({"sp": sp.sel(sigma=s), "mup": mup.sel(sigma=s)} for s in (1.0, 2.0))
    return [
        in_median(
            "SP: final loss of sigma 1 over that of sigma 2",
            greedy["sp"]["loss"] / edge["sp"]["loss"],
            least=2,
        ),
        claim(
            "muP: final loss of sigma 1 over that of sigma 2",
            greedy["mup"]["loss"] / edge["mup"]["loss"],
            least=4,
        ),
        in_median(
            "SP, sigma 2: final loss over that of the best constant output",
            edge["sp"]["loss"],
            most=0.05,
        ),
        claim(
            "muP, sigma 2: final loss over that of the best constant output",
            edge["mup"]["loss"],
            most=0.02,
        ),
        claim("SP, sigma 2: late eta lambda / 2", edge["sp"]["ratio"], 0.95, 1.2),
        claim("muP, sigma 2: late eta lambda / 2", edge["mup"]["ratio"], 0.95, 1.2),
        claim("SP, sigma 1: late eta lambda / 2", greedy["sp"]["ratio"], most=0.97),
        claim("muP, sigma 1: late eta lambda / 2", greedy["mup"]["ratio"], most=0.97),
        in_median(
            "SP, sigma 2: eta at update 8 over the first",
            edge["sp"]["rate"].isel(step=7) / edge["sp"]["rate"].isel(step=0),
            least=4,
        ),
        claim("Any run diverges at sigma 3 (0: no)", found["diverged"].sel(sigma=3.0), most=0),
        in_median(
            "SP, sigma 3: final loss over that of sigma 2",
            sp["loss"].sel(sigma=3.0) / edge["sp"]["loss"],
            least=3,
        ),
        in_median(
            "SP, sigma 2: final loss with averages over updates, over that without",
            sp["averaged"] / edge["sp"]["loss"],
            least=1.2,
        ),
        in_median(
            "SP, sigma 2: final loss over that of a tuned warmup",
            edge["sp"]["loss"] / sp["warmup"],
            least=1.3,
        ),
        in_median(
            "muP, sigma 2: final loss over that of a tuned constant rate",
            edge["mup"]["loss"] / mup["constant"],
            least=0.4,
            most=4,
        ),
    ]


def draw(found: xr.Dataset) -> object:
    loss, ratio, rate = axes = panels(3)
    sigmas = found["sigma"].values
    for param in found["param"].values:
        at, style = found.sel(param=param), {"color": COLORS[str(param)], "label": str(param)}
        band(loss, sigmas, at["loss"], marker="o", **style)
        band(ratio, sigmas, at["ratio"], marker="o", **style)
        for sigma, line in ((1.0, ":"), (2.0, "-")):
            label = f"{param}, sigma {sigma:g}"
            curve = at["rate"].sel(sigma=sigma)
            band(rate, np.arange(1, STEPS + 1), curve, **style | {"label": label, "ls": line})
    threshold(ratio, [sigmas[0], sigmas[-1]], [1, 1])
    loss.set(yscale="log", ylim=(1e-3, 30), xlabel="sigma", ylabel="final loss / constant output's")
    ratio.set(xlabel="sigma", ylabel=r"late $\eta\lambda/2$")
    rate.set(
        xscale="log",
        yscale="log",
        ylim=(0.2, 300),
        xlabel="update",
        ylabel=f"{symbols.ETA_T} / {symbols.ETA_CRITICAL}",
    )
    legend(loss)
    legend(rate)
    return axes
