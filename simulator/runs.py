"""What one training run leaves behind: its curves, and what they say."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from simulator import regimes
from simulator.limits import StabilityLimit

if TYPE_CHECKING:
    from simulator.experiment import Experiment

__all__ = ["Run"]

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Run:
    """What one training run did. Curves hold values before the update of their step.

    Attributes
    ----------
    experiment : Experiment
    seed : int
        What was done; arrays that were given, theta0 and rates, are not part of it.
    loss : array, shape (steps,)
        Of the samples that the update sees; NaN after a divergence.
    eigenvalues : array, shape (steps, top_k)
        Top Hessian eigenvalues of that loss, largest first; NaN where not measured.
    preconditioned_sharpness : array, shape (steps,), or None
        Top eigenvalue of P^-1 H, P the preconditioner of the update about to be taken; for adaptive
        optimizers, and where parameters have rates of their own.
    eta : array, shape (steps,)
        Learning rate; after a divergence, where only the run would have told it, the last one.
    limit : StabilityLimit
        The sharpness (pre-conditioned, if there is such a thing) that the optimizer bears.
    residual : array, shape (steps,)
        Residual norm of the first Hessian eigenvalue: how well it is known. Infinite where the
        measurement did not converge, NaN where nothing was measured.
    converged : array of bool, shape (steps,)
        False where an eigenvalue of this step, the pre-conditioned one included, did not reach the
        accuracy asked for: it is the best that was found, and may be another than the top one.
    n_unconverged : int
        Measurements that did not converge, those after the last update included.
    theta : array, shape (P,)
        After the last update.
    loss_init, loss_final, sharpness_final, preconditioned_sharpness_final : float
        On all training samples, before the first and after the last update.
    diverged_step : int
        Number of updates after which the loss was no longer finite; -1 if it always was.
    accuracy_final, test_loss_final, test_accuracy_final : float
        NaN where the data has no classes or no test split.
    products : int
        Hessian-vector products spent on the eigenvalues.
    forward_passes : int
        Losses that the schedule asked for, besides those of the updates.
    constant_loss : float or None
        Loss of the best constant output, which a dead network reaches.
    seconds : mapping
        What it took: ``compile`` (or load kernels from the cache), ``curvature``, and ``step``, all
        else. Runs that go side by side measure and step in one pass, which counts as ``step``.
    """

    experiment: Experiment
    seed: int
    loss: Array
    eigenvalues: Array
    preconditioned_sharpness: Array | None
    eta: Array
    limit: StabilityLimit
    residual: Array
    converged: NDArray[np.bool_]
    n_unconverged: int
    theta: Array
    loss_init: float
    loss_final: float
    sharpness_final: float
    preconditioned_sharpness_final: float
    diverged_step: int
    accuracy_final: float
    test_loss_final: float
    test_accuracy_final: float
    products: int
    forward_passes: int
    constant_loss: float | None
    seconds: Mapping[str, float]

    @property
    def sharpness(self) -> Array:
        """Top Hessian eigenvalue before each update (steps,); NaN where not measured."""
        return self.eigenvalues[:, 0]

    @property
    def effective_sharpness(self) -> Array:
        """The sharpness (steps,) that the threshold speaks of: pre-conditioned, if there is one."""
        if self.preconditioned_sharpness is None:
            return self.sharpness
        return self.preconditioned_sharpness

    @property
    def threshold(self) -> Array:
        """Sharpness (steps,) above which a quadratic would be unstable; infinite at eta = 0."""
        return self.limit.sharpness(self.eta)

    @property
    def ratio(self) -> Array:
        """Effective sharpness over threshold (steps,): above 1 a quadratic would be unstable."""
        return self.limit.ratio(self.effective_sharpness, self.eta)

    @property
    def diverged(self) -> bool:
        """Whether the loss stopped being finite."""
        return self.diverged_step >= 0

    @property
    def loss_max(self) -> float:
        """Largest finite loss on the way."""
        return _largest(np.append(self.loss, self.loss_final))

    @property
    def sharpness_init(self) -> float:
        """Sharpness before the first update."""
        return float(self.sharpness[0])

    @property
    def sharpness_max(self) -> float:
        """Largest sharpness measured."""
        return _largest(np.append(self.sharpness, self.sharpness_final))

    @property
    def preconditioned_sharpness_init(self) -> float:
        """Pre-conditioned sharpness of the first update; NaN where there is no such thing."""
        curve = self.preconditioned_sharpness
        return math.nan if curve is None else float(curve[0])

    @property
    def preconditioned_sharpness_max(self) -> float:
        """Largest pre-conditioned sharpness measured."""
        curve = self.preconditioned_sharpness
        return _largest(
            np.append([] if curve is None else curve, self.preconditioned_sharpness_final)
        )

    @cached_property
    def catapults(self) -> list[regimes.Catapult]:
        """See `simulator.regimes.catapults`."""
        return regimes.catapults(self.loss, self.ratio)

    @property
    def n_catapults(self) -> int:
        """How many catapults there were."""
        return len(self.catapults)

    @property
    def natural_phase(self) -> str:
        """See `simulator.regimes.natural_phase`."""
        return regimes.natural_phase(self.effective_sharpness, self.ratio)

    @property
    def trainable(self) -> bool:
        """See `simulator.regimes.trainable`."""
        return regimes.trainable(np.append(self.loss, self.loss_final), self.constant_loss)

    @property
    def outcome(self) -> str:
        """See `simulator.regimes.outcome`."""
        return regimes.outcome(
            self.loss,
            self.ratio,
            diverged=self.diverged,
            trained=self.trainable,
            n_catapults=self.n_catapults,
        )


def _largest(values: Array) -> float:
    finite = values[np.isfinite(values)]
    return float(finite.max()) if finite.size else math.nan
