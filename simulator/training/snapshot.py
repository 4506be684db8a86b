"""What a run shows of itself while it trains."""

from __future__ import annotations

from typing import NamedTuple

from simulator.limits import StabilityLimit
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
    """

    step: int
    loss: Array
    sharpness: Array
    eta: Array
    limit: StabilityLimit

    @classmethod
    def of(cls, run: Trajectory) -> Snapshot:
        """A run that is over."""
        return cls(len(run.loss) - 1, run.loss, run.effective_sharpness, run.eta, run.limit)

    @property
    def threshold(self) -> Array:
        """The sharpness that is borne at each eta, shape (steps,); infinite at eta 0."""
        return self.limit.sharpness(self.eta)
