"""Warmup drives catapults as progressive sharpening does, iff alpha + 2 (d eta/dt) / eta^3 > 0.

Damian, Nichani & Lee 2022, extended to a schedule (simulator.theory.stabilization). The study tests
the four stages of Kalra & Barkeshli 2024, section 3, and their regimes: C1 (alpha > 0, the
sharpness rises without warmup: always), C2 (alpha < 0: only if warmup is faster than |alpha| eta^3
/ 2) and C3 (alpha = 0: by warmup alone). The model is a UV network on two examples. The first
example is at the edge. The network learns the second so slowly that the sharpness of the first, S =
|v|^2 + |u_1|^2, drifts at a constant rate alpha, measured at a fifth of the learning rate.

From S = 2 / eta - 0.01 on, the largest excess S - 2 / eta of a cycle and its mirror image equal
those of the conserved energy within 20 %. This holds to first order in the excess, under a constant
drive. (If warmup only slightly exceeds alpha, the drive decreases as eta grows, and the excess is
up to 30 % lower.) The data of the lab are not used.
"""

from __future__ import annotations

import numpy as np
import xarray as xr

import simulator as sim
from simulator.events import find_events
from simulator.studying import Lab, claim
from simulator.studying.style import COLORS, legend, panels, threshold

MODEL, BELOW, STEPS, UNIT = sim.UV(3, s=1.0), -0.01, 1000, 3e-4
REGIMES = {"C1": UNIT, "C2": -UNIT, "C3": 0.0}
# Drives by warmup, 2 (d eta/dt) / eta^3, in UNIT; of which one shows the stages.
DRIVES = (0.0, 0.25, 0.5, 0.75, 1.25, 1.5, 2.0, 3.0, 4.0)
SHOWN = {"C1": 0.0, "C2": 2.0}
NUMBERS = ("drive", "highest", "lowest", "predicted", "driver")
DRIVERS = {"sharpening": 0, "warmup": 1}
STAGES = ("crossing", "start", "peak", "calm", "end")
THEORY = sim.theory.stabilization


def network(alpha: float, seed: int) -> tuple[sim.Data, np.ndarray, float]:
    """Data, weights, displacement X along the top eigenvector; dS/dt = alpha at first."""
    u1, u2, v = np.random.default_rng(seed).uniform(0.8, 1.2, 3)
    slow, x0 = 0.01, 1e-4
    target = slow * u2 * v + alpha / (slow * u2 * v)
    data = sim.Data(np.diag([np.sqrt(2), slow]), np.array([[0.0], [target]]))
    return data, np.array([x0, u1, 0, u2, 0, 0, v, 0, 0]), x0 * v / np.hypot(u1, v)


def measure(lab: Lab) -> xr.Dataset:
    """The first cycle of each regime and drive: its numbers, its stages, and S - 2 / eta."""

    def cycle(regime: str, drive: float, seed: int) -> np.ndarray:
        data, theta, x0 = network(REGIMES[regime], seed)
        eta = 2 / (sim.sharpness(MODEL, theta, data) - BELOW)

        def run(first: float, ramp: float, steps: int) -> sim.Run:
            schedule = sim.Warmup(first, first + max(ramp, 1e-12) * steps, steps)
            return sim.simulate(MODEL, data, schedule=schedule, steps=steps, theta0=theta)

        natural, ramp = run(eta / 5, 0, 100).sharpness, 0.5 * eta**3 * drive * UNIT
        alpha = (natural[-1] - natural[0]) / (99 * eta / 5)
        driven = run(eta, ramp, STEPS)
        excess, events = driven.sharpness - driven.threshold, find_events(driven)
        # From the first time above 0 to the second; all, where it never is.
        once = excess[slice(*(*events.crossings, None, None)[:2])]
        total = THEORY.effective_drive(alpha, eta, ramp)
        energy = THEORY.cycle_energy(x0, BELOW, max(total, 0), 8 / eta)
        numbers = [total / UNIT, once.max(), once.min(), THEORY.y_peak(energy)]
        told = [np.nan] * 6
        for one in events.catapults[:1]:
            told = [DRIVERS.get(one.driver), *(getattr(one, stage) for stage in STAGES)]
        return np.array([*numbers, *told, *excess], float)

    cells = [(r, drive, seed) for r in REGIMES for drive in DRIVES for seed in lab.seeds]
    found = lab.each(cycle, *zip(*cells, strict=True))
    found = np.reshape(found, (len(REGIMES), len(DRIVES), lab.count, -1))
    axes = {"regime": list(REGIMES), "warmup": list(DRIVES), "seed": list(lab.seeds)}
    numbers = {name: (tuple(axes), found[..., i]) for i, name in enumerate(NUMBERS + STAGES)}
    return xr.Dataset(numbers | {"excess": ((*axes, "step"), found[..., len(numbers) :])}, axes)


