"""The look of every picture of a law: lines are predicted, marks are measured."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from numpy.typing import ArrayLike

from simulator.figures.style import write_title

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["MEASURED", "PREDICTED", "finish", "measured", "predicted"]

PREDICTED, MEASURED = "#a63603", "#08519c"


def predicted(
    ax: Axes, x: ArrayLike, y: ArrayLike, label: str | None = None, ls: str = "-", **style: Any
) -> None:
    """Draw a line."""
    look: dict[str, Any] = {"color": PREDICTED, "lw": 1.2} | style
    ax.plot(x, y, ls=ls, label=label, **look)


def measured(
    ax: Axes,
    x: ArrayLike,
    y: ArrayLike,
    label: str | None = None,
    marker: str = "o",
    color: str = MEASURED,
    *,
    filled: bool = False,
    **style: Any,
) -> None:
    """Draw marks, open ones unless ``filled``."""
    face = color if filled else "none"
    ax.plot(x, y, ls="none", marker=marker, mec=color, mfc=face, label=label, **{"ms": 5} | style)


def finish(ax: Axes, xlabel: str, ylabel: str, title: str, loc: Any = "best", **axes: Any) -> None:
    """Say what is drawn, in a title, a legend and along the axes; ``axes`` are as in `Axes.set`."""
    ax.set(xlabel=xlabel, ylabel=ylabel, **axes)
    write_title(ax, title)
    ax.legend(fontsize="small", loc=loc)
