"""Activations, and what they do on the way back and along a direction, element by element.

All arrays are flat and hold one layer. Forwards, pre-activations become activations ``h``, in
place; ``slope`` gets the first derivative and ``bend`` the second, where they cannot be had from
``h``: the slope of ReLU and the bend of tanh can, and linear has none. `turn_back` leaves the
bend times dL/dh, which is what the R-operator needs of it. ``m`` is the multiplier of the layer,
taken along because each of these would otherwise need a pass of its own to multiply by it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from simulator.numerics.elementary import erf, normal
from simulator.numerics.fused import fma
from simulator.numerics.jit import nested
from simulator.numerics.precision import tanh

__all__ = [
    "CODES", "activate", "along", "back_along", "keeps_bend", "keeps_slope", "scale", "turn_back",
]  # fmt: skip

CODES = {"linear": 0, "relu": 1, "tanh": 2, "erf": 3, "gelu": 4}


def keeps_slope(code: int) -> bool:
    """Whether `activate` fills ``slope``."""
    return code > CODES["relu"]


def keeps_bend(code: int) -> bool:
    """Whether `activate` fills ``bend``."""
    return code > CODES["tanh"]


@nested
def _relu(h: Any, m: float) -> None:
    for i in range(h.size):
        z = m * h[i]
        # NaN must pass through: max(0, NaN) would hide a divergence.
        h[i] = 0.0 if z <= 0.0 else z


@nested
def _tanh(h: Any, slope: Any, m: float) -> None:
    for i in range(h.size):
        value, rest = tanh(m * h[i])
        h[i] = value
        # 1 - tanh^2, with digits left where tanh is nearly 1.
        slope[i] = fma(-rest, rest, rest + rest)


@nested
def _erf(h: Any, slope: Any, bend: Any, m: float) -> None:
    for i in range(h.size):
        # Beyond 30 nothing is left of the derivatives: infinity times zero must not be NaN.
        z: Any = np.float64(m * h[i])
        z = -30.0 if z < -30.0 else z
        z = 30.0 if z > 30.0 else z
        value, derivative = erf(z)
        h[i] = value
        slope[i] = derivative
        bend[i] = -2.0 * z * derivative


@nested
def _gelu(h: Any, slope: Any, bend: Any, m: float) -> None:
    # The exact form z Phi(z), not the tanh approximation of it.
    for i in range(h.size):
        z: Any = np.float64(m * h[i])
        value, below, density = normal(z)
        z = -40.0 if z < -40.0 else z
        z = 40.0 if z > 40.0 else z
        h[i] = value
        slope[i] = below + z * density
        bend[i] = (2.0 - z * z) * density


@nested
def scale(h: Any, m: float) -> None:
    """Multiply by ``m``."""
    if m != 1.0:
        for i in range(h.size):
            h[i] *= m


@nested
def activate(code: int, h: Any, slope: Any, bend: Any, m: float) -> None:
    """Turn ``h`` from z / m into act(z), filling ``slope`` and ``bend`` where they are kept."""
    if code == 0:
        scale(h, m)
    elif code == 1:
        _relu(h, m)
    elif code == 2:
        _tanh(h, slope, m)
    elif code == 3:
        _erf(h, slope, bend, m)
    else:
        _gelu(h, slope, bend, m)


@nested
def _gate(dead: float, h: Any, m: float, d: Any) -> None:
    """Multiply by ``m`` where the unit lives, and by ``dead`` elsewhere."""
    # Literals would make float64 of it all.
    zero, live, less = h.dtype.type(0), h.dtype.type(m), h.dtype.type(dead)
    for i in range(d.size):
        d[i] *= less if h[i] <= zero else live


@nested
def turn_back(code: int, h: Any, slope: Any, bend: Any, m: float, d: Any) -> None:
    """Turn ``d`` from dL/dh into m dL/dz, and ``bend`` into bend dL/dh."""
    if code <= 1:
        _gate(m if code == 0 else 0.0, h, m, d)
        return
    if code > 2:
        for i in range(d.size):
            bend[i] *= d[i]
    for i in range(d.size):
        d[i] *= m * slope[i]


@nested
def along(
    code: int, h: Any, slope: Any, bend: Any, delta: Any, m: float, rz: Any, kept: Any
) -> None:
    """Turn ``rz`` from R{z} / m into R{h}; act''(z) R{z} dL/dh is ``kept`` for the way back."""
    if code <= 1:
        _gate(m if code == 0 else 0.0, h, m, rz)
        return
    if code == 2:
        # tanh'' = -2 tanh tanh', and delta is m tanh' dL/dh.
        for i in range(rz.size):
            kept[i] = -(h[i] + h[i]) * delta[i] * rz[i]
            rz[i] *= m * slope[i]
    else:
        for i in range(rz.size):
            kept[i] = m * bend[i] * rz[i]
            rz[i] *= m * slope[i]


@nested
def back_along(code: int, h: Any, slope: Any, m: float, re: Any, more: Any, rd: Any) -> None:
    """m R{dL/dz} into ``rd``, which holds what `along` kept; R{dL/dh} is ``re`` and ``more``."""
    if code <= 1:
        for i in range(rd.size):
            rd[i] = re[i] + more[i]
        _gate(m if code == 0 else 0.0, h, m, rd)
    else:
        for i in range(rd.size):
            rd[i] = m * (rd[i] + slope[i] * (re[i] + more[i]))
