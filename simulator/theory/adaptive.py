"""Adam and its kin: the first step, pre-conditioned sharpness, and GI-Adam's hidden warmup."""

from __future__ import annotations

__all__: list[str] = []
