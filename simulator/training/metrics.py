"""Accuracy and test loss of a trained network."""

from __future__ import annotations

import math

import numpy as np

from simulator.data import Data
from simulator.models import Array, Model, Objective

__all__ = ["test_metrics"]


def test_metrics(
    model: Model, objective: Objective, theta: Array, data: Data | None
) -> tuple[float, float, float]:
    """Training accuracy, test loss and test accuracy; NaN if not defined."""
    if data is None:
        return math.nan, math.nan, math.nan
    accuracy = _accuracy(objective, theta, data.x, data.y) if data.classes else math.nan
    if data.test is None or data.y_test is None:
        return accuracy, math.nan, math.nan
    test_loss = model.bind(data.test, objective.dtype.name).loss(theta)
    test_accuracy = (
        _accuracy(objective, theta, data.test.x, data.y_test) if data.classes else math.nan
    )
    return accuracy, test_loss, test_accuracy


def _accuracy(objective: Objective, theta: Array, x: Array, labels: Array) -> float:
    outputs = objective.outputs(theta, x.astype(objective.dtype, copy=False))
    return math.nan if outputs is None else float(np.mean(outputs.argmax(axis=1) == labels))
