"""Laws of `simulator.theory.stabilization`, measured."""

from __future__ import annotations

__all__: list[str] = []
