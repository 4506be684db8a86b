"""Two-layer linear networks with many examples: exact steps, Gram space, and their Hessians."""

from __future__ import annotations

__all__: list[str] = []
