"""exp and tanh in the precision of their argument."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numba.core import types
from numba.core.extending import overload

from simulator.numerics import elementary, elementary32
from simulator.numerics.jit import WITHOUT_WRAPPERS

__all__ = ["exp", "tanh"]


def _by_precision(double: Callable[..., Any], single: Callable[..., Any]) -> Callable[..., Any]:
    """``single`` for a float32 number and ``double`` for others, chosen at compile time."""

    def chosen(x: Any) -> Any:
        return single(x) if isinstance(x, np.float32) else double(x)

    options: Any = {**WITHOUT_WRAPPERS, "forceinline": True}

    @overload(chosen, jit_options=options)
    def choose(x: Any) -> Any:
        function = single if x == types.float32 else double

        def call(x: Any) -> Any:
            return function(x)

        return call

    return chosen


exp = _by_precision(elementary.exp, elementary32.exp)
tanh = _by_precision(elementary.tanh, elementary32.tanh)
