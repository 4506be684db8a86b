"""Laws of `simulator.theory.uv`, measured."""

from __future__ import annotations

__all__: list[str] = []
