"""Activations with their first two derivatives, element by element.

Each function takes pre-activations ``h`` and turns them into activations in place; ``slope`` gets
the first derivative and ``bend`` the second, which the R-operator needs. ReLU and linear bend
nowhere, so ``bend`` is left alone for them.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from simulator.numerics.elementary import erf, normal, tanh
from simulator.numerics.jit import kernel

__all__ = ["CODES", "activate", "bends"]

CODES = {"linear": 0, "relu": 1, "tanh": 2, "erf": 3, "gelu": 4}


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
        value, rest = tanh(h[i])
        h[i] = value
        # 1 - tanh^2, with digits left where tanh is nearly 1.
        derivative = rest * (2.0 - rest)
        slope[i] = derivative
        bend[i] = -2.0 * value * derivative


@kernel
def _erf(h: Any, slope: Any, bend: Any) -> None:
    for i in range(h.size):
        # Beyond 30 nothing is left of the derivatives: infinity times zero must not be NaN.
        z: Any = np.float64(h[i])
        z = -30.0 if z < -30.0 else z
        z = 30.0 if z > 30.0 else z
        value, derivative = erf(z)
        h[i] = value
        slope[i] = derivative
        bend[i] = -2.0 * z * derivative


@kernel
def _gelu(h: Any, slope: Any, bend: Any) -> None:
    # The exact form z Phi(z), not the tanh approximation of it.
    for i in range(h.size):
        value, below, density = normal(h[i])
        z: Any = np.float64(h[i])
        z = -40.0 if z < -40.0 else z
        z = 40.0 if z > 40.0 else z
        h[i] = value
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
