"""The contract of an optimizer.

To add one:

1. Write it here, in ``linear.py``, ``adaptive.py`` or a new file: a frozen dataclass that
   subclasses `Optimizer`, its fields being its options. A loop over all parameters belongs in
   ``numerics/updates.py``.
2. Give it ``name``, ``vectors`` (how many vectors like theta its state holds), ``direction``,
   and its stability ``limit`` and ``first_limit``. One that divides by a preconditioner says so by
   ``adaptive``, and gives ``preconditioner``.
3. Add it to ``OPTIMIZERS`` in ``simulator/optimizers/__init__.py`` and to the tables in
   ``tests/test_optimizers.py``, which hold it to another library and to its limits.

One of one's own, in one's own file, needs 2 only, and has its class's name without a ``name``: see
``docs/own_optimizer.md``.
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
    """An update rule theta_{t+1} = theta_t - eta_t u_t and the sharpness that it can bear.

    For adaptive optimizers "sharpness" means the pre-conditioned one, the top eigenvalue of
    P^-1 H with the P of ``preconditioner``.
    """

    vectors: ClassVar[int]
    adaptive: ClassVar[bool] = False

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        refuse_overrides(
            cls, Optimizer, threshold="limit", eta_critical="limit", first_threshold="first_limit"
        )

    def start(self, theta: Array, gradient: Array, seed: int) -> Array:
        """State (vectors, P) before the first update, whose gradient (P,) this is."""
        return np.zeros((self.vectors, theta.size), dtype=theta.dtype)

    @abstractmethod
    def direction(self, theta: Array, gradient: Array, state: Array, t: int, out: Array) -> None:
        """Fill ``out`` (P,) with u_t of update number ``t`` (from 1), and advance the state."""

    def preconditioner(self, gradient: Array, state: Array, t: int) -> Array:
        """P (P,) of the update that ``direction`` would make now; the state stays as it is.

        For adaptive optimizers only: theta_{t+1} = theta_t - eta_t m_t / P, with m_t the moving
        average of gradients before any correction.
        """
        raise NotImplementedError(f"{self.name} has no preconditioner")

    def recurrence(self, t: int) -> Recurrence | None:
        """Update number ``t`` (from 1) as numbers, if that is all there is to it.

        Small networks then train side by side: see `simulator.numerics.batched`. Only optimizers of
        this package are asked: see `has_recurrence`. From t = 2 on it must not change.
        """
        return None

    @property
    @abstractmethod
    def limit(self) -> StabilityLimit:
        """What a quadratic bears for ever."""

    @property
    @abstractmethod
    def first_limit(self) -> StabilityLimit:
        """What it bears in the first update, from an empty momentum: beyond it the loss rises."""

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
        """The learning rate whose threshold is this sharpness; inf where there is none."""
        return self.limit.eta(sharpness)


def has_recurrence(optimizer: Optimizer) -> bool:
    """Whether its `Recurrence` is all that it does: u_t is linear in the gradients up to g_t.

    So it stays where it is once gradient and momentum are 0. With weight decay it does not.
    """
    linear = is_shipped(optimizer) and optimizer.recurrence(1) is not None
    return linear and not optimizer.limit.decay


def add_decay(update: Array, theta: Array, weight_decay: float) -> None:
    """u <- u + kappa theta: decoupled weight decay, which eta then multiplies too."""
    if weight_decay:
        update += theta.dtype.type(weight_decay) * theta


def held_where_zero(preconditioner: Array) -> Array:
    """P with infinity for 0: at eps = 0 what has never had a gradient does not move."""
    return np.where(preconditioner > 0, preconditioner, np.inf).astype(preconditioner.dtype)
