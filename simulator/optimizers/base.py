"""The contract of an optimizer.

To add one:

1. Write one file here: a frozen dataclass that subclasses `Optimizer`, its fields being its
   options. A loop over all parameters belongs in ``numerics/updates.py``.
2. Give it ``name``, ``vectors`` (how many vectors like theta its state holds), ``step`` and
   ``threshold``.
3. Add it to ``OPTIMIZERS`` in ``simulator/optimizers/__init__.py`` and to the table in
   ``tests/test_optimizers.py``, which holds it to its threshold on quadratics.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, fields
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["Array", "Optimizer"]

Array = NDArray[Any]


@dataclass(frozen=True)
class Optimizer(ABC):
    """An update rule and the sharpness that it can bear."""

    name: ClassVar[str]
    vectors: ClassVar[int]

    @abstractmethod
    def step(self, theta: Array, gradient: Array, state: Array, eta: float, t: int) -> None:
        """Do update number ``t`` (from 1) in place: theta, gradient (P,), state (vectors, P)."""

    @abstractmethod
    def threshold(self, eta: ArrayLike) -> Array:
        """Sharpness above which a quadratic is unstable at learning rate ``eta``; inf at eta 0."""

    def start(self, theta: Array) -> Array:
        """State (vectors, P) before the first update."""
        return np.zeros((self.vectors, theta.size), dtype=theta.dtype)

    def critical_eta(self, sharpness: float) -> float:
        """The learning rate whose threshold is this sharpness; inf where it is not positive.

        Holds for every threshold that is proportional to 1 / eta.
        """
        return float(self.threshold(1.0)) / sharpness if sharpness > 0 else np.inf

    def options(self) -> dict[str, Any]:
        """The arguments that make this optimizer again."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


def over_eta(numerator: float, eta: ArrayLike) -> Array:
    """Numerator / eta, and inf where eta is 0."""
    with np.errstate(divide="ignore"):
        return np.divide(numerator, np.asarray(eta, dtype=float))
