"""Activations with their first two derivatives, element by element.

Each function takes pre-activations ``h`` and turns them into activations in place; ``slope`` gets
the first derivative and ``bend`` the second, which the R-operator needs. ReLU and linear bend
nowhere, so ``bend`` is left alone for them.
"""

from __future__ import annotations

import math
from typing import Any

from simulator.numerics.jit import kernel

__all__ = ["CODES", "activate", "bends"]

CODES = {"linear": 0, "relu": 1, "tanh": 2, "erf": 3, "gelu": 4}

_TWO_OVER_SQRT_PI = 2.0 / math.sqrt(math.pi)
_ONE_OVER_SQRT_TWO = 1.0 / math.sqrt(2.0)
_ONE_OVER_SQRT_TWO_PI = 1.0 / math.sqrt(2.0 * math.pi)


def bends(code: int) -> bool:
    """Whether the activation has a second derivative anywhere."""
    return code > CODES["relu"]


@kernel
def _relu(h: Any, slope: Any) -> None:
    for i in range(h.size):
        # NaN must pass through: max(0, NaN) would hide a divergence.
        dead = h[i] <= 0.0
        slope[i] = 0.0 if dead else 1.0
        h[i] = 0.0 if dead else h[i]


@kernel
def _tanh(h: Any, slope: Any, bend: Any) -> None:
    for i in range(h.size):
        value = math.tanh(h[i])
        h[i] = value
        slope[i] = (1.0 - value) * (1.0 + value)
        bend[i] = -2.0 * value * slope[i]


@kernel
def _erf(h: Any, slope: Any, bend: Any) -> None:
    for i in range(h.size):
        z = h[i]
        h[i] = math.erf(z)
        slope[i] = _TWO_OVER_SQRT_PI * math.exp(-z * z)
        bend[i] = -2.0 * z * slope[i]


@kernel
def _gelu(h: Any, slope: Any, bend: Any) -> None:
    # The exact form z Phi(z), not the tanh approximation of it.
    for i in range(h.size):
        z = h[i]
        below = 0.5 * math.erfc(-z * _ONE_OVER_SQRT_TWO)
        density = _ONE_OVER_SQRT_TWO_PI * math.exp(-0.5 * z * z)
        h[i] = z * below
        slope[i] = below + z * density
        bend[i] = (2.0 - z * z) * density


@kernel
def activate(code: int, h: Any, slope: Any, bend: Any) -> None:
    """Replace flat pre-activations ``h`` by activations, filling ``slope`` and ``bend``."""
    if code == 0:
        slope[:] = 1.0
    elif code == 1:
        _relu(h, slope)
    elif code == 2:
        _tanh(h, slope, bend)
    elif code == 3:
        _erf(h, slope, bend)
    else:
        _gelu(h, slope, bend)
