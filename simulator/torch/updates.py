"""The next update of an optimizer of ``torch.optim``, by its own formulas."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from simulator.models.custom import library

__all__ = ["rule_of"]

Rule = Callable[[Any, Any, Mapping[str, Any], Mapping[str, Any]], Any]


def rule_of(optimizer: Any) -> Rule | None:
    """u of (parameter, gradient, options of its group, state): theta moves by -lr u.

    The state is that before the update, and is not changed. None for optimizers other than SGD,
    Adam and AdamW.
    """
    optim = library("torch").optim
    # A subclass may do something else.
    return {optim.SGD: _sgd, optim.Adam: _adam, optim.AdamW: _adam}.get(type(optimizer))


def _sgd(p: Any, g: Any, group: Mapping[str, Any], state: Mapping[str, Any]) -> Any:
    g = -g if group["maximize"] else g
    if group["weight_decay"]:
        g = g + group["weight_decay"] * p
    momentum = group["momentum"]
    if not momentum:
        return g
    before = state.get("momentum_buffer")
    m = g if before is None else momentum * before + (1 - group["dampening"]) * g
    return g + momentum * m if group["nesterov"] else m


def _adam(p: Any, g: Any, group: Mapping[str, Any], state: Mapping[str, Any]) -> Any:
    torch = library("torch")
    g = -g if group["maximize"] else g
    decay, decoupled = group["weight_decay"], group.get("decoupled_weight_decay", False)
    if decay and not decoupled:
        g = g + decay * p
    (beta1, beta2), t = map(float, group["betas"]), float(state.get("step", 0)) + 1
    m = beta1 * state.get("exp_avg", 0) + (1 - beta1) * g
    v = beta2 * state.get("exp_avg_sq", 0) + (1 - beta2) * g * g
    if group["amsgrad"] and "max_exp_avg_sq" in state:
        v = torch.maximum(state["max_exp_avg_sq"], v)
    u = m / (1 - beta1**t) / (v.sqrt() / math.sqrt(1 - beta2**t) + group["eps"])
    return u + decay * p if decoupled else u
