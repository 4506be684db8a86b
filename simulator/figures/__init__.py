"""Figures: functions from results to Axes."""

from __future__ import annotations

from simulator.figures.about import about_cell, about_experiment
from simulator.figures.canvas import FORMATS, check_format, describe, new_axes, save, shows
from simulator.figures.comparison import compare
from simulator.figures.curvature import CURVATURE_AXES
from simulator.figures.inline import inline
from simulator.figures.of_a_flow import flow
from simulator.figures.of_a_run import trajectory
from simulator.figures.of_a_sweep import phase_diagram
from simulator.figures.of_spectra import spectra, with_spectra
from simulator.figures.style import STYLES, Style, in_style
from simulator.figures.symbols import labelled

__all__ = [
    "CURVATURE_AXES", "FORMATS", "STYLES", "Style", "about_cell", "about_experiment",
    "check_format", "compare", "describe", "flow", "in_style", "inline", "labelled", "new_axes",
    "phase_diagram", "save", "shows", "spectra", "trajectory", "with_spectra",
]  # fmt: skip
