"""Laws: every prediction of `simulator.theory` held beside a measurement."""

from __future__ import annotations

from importlib import import_module

from simulator.laws.law import LAWS, Finding, Law

__all__ = ["LAWS", "TOPICS", "Finding", "Law"]

# In the order of the table; each file registers its laws.
TOPICS = (
    "quadratics", "noise", "uv", "edge", "catapult", "linear", "widths", "warmup", "stabilization",
    "central", "adaptive", "chains", "scale_invariance",
)  # fmt: skip

for _topic in TOPICS:
    import_module(f"simulator.laws.{_topic}")
