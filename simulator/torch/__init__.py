"""Measure in a user's PyTorch training loop; `from_torch` makes a model from a module."""

from __future__ import annotations

from simulator.torch.probe import Probe

__all__ = ["Probe"]
