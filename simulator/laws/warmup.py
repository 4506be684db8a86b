"""Laws of `simulator.theory.warmup`, measured."""

from __future__ import annotations

__all__: list[str] = []
