"""The optimizers, by the names that ``--optimizer`` takes."""

from __future__ import annotations

from simulator.named import instance
from simulator.optimizers.adaptive import Adam, AdamW, GIAdam, RAdam, RIAdam, RMSProp
from simulator.optimizers.base import Optimizer, StabilityLimit, has_recurrence
from simulator.optimizers.linear import GD, LinearOptimizer, Momentum, Nesterov

__all__ = [
    "GD",
    "OPTIMIZERS",
    "Adam",
    "AdamW",
    "GIAdam",
    "LinearOptimizer",
    "Momentum",
    "Nesterov",
    "Optimizer",
    "RAdam",
    "RIAdam",
    "RMSProp",
    "StabilityLimit",
    "as_optimizer",
    "has_recurrence",
]  # fmt: skip

OPTIMIZERS: dict[str, type[Optimizer]] = {
    rule.name: rule
    for rule in (GD, Momentum, Nesterov, RMSProp, Adam, AdamW, GIAdam, RIAdam, RAdam)
}


def as_optimizer(given: object) -> Optimizer:
    """An optimizer from an object, a class or the name of a built-in class; else `InputError`."""
    optimizer: Optimizer = instance("optimizer", given, Optimizer, OPTIMIZERS)
    return optimizer
