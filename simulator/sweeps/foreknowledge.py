"""What is known of a seed before any run: the unit of its learning rates."""

from __future__ import annotations

from simulator.data import Data
from simulator.sweeps.spec import Spec
from simulator.training import critical_eta

__all__ = ["foreknowledge"]


def foreknowledge(spec: Spec, data: Data | None, seed: int) -> dict[str, float]:
    """The values that all runs of a seed share, by the names of their variables in the store."""
    unit = critical_eta(spec.model, data, spec.optimizer, seed, spec.dtype, spec.rates(data))
    return {"eta_critical": unit}
