"""Where figures are drawn, and how they become files. matplotlib is imported when one is drawn."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np

import simulator
from simulator.checks import InputError
from simulator.figures.about import About, about, in_short, merged
from simulator.figures.room import wrap_labels
from simulator.figures.style import current
from simulator.files import check_target, open_file, write_whole

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "FORMATS", "check_format", "describe", "new_axes", "pyplot", "save", "shows", "subplots",
]  # fmt: skip

FORMATS = (".png", ".svg", ".pdf")

# TrueType fonts in PDF, for journals refuse Type 3; text as text; the same file every time.
_FILES: Any = {
    "pdf.fonttype": 42, "ps.fonttype": 42, "svg.fonttype": "none", "svg.hashsalt": "warmup",
}  # fmt: skip

# What is shown in figures of this package's making.
_figures: WeakKeyDictionary[Figure, About] = WeakKeyDictionary()


def pyplot() -> Any:
    """matplotlib.pyplot, imported when it is needed."""
    import matplotlib.pyplot as plt

    return plt


def subplots(rows: int, columns: int, size: tuple[float, float], **options: Any) -> Any:
    """New Axes, an array (rows, columns); the size in inches is that in the default style."""
    figure, axes = pyplot().subplots(
        rows, columns, figsize=current().size(*size), layout="constrained", squeeze=False, **options
    )
    _figures[figure] = {}
    return axes


def new_axes() -> Axes:
    """Empty Axes in a figure of their own.

    Returns
    -------
    Axes
    """
    axes: Axes = subplots(1, 1, (7.5, 4.8))[0, 0]
    return axes


def describe(axes: Any, *of: object) -> None:
    """Note on the figure of these axes what it shows, and write that in its corner if asked to.

    Of a figure that was there before, only the note changes.
    """
    figure = _figure(axes)
    ours = figure in _figures
    found = merged(one if isinstance(one, dict) else about(one) for one in of)
    known = _figures.setdefault(figure, {})
    if (size := current().font_size) is not None:
        # Ticks are made when they are drawn, and Axes that were given had their labels before.
        every: Any = figure.axes if ours else np.atleast_1d(axes)
        for ax in every:
            ax.tick_params(which="both", labelsize=size)
            ax.xaxis.label.set_size(size)
            ax.yaxis.label.set_size(size)
    if ours and current().width is not None:
        wrap_labels(figure)
    if ours and current().caption and not known and (text := in_short(found)):
        figure.supxlabel(text, x=0.995, ha="right", fontsize="x-small", color="#595959", wrap=True)
    known.update(found)


def check_format(path: Path) -> None:
    """Refuse a figure file that could not be written.

    Parameters
    ----------
    path : path
        Ending in .png, .svg or .pdf, in a folder that exists.

    Raises
    ------
    InputError
    """
    if path.suffix.lower() not in FORMATS:
        raise InputError("figure", path, f"unknown format; end the name in {', '.join(FORMATS)}")
    check_target("figure", path)


def save(
    axes: Axes | Sequence[Axes],
    path: str | Path,
    about: Mapping[str, str] | None = None,
    command: str = "",
) -> None:
    """Write the figure of these axes, and close it. A file that is there is replaced.

    The file says what it shows: the model, the optimizer, the seed and so on, in the text chunks of
    a PNG, the metadata of an SVG, the properties of a PDF. There is no date in it, so the same
    results make the same file. Fonts in a PDF are TrueType (Type 42), text in an SVG is text.

    Parameters
    ----------
    axes : Axes or sequence of Axes
        Of one figure.
    path : path
        Its ending, .png, .svg or .pdf, says the format.
    about : mapping from str to str, optional
        What it shows. Default: what is known of the results that were drawn.
    command : str, optional
        What made it.

    Raises
    ------
    InputError
        For another ending, a folder that is missing, or a file that cannot be written.
    """
    import matplotlib as mpl

    path = Path(path)
    check_format(path)
    figure, file, ending = _figure(axes), io.BytesIO(), path.suffix.lower()
    about = _figures.get(figure, {}) if about is None else about
    with mpl.rc_context(_FILES), np.errstate(over="ignore", invalid="ignore"):
        # Ticks may lie beyond the largest float.
        figure.savefig(file, format=ending[1:], dpi=160, metadata=_metadata(ending, about, command))
    write_whole("figure", path, file.getvalue())
    pyplot().close(figure)


def shows(path: Path, about: Mapping[str, str]) -> bool:
    """Whether a file is a figure of this package's making that shows just this."""
    try:
        with open_file("figure", path) as file:
            return _mark(about).encode() in file.read()
    except (InputError, OSError):
        return False


def _figure(axes: Any) -> Figure:
    return axes.figure if hasattr(axes, "figure") else axes[0].figure


def _mark(about: Mapping[str, str]) -> str:
    """A word for what is shown, that can be found in the bytes of any format."""
    digest = hashlib.sha256(json.dumps(dict(about), sort_keys=True).encode()).hexdigest()
    return f"warmup-figure-{digest[:16]}"


def _metadata(ending: str, about: Mapping[str, str], command: str) -> dict[str, Any]:
    """The same of every format, under the names that it has for them."""
    lines = [f"{name}: {text}" for name, text in about.items()]
    lines += [f"command: {command}"] if command else []
    maker = f"warmup-simulator {simulator.__version__}"
    title, text, mark = in_short(about) or "warmup", "\n".join(lines), _mark(about)
    if ending == ".png":
        return {"Title": title, "Description": text, "Keywords": mark, "Software": maker}
    if ending == ".svg":
        shown = {"Title": title, "Description": text, "Keywords": [mark]}
        return {**shown, "Creator": maker, "Date": None}
    shown = {"Title": title, "Subject": text, "Keywords": mark}
    return {**shown, "Creator": maker, "CreationDate": None}
