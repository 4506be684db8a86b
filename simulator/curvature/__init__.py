"""Sharpness: the top eigenvalue of the Hessian, at a point and along training."""

from __future__ import annotations

from simulator.curvature.at_a_point import REFERENCE_TOL, sharpness
from simulator.curvature.leading import LeadingPairs, Pairs
from simulator.curvature.ritz_solver import Estimate
from simulator.curvature.tracker import SharpnessTracker

__all__ = [
    "REFERENCE_TOL", "Estimate", "LeadingPairs", "Pairs", "SharpnessTracker", "sharpness",
]  # fmt: skip
