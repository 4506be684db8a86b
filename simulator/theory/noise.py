"""Minibatches on quadratics: mean-square stability, and how far noise spreads the parameters."""

from __future__ import annotations

__all__: list[str] = []
