"""Self-stabilisation: the reduced model of one catapult, and what warmup adds to it."""

from __future__ import annotations

__all__: list[str] = []
