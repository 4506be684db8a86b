"""Central flows: the average motion of a run, and its comparison with the run."""

from __future__ import annotations

from simulator.flows.central import central_flow, described
from simulator.flows.flow import Flow

__all__ = ["Flow", "central_flow", "described"]
