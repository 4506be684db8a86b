"""Curvature of a loss: top eigenvalues of the Hessian, along an update, and over batches."""

from __future__ import annotations

from simulator.curvature.at_a_point import REFERENCE_TOL, sharpness
from simulator.curvature.leading import LeadingPairs, Pairs
from simulator.curvature.of_batches import batch_sharpness
from simulator.curvature.of_the_step import directional_sharpness
from simulator.curvature.operators import PARTS
from simulator.curvature.ritz_solver import Estimate
from simulator.curvature.spectra import Spectrum, spectrum
from simulator.curvature.tracker import SharpnessTracker

__all__ = [
    "PARTS", "REFERENCE_TOL", "Estimate", "LeadingPairs", "Pairs", "SharpnessTracker", "Spectrum",
    "batch_sharpness", "directional_sharpness", "sharpness", "spectrum",
]  # fmt: skip
