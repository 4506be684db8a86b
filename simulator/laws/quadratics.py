"""Laws of quadratics: thresholds of every optimizer, and what warmup does and does not do there."""

from __future__ import annotations

import numpy as np

from simulator.laws.law import Reading, equal, law
from simulator.models import Quadratic
from simulator.schedules import Warmup
from simulator.theory import quadratics
from simulator.training import simulate

__all__ = ["warmup_decay"]


@law(1e-2)
def warmup_decay(rng: np.random.Generator) -> Reading:
    """Linear warmup takes a quadratic to ln|theta/theta_0| = tau G(z), G = (z-1) ln|z-1| - z.

    The sum of ln|1 - eta_t lambda| as an integral; tau = t_wrm / (eta_trgt lambda), here about 300.
    """
    z = rng.uniform(0.3, 3.9, 8)
    curvatures = rng.uniform(0.1, 10.0, z.size)
    measured = np.empty(z.size)
    for i, curvature in enumerate(curvatures):
        t_wrm = round(300 * z[i])
        schedule = Warmup(eta_trgt=z[i] / curvature, t_wrm=t_wrm)
        run = simulate(
            Quadratic([curvature]), theta0=[1.0], schedule=schedule, steps=t_wrm, sharpness_every=0
        )
        measured[i] = np.log(abs(run.theta[0])) * z[i] / t_wrm
    return equal(quadratics.warmup_decay(z), measured, scale=1.0)
