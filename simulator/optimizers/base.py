"""The contract of an optimizer.

To add one:

1. Write it here, in ``linear.py``, ``adaptive.py`` or a new file: a frozen dataclass that
   subclasses `Optimizer`, its fields being its options. A loop over all parameters belongs in
   ``numerics/updates.py``.
2. Give it ``name``, ``vectors`` (how many vectors like theta its state holds), ``direction``,
   and its stability ``limit`` and ``first_limit``. An optimizer with a preconditioner sets
   ``adaptive`` and has ``preconditioner``.
3. Add it to ``OPTIMIZERS`` in ``simulator/optimizers/__init__.py`` and to the tables in
   ``tests/test_optimizers.py``, which compare it with another library and with its limits.

A user-defined optimizer outside the package needs step 2 only: see ``docs/own_optimizer.md``.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from simulator.arrays import Array
from simulator.limits import StabilityLimit
from simulator.named import Named
from simulator.shipped import is_shipped, refuse_overrides

__all__ = [
    "Optimizer",
    "Recurrence",
    "StabilityLimit",
    "add_decay",
    "has_recurrence",
    "held_where_zero",
]  # fmt: skip


class Recurrence(NamedTuple):
    """m_t = ``keep`` m_{t-1} + ``take`` g_t, u_t = ``of_momentum`` m_t + ``of_gradient`` g_t."""

    keep: float
    take: float
    of_momentum: float
    of_gradient: float


@dataclass(frozen=True)
class Optimizer(Named):
    """An update rule theta_{t+1} = theta_t - eta_t u_t and its stability limit.

    For adaptive optimizers, "sharpness" means the preconditioned sharpness: the top eigenvalue of
    P^-1 H, with the P of ``preconditioner``.
    """

    vectors: ClassVar[int]
    adaptive: ClassVar[bool] = False

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        refuse_overrides(
            cls, Optimizer, threshold="limit", eta_critical="limit", first_threshold="first_limit"
        )

    def start(self, theta: Array, gradient: Array, seed: int) -> Array:
        """The state (vectors, P) before the first update, given its gradient (P,)."""
        return np.zeros((self.vectors, theta.size), dtype=theta.dtype)

    @abstractmethod
    def direction(self, theta: Array, gradient: Array, state: Array, t: int, out: Array) -> None:
        """Write u_t of update number ``t`` (from 1) into ``out`` (P,), and advance the state."""

    def preconditioner(self, gradient: Array, state: Array, t: int) -> Array:
        """P (P,) of the next ``direction``; the state does not change.

        For adaptive optimizers only: theta_{t+1} = theta_t - eta_t m_t / P, with m_t the moving
        average of gradients before any correction.
        """
        raise NotImplementedError(f"{self.name} has no preconditioner")

    def recurrence(self, t: int) -> Recurrence | None:
        """Update number ``t`` (from 1) as coefficients, if the update is such a recurrence.

        Small networks are then trained as a batch, see `simulator.numerics.batched`. Only
        optimizers of this package are used so, see `has_recurrence`. The coefficients must be
        constant from t = 2 on.
        """
        return None

    @property
    @abstractmethod
    def limit(self) -> StabilityLimit:
        """The largest sharpness at which a quadratic is stable."""

    @property
    @abstractmethod
    def first_limit(self) -> StabilityLimit:
        """The largest sharpness at which the first update, without momentum, lowers a quadratic."""

    def threshold(self, eta: ArrayLike) -> Array:
        """Sharpness above which a quadratic is unstable at learning rates eta; inf at eta 0.

        Of the shape of ``eta``, (steps,) say.
        """
        return self.limit.sharpness(eta)

    def first_threshold(self, eta: ArrayLike) -> Array:
        """Sharpness above which the first update at eta raises a quadratic; inf at eta 0.

        Of the shape of ``eta``, (steps,) say.
        """
        return self.first_limit.sharpness(eta)

    def eta_critical(self, sharpness: float) -> float:
        """The learning rate whose threshold is this sharpness; inf if there is none."""
        return self.limit.eta(sharpness)


def has_recurrence(optimizer: Optimizer) -> bool:
    """Whether the update is fully described by its `Recurrence`.

    Then u_t is linear in the gradients up to g_t, and theta does not move once gradient and
    momentum are 0. Weight decay excludes this.
    """
    linear = is_shipped(optimizer) and optimizer.recurrence(1) is not None
    return linear and not optimizer.limit.decay


def add_decay(update: Array, theta: Array, weight_decay: float) -> None:
    """u <- u + kappa theta: decoupled weight decay, which is multiplied by eta too."""
    if weight_decay:
        update += theta.dtype.type(weight_decay) * theta


def held_where_zero(preconditioner: Array) -> Array:
    """P with infinity for 0: at eps = 0, parameters without a gradient so far do not move."""
    return np.where(preconditioner > 0, preconditioner, np.inf).astype(preconditioner.dtype)
