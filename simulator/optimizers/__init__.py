"""The optimizers, by the name that ``--optimizer`` takes."""

from __future__ import annotations

from simulator.optimizers.adam import Adam
from simulator.optimizers.adamw import AdamW
from simulator.optimizers.base import Optimizer, StabilityLimit, has_recurrence
from simulator.optimizers.gi_adam import GIAdam
from simulator.optimizers.linear import GD, Momentum, Nesterov
from simulator.optimizers.radam import RAdam
from simulator.optimizers.ri_adam import RIAdam
from simulator.optimizers.rmsprop import RMSProp

__all__ = [
    "GD",
    "OPTIMIZERS",
    "Adam",
    "AdamW",
    "GIAdam",
    "Momentum",
    "Nesterov",
    "Optimizer",
    "RAdam",
    "RIAdam",
    "RMSProp",
    "StabilityLimit",
    "has_recurrence",
]  # fmt: skip

OPTIMIZERS: dict[str, type[Optimizer]] = {
    rule.name: rule
    for rule in (GD, Momentum, Nesterov, RMSProp, Adam, AdamW, GIAdam, RIAdam, RAdam)
}
