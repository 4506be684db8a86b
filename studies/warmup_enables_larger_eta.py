"""Warmup enables a larger eta_trgt: much in SP, little in muP (Kalra & Barkeshli 2024, Fig. 3).

Claim: on digits, with mean squared error and full-batch GD, the largest trainable eta_trgt grows
at least fourfold from t_wrm = 1 to 256 in standard parameterization, at most fourfold in muP, and
less in muP than in SP. Run it: ``python studies/warmup_enables_larger_eta.py``; about a minute on
two cores. Exit code 1 if the claim fails.
"""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import simulator as sim
from simulator import figures
from simulator.sweeps.boundary import boundary

T_WRM = (1, 4, 16, 64, 256)
SEEDS = 3
TITLES = {
    "sp": "SP: warmup survives far larger $\\eta_{trgt}$",
    "mup": "muP: it starts flat, and gains little",
}


def sweep(parameterization: str):
    """The default sweep, and with --param mup."""
    return sim.sweep(
        sim.MLP(width=64, depth=3, parameterization=parameterization),
        sim.load_data("digits", samples=512),
        eta_trgt=np.geomspace(1, 256, 13),
        t_wrm=T_WRM,
        seeds=SEEDS,
        steps=512,
        eta_unit="critical",
    )


def main() -> int:
    """Draw both diagrams, print the claim beside what was measured."""
    _, axes = plt.subplots(2, 1, figsize=(8, 8.4), layout="constrained", sharex=True)
    gain = {}
    for ax, parameterization in zip(axes, ("sp", "mup"), strict=True):
        dataset = sweep(parameterization)
        edge = boundary(dataset).squeeze("eta_init")
        middle = edge.quantile(0.5, "seed", method="higher").values
        gain[parameterization] = middle[-1] / middle[0]
        print(
            f"{parameterization:4}",
            *(f"t_wrm {t}: {e:.3g}" for t, e in zip(T_WRM, middle, strict=True)),
            sep="  ",
        )
        figures.phase_diagram(dataset, ax=ax)
        ax.set_title(TITLES[parameterization], loc="center", pad=24)
    figures.save(axes[0], Path(__file__).with_suffix(".png"))

    claims = {
        "SP gains at least 4": gain["sp"] >= 4,
        "muP gains at most 4": gain["mup"] <= 4,
        "muP gains less than SP": gain["mup"] < gain["sp"],
    }
    for claim, holds in claims.items():
        print(
            f"{'holds' if holds else 'FAILS'}  {claim} (SP {gain['sp']:.3g}, muP {gain['mup']:.3g})"
        )
    return 0 if all(claims.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
