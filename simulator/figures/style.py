"""How figures look: their width, fonts and colours, the same for every kind of figure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import wraps
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from simulator.checks import InputError, finite, one_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["STYLES", "Style", "colormap", "current", "in_style", "styled", "write_title"]

Parameters = ParamSpec("Parameters")
Drawn = TypeVar("Drawn")

# Smallest and largest inches and points.
_BOUNDS = {"width": (1.0, 50.0), "font_size": (1.0, 72.0)}


@dataclass(frozen=True)
class Style:
    """How a figure looks.

    Parameters
    ----------
    width : float, optional
        Inches. Default: that of the kind of figure, 7 to 8.
    font_size : float, optional
        Points. Default: ``font.size`` of matplotlib.
    cmap : str, optional
        Colour map of matplotlib. Default: that of the kind of figure.
    title : bool
        Whether the figure has a title. Titles that tell panels apart always stay.
    caption : bool
        Whether the lower right corner names the model, the optimizer and the seeds.

    Raises
    ------
    InputError
        For a width that is not from 1 to 50 inches, a font size that is not from 1 to 72 points,
        or an unknown colour map.
    """

    width: float | None = None
    font_size: float | None = None
    cmap: str | None = None
    title: bool = True
    caption: bool = False

    def __post_init__(self) -> None:
        for name, (least, most) in _BOUNDS.items():
            value, remedy = getattr(self, name), f"give a number from {least:g} to {most:g}"
            if value is not None and not least <= finite(name, value, remedy) <= most:
                raise InputError(name, value, remedy)
        if self.cmap is not None:
            import matplotlib as mpl

            one_of("cmap", self.cmap, mpl.colormaps)

    def size(self, width: float, height: float) -> tuple[float, float]:
        """Width and height in inches of a figure with this size by default.

        Text does not shrink with the figure, so a narrow figure is higher in proportion.
        """
        if self.width is None:
            return width, height
        return self.width, height * (self.width / width) ** 0.5


# One column, and the whole width of a page of two columns.
STYLES = {
    "screen": Style(),
    "paper": Style(width=3.25, font_size=8, title=False),
    "paper-wide": Style(width=6.75, font_size=8, title=False),
}

_current: ContextVar[Style] = ContextVar("style", default=STYLES["screen"])


def current() -> Style:
    """The style that figures are drawn in now."""
    return _current.get()


def colormap(default: str) -> str:
    """The colour map of the current style, or ``default``."""
    return current().cmap or default


def write_title(ax: Axes, text: str) -> None:
    """The title of a figure, in its uppermost Axes, if the current style has titles."""
    if current().title:
        ax.set_title(text, fontsize="medium")


@contextmanager
def in_style(style: Style | str | None) -> Iterator[None]:
    """Draw in a style, given by its name or as a value. None keeps the current one.

    The settings of matplotlib are restored afterwards.

    Raises
    ------
    InputError
        For an unknown name.
    """
    import matplotlib as mpl

    if style is None:
        style = current()
    elif not isinstance(style, Style):
        style = STYLES[one_of("style", style, STYLES)]
    settings: Any = {}
    if style.font_size is not None:
        settings = {"font.size": style.font_size, "axes.titlesize": "medium"}
    token = _current.set(style)
    try:
        with mpl.rc_context(settings):
            yield
    finally:
        _current.reset(token)


def styled(draw: Callable[Parameters, Drawn]) -> Callable[Parameters, Drawn]:
    """Let a function draw in the style that its argument ``style`` gives."""

    @wraps(draw)
    def drawing(*given: Parameters.args, **options: Parameters.kwargs) -> Drawn:
        with in_style(options.get("style")):  # type: ignore[arg-type]
            return draw(*given, **options)

    return drawing
