"""The models, by the names that ``--model`` takes."""

from __future__ import annotations

from simulator.arrays import Array
from simulator.models.base import DTYPES, Model, Objective, precision
from simulator.models.batched import BatchedModel
from simulator.models.custom import Custom
from simulator.models.from_jax import from_jax
from simulator.models.from_torch import from_torch
from simulator.models.mlp import MLP
from simulator.models.quadratic import Quadratic
from simulator.models.uv import UV
from simulator.named import instance

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
    "as_model",
    "from_jax",
    "from_torch",
    "precision",
]  # fmt: skip

MODELS: dict[str, type[Model]] = {model.name: model for model in (MLP, UV, Quadratic)}


def as_model(given: object) -> Model:
    """A model from an object, a class or the name of a built-in class; else `InputError`."""
    model: Model = instance("model", given, Model, MODELS)
    return model
