"""The optimizers, by the name that ``--optimizer`` takes."""

from __future__ import annotations

from simulator.optimizers.base import Optimizer
from simulator.optimizers.gd import GD
from simulator.optimizers.momentum import Momentum

__all__ = ["GD", "OPTIMIZERS", "Momentum", "Optimizer"]

OPTIMIZERS: dict[str, type[Optimizer]] = {rule.name: rule for rule in (GD, Momentum)}
