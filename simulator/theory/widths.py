"""What width and parameterization do: kernels at initialisation, feature learning, transfer."""

from __future__ import annotations

__all__: list[str] = []
