"""The MLP of `simulator.models.mlp` as one writes it in JAX and in PyTorch: the loss, and views.

Without biases, which no contest here has. ``m`` are the forward multipliers of the
parameterization, 1 in SP.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

import simulator as sim
from simulator.parameterizations import PARAMETERIZATIONS


def split(theta: Any, widths: Sequence[int]) -> list[Any]:
    """The weights (fan_in, fan_out) in a flat theta, for arrays of any library."""
    ends = np.cumsum([0, *(a * b for a, b in pairwise(widths))])
    layers = zip(pairwise(ends), pairwise(widths), strict=True)
    return [theta[start:end].reshape(shape) for (start, end), shape in layers]


def multipliers(model: sim.MLP, widths: Sequence[int]) -> list[float]:
    """The factors m_l, as plain numbers."""
    rule, last = PARAMETERIZATIONS[model.parameterization], len(widths) - 2
    return [
        float(rule(a, b, 1.0 if i == last else model.var_w, i == last)[1])
        for i, (a, b) in enumerate(pairwise(widths))
    ]


def jax_loss(model: sim.MLP, widths: Sequence[int]) -> Callable[..., Any]:
    """Loss as a function of the list of weights, x and y."""
    import jax
    import jax.numpy as jnp

    m = multipliers(model, widths)
    activation = {"relu": jax.nn.relu, "tanh": jnp.tanh}[model.activation]

    def loss(weights: list[Any], x: Any, y: Any) -> Any:
        h = x
        for factor, w in zip(m[:-1], weights[:-1], strict=True):
            h = activation(h @ w if factor == 1 else factor * (h @ w))
        z = h @ weights[-1] if m[-1] == 1 else m[-1] * (h @ weights[-1])
        if model.loss == "mse":
            return 0.5 * jnp.mean((z - y) ** 2)
        return -jnp.sum(y * jax.nn.log_softmax(z)) / x.shape[0]

    return loss


def torch_loss(model: sim.MLP, widths: Sequence[int]) -> Callable[..., Any]:
    """The same for PyTorch."""
    import torch

    m = multipliers(model, widths)
    activation = {"relu": torch.relu, "tanh": torch.tanh}[model.activation]

    def loss(weights: list[Any], x: Any, y: Any) -> Any:
        h = x
        for factor, w in zip(m[:-1], weights[:-1], strict=True):
            h = activation(h @ w if factor == 1 else factor * (h @ w))
        z = h @ weights[-1] if m[-1] == 1 else m[-1] * (h @ weights[-1])
        if model.loss == "mse":
            return 0.5 * torch.mean((z - y) ** 2)
        return -torch.sum(y * torch.log_softmax(z, dim=1)) / x.shape[0]

    return loss
