"""Figures: functions from results to Axes."""

from __future__ import annotations

from simulator.figures.canvas import FORMATS, check_format, new_axes, save
from simulator.figures.comparison import compare
from simulator.figures.curvature import CURVATURE_AXES
from simulator.figures.inline import inline
from simulator.figures.of_a_flow import flow
from simulator.figures.of_a_run import trajectory
from simulator.figures.of_a_sweep import phase_diagram
from simulator.figures.of_spectra import spectra, with_spectra
from simulator.figures.style import STYLES, Style

__all__ = [
    "CURVATURE_AXES", "FORMATS", "STYLES", "Style", "check_format", "compare", "flow", "inline",
    "new_axes", "phase_diagram", "save", "spectra", "trajectory", "with_spectra",
]  # fmt: skip
