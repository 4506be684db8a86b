"""The contract of a schedule.

To add one:

1. Write one file here: a frozen dataclass that subclasses `Schedule`, its fields its options.
2. Give it ``name`` and ``values``; or, if its rate depends on how the run goes, ``chooser``.
3. Add it to ``SCHEDULES`` in ``simulator/schedules/__init__.py``, and a test.

Everything else (training, sweeps, the command line's ``--schedule``) works on the contract alone.
Fields whose names begin with ``eta_`` are learning rates, tuples of them, or None: in a sweep with
``eta_unit="critical"`` they are in that unit. Of the fields ``eta_init``, ``eta_trgt`` and
``t_wrm``, those that it has are axes of every sweep. A user-defined schedule, in a file of one's
own, needs 2 only; without a ``name`` it has that of its class.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from simulator.checks import InputError, one_of
from simulator.named import Named

__all__ = ["ETA_UNITS", "GRID", "Chooser", "Probe", "Schedule", "unit_of"]

# The fields that are axes of every sweep.
GRID = ("eta_init", "eta_trgt", "t_wrm")
ETA_UNITS = ("absolute", "critical")


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

    def slope(self) -> float:
        """u.g, with u the update (theta moves by -eta u) and g the gradient: downhill above 0."""
        ...

    def bend(self) -> float:
        """u.Hu, with H the Hessian of the same loss: one Hessian-vector product."""
        ...

    def eta_critical(self) -> float:
        """The learning rate whose threshold is the sharpness last measured."""
        ...


# One that remembers something is an object with ``MEMORY``: the names of its attributes, numbers or
# arrays, on which its next choice depends. A fork of its run continues from these.
Chooser = Callable[[Probe], float]


@dataclass(frozen=True)
class Schedule(Named):
    """A learning rate eta_t for every update, counted from t = 1."""

    needs_sharpness: ClassVar[bool] = False

    def values(self, steps: int) -> NDArray[np.float64]:
        """eta_t for t = 1 ... steps, shape (steps,); NaN where only the run will tell.

        Raises `InputError` for a number of steps that cannot be counted.
        """
        return np.full(steps, np.nan)

    def at(self, unit: float, **coordinates: float) -> Self:
        """The same schedule at a cell of a sweep: its learning rates times ``unit``.

        ``coordinates`` replace fields of the same names; those that are no fields do not count.
        """
        options = self.options()
        options |= {name: value for name, value in coordinates.items() if name in options}
        for name, value in options.items():
            if name.startswith("eta_") and value is not None:
                many = isinstance(value, (tuple, list))
                options[name] = tuple(one * unit for one in value) if many else value * unit
        return self.with_options(**options)

    def chooser(self) -> Chooser | None:
        """For one run: gives eta_t when called before each update in turn. None: as planned."""
        return None


def unit_of(eta_unit: str, eta_critical: float) -> float:
    """What learning rates are multiples of, where `eta_critical` is this.

    Raises `InputError` for an unknown unit, and for one that is not finite.
    """
    if one_of("eta_unit", eta_unit, ETA_UNITS) == "absolute":
        return 1.0
    if not math.isfinite(eta_critical):
        raise InputError(
            "eta_unit", "critical",
            "the sharpness at initialisation is not positive; give absolute",
        )  # fmt: skip
    return eta_critical
