"""SP, NTP and muP: the variance of a layer's weights, and the multiplier of its output.

A layer computes m * (h @ W + b) with W ~ (0, variance). ``gain`` is the hidden weight variance
``var_w``; a readout has gain 1. muP is the form of the paper's code (Kalra & Barkeshli 2024,
App. D.2; Table 9 of Tensor Programs V): hidden layers spread over fan_out, the multiplier covers
the bias too, and one learning rate serves all layers.
"""

from __future__ import annotations

from collections.abc import Callable
from math import sqrt

__all__ = ["PARAMETERIZATIONS"]


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
