"""Where figures are drawn, and how they become files. matplotlib is imported when one is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from simulator.checks import InputError
from simulator.files import check_target

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["FORMATS", "check_format", "new_axes", "pyplot", "save"]

FORMATS = (".png", ".svg", ".pdf")


def pyplot() -> Any:
    """matplotlib.pyplot, without windows."""
    import matplotlib as mpl

    # No window is ever opened, and the same figure is the same file.
    mpl.use("Agg", force=False)
    mpl.rcParams["svg.hashsalt"] = "warmup"
    import matplotlib.pyplot as plt

    return plt


def new_axes() -> Axes:
    """Empty Axes in a figure of their own.

    Returns
    -------
    Axes
    """
    axes: Axes = pyplot().subplots(figsize=(7.5, 4.8), layout="constrained")[1]
    return axes


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


def save(axes: Axes | Sequence[Axes], path: str | Path) -> None:
    """Write the figure of these axes, and close it.

    Parameters
    ----------
    axes : Axes or sequence of Axes
        Of one figure.
    path : path
        Its ending, .png, .svg or .pdf, says the format.

    Raises
    ------
    InputError
        For another ending, or a folder that is missing.
    """
    path = Path(path)
    check_format(path)
    first = axes if hasattr(axes, "figure") else axes[0]
    figure: Figure = first.figure  # type: ignore[assignment]
    # No date: the same results make the same file.
    metadata = {".png": {}, ".svg": {"Date": None}, ".pdf": {"CreationDate": None}}
    with np.errstate(over="ignore", invalid="ignore"):  # ticks beyond the largest float
        figure.savefig(path, dpi=160, metadata=metadata[path.suffix.lower()])
    pyplot().close(figure)
