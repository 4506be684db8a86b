"""SP, NTP and muP: the variance of a layer's weights and the multiplier of its output.

A layer computes m * (h @ W + b) with W ~ (0, variance). ``gain`` is the hidden weight variance
``var_w``; a readout has gain 1. muP is the form of the paper's code (Kalra & Barkeshli 2024, App.
D.2; Table 9 of Tensor Programs V): the hidden variance is divided by fan_out, and the multiplier
covers the bias too. Gradient descent uses one learning rate for all layers. Adaptive optimizers,
whose steps do not scale with the gradient, need a factor for each layer in muP.
"""

from __future__ import annotations

from collections.abc import Callable
from math import sqrt

__all__ = ["ADAPTIVE_RATES", "PARAMETERIZATIONS"]


def _sp(fan_in: int, fan_out: int, gain: float, readout: bool) -> tuple[float, float]:
    return gain / fan_in, 1.0


def _ntp(fan_in: int, fan_out: int, gain: float, readout: bool) -> tuple[float, float]:
    return 1.0, sqrt(gain / fan_in)


def _mup(fan_in: int, fan_out: int, gain: float, readout: bool) -> tuple[float, float]:
    if readout:
        return gain / fan_in, sqrt(1.0 / fan_in)
    return gain / fan_out, sqrt(fan_out / fan_in)


PARAMETERIZATIONS: dict[str, Callable[[int, int, float, bool], tuple[float, float]]] = {
    "sp": _sp,
    "ntp": _ntp,
    "mup": _mup,
}


def _mup_adaptive(fan_in: int, fan_out: int, first: bool, readout: bool) -> float:
    # Hidden and readout as in Tensor Programs V; the paper's appendix D.2.1 swaps them, which makes
    # the change of features and outputs depend on the width.
    if readout:
        return 1.0 / sqrt(fan_in)
    return 1.0 / sqrt(fan_out) if first else 1.0 / fan_in


# Learning-rate factor of a layer and its bias under an adaptive optimizer.
ADAPTIVE_RATES: dict[str, Callable[[int, int, bool, bool], float]] = {"mup": _mup_adaptive}
