"""The contract of a schedule.

To add one:

1. Write one file here: a frozen dataclass that subclasses `Schedule`, its fields its options.
2. Give it ``name`` and ``values``; or, if its rate depends on how the run goes, ``chooser``.
3. Add it to ``SCHEDULES`` in ``simulator/schedules/__init__.py``, and a test.

Everything else (training, sweeps, the command line's ``--schedule``) works on the contract alone.
"""

from __future__ import annotations

from abc import ABC
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["Chooser", "Probe", "Schedule"]


class Probe(Protocol):
    """What a schedule may ask before an update.

    Attributes
    ----------
    step : int
        Updates done before.
    loss : float
        Of the samples that this update sees.
    """

    @property
    def step(self) -> int: ...

    @property
    def loss(self) -> float: ...

    def loss_after(self, eta: float) -> float:
        """The same loss after this update at ``eta``: one forward pass; inf if not finite."""
        ...

    def eta_critical(self) -> float:
        """The learning rate whose threshold is the sharpness last measured."""
        ...


Chooser = Callable[[Probe], float]


@dataclass(frozen=True)
class Schedule(ABC):
    """A learning rate eta_t for every update, counted from t = 1."""

    name: ClassVar[str]
    needs_sharpness: ClassVar[bool] = False

    def values(self, steps: int) -> NDArray[np.float64]:
        """eta_t for t = 1 ... steps, shape (steps,); NaN where only the run will tell.

        Raises `InputError` for a number of steps that cannot be counted.
        """
        return np.full(steps, np.nan)

    def chooser(self) -> Chooser | None:
        """For one run: gives eta_t when called before each update in turn. None: as planned."""
        return None

    def options(self) -> dict[str, Any]:
        """The arguments that make this schedule again."""
        return {field.name: getattr(self, field.name) for field in fields(self)}
