"""Beyond the edge of stability in the UV model: the cubic map, its cycles and its chaos."""

from __future__ import annotations

__all__: list[str] = []
