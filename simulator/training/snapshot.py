"""What a run shows of itself while it trains."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from simulator.limits import STEP_LIMIT, StabilityLimit
from simulator.measures import CURVES
from simulator.models import Array
from simulator.trajectory import Trajectory

__all__ = ["Snapshot"]


class Snapshot(NamedTuple):
    """A run before an update, seen by whoever watches it.

    The arrays go on being filled; they are read-only while the run goes on.

    Attributes
    ----------
    step : int
        Updates taken.
    loss, sharpness, eta : arrays, shape (steps,)
        Curves, of which the values up to ``step`` are there. The sharpness is pre-conditioned, if
        there is such a thing, and NaN where it was not measured.
    limit : StabilityLimit
        What sharpness the update rule bears.
    measured : mapping of arrays, shape (steps,)
        What else is measured, such as ``directional_sharpness``; NaN where it was not.
    """

    step: int
    loss: Array
    sharpness: Array
    eta: Array
    limit: StabilityLimit
    measured: Mapping[str, Array] = MappingProxyType({})

    @classmethod
    def of(cls, run: Trajectory) -> Snapshot:
        """A run that is over."""
        names = [name for curves in CURVES.values() for name in curves]
        measured = {name: getattr(run, name) for name in names if getattr(run, name) is not None}
        sharpness = run.effective_sharpness
        return cls(len(run.loss) - 1, run.loss, sharpness, run.eta, run.limit, measured)

    @property
    def threshold(self) -> Array:
        """The sharpness that is borne at each eta, shape (steps,); infinite at eta 0."""
        return self.limit.sharpness(self.eta)

    @property
    def step_threshold(self) -> Array:
        """2 / eta, shape (steps,): the threshold of directional, critical and batch sharpness."""
        return STEP_LIMIT.sharpness(self.eta)
