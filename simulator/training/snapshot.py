"""The view of a run during training."""

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
    """A run before an update, as a callback sees it.

    The arrays are filled during the run, and read-only until it ends.

    Attributes
    ----------
    step : int
        Number of updates so far.
    loss, sharpness, eta : arrays, shape (steps,)
        Curves with values up to ``step``. The sharpness is the effective one, and NaN where it was
        not measured.
    limit : StabilityLimit
        The stability limit of the update rule.
    measured : mapping of arrays, shape (steps,)
        Further measurements, such as ``directional_sharpness``; NaN where not measured.
    """

    step: int
    loss: Array
    sharpness: Array
    eta: Array
    limit: StabilityLimit
    measured: Mapping[str, Array] = MappingProxyType({})

    @classmethod
    def of(cls, run: Trajectory) -> Snapshot:
        """The snapshot of a finished run."""
        names = [name for curves in CURVES.values() for name in curves]
        measured = {name: getattr(run, name) for name in names if getattr(run, name) is not None}
        sharpness = run.effective_sharpness
        return cls(len(run.loss) - 1, run.loss, sharpness, run.eta, run.limit, measured)

    @property
    def threshold(self) -> Array:
        """The largest stable sharpness at each eta, shape (steps,); infinite at eta 0."""
        return self.limit.sharpness(self.eta)

    @property
    def step_threshold(self) -> Array:
        """2 / eta, shape (steps,): the threshold of directional, critical and batch sharpness."""
        return STEP_LIMIT.sharpness(self.eta)
