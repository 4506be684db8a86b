"""Laws of `simulator.theory.catapult`, measured."""

from __future__ import annotations

__all__: list[str] = []
