"""Results as a notebook shows them: the line that Python prints, and a small picture."""

from __future__ import annotations

import base64
import html
import io
from typing import TYPE_CHECKING

import numpy as np

from simulator.data import Data
from simulator.figures.canvas import new_axes, pyplot
from simulator.figures.of_a_flow import flow
from simulator.figures.of_a_run import trajectory
from simulator.figures.style import colormap
from simulator.trajectory import Trajectory
from simulator.value import Value

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["inline"]


def inline(result: Value) -> str:
    """HTML of a result: its ``repr``, and its figure if there is one.

    Of data, the samples along their first two principal components, in the colours of classes.

    Parameters
    ----------
    result : Run, Trajectory, Flow, Data or Checkpoint

    Returns
    -------
    str
    """
    text = f"<code>{html.escape(repr(result))}</code>"
    if isinstance(result, Data):
        axes = _scatter(result)
    elif isinstance(result, Trajectory):
        axes = trajectory(result)[0]
    elif getattr(result, "run", None) is not None:
        axes = flow(result)[0]  # type: ignore[arg-type]
    else:
        return text
    figure, file = axes.figure, io.BytesIO()
    with np.errstate(over="ignore", invalid="ignore"):  # ticks beyond the largest float
        figure.savefig(file, format="png", dpi=72)  # type: ignore[union-attr]
    pyplot().close(figure)
    picture = base64.b64encode(file.getvalue()).decode()
    return f'{text}<br><img alt="" src="data:image/png;base64,{picture}">'


def _scatter(data: Data) -> Axes:
    axes = new_axes()
    centred = data.x - data.x.mean(axis=0)
    _, _, directions = np.linalg.svd(centred, full_matrices=False)
    along = np.zeros((data.samples, 2))
    found = centred @ directions[:2].T
    along[:, : found.shape[1]] = found
    color = data.y if data.classes else data.y[:, 0]
    points = axes.scatter(along[:, 0], along[:, 1], c=color, cmap=colormap("viridis"), s=12)
    axes.figure.colorbar(points, label="class" if data.classes else "first target")
    axes.set(xlabel="first principal component", ylabel="second")
    return axes
