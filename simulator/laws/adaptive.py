"""Laws of `simulator.theory.adaptive`, measured."""

from __future__ import annotations

__all__: list[str] = []
