"""How much room there is in a figure for its text, in font sizes."""

from __future__ import annotations

import re
from typing import Any

__all__ = ["em", "is_narrow", "room_for", "wrap_labels"]

# Where there is less room, colour bars lie below, and legends have one column.
_NARROW = 26.0


def em(figure: Any) -> float:
    """The font size in pixels."""
    from matplotlib import rcParams

    return float(rcParams["font.size"] * figure.dpi / 72.0)


def room_for(axes: Any) -> float:
    """Width in font sizes of all these Axes: of one its own, of several that of the figure."""
    figure = axes[0].figure
    # A figure has room for the labels of axes too.
    width = 0.8 * figure.bbox.width if len(axes) > 1 else axes[0].get_window_extent().width
    return float(width / em(figure))


def is_narrow(axes: Any) -> bool:
    """Whether there is little room in their width."""
    return room_for(axes) < _NARROW


def wrap_labels(figure: Any) -> None:
    """Break the labels of axes that are longer than their axis."""
    for ax in figure.axes:
        box = ax.get_window_extent()
        for axis, length in ((ax.xaxis, box.width), (ax.yaxis, box.height)):
            axis.label.set_text(_broken(axis.label.get_text(), 2.0 * length / em(figure)))


def _broken(text: str, most: float) -> str:
    """In lines of so many letters at most, if its words allow that; formulas are words."""
    lines, used = [""], 0
    for word in re.findall(r"\n|(?:\$[^$]*\$|[^\s$])+", text):
        letters = len(re.sub(r"\\[A-Za-z]+|[{}$_^\\]", "", word)) + word.count("\\")
        if word == "\n" or (used and used + 1 + letters > most):
            lines, used = [*lines, ""], 0
        if word != "\n":
            lines[-1] = f"{lines[-1]} {word}".strip()
            used += letters + 1
    return "\n".join(lines)
