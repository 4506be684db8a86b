"""The sharpness at given parameters, to reference accuracy."""

from __future__ import annotations

import math
import warnings

import numpy as np

from simulator.arrays import Array
from simulator.checks import InputError
from simulator.curvature.tracker import SharpnessTracker
from simulator.data import Data, as_data
from simulator.models import Model, as_model
from simulator.models.base import checked_vector

__all__ = ["REFERENCE_TOL", "sharpness"]

REFERENCE_TOL = 1e-10


def sharpness(
    model: Model,
    theta: Array,
    data: Data | None = None,
    *,
    preconditioner: Array | None = None,
    tol: float = REFERENCE_TOL,
    seed: int = 0,
) -> float:
    """Top eigenvalue of the Hessian of the loss at theta.

    Parameters
    ----------
    model : Model
    theta : array, shape (P,)
        Parameters.
    data : Data, optional
        Training data; `Quadratic` needs none.
    preconditioner : array, shape (P,), optional
        If given, the result is the top eigenvalue of P^-1 H; infinite entries fix their parameters.
    tol : float
        Relative tolerance.
    seed : int
        Seed of the start vectors.

    Returns
    -------
    float

    Warns
    -----
    RuntimeWarning
        If the value did not converge; the true one may differ.

    Raises
    ------
    InputError
        If theta or the preconditioner has another shape, if the preconditioner is not positive, or
        if theta does not hold the weights themselves.
    """
    model, data = as_model(model), as_data(data)
    objective = model.bind(data)
    theta = checked_vector("theta", theta, objective)
    if preconditioner is not None:
        if not model.steps_weights:
            raise InputError(
                "representation", "gram", "P has one entry per weight; give parameters"
            )
        preconditioner = checked_vector("preconditioner", preconditioner, objective)
        if not (preconditioner > 0).all():
            raise InputError("preconditioner", preconditioner.min(), "give positive entries")
    gradient = np.empty_like(theta)
    objective.gradient(theta, gradient)
    tracker = SharpnessTracker(objective, 1, tol, seed, preconditioner)
    estimate = tracker.measure(gradient=gradient)
    value = float(estimate.values[0])
    if not estimate.converged and math.isfinite(value):
        warnings.warn(
            f"the sharpness {value:.6g} did not converge (residual {estimate.residual:.1e}); "
            "the true value may differ",
            RuntimeWarning,
            stacklevel=2,
        )
    return value
