"""The scripts of the page, and what the pointer shows by them."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bokeh.models import ColumnDataSource, HoverTool

__all__ = ["code", "hover"]


def code(*names: str) -> str:
    """The scripts of these names, one after the other."""
    here = files("simulator.reporting")
    return "".join(here.joinpath(f"{name}.js").read_text("utf-8") for name in names)


def hover(source: ColumnDataSource, columns: dict[str, str], **options: Any) -> HoverTool:
    """Show values under the pointer: by its label, a column of the source."""
    from bokeh.models import CustomJSHover, HoverTool

    # By the index, as Bokeh itself formats a value that is not finite.
    value = CustomJSHover(
        args={"source": source}, code=f"{code('plain')}return plain(source.data[format][value])"
    )
    tooltips = [(label, f"$index{{{name}}}") for label, name in columns.items()]
    return HoverTool(tooltips=tooltips, formatters={"$index": value}, **options)
