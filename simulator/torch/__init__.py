"""Measuring in a PyTorch training loop of a user's own; a module as a model is `from_torch`."""

from __future__ import annotations

from simulator.torch.probe import Probe

__all__ = ["Probe"]
