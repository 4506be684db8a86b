"""The models that can be trained, by the name that ``--model`` takes."""

from __future__ import annotations

from simulator.arrays import Array
from simulator.models.base import DTYPES, Model, Objective
from simulator.models.batched import BatchedModel
from simulator.models.custom import Custom
from simulator.models.from_jax import from_jax
from simulator.models.from_torch import from_torch
from simulator.models.mlp import MLP
from simulator.models.quadratic import Quadratic
from simulator.models.uv import UV

__all__ = [
    "DTYPES",
    "MLP",
    "MODELS",
    "UV",
    "Array",
    "BatchedModel",
    "Custom",
    "Model",
    "Objective",
    "Quadratic",
    "from_jax",
    "from_torch",
]  # fmt: skip

MODELS: dict[str, type[Model]] = {model.name: model for model in (MLP, UV, Quadratic)}
