"""The sharpness at one theta, to reference accuracy."""

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
        Where.
    data : Data, optional
        What models other than `Quadratic` have their loss on.
    preconditioner : array, shape (P,), optional
        With it, the top eigenvalue of P^-1 H; infinite entries hold their parameters still.
    tol : float
        Relative error aimed at.
    seed : int
        Chooses the random start vectors.

    Returns
    -------
    float

    Warns
    -----
    RuntimeWarning
        Where the value did not converge: the true one may differ.

    Raises
    ------
    InputError
        For a theta or preconditioner of another shape, a preconditioner that is not positive, and
        one for a model that does not step its weights.
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
