"""The events of a run, found on its curves and described in sentences."""

from __future__ import annotations

from simulator.events.detect import DRIVERS, Catapult, Edge, Events, find_events
from simulator.events.from_log import read_curves
from simulator.events.story import Row, Story, explain

__all__ = [
    "DRIVERS", "Catapult", "Edge", "Events", "Row", "Story", "explain", "find_events",
    "read_curves",
]  # fmt: skip
