"""Closed forms: plain functions of numbers and arrays, each with its equation and its source.

Nothing here simulates. ``simulator.laws`` holds each prediction beside a measurement, and
``tests/theory`` each function to the property that could refute it.

Notation: lambda is a Hessian eigenvalue, z = eta lambda; everything broadcasts. Each function
states its domain, and raises `InputError` outside.
"""

from __future__ import annotations

from simulator.theory import (
    adaptive,
    catapult,
    central,
    chains,
    edge,
    linear,
    noise,
    quadratics,
    scale_invariance,
    stabilization,
    uv,
    warmup,
    widths,
)

__all__ = [
    "adaptive", "catapult", "central", "chains", "edge", "linear", "noise", "quadratics",
    "scale_invariance", "stabilization", "uv", "warmup", "widths",
]  # fmt: skip
