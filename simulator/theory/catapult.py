"""The catapult of the UV model: when it peaks, how high, and how flat it leaves the network."""

from __future__ import annotations

__all__: list[str] = []