def claims(found: xr.Dataset) -> list:
    crosses = found["highest"] > 0
    c1, c2, c3 = (crosses.sel(regime=regime) for regime in REGIMES)
    rightly = (crosses == (found["drive"] > 0)).mean(("regime", "warmup"))
    over, clearly = np.abs(found / found["predicted"]), found["drive"].values > 0.9
    high, low = (over[name].values[clearly] for name in ("highest", "lowest"))
    shown = [found.sel(regime=regime, warmup=drive) for regime, drive in SHOWN.items()]
    order = [np.diff([one[stage] for stage in STAGES], axis=0).min(0) for one in shown]
    told = [one["driver"] for one in shown] == np.array([[0], [1]])
    return [
        claim("Updates between the stages (edge, loss rises, loss peaks, stable, loss is back), "
              "smallest", order, 1),
        claim("The events name sharpening as the driver in C1, warmup in C2 (1: yes)", told, 1, 1),
        claim("Share of runs where S exceeds 2 / eta iff alpha + 2 (d eta/dt) / eta^3 > 0",
              rightly, 1, 1),
        claim("C1, no warmup: S exceeds 2 / eta (1: yes)", c1.sel(warmup=0), 1, 1),
        claim("C2, warmup at 3/4 of |alpha| eta^3 / 2: S exceeds 2 / eta (0: no)",
              c2.sel(warmup=0.75), 0, 0),
        claim("C2, warmup at 5/4 of |alpha| eta^3 / 2: S exceeds 2 / eta (1: yes)",
              c2.sel(warmup=1.25), 1, 1),
        claim("C3, no warmup: S exceeds 2 / eta (0: no)", c3.sel(warmup=0), 0, 0),
        claim("C3, with warmup: S exceeds 2 / eta (1: yes)", c3.sel(warmup=0.25), 1, 1),
        claim("Strong drive: largest S - 2 / eta over that of the energy", high, 0.8, 1.2),
        claim("Strong drive: smallest S - 2 / eta over that of the energy", low, 0.8, 1.2),
    ]  # fmt: skip


def draw(found: xr.Dataset) -> object:
    excess, drive = axes = panels(2)
    # Of the colours of muP, where sharpness rises by itself, of SP and of wide NTP.
    looks = {"C1": ("mup", "-", "o"), "C2": ("sp", ":", "^"), "C3": ("ntp", "", "s")}
    for regime, (color, line, mark) in looks.items():
        of, color = found.sel(regime=regime), COLORS[color]
        x, y = (of[name].values.ravel() for name in ("drive", "highest"))
        drive.plot(x, y, mark, ms=4, color=color, label=regime)
        if regime in SHOWN:
            one = of.sel(warmup=SHOWN[regime]).isel(seed=0)
            label = f"{regime}, driven by {'warmup' if SHOWN[regime] else 'sharpening'}"
            excess.plot(one["excess"], ls=line, color=color, label=label)
            for stage, shape in zip(STAGES, "osD^v", strict=True):
                at, name = int(one[stage]), stage if regime == "C1" else None
                excess.plot(at, one["excess"][at], shape, ms=6, color=color, label=name)
    x, y = (found[name].values[found["drive"].values > 0] for name in ("drive", "predicted"))
    order = x.argsort()
    threshold(drive, x[order], y[order], "energy of a cycle")
    excess.axhline(0, color=COLORS["theory"], ls="--", lw=1)
    drive.axvline(0, color=COLORS["theory"], ls="--", lw=1)
    excess.set(xlabel="update", xlim=(0, 400), ylim=(-0.2, 0.07), title="The stages of a catapult")
    excess.set_ylabel(r"sharpness $- \, 2/\eta$")
    drive.set(xlabel=r"$(\alpha + 2 \dot\eta / \eta^3) / |\alpha_{C1}|$", title="Driven or not")
    drive.set_ylabel(r"largest sharpness $- \, 2/\eta$")
    for ax in axes:
        legend(ax)
    return axes
