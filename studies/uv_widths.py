"""The shortest warmup of a UV model grows with half the logarithm of the width.

This result is new. UV models of width 10^2 to 10^12 in the NTK parameterization train on one
example with y = 1, whose labels have noise of size sigma = 0.01. The study draws phase diagrams of
eta_trgt and t_wrm. Without warmup the models diverge above theory.uv.eta_max, about 4 / lambda.
With warmup they train up to the ceiling 2 / (kappa |y|), kappa = width^(-1/2), if t_wrm exceeds
eta_trgt lambda ln(lambda / (2 kappa sigma)) / (3 ln 3 - 2) (simulator.theory.warmup). Both limits
are theorems, checked by `warmup theory`. The noise keeps the residual from vanishing below the
edge. Without noise no catapult comes in time to flatten the network, at any length of warmup. Near
the ceiling (width 100) the warmup must be longer. The data of the lab are not used; its slice draws
the noise.
"""

from __future__ import annotations

import numpy as np
import xarray as xr

import simulator as sim
from simulator.figures import symbols
from simulator.figures.style import colormap
from simulator.studying import Lab, claim, in_median
from simulator.studying.style import COLORS, legend, panels, threshold

WIDTHS, SIGMA, STEPS = (10**2, 10**4, 10**6, 10**8, 10**10, 10**12), 0.01, 640
ETAS = 2.0 ** np.array([0, 0.5, 1.5, 2, 2.5, 3, 3.5, 4, 4.5])
TIMES = np.array([1, *np.round(np.geomspace(8, 512, 19))], int)
WARMUP = sim.theory.warmup


def measure(lab: Lab) -> xr.Dataset:
    """Share of each seed's networks that survive, and what theory says of them."""
    noise = np.random.default_rng(lab.slice).standard_normal((128, 1))
    noise *= SIGMA / noise.std()
    noisy = sim.Data(np.ones((128, 1)), 1 + noise - noise.mean())
    each = 1 if lab.quick else 2
    found = xr.concat(
        [one_width(width, noisy, lab.networks(each)) for width in WIDTHS],
        xr.Variable("width", list(WIDTHS)),
    )
    return found.coarsen(seed=each).mean().assign_coords(seed=list(lab.seeds))


def one_width(width: int, noisy: sim.Data, seeds: range) -> xr.Dataset:
    """The diagram of one width, eta_trgt in units of each network's eta_critical."""
    clean = sim.Data(np.ones((1, 1)), np.ones((1, 1)))

    def sweep(data: sim.Data, eta_trgt: np.ndarray, **options: object) -> xr.Dataset:
        found = sim.sweep(
            sim.UV(width), data, eta_trgt=eta_trgt, eta_unit="critical", sharpness_every=0,
            **options,
        )  # fmt: skip
        return found.squeeze("eta_init", drop=True)

    grid = {"t_wrm": TIMES, "seeds": seeds, "steps": STEPS}
    diagram, silent = sweep(noisy, ETAS, batch_size=1, **grid), sweep(clean, ETAS[3:], **grid)
    # What is known of each network before it is trained.
    known = silent.isel(eta_trgt=0, t_wrm=0, drop=True)
    unit, met = known["eta_critical"], known["theory_sharpness_flow"]
    floor = xr.apply_ufunc(WARMUP.residual_floor, SIGMA, met, width**-0.5)
    alive, ceiling = ~diagram["diverged"], known["theory_eta_ceiling"] / unit
    return xr.Dataset({
        "alive": alive, "ceiling": ceiling, "eta_max": known["theory_eta_max"] / unit,
        "shortest": xr.apply_ufunc(
            WARMUP.shortest_warmup, diagram["eta_trgt"] * unit, met, floor
        ),
        "silent": (~silent["diverged"]).mean(("eta_trgt", "t_wrm")),
    }).astype(float)  # fmt: skip


def claims(found: xr.Dataset) -> list:
    # t_wrm at which half of the networks survive: the area above their shares.
    half = TIMES[0] + (1 - found["alive"]).integrate("t_wrm")
    # Where theory speaks: beyond what survives without warmup, below the ceiling, in the diagram.
    within = (found["eta_trgt"] > 2.5) & (found["eta_trgt"] < 0.7 * found["ceiling"])
    within &= found["shortest"] < 400
    ratio = (half / found["shortest"]).where(within)
    slopes = [
        np.polyfit(np.log(WIDTHS), of.sel(eta_trgt=8).mean("seed"), 1)[0]
        for of in (half, found["shortest"])
    ]
    over = ("width", "eta_trgt")
    return [
        in_median("Shortest warmup over that of theory, median of widths and eta_trgt",
                  ratio.median(over), 0.85, 1.1),
        claim("Shortest warmup over that of theory, smallest", ratio.min(over), least=0.65),
        claim("Shortest warmup over that of theory, largest", ratio.max(over), most=1.4),
        claim("eta_trgt = 8: growth per e-fold of width, over eta lambda / (2 (3 ln 3 - 2))",
              slopes[0] / slopes[1], 0.8, 1.2),
        claim("Without noise: share of networks that train at eta_trgt >= 4, widths above 100",
              found["silent"][1:], 0, 0),
    ]  # fmt: skip


def draw(found: xr.Dataset) -> object:
    axes = panels(6, columns=3, sharex=True, sharey=True)
    for ax, width in zip(axes, found["width"].values, strict=True):
        of = found.sel(width=width).mean("seed")
        shares = ax.pcolormesh(
            ETAS, TIMES, of["alive"].transpose("t_wrm", "eta_trgt"), cmap=colormap("Blues"),
            vmin=0, vmax=1.8, shading="nearest", rasterized=True,
        )  # fmt: skip
        shown = of["shortest"].where(of["eta_trgt"] > of["eta_max"])
        threshold(ax, ETAS, shown, "shortest warmup")
        for limit, line in (("eta_max", ":"), ("ceiling", "-.")):
            ax.axvline(of[limit], color=COLORS["theory"], ls=line, label=limit.replace("_", " "))
        ax.set(xscale="log", yscale="log", xlim=(0.9, 26), ylim=(0.8, 560))
        ax.set(xticks=(1, 2, 4, 8, 16), title=f"width $10^{{{np.log10(width):.0f}}}$")
        ax.xaxis.set_major_formatter("{x:g}")
        ax.xaxis.set_minor_formatter("")
    bar = axes[0].figure.colorbar(shares, ax=list(axes), label="share that survives", shrink=0.6)
    bar.ax.set_ylim(0, 1)
    for ax in axes[3:]:
        ax.set_xlabel(rf"{symbols.ETA_TRGT}$\lambda_0 / 2$")
    for ax in axes[::3]:
        ax.set_ylabel(f"{symbols.T_WRM} / updates")
    legend(axes[0])
    return axes
