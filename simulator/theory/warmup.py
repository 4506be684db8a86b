"""What warmup is worth: ceiling, gain, first crossing, and the shortest one that survives."""

from __future__ import annotations

__all__: list[str] = []
