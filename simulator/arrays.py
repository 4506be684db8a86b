"""Types of arrays for annotations."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Array", "Curve", "Real"]

Array = NDArray[Any]
Curve = NDArray[np.float64]
# One number, or an array of them.
Real = float | Array
