"""The contract of a schedule.

To add one:

1. Write one file here: a frozen dataclass that subclasses `Schedule`, its fields its options.
2. Give it ``name`` and ``values``; or ``chooser``, if its rate depends on the run.
3. Add it to ``SCHEDULES`` in ``simulator/schedules/__init__.py``, and a test.

Everything else (training, sweeps, ``--schedule``) uses this contract only. Fields whose names begin
with ``eta_`` are learning rates, tuples of them, or None: in a sweep with ``eta_unit="critical"``
they are in that unit. The fields ``eta_init``, ``eta_trgt`` and ``t_wrm``, where present, are axes
of every sweep. A user-defined schedule outside the package needs step 2 only; its
``name`` is that of its class by default.
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
    """The measurements that a schedule may request before an update.

    Attributes
    ----------
    step : int
        Number of updates before this one.
    loss : float
        Loss of the batch of this update.
    """

    @property
    def step(self) -> int: ...

    @property
    def loss(self) -> float: ...

    def loss_after(self, eta: float) -> float:
        """The loss of the same batch after this update at ``eta``: one forward pass."""
        ...

    def slope(self) -> float:
        """u.g, with u the update (theta moves by -eta u) and g the gradient; positive downhill."""
        ...

    def bend(self) -> float:
        """u.Hu, with H the Hessian of the same loss: one Hessian-vector product."""
        ...

    def eta_critical(self) -> float:
        """The largest stable learning rate at the last measured sharpness."""
        ...


# A chooser with a state is an object with ``MEMORY``: the names of the attributes, numbers or
# arrays, on which its next choice depends. A fork of its run continues from these.
Chooser = Callable[[Probe], float]


@dataclass(frozen=True)
class Schedule(Named):
    """A learning rate eta_t for every update, counted from t = 1."""

    needs_sharpness: ClassVar[bool] = False

    def values(self, steps: int) -> NDArray[np.float64]:
        """eta_t for t = 1 ... steps, shape (steps,); NaN where it depends on the run.

        Raises `InputError` for an invalid number of steps.
        """
        return np.full(steps, np.nan)

    def at(self, unit: float, **coordinates: float) -> Self:
        """The schedule of a cell of a sweep: its learning rates times ``unit``.

        ``coordinates`` replace the fields of the same names; others are ignored.
        """
        options = self.options()
        options |= {name: value for name, value in coordinates.items() if name in options}
        for name, value in options.items():
            if name.startswith("eta_") and value is not None:
                many = isinstance(value, (tuple, list))
                options[name] = tuple(one * unit for one in value) if many else value * unit
        return self.with_options(**options)

    def chooser(self) -> Chooser | None:
        """A function for one run that returns eta_t at each update in turn; None uses `values`."""
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
