"""The update rule of a run: optimizer, state and rates; and its critical learning rate."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from simulator.blas import one_blas_thread
from simulator.checks import InputError
from simulator.curvature import sharpness
from simulator.data import Data, as_data
from simulator.models import Array, Model, Objective, as_model
from simulator.models.base import checked_vector
from simulator.numerics import updates
from simulator.optimizers import GD, Optimizer, as_optimizer, has_recurrence
from simulator.optimizers.base import held_where_zero
from simulator.shipped import is_shipped

__all__ = ["UpdateRule", "eta_critical"]


class UpdateRule:
    """The update rule of a run: an optimizer, its state, and the rate of each parameter.

    ``t`` is the number of an update in the run, from 1. The optimizer takes the number since its
    state started, which differs in a fork with another optimizer.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        model: Model,
        objective: Objective,
        rates: ArrayLike | None,
        seed: int,
    ) -> None:
        self.optimizer, self._seed = optimizer, seed
        self._shipped, self._linear = is_shipped(optimizer), has_recurrence(optimizer)
        self._rates = None if rates is None else checked_vector("rates", rates, objective)  # type: ignore[arg-type]
        self.preconditions = optimizer.adaptive or rates is not None
        if self.preconditions and not model.steps_weights:
            raise InputError(
                "representation",
                "gram",
                f"{optimizer.name} updates each weight separately; give parameters",
            )
        if self._rates is not None and not (np.isfinite(self._rates) & (self._rates >= 0)).all():
            raise InputError("rates", self._rates.min(), "give finite numbers of at least 0")
        self._update = np.empty(objective.size, dtype=objective.dtype)
        self._state = np.empty((0, objective.size))
        self.started, self._began = False, 0

    @property
    def state(self) -> Array | None:
        """A copy of the optimizer's vectors (vectors, P); None before the start."""
        return self._state.copy() if self.started else None

    def start(self, theta: Array, gradient: Array, step: int = 0) -> None:
        """Initialise the state before the update after this step, given its gradient."""
        started = self.optimizer.start(self._lent(theta), self._lent(gradient), self._seed)
        self._state = self._lent(started)
        self.started, self._began = True, step

    def resume(self, state: Array, step: int, t: int) -> None:
        """Continue from a state (vectors, P) after ``t`` updates, before this step."""
        shape = (self.optimizer.vectors, self._update.size)
        if state.shape != shape:
            raise InputError(
                "checkpoint", f"with a state of shape {state.shape}",
                f"{self.optimizer.name} has one of shape {shape}; give one of the same optimizer",
            )  # fmt: skip
        self._state = state.copy()
        self.started, self._began = True, step - t

    def updates_done(self, step: int) -> int:
        """Number of updates since the optimizer's state started."""
        return step - self._began if self.started else 0

    def preconditioner(self, gradient: Array, t: int) -> Array:
        """P (P,) of the next update, infinite for parameters that do not move."""
        if self.optimizer.adaptive:
            lent = self._lent(gradient), self._lent(self._state)
            p = self.optimizer.preconditioner(*lent, t - self._began)
        else:
            p = np.ones_like(gradient)
        if self._rates is None:
            return p
        with np.errstate(divide="ignore"):
            return held_where_zero(p / self._rates)

    def is_stationary(self, gradient: Array) -> bool:
        """Whether no update moves theta any more while the gradient is this.

        Known for linear updates only: others may decay theta, add noise, or depend on t.
        """
        return self._linear and not (gradient.any() or self._state.any())

    def step(self, theta: Array, gradient: Array, eta: float, t: int) -> None:
        """Update theta in place."""
        self.descend(theta, self.advance(theta, gradient, t), eta)

    def advance(self, theta: Array, gradient: Array, t: int) -> Array:
        """The u_t (P,) of an update; advances the state but not theta."""
        self._direct(theta, gradient, self._state, t, self._update)
        return self._update

    def next_update(self, theta: Array, gradient: Array, t: int, out: Array) -> None:
        """Write the u_t of the next ``step`` into ``out`` (P,); the state does not change."""
        self._direct(theta, gradient, self._state.copy(), t, out)

    def _direct(self, theta: Array, gradient: Array, state: Array, t: int, out: Array) -> None:
        lent, t = (self._lent(theta), self._lent(gradient)), t - self._began
        returned = self.optimizer.direction(*lent, state, t, out)  # type: ignore[func-returns-value]
        if returned is not None:
            raise InputError("direction", "returned a value", "let it fill out (P,) instead")

    def _lent(self, array: Array) -> Array:
        """The arrays for the optimizer, as copies for a user's, which may change them."""
        return array if self._shipped else array.copy()

    def descend(self, theta: Array, update: Array, eta: float) -> None:
        """Move theta (P,) in place by -eta times ``update`` (P,) times each parameter's rate."""
        rate = theta.dtype.type(eta)
        if self._rates is None:
            updates.descend(theta, update, rate)
        else:
            updates.descend_at_rates(theta, update, rate, self._rates)

    def at_rates(self, update: Array) -> Array:
        """``update`` (P,) times each parameter's rate."""
        return update if self._rates is None else update * self._rates


def eta_critical(
    model: Model,
    data: Data | None = None,
    optimizer: Optimizer | None = None,
    seed: int = 0,
    dtype: str = "float64",
    rates: ArrayLike | None = None,
) -> float:
    """The learning rate at which this optimizer's threshold is the sharpness at initialisation.

    For GD 2 / sharpness: the unit of ``--eta-unit critical``. For adaptive optimizers, and with
    ``rates``, the sharpness is the preconditioned one of the first update on all samples.

    Parameters
    ----------
    model : Model
    data : Data, optional
        What models other than `Quadratic` train on.
    optimizer : Optimizer
        Default `GD`.
    seed : int
        Chooses the initial parameters.
    dtype : {"float64", "float32"}
        Precision of everything.
    rates : array, shape (P,), optional
        Factor on the learning rate of each parameter.

    Returns
    -------
    float
        Absolute; infinite where the sharpness is not positive.

    Raises
    ------
    InputError
        For input that cannot be used.
    """
    model, data = as_model(model), as_data(data)
    optimizer = as_optimizer(GD() if optimizer is None else optimizer)
    with one_blas_thread(), np.errstate(over="ignore", invalid="ignore"):
        theta = model.init(data, seed, dtype)
        objective = model.bind(data, dtype)
        rule = UpdateRule(optimizer, model, objective, rates, seed)
        preconditioner = None
        if rule.preconditions:
            gradient = np.empty_like(theta)
            objective.gradient(theta, gradient)
            rule.start(theta, gradient)
            preconditioner = rule.preconditioner(gradient, 1)
        top = sharpness(model, theta, data, preconditioner=preconditioner, seed=seed)
        return optimizer.eta_critical(top)
