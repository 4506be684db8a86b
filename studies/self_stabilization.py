"""Warmup drives catapults as sharpening does: iff alpha + 2 (d eta/dt) / eta^3 > 0.

Damian, Nichani & Lee 2022, and what a schedule adds to it (simulator.theory.stabilization): the
four stages of Kalra & Barkeshli 2024, section 3, and their regimes C1 (alpha > 0, sharpness rises
by itself: always), C2 (alpha < 0: only if warmup is faster than |alpha| eta^3 / 2) and C3
(alpha = 0: by warmup alone). A UV network on two examples: the first is at the edge, and the second
is learnt so slowly that it makes the sharpness of the first drift at a constant rate alpha, which
is measured at a fifth of the learning rate. From just below the edge, S = 2 / eta - 0.01, the
largest excess S - 2 / eta of a cycle and its mirror image are those of the conserved energy, within
20 %: it is conserved to first order in the excess, and under a constant drive only. (Where warmup
barely outdoes alpha, the drive dwindles as eta grows, and the excess is up to 30 % lower.) The data
of the lab play no part; the seed draws the network.
"""

from __future__ import annotations

import numpy as np
import xarray as xr

import simulator as sim
from simulator.events import Curves, find_events
from simulator.studying import Lab, claim
from simulator.studying.style import COLORS, legend, panels, threshold

MODEL, BELOW, STEPS, UNIT = sim.UV(3, s=1.0), -0.01, 1000, 3e-4
REGIMES = {"C1": UNIT, "C2": -UNIT, "C3": 0.0}
# Drives by warmup, 2 (d eta/dt) / eta^3, in UNIT; of which one shows the stages.
DRIVES = (0.0, 0.25, 0.5, 0.75, 1.25, 1.5, 2.0, 3.0, 4.0)
SHOWN = {"C1": (0.0, "sharpening"), "C2": (2.0, "warmup")}
STAGES = ("crossing", "start", "peak", "calm", "end")
THEORY = sim.theory.stabilization


def network(alpha: float, seed: int) -> tuple[sim.Data, np.ndarray, float]:
    """Data, weights, and the displacement X along the top eigenvector.

    f_i = x_i v . u_i, S = |v|^2 + |u_1|^2 but for what the second adds; dS/dt = alpha at first.
    """
    u1, u2, v = np.random.default_rng(seed).uniform(0.8, 1.2, 3)
    slow, x0 = 0.01, 1e-4
    target = slow * u2 * v + alpha / (slow * u2 * v)
    data = sim.Data(np.diag([np.sqrt(2), slow]), np.array([[0.0], [target]]))
    return data, np.array([x0, u1, 0, u2, 0, 0, v, 0, 0]), x0 * v / np.hypot(u1, v)


def measure(lab: Lab) -> xr.Dataset:
    """The first cycle of each regime and drive; excess and stages of those in ``SHOWN``."""

    def train(regime: str, seed: int) -> xr.Dataset:
        data, theta, x0 = network(REGIMES[regime], seed)
        eta = 2 / (sim.sharpness(MODEL, theta, data) - BELOW)

        def run(first: float, ramp: float, steps: int = STEPS) -> sim.Run:
            last = first + max(ramp, 1e-12) * steps
            schedule = sim.Warmup(first, last, steps)
            return sim.simulate(MODEL, data, schedule=schedule, steps=steps, theta0=theta)

        natural = run(eta / 5, 0, 100).sharpness
        alpha = (natural[-1] - natural[0]) / (99 * eta / 5)
        found = xr.Dataset({"excess": ("step", np.full(STEPS, np.nan)), "told": np.nan})
        found["stages"] = ("stage", np.full(len(STAGES), np.nan))
        rows = []
        for drive in DRIVES:
            ramp = 0.5 * eta**3 * drive * UNIT
            driven = run(eta, ramp)
            excess = driven.sharpness - driven.threshold
            total = THEORY.effective_drive(alpha, eta, ramp)
            energy = THEORY.cycle_energy(x0, BELOW, max(total, 0), 8 / eta)
            rows.append((total / UNIT, *first_cycle(excess), THEORY.y_peak(energy)))
            if regime in SHOWN and SHOWN[regime][0] == drive:
                catapult = find_events(Curves.of(driven)).catapults[0]
                found["excess"][:] = excess
                found["told"] = float(catapult.driver == SHOWN[regime][1])
                found["stages"][:] = [getattr(catapult, stage) for stage in STAGES]
        names = ("drive", "highest", "lowest", "predicted")
        for name, values in zip(names, np.transpose(rows), strict=True):
            found[name] = ("warmup", values)
        return found

    cells = [(regime, seed) for regime in REGIMES for seed in lab.seeds]
    each = lab.each(train, *zip(*cells, strict=True))
    rows = [each[at : at + lab.count] for at in range(0, len(each), lab.count)]
    found = xr.concat([xr.concat(row, "seed") for row in rows], "regime")
    return found.assign_coords(
        regime=list(REGIMES), seed=list(lab.seeds), warmup=list(DRIVES), stage=list(STAGES)
    )


