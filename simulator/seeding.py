"""Independent random streams: the draws of one purpose never shift those of another."""

from __future__ import annotations

import numpy as np

from simulator.checks import InputError, at_least

__all__ = ["generator"]

# Published results depend on the position of each name: append, never reorder.
_STREAMS = (
    "split", "teacher", "init", "batches", "curvature", "frame", "second_moment", "measured",
    "spectrum",
)  # fmt: skip


def generator(seed: int, stream: str, *indices: int) -> np.random.Generator:
    """A generator for one purpose of one seed, and for one index (such as an epoch) within it."""
    if at_least("seed", seed, 0) >= 2**63:
        raise InputError("seed", seed, "give a whole number from 0 to 2^63 - 1")
    key = (_STREAMS.index(stream), *indices)
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(seed, spawn_key=key)))
