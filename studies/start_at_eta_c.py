"""Starting warmup at eta_c saves updates and costs nothing, where eta_c is below eta_max.

Claim (Kalra & Barkeshli 2024, Fig. 5, section 6.1): on digits, in standard parameterization, with
mean squared error and minibatches of 64, the modified warmup from the eta_c of a catapult search
ends at the loss of the linear warmup from 0, within 5 % in its logarithm (median of 8 seeds), and
spends t_wrm eta_c / eta_trgt updates less. With cross-entropy one update raises the loss only about
where training has already failed, and the search says that eta_c is of no use there. Run it:
``python studies/start_at_eta_c.py``; a minute. Exit code 1 if the claim fails.
"""

from __future__ import annotations

import sys
from math import log
from pathlib import Path
from statistics import median

import matplotlib.pyplot as plt

import simulator as sim
from simulator import figures

DATA, SEEDS, STEPS, BATCH = sim.load_data("digits", samples=1297), range(8), 2048, 64
SETTINGS = ((8, 64), (8, 256), (16, 64), (16, 256), (32, 256))


def train(model: sim.Model, schedule: sim.Schedule, seed: int) -> sim.Run:
    """One run; the sharpness is not needed."""
    return sim.simulate(
        model, DATA, schedule=schedule, steps=STEPS, seed=seed, batch_size=BATCH, sharpness_every=0
    )


def compare(model: sim.Model, found: list[sim.Critical], times: float, t_wrm: int) -> dict:
    """Both warmups to ``times`` eta_critical, over seeds."""
    ratios, saved, predicted = [], [], []
    for seed, critical in zip(SEEDS, found, strict=True):
        eta_trgt = times * critical.eta_linear
        whole = train(model, sim.Warmup(eta_trgt=eta_trgt, t_wrm=t_wrm), seed)
        modified = sim.ModifiedWarmup(critical.eta_c, eta_trgt, t_wrm)
        ratios.append(log(train(model, modified, seed).loss_final) / log(whole.loss_final))
        saved.append(int((modified.values(t_wrm) == eta_trgt).sum()) - 1)
        predicted.append(critical.saving(eta_trgt, t_wrm).saved)
    off = max(abs(s - p) for s, p in zip(saved, predicted, strict=True))
    return {"ratio": median(ratios), "saved": median(saved), "off": off, "all": ratios}


def main() -> int:
    """Search, compare, print, draw."""
    model, xent = sim.MLP(width=64), sim.MLP(width=64, loss="xent")
    found = [sim.critical_learning_rate(model, DATA, seed=seed, batch_size=BATCH) for seed in SEEDS]
    passes = median(one.forward_passes for one in found)
    print(f"eta_c found in {passes:g} forward passes (median); eta_trgt in units of eta_critical")
    print("eta_trgt  t_wrm  log loss over log loss of linear warmup  updates saved")
    results = {setting: compare(model, found, *setting) for setting in SETTINGS}
    for (times, t_wrm), one in results.items():
        print(f"{times:8}  {t_wrm:5}  {one['ratio']:39.3f}  {one['saved']:13g}")
    useless = [
        sim.critical_learning_rate(xent, DATA, seed=seed, batch_size=BATCH) for seed in SEEDS
    ]
    unusable = sum(not one.usable for one in useless)
    print(f"cross-entropy: eta_c of no use in {unusable} of {len(useless)} seeds")

    ax = figures.new_axes()
    for place, one in enumerate(results.values()):
        ax.plot([place] * len(one["all"]), one["all"], "o", color="#6baed6", ms=5)
        ax.plot(place, one["ratio"], "_", color="#08519c", ms=24, mew=2)
    ax.axhspan(0.95, 1.05, color="#e2e2e2", lw=0, zorder=0)
    labels = [f"{k} eta_critical\nt_wrm {t}\nsaves {r['saved']:g}" for (k, t), r in results.items()]
    ax.set_xticks(range(len(labels)), labels)
    ax.set_ylabel("log final loss: from eta_c over from 0")
    ax.set_title("8 seeds, their median, and 5 % (grey)", fontsize="medium")
    figures.save(ax, Path(__file__).with_suffix(".png"))
    plt.close("all")

    claims = {
        "same loss, within 5 % in log": all(
            abs(one["ratio"] - 1) <= 0.05 for one in results.values()
        ),
        "saves what is predicted, to an update": all(one["off"] <= 1 for one in results.values()),
        "of no use with cross-entropy in half of the seeds": unusable >= len(useless) // 2,
    }
    for claim, holds in claims.items():
        print(f"{'holds' if holds else 'FAILS'}  {claim}")
    return 0 if all(claims.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
