"""Ticks along the dimensions of a sweep, as many as there is room for."""

from __future__ import annotations

from typing import Any

from simulator.arrays import Array
from simulator.figures.sheet import is_logarithmic
from simulator.sweeps.over import text_of

__all__ = ["place_ticks"]


def place_ticks(axis: Any, name: str, values: Array) -> None:
    """Powers of two as plain numbers; of other dimensions the values that were run."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullLocator

    class Thinned(FixedLocator):
        """As many of its places as the length of the axis has room for."""

        def __call__(self) -> Any:
            self.nbins = max(axis.get_tick_space(), 2)
            return super().__call__()

    axis.set_minor_locator(NullLocator())
    if not is_logarithmic(values):
        texts = [text_of(value) for value in values]
        axis.set_major_locator(FixedLocator(range(len(values))))
        axis.set_major_formatter(
            FuncFormatter(lambda place, _: texts[int(place)] if 0 <= place < len(texts) else "")
        )
        if axis.axis_name == "x" and sum(map(len, texts)) > 2 * axis.get_tick_space():
            axis.set_tick_params(rotation=30)
            for label in axis.get_ticklabels():
                label.set(ha="right", rotation_mode="anchor")
        return
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    # Multiples of a unit are powers of two, absolute rates as small as these powers of ten.
    base = 2 if values.min() >= 0.05 else 10
    is_eta = name.startswith("eta")
    powers: Any = {"base": base, "numticks": "auto"}
    axis.set_major_locator(LogLocator(**powers) if is_eta else Thinned(values.tolist()))
