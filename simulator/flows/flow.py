"""The result of a central flow."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from simulator.arrays import Array
from simulator.limits import StabilityLimit
from simulator.runs import Run
from simulator.value import Value

if TYPE_CHECKING:
    from simulator.experiment import Experiment

__all__ = ["Flow"]

# kappa_1 is a mean over so many updates after first contact.
FIRST = 10


@dataclass(frozen=True, eq=False, kw_only=True)
class Flow(Value):
    """The central flow of a run: its curves, with a value before each update, and its doubts.

    Before the update at which the flow starts, curves are NaN, or 0 for counts.

    Attributes
    ----------
    experiment : Experiment
    seed : int
        The experiment and the seed of the run.
    start : int
        The update at which the flow starts.
    behind_catapult : bool
        Whether this is after the first catapult (``start="after"``).
    loss : array, shape (steps,)
        Loss at the centre.
    predicted_loss : array, shape (steps,)
        Predicted time average of the run's loss: that of the centre plus that of the oscillation.
    predicted_gradient_square : array, shape (steps,)
        Predicted time average of the run's squared gradient.
    eigenvalues : array, shape (steps, pairs)
        Leading eigenvalues at the centre, of H, or for RMSProp of P^-1 H with P that of this
        update; NaN where not needed.
    variance : array, shape (steps,)
        Trace of the covariance Sigma of the oscillation of the weights.
    rank, critical : arrays of int, shape (steps,)
        Rank of Sigma; number of directions within 2.5 % of the threshold.
    eta : array, shape (steps,)
    limit : StabilityLimit
        As in `Run`.
    alpha, beta : arrays, shape (steps,)
        -grad L . grad S and |grad S|^2 of the sharpness S, in the metric of P; NaN where no
        direction is critical.
    taylor : array, shape (steps,)
        Relative error of taking the curvature as constant over the oscillation; at every tenth
        update, NaN elsewhere.
    residual : array, shape (steps,)
        Relative residual of the complementarity problem; infinite where it has no solution.
    converged : array of bool, shape (steps,)
        Whether the eigenpairs reached the tolerance.
    theta : array, shape (P,)
        After the last update.
    run : Run or None
        The run itself; None without ``beside``.
    distance, stable_distance : arrays, shape (steps,)
        Distance from the run's smoothed iterate m_t = (theta_{t-1} + 2 theta_t + theta_{t+1}) / 4
        to the central flow and to the stable flow, which follows -P^-1 g without oscillation. NaN
        without ``beside``.
    path : array, shape (steps,)
        Length of the path from m_start to m_t.
    max_rank : int
        Largest number of directions that may oscillate.
    gradients, products : int
        Number of gradients and of Hessian-vector products of the flow alone.
    seconds : mapping
        As in `Run`.
    doubts : tuple of str
        Reasons not to trust this flow, as sentences.
    """

    experiment: Experiment
    seed: int
    start: int
    behind_catapult: bool = False
    loss: Array
    predicted_loss: Array
    predicted_gradient_square: Array
    eigenvalues: Array
    variance: Array
    rank: NDArray[np.int64]
    critical: NDArray[np.int64]
    eta: Array
    limit: StabilityLimit
    alpha: Array
    beta: Array
    taylor: Array
    residual: Array
    converged: NDArray[np.bool_]
    theta: Array
    run: Run | None
    distance: Array
    stable_distance: Array
    path: Array
    max_rank: int
    gradients: int
    products: int
    seconds: dict[str, float] = field(compare=False)
    doubts: tuple[str, ...] = ()

    def __repr__(self) -> str:
        loss = self.loss[np.isfinite(self.loss)]
        return (
            f"<Flow: {self.experiment.brief}, seed {self.seed}; {len(self.loss)} steps, "
            f"loss {loss[0]:.4g} to {loss[-1]:.4g}, rank up to {self.rank.max()}, "
            f"{len(self.doubts)} doubts>"
        )

    @property
    def sharpness(self) -> Array:
        """The first eigenvalue (steps,)."""
        return self.eigenvalues[:, 0]

    @property
    def threshold(self) -> Array:
        """Sharpness (steps,) above which a quadratic would be unstable; infinite at eta = 0."""
        return self.limit.sharpness(self.eta)

    @cached_property
    def ratio(self) -> Array:
        """Sharpness over threshold (steps,)."""
        return self.limit.ratio(self.sharpness, self.eta)

    @property
    def constraint(self) -> Array:
        """The ratio minus 1 (steps,): 0 where the flow keeps the sharpness at the threshold."""
        return self.ratio - 1.0

    @cached_property
    def kappa(self) -> Array:
        """See `simulator.theory.central.kappa`; shape (steps,), NaN if no direction is critical."""
        following = np.append(self.eta[1:], self.eta[-1:])
        with np.errstate(divide="ignore", invalid="ignore"):
            falling = 2.0 * (following - self.eta) / (self.eta**2 * following)
            return self.eta * np.sqrt(np.maximum(self.alpha + falling, 0.0))

    @property
    def first_contact(self) -> int:
        """The first update at which a direction is critical; -1 if there is none."""
        found = np.flatnonzero(self.critical)
        return int(found[0]) if found.size else -1

    @cached_property
    def kappa_1(self) -> float:
        """Mean of kappa over the critical ones of the first 10 updates after first contact.

        NaN if no direction is ever critical.
        """
        if self.first_contact < 0:
            return math.nan
        first = self.kappa[self.first_contact : self.first_contact + FIRST]
        return float(np.nanmean(first))
