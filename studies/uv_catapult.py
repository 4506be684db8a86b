"""On one example the catapult's window is exact at any width: 2 < eta lambda_0 < 4.

Lewkowycz et al. 2020, to leading order in width; exact here, with lambda_0 the NTK trace of a UV
model on x = 1, y = 0 at widths 10^2 to 10^12. A first update raises the loss from
theory.uv.eta_loss on, a little above 2; training diverges from 4 on, at every width. The largest
loss on the way is lambda_0^2 / (8 kappa^2), which grows as the width, and its update comes later by
1 / (2 ln(eta lambda_0 - 1)) an e-fold of width. With y != 0 the window ends earlier or later: see
theory.uv.eta_max.
"""

from __future__ import annotations

import numpy as np
import xarray as xr

import simulator as sim
from simulator.studying import Lab, claim
from simulator.studying.style import COLORS, legend, panels, threshold

WIDTHS, S0 = (10**2, 10**4, 10**6, 10**8, 10**10, 10**12), (2.3, 2.6, 3.0)
# In units of 2 / sharpness; none at 1 or 2, where rounding would decide.
RATES = np.linspace(0.81, 2.39, 80)


def measure(lab: Lab) -> xr.Dataset:
    """The limits of eta lambda_0, the largest loss over its cap, and its update.

    A seed is a group of networks, of which the extremes and the means are kept.
    """
    widths = [one_width(width, lab.count, 8 if lab.quick else 40) for width in WIDTHS]
    found = xr.concat(widths, xr.Variable("width", list(WIDTHS)))
    return found.assign_coords(seed=list(lab.seeds), s0=list(S0))


def one_width(width: int, seeds: int, each: int) -> xr.Dataset:
    model, data = sim.UV(width), sim.Data(np.ones((1, 1)), np.zeros((1, 1)))
    networks = range(seeds * each)
    states = np.array([model.one_example(model.init(data, n), data) for n in networks])
    delta, lam, kappa, y = (states[:, i, None] for i in range(4))

    def sweep(rates: np.ndarray, steps: int, **options: bool) -> xr.Dataset:
        return sim.sweep(
            model, data, eta_trgt=rates, steps=steps, seeds=len(networks), eta_unit="critical",
            sharpness_every=0, **options,
        ).squeeze(("eta_init", "t_wrm"))  # fmt: skip

    def of_seeds(values: np.ndarray) -> np.ndarray:
        return values.reshape(seeds, -1)

    first, whole = sweep(RATES, 1), sweep(RATES, 1000)
    late = sweep(np.divide(S0, 2), 200, curves=True)
    eta = (
        sim.theory.uv.eta_max(delta, lam, kappa, y)
        / whole["theory_eta_max"].values.reshape(len(networks), -1)[:, :1]
    )
    return eta


def claims(found: xr.Dataset) -> list:
    return []


def draw(found: xr.Dataset) -> object:
    return panels(3)
