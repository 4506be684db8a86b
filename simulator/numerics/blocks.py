"""The shape in which many small runs go side by side, one in each lane of the vector registers.

A block is ``LANES`` runs that take their updates together. What it knows is kept in flat arrays of
rows, a row being one number for every lane: row r is ``rows[r * LANES : (r + 1) * LANES]``. The
innermost loop of every kernel runs over the LANES neighbours of a row, so it is vectorised; the
number is a constant, so the compiler sees that rows do not overlap; and all blocks have as many
lanes, so that a run's bits cannot depend on what it is batched with.

A block advances by chunks of at most ``CHUNK`` updates, which the arrays ``eta``, ``loss`` and
``sharpness`` hold, a row an update. ``UNROLL`` updates are taken at once while a lane's numbers are
in registers.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba.core import config

__all__ = ["CHUNK", "LANES", "UNROLL", "empty_rows"]

# In Python lanes are a loop like any other: tests without the JIT need not run it so many times.
LANES = 2 if config.DISABLE_JIT else 32  # type: ignore[attr-defined]
CHUNK = 32
UNROLL = 4

_REGISTER = 64  # bytes


def empty_rows(count: int) -> Any:
    """``count`` rows of zeros, flat, where a vector register never meets two lines of the cache."""
    spare = _REGISTER // 8
    room = np.zeros(count * LANES + spare)
    start = (-room.ctypes.data // 8) % spare
    return room[start : start + count * LANES]
