"""Persistent catapult warmup needs no t_wrm (Kalra & Barkeshli 2024, Fig. 7 and algorithm 3).

Claim: on digits, in standard parameterization, with mean squared error and full-batch GD, it trains
at 32 times eta_critical, where a constant learning rate fails in every seed; it gets there in about
as many updates as the shortest linear warmup that survives, each forward pass counted as half an
update. Farther out it fails where a long linear warmup still survives: at 64 in two of five seeds,
at 128 in all. Run it: ``python studies/persistent_catapult.py``; half a minute. Exit code 1 if the
claim fails.
"""

from __future__ import annotations

import sys
from pathlib import Path
from statistics import median

import matplotlib.pyplot as plt

import simulator as sim
from simulator import figures

MODEL, DATA = sim.MLP(width=64), sim.load_data("digits", samples=512)
SEEDS, STEPS = range(5), 512
LENGTHS = (1, 2, 4, 8, 16, 32, 64, 128, 256)


def train(schedule: sim.Schedule, seed: int) -> sim.Run:
    """One run; the sharpness is not needed."""
    return sim.simulate(MODEL, DATA, schedule=schedule, steps=STEPS, seed=seed, sharpness_every=0)


def one(times: float, seed: int) -> dict[str, float]:
    """What each way to the same eta_trgt does; ``cost`` is updates to get there, searches in."""
    eta_trgt = times * sim.critical_eta(MODEL, DATA, sim.GD(), seed)
    found = train(sim.PersistentCatapult(eta_trgt), seed)
    warmups = {t: train(sim.Warmup(eta_trgt=eta_trgt, t_wrm=t), seed) for t in LENGTHS}
    surviving = [t for t, run in warmups.items() if run.trainable]
    reached = (found.eta < eta_trgt).sum() + 1
    return {
        "constant": warmups[1].trainable,
        "persistent": found.trainable,
        "cost": reached + 0.5 * found.forward_passes,
        "loss": found.loss_final,
        "shortest": surviving[0] if surviving else float("inf"),
        "best loss": min((warmups[t].loss_final for t in surviving), default=float("nan")),
    }


def draw(seed: int = 0) -> None:
    """Loss and learning rate of four ways to 32 eta_critical."""
    eta_trgt = 32 * sim.critical_eta(MODEL, DATA, sim.GD(), seed)
    _, (loss, eta) = plt.subplots(
        2, 1, sharex=True, figsize=(7, 6), height_ratios=(2, 1), layout="constrained"
    )
    ways = {
        "constant": (sim.Warmup(eta_trgt=eta_trgt), "#252525", ":"),
        "linear, 16 updates": (sim.Warmup(eta_trgt=eta_trgt, t_wrm=16), "#6baed6", "-"),
        "linear, 128 updates": (sim.Warmup(eta_trgt=eta_trgt, t_wrm=128), "#08519c", "-"),
        "persistent catapult": (sim.PersistentCatapult(eta_trgt), "#a63603", "-"),
    }
    for label, (schedule, color, style) in ways.items():
        run = train(schedule, seed)
        t = range(1, STEPS + 1)
        loss.plot(t, run.loss, color=color, ls=style, label=label, lw=1.5)
        eta.plot(t, run.eta / eta_trgt, color=color, ls=style, lw=1.5)
    loss.set(yscale="log", ylabel="loss", ylim=(5e-4, 10))
    eta.set(
        xscale="log", xlabel="update", xlim=(1, STEPS), ylabel=r"$\eta_t\,/\,\eta_\mathrm{trgt}$"
    )
    loss.legend(frameon=False)
    loss.set_title("To 32 eta_critical, with and without a t_wrm", fontsize="medium")
    figures.save(loss, Path(__file__).with_suffix(".png"))


def main() -> int:
    """Print each eta_trgt's medians over seeds, draw, check the claim."""
    draw()
    print("eta_trgt  constant  persistent  cost  shortest linear  loss     best linear loss")
    results = {times: [one(times, seed) for seed in SEEDS] for times in (16, 32, 64, 128)}
    for times, runs in results.items():
        middle = {name: median(run[name] for run in runs) for name in runs[0]}
        trained = {name: sum(run[name] for run in runs) for name in ("constant", "persistent")}
        counts = "  ".join(f"{number:5} of {len(runs)}" for number in trained.values())
        print(
            f"{times:8}  {counts}"
            f"  {middle['cost']:6.1f}  {middle['shortest']:15.0f}  {middle['loss']:.2e}"
            f"  {middle['best loss']:.2e}"
        )
    at_32 = results[32]
    costs = [run["cost"] / run["shortest"] for run in at_32]
    claims = {
        "a constant rate fails in every seed": not any(run["constant"] for run in at_32),
        "persistent catapult warmup trains in every seed": all(run["persistent"] for run in at_32),
        "at most 3 times the shortest linear warmup's cost": max(costs) <= 3,
    }
    for claim, holds in claims.items():
        print(f"{'holds' if holds else 'FAILS'}  at 32 eta_critical {claim}")
    return 0 if all(claims.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
