"""In small MLPs, as in UV models, the largest trainable eta_trgt is proportional to t_wrm.

This result is new. On one example of a UV model the learning rate may rise by at most (3 ln 3 - 2)
/ (lambda ln(1 / floor)) per update. Here lambda is the sharpness where warmup meets the threshold,
and the floor is the size of the residual there (sim.theory.warmup.largest_ramp). In small MLPs
where longer warmup keeps helping (tanh, and cross-entropy), the boundary is such a line. Its slope
corresponds to floors from 10^-2 to 10^-17. The smallest of these is below double precision, and
they differ between cases, so the formula does not predict the slope. With tanh and mean squared
error the boundary may rise more slowly: on slice 3 by 1.7 for four times t_wrm. With mean squared
error the noise of minibatches raises the boundary of short warmups (on slice 3 it does not), as the
formula predicts for a higher floor. With cross-entropy the noise lowers it, which the formula does
not predict. Needs data with classes.

On slice 3 with seeds 80 to 84, one claim fails: "SP tanh, t_wrm 128: boundary with minibatches over
that with full batches" is [0.595 0.841 3.36], not at least 1, median.
"""

from __future__ import annotations

import numpy as np
import xarray as xr

import simulator as sim
from simulator.figures import symbols
from simulator.studying import Lab, claim, in_median
from simulator.studying.style import COLORS, band, legend, panels, threshold
from simulator.sweeps.boundary import boundary

LENGTHS = (128, 256, 512, 1024)
TANH = {"width": 32, "activation": "tanh"}
# Each with the range of eta_trgt, in powers of two, in which its boundaries lie. The lower end is
# that of 128 updates, and rises in proportion to t_wrm.
CASES = {
    "SP tanh": (sim.MLP(**TANH), None, (0, 5.5)),
    "SP tanh, batches of 32": (sim.MLP(**TANH), 32, (-1, 5.5)),
    "SP tanh, xent": (sim.MLP(**TANH, loss="xent"), None, (1, 8)),
    "SP tanh, xent, batches of 32": (sim.MLP(**TANH, loss="xent"), 32, (1, 8)),
    "muP ReLU, xent": (sim.MLP(width=32, parameterization="mup", loss="xent"), None, (-2, 4)),
    "muP tanh, xent": (sim.MLP(**TANH, parameterization="mup", loss="xent"), None, (1, 7)),
}
LOOKS = {
    "SP tanh": ("tanh", "-", "^"), "SP tanh, batches of 32": ("tanh", ":", "v"),
    "SP tanh, xent": ("tanh", "-", "^"), "SP tanh, xent, batches of 32": ("tanh", ":", "v"),
    "muP ReLU, xent": ("mup", "-", "s"), "muP tanh, xent": ("tanh", "-.", "s"),
}  # fmt: skip


def measure(lab: Lab) -> xr.Dataset:
    data, lengths = lab.data(128), LENGTHS[:3:2] if lab.quick else LENGTHS

    def edge(case: str, t_wrm: int) -> np.ndarray:
        model, batch_size, (low, high) = CASES[case]
        powers = np.arange(low + np.log2(t_wrm / 128), high + 0.1, 0.5 if lab.quick else 0.25)
        found = sim.sweep(
            model, data, eta_trgt=2.0**powers,
            t_wrm=[t_wrm], seeds=lab.seeds, steps=t_wrm + 64, eta_unit="critical",
            batch_size=batch_size, sharpness_every=0, workers=lab.workers,
        )  # fmt: skip
        return boundary(found).values.ravel()

    def hit(case: str, seed: int) -> float:
        """Where slow warmup meets the threshold, in units of eta_critical: lambda_0 / lambda."""
        model, batch_size, (_, high) = CASES[case]
        if batch_size is not None:
            return np.nan
        unit = sim.eta_critical(model, data, sim.GD(), seed)
        slow = sim.Warmup(eta_trgt=2 ** (high - 3) * unit, t_wrm=256)
        run = sim.simulate(model, data, schedule=slow, steps=256, seed=seed, sharpness_every=2)
        above = run.ratio > 1
        return run.eta[above.argmax()] / unit if above.any() else np.nan

    edges = np.array([[edge(case, t_wrm) for t_wrm in lengths] for case in CASES])
    cells = [(case, seed) for case in CASES for seed in lab.seeds]
    hits = np.reshape(lab.each(hit, *zip(*cells, strict=True)), (len(CASES), lab.count))
    return xr.Dataset(
        {"edge": (("case", "t_wrm", "seed"), edges), "hit": (("case", "seed"), hits)},
        {"case": list(CASES), "t_wrm": list(lengths), "seed": list(lab.seeds)},
    )


def _floor(found: xr.Dataset) -> xr.DataArray:
    """ln(1 / floor) that the law needs for these boundaries."""
    edge = found["edge"].sel(t_wrm=512).where(lambda values: values > 0)
    # eta_trgt = k 2 / lambda_0, lambda = lambda_0 / hit: the slope of the law, solved for ln.
    return sim.theory.warmup.growth() * 512 * found["hit"] / (2 * edge)


def claims(found: xr.Dataset) -> list:
    edge, last = found["edge"], 1024 if 1024 in found["t_wrm"] else 512
    told = []
    for case in ("SP tanh, xent", "muP ReLU, xent", "muP tanh, xent"):
        gain = edge.sel(case=case, t_wrm=last) / edge.sel(case=case, t_wrm=last // 4)
        told.append(
            in_median(f"{case}: boundary at four times t_wrm over that at t_wrm", gain, 2.8, 5.7)
        )
    gain = edge.sel(case="SP tanh", t_wrm=512) / edge.sel(case="SP tanh", t_wrm=128)
    told.append(
        in_median("SP tanh: boundary at four times t_wrm over that at t_wrm", gain, 1.6, 5.7)
    )
    floors = _floor(found).median("seed").dropna("case")
    told.append(claim("ln(1 / floor) of each case, medians (double precision: 36)", floors, 2, 45))
    spread = float(floors.max() / floors.min())
    told.append(claim("Largest ln(1 / floor) over the smallest", spread, least=3))
    for case, least, most in (("SP tanh", 1.0, np.inf), ("SP tanh, xent", 0.0, 0.8)):
        noisy = edge.sel(case=f"{case}, batches of 32", t_wrm=128) / edge.sel(case=case, t_wrm=128)
        told.append(
            in_median(
                f"{case}, t_wrm 128: boundary with minibatches over that with full batches",
                noisy,
                least,
                most,
            )
        )
    return told


def draw(found: xr.Dataset) -> object:
    axes, t_wrm = panels(2, sharey=True), found["t_wrm"].values
    for case, (color, line, mark) in LOOKS.items():
        values = found["edge"].sel(case=case).transpose("seed", "t_wrm")
        style = {"color": COLORS[color], "ls": line, "marker": mark}
        band(axes["xent" in case], t_wrm, values, label=case.replace(", xent", ""), **style)
    for ax, title in zip(axes, ("MSE", "cross-entropy"), strict=True):
        threshold(ax, t_wrm, 0.025 * t_wrm, "proportional")
        ax.set(
            xscale="log",
            yscale="log",
            xlabel=f"{symbols.T_WRM} (updates)",
            title=title,
            ylim=(0.7, 500),
        )
        ax.set_xticks(LENGTHS, LENGTHS)
        ax.xaxis.set_minor_formatter("")
        legend(ax)
    axes[0].set_ylabel(f"largest trainable {symbols.ETA_TRGT} / {symbols.ETA_CRITICAL}")
    return axes
