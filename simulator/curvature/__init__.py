"""Sharpness: the top eigenvalue of the Hessian, at a point and along training."""

from __future__ import annotations

from simulator.curvature.at_a_point import REFERENCE_ACCURACY, sharpness
from simulator.curvature.following import Estimate
from simulator.curvature.tracker import Tracker

__all__ = ["REFERENCE_ACCURACY", "Estimate", "Tracker", "sharpness"]
