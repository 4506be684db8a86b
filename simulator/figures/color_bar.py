"""The colour bar of phase diagrams."""

from __future__ import annotations

from textwrap import wrap
from typing import TYPE_CHECKING, Any

from simulator.figures.colors import Scale
from simulator.figures.room import em, is_narrow, room_for

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw_bar"]

# Where there is less room, in font sizes, the label is short.
_SMALL = 15.0


def draw_bar(mesh: Any, axes: Any, scale: Scale, name: str, of: str) -> Axes:
    """A colour bar to the right of the diagrams, or below narrow ones.

    Its label is the ``name`` of what is drawn, and ``of`` what, where there is room for that.
    """
    figure, room = axes[0].figure, room_for(axes)
    narrow = is_narrow(axes)
    height = axes[0].get_window_extent().height / em(figure)
    length = 0.9 * room if narrow else 0.85 * figure.bbox.height / em(figure)
    letters = max(12, int(1.8 * length))
    label = wrap(name, letters)
    if of and room > _SMALL:
        label = wrap(f"{name} {of}", letters) if len(name) + len(of) < letters else [*label, of]
    options: dict[str, Any] = {"pad": 0.02}
    if narrow and figure.get_layout_engine() is None:
        # Nothing else makes room for the ticks between the two, and for more lines of the label.
        box = axes[0].get_position()
        below = 1.2 * len(label) + 2.0 - box.y0 * figure.bbox.height / em(figure)
        lifted = max(1.2 * (len(label) - 1), below) * em(figure) / figure.bbox.height
        axes[0].set_position((box.x0, box.y0 + lifted, box.width, box.height - lifted))
        height = axes[0].get_window_extent().height / em(figure)
        options = {"pad": 4.2 / height, "use_gridspec": False}
    bar = figure.colorbar(
        mesh, ax=list(axes), extend=scale.extend, location="bottom" if narrow else "right",
        aspect=20 if narrow else 25, **options,
    )  # fmt: skip
    bar.set_label("\n".join(label))
    _place_ticks(bar, scale, 0.2 * length if narrow else 0.4 * length, narrow=narrow)
    return bar.ax


def _place_ticks(bar: Any, scale: Scale, most: float, *, narrow: bool) -> None:
    """Not more than there is room for; of counts and words all of them."""
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

    if scale.ticks is None:
        few, norm = max(2, min(7, int(most))), bar.norm
        decades = norm.vmax >= 10.0 * norm.vmin > 0.0
        bar.locator = LogLocator(numticks=few) if decades else MaxNLocator(few)
        bar.minorlocator = NullLocator()
        bar.formatter = FuncFormatter(lambda value, _: f"{value:g}")
        bar.update_ticks()
        return
    bar.set_ticks(list(scale.ticks), labels=list(scale.ticks.values()))
    bar.ax.tick_params(length=0)
    if narrow and sum(map(len, scale.ticks.values())) > 8.0 * most:
        bar.ax.tick_params(axis="x", rotation=30)
        for text in bar.ax.get_xticklabels():
            text.set(ha="right", rotation_mode="anchor")
