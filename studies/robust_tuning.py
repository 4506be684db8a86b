"""In SP warmup makes eta_trgt easier to tune and improves the result; muP needs no warmup.

The study tests the abstract of Kalra & Barkeshli 2024 on digits in batches of 64. The window is the
range of eta_trgt, in octaves, whose final loss is within a factor 4 of the best loss of any
eta_trgt without warmup. Warmup doubles the window in SP with mean squared error, and widens it for
Adam. At the best eta_trgt of each t_wrm, the test accuracy in SP rises by points and varies less
between seeds. In muP one update raises the loss only near the best eta_trgt and above (eta_c is
near the best eta_trgt). So a warmup that starts at eta_c has one update there, and a constant rate
loses nothing. In SP the best eta_trgt is several times eta_c.

Limitations: relative to the best loss at the same t_wrm the window does not get wider, because this
loss is also lower. muP, and SP with cross-entropy, gain neither width nor accuracy.
"""

from __future__ import annotations

import numpy as np
import xarray as xr

import simulator as sim
from simulator.figures import symbols
from simulator.studying import Lab, claim, in_median
from simulator.studying.style import COLORS, legend, panels

SAMPLES, BATCH, STEPS, T_WRM, FACTOR = 512, 64, 512, (1, 16, 256), 4
SP, MUP = sim.MLP(width=32), sim.MLP(width=32, parameterization="mup")
XENT = sim.MLP(width=32, loss="xent")
# Cross-entropy first: it refuses data without classes. Model, optimizer, log2 of eta_trgt: in
# 2 / lambda_0 for SGD.
CASES = {
    "SP, xent": (XENT, sim.GD(), (-2, 4)), "SP": (SP, sim.GD(), (0, 7)),
    "muP": (MUP, sim.GD(), (-1, 4)), "SP, Adam": (SP, sim.Adam(), (-9, -1)),
}  # fmt: skip


def measure(lab: Lab) -> xr.Dataset:
    data, apart = lab.data(SAMPLES), 1.0 if lab.quick else 0.5

    def grid(case: str) -> xr.Dataset:
        model, optimizer, (low, high) = CASES[case]
        middle = not lab.quick and case in ("SP", "SP, Adam")
        found = sim.sweep(
            model, data, optimizer=optimizer, eta_trgt=2.0 ** np.arange(low, high + 0.1, apart),
            t_wrm=T_WRM if middle else T_WRM[::2], seeds=lab.seeds, steps=STEPS,
            eta_unit="absolute" if case == "SP, Adam" else "critical", batch_size=BATCH,
            sharpness_every=0, workers=lab.workers,
        ).squeeze("eta_init", drop=True)  # fmt: skip
        loss = found["loss_final"].where(found["trainable"])
        best = loss.min("eta_trgt")
        at = found[["test_loss_final", "test_accuracy_final"]].sel(
            eta_trgt=loss.fillna(np.inf).idxmin("eta_trgt")
        )
        return xr.Dataset(
            {
                "window": apart * (loss < FACTOR * best.sel(t_wrm=1)).sum("eta_trgt"),
                "own": apart * (loss < FACTOR * best).sum("eta_trgt"),
                "eta": at["eta_trgt"],
                "test_loss": at["test_loss_final"],
                "accuracy": 100 * at["test_accuracy_final"],
            }
        ).drop_vars("eta_trgt")

    def eta_c(case: str, seed: int) -> float:
        model = CASES[case][0]
        found = sim.critical_learning_rate(model, data, seed=seed, batch_size=BATCH, steps=64)
        return found.eta_c / found.eta_critical

    names = xr.Variable("case", [*CASES])
    found = xr.concat([grid(case) for case in CASES], names, join="outer")
    critical = [lab.each(eta_c, [case] * lab.count, lab.seeds) for case in ("SP", "muP")]
    return found.assign(eta_c=xr.DataArray(critical, {"case": ["SP", "muP"], "seed": [*lab.seeds]}))


def claims(found: xr.Dataset) -> list:
    def gain(variable: str, case: str) -> xr.DataArray:
        of = found[variable].sel(case=case)
        return of.sel(t_wrm=256) - of.sel(t_wrm=1)

    def spread(t_wrm: int) -> xr.DataArray:
        of = found["accuracy"].sel(case="SP", t_wrm=t_wrm)
        return of.max() - of.min()

    sp = found["test_loss"].sel(case="SP")
    reach = found["eta_c"] / found["eta"].sel(t_wrm=256)
    own = gain("own", "SP")
    return [
        claim("SP: window with 256 updates of warmup minus that without, octaves",
              gain("window", "SP"), 1),
        in_median("SP with Adam: window with warmup minus that without, octaves",
                  gain("window", "SP, Adam"), least=0.5),
        in_median("SP with cross-entropy: window with warmup minus that without, octaves",
                  gain("window", "SP, xent"), -1, 1),
        in_median("muP: window with warmup minus that without, octaves",
                  gain("window", "muP"), -1, 0.5),
        in_median("SP, window relative to the best loss at the same t_wrm: with warmup minus "
                  "without, octaves", own, -1.5, 1.5),
        in_median("SP: test accuracy at the best eta_trgt, with warmup minus without, points",
                  gain("accuracy", "SP"), 1),
        claim("SP: range of that accuracy over seeds, with warmup over without",
              spread(256) / spread(1), most=0.7),
        claim("SP: test loss at the best eta_trgt, with warmup over without",
              sp.sel(t_wrm=256) / sp.sel(t_wrm=1), most=0.85),
        in_median("SP with Adam: test accuracy with warmup minus without, points",
                  gain("accuracy", "SP, Adam"), -0.5, 2),
        in_median("SP with cross-entropy: test accuracy with warmup minus without, points",
                  gain("accuracy", "SP, xent"), -0.5, 1),
        in_median("muP: test accuracy with warmup minus without, points",
                  gain("accuracy", "muP"), -0.5, 1),
        in_median("muP: eta_c over the best eta_trgt", reach.sel(case="muP"), least=0.7),
        claim("SP: eta_c over the best eta_trgt", reach.sel(case="SP"), most=0.5),
    ]  # fmt: skip


def draw(found: xr.Dataset) -> object:
    windows, results = axes = panels(2)
    looks = {1: ("gd", "o", -0.12), 256: ("mup", "s", 0.12)}
    for t_wrm, (color, mark, aside) in looks.items():
        for ax, name in ((windows, "window"), (results, "accuracy")):
            for place, case in enumerate(CASES):
                values = found[name].sel(case=case, t_wrm=t_wrm)
                x = place + aside + np.linspace(-0.06, 0.06, values.size)
                label = f"{symbols.T_WRM} = {t_wrm}" if place == 0 else None
                ax.plot(x, values, mark, color=COLORS[color], ms=5, label=label)
    for ax in axes:
        ax.set_xticks(range(len(CASES)), list(CASES))
    windows.set_ylabel(f"good {symbols.ETA_TRGT} (octaves)")
    results.set_ylabel(f"test accuracy at the best {symbols.ETA_TRGT} (%)")
    legend(windows)
    return axes
