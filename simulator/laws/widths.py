"""Laws of `simulator.theory.widths`, measured."""

from __future__ import annotations

__all__: list[str] = []
