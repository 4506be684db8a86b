"""SP, NTP and muP: the variance of a layer's weights, and the multiplier of its output.

A layer computes m * (h @ W + b) with W ~ (0, variance). ``gain`` is the hidden weight variance
``var_w``; a readout has gain 1. muP is the form of the paper's code (Kalra & Barkeshli 2024,
App. D.2; Table 9 of Tensor Programs V): hidden layers spread over fan_out, the multiplier covers
the bias too. One learning rate serves all layers under gradient descent; adaptive optimizers, whose
steps have the same size whatever the gradient's, need a factor for each layer in muP.
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
    # Hidden and readout as in Tensor Programs V; the paper's appendix D.2.1 prints them swapped,
    # and with those, features and outputs move more or less the wider the network is.
    if readout:
        return 1.0 / sqrt(fan_in)
    return 1.0 / sqrt(fan_out) if first else 1.0 / fan_in


# Learning-rate factor of a layer, its bias included, under an adaptive optimizer.
ADAPTIVE_RATES: dict[str, Callable[[int, int, bool, bool], float]] = {"mup": _mup_adaptive}
