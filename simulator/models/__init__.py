"""The models that can be trained, by the name that ``--model`` takes."""

from __future__ import annotations

from simulator.models.base import Array, Model, Objective
from simulator.models.lanes import Lanes
from simulator.models.mlp import MLP
from simulator.models.quadratic import Quadratic
from simulator.models.uv import UV

__all__ = ["MLP", "MODELS", "UV", "Array", "Lanes", "Model", "Objective", "Quadratic"]

MODELS: dict[str, type[Model]] = {model.name: model for model in (MLP, UV, Quadratic)}