def first_cycle(excess: np.ndarray) -> tuple[float, float]:
    """Largest excess while it is first above 0, and the least before it is so again."""
    turns = np.flatnonzero(np.diff(excess > 0)) + 1
    begin, calm, again = (*turns, *3 * [len(excess)])[:3]
    if calm == len(excess):
        return float(excess.max()), np.nan
    return float(excess[begin:calm].max()), float(excess[calm:again].min())


def claims(found: xr.Dataset) -> list:
    driven, over = found["drive"] > 0, ("regime", "warmup")
    crosses, c2 = found["highest"] > 0, {"regime": "C2"}
    clearly = found["drive"].values > 0.9
    high, low = (
        np.abs(found[name] / found["predicted"]).values[clearly] for name in ("highest", "lowest")
    )
    shown = found.sel(regime=list(SHOWN))
    order = shown["stages"].diff("stage").min(("regime", "stage"))
    return [
        claim("Four stages in order: edge, the loss leaves, peaks, is calm, is back", order, 1),
        claim("The events tell C1's as driven by sharpening, C2's by warmup", shown["told"], 1, 1),
        claim("Sharpness exceeds 2 / eta iff alpha + 2 (d eta/dt) / eta^3 > 0",
              (crosses == driven).mean(over), 1, 1),
        claim("C1: even without warmup", crosses.sel(regime="C1", warmup=0), 1, 1),
        claim("C2: not with warmup at three quarters of |alpha| eta^3 / 2",
              crosses.sel(c2 | {"warmup": 0.75}), 0, 0),
        claim("C2: but at five quarters", crosses.sel(c2 | {"warmup": 1.25}), 1, 1),
        claim("C3: not without warmup", crosses.sel(regime="C3", warmup=0), 0, 0),
        claim("C3: with any", crosses.sel(regime="C3", warmup=0.25), 1, 1),
        claim("Clearly driven: its largest excess is the energy's, within 20 %", high, 0.8, 1.2),
        claim("and it falls as far below 2 / eta, within 20 %", low, 0.8, 1.2),
    ]  # fmt: skip


def draw(found: xr.Dataset) -> object:
    excess, drive = axes = panels(2)
    colors = {"C1": COLORS["sp"], "C2": COLORS["mup"], "C3": COLORS["ntp"]}
    for regime, line in zip(SHOWN, ("-", "--"), strict=True):
        of, color = found.sel(regime=regime, seed=0), colors[regime]
        label = f"{regime}, driven by {SHOWN[regime][1]}"
        excess.plot(of["step"], of["excess"], color=color, ls=line, label=label)
        for stage, mark in zip(STAGES, "osD^v", strict=True):
            at, name = int(of["stages"].sel(stage=stage)), stage if regime == "C1" else None
            excess.plot(at, of["excess"][at], mark, color=color, ms=6, label=name)
    excess.axhline(0, color=COLORS["theory"], ls="--", lw=1)
    excess.set(xlabel="update", xlim=(0, 400), ylim=(-0.16, 0.07), title="The stages of a catapult")
    for (regime, color), mark in zip(colors.items(), "o^s", strict=True):
        of = found.sel(regime=regime)
        drive.plot(of["drive"].T, of["highest"].T, mark, color=color, ms=4)
        drive.plot([], [], mark, color=color, label=regime)
    ordered = found.stack(run=("regime", "seed", "warmup")).sortby("drive")
    ordered = ordered.where(ordered["drive"] > 0, drop=True)
    threshold(drive, ordered["drive"], ordered["predicted"], "energy of a cycle")
    drive.axvline(0, color=COLORS["theory"], lw=0.6)
    drive.set(
        xlabel=r"$(\alpha + 2 \dot\eta / \eta^3) \; / \; |\alpha_{C1}|$", title="Driven or not"
    )
    excess.set_ylabel(r"sharpness $- \, 2/\eta$")
    drive.set_ylabel(r"largest sharpness $- \, 2/\eta$")
    for ax in axes:
        legend(ax)
    return axes
