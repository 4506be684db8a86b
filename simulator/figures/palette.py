"""Colours of every figure, told apart by lightness alone: they survive a greyscale print."""

from __future__ import annotations

__all__ = [
    "BATCH", "CATAPULT", "CRITICAL", "DIRECTIONAL", "DIVERGED", "EDGE", "ETA", "FULL",
    "INTERACTION", "LOSS", "SHARPNESS", "STUCK", "THRESHOLD",
]  # fmt: skip

# Curves.
LOSS, SHARPNESS, ETA, THRESHOLD = "#08519c", "#a63603", "#238b45", "#252525"
# Other curvatures than the sharpness; their markers tell them apart too.
FULL, BATCH, INTERACTION, DIRECTIONAL, CRITICAL = (
    "#fd8d3c", "#2171b5", "#807dba", "#969696", "#74c476",
)  # fmt: skip
# Stretches of a run behind its curves.
CATAPULT, EDGE = "#d9d9d9", "#e3eef9"
# Cells of a phase diagram that did not train; a hatch tells them apart too.
DIVERGED, STUCK = "#ffffff", "#e2e2e2"
