"""Laws of `simulator.theory.noise`, measured."""

from __future__ import annotations

__all__: list[str] = []
