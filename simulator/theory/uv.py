"""One example in the UV model: the exact map, its spectrum, its limits, and where it diverges."""

from __future__ import annotations

__all__: list[str] = []
