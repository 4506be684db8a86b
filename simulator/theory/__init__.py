"""Closed forms: plain functions of numbers and arrays, each with its equation and source.

Nothing here simulates. ``simulator.laws`` compares each prediction with a measurement, and
``tests/theory`` tests properties of each function.

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
