"""The report of a sweep as a page: its diagram, and every run behind a cell."""

from __future__ import annotations

from simulator.reporting.again import chunks_with_curves, refuse_slow
from simulator.reporting.page import MOST_RUNS, page

__all__ = ["MOST_RUNS", "chunks_with_curves", "page", "refuse_slow"]
