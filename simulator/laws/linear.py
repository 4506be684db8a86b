"""Laws of `simulator.theory.linear`, measured."""

from __future__ import annotations

__all__: list[str] = []
