"""Laws of `simulator.theory.edge`, measured."""

from __future__ import annotations

__all__: list[str] = []
