"""What a phase diagram shows of a sweep, before it is drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulator.arrays import Array
from simulator.checks import InputError, one_of
from simulator.sweeps.boundary import boundary, median, survived

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["Sheet", "is_logarithmic", "lay_out"]


class Sheet(NamedTuple):
    """The cells of one diagram, over all seeds; arrays of shape (y, x).

    Attributes
    ----------
    x_edges, y_edges : arrays
        Of the cells.
    middle : array
        Median over the seeds that trained; NaN unless most did.
    diverged, stuck : arrays of bool
        Cells that did not train: what most of those seeds did.
    boundary : array, shape (y,) or (x,)
        Where the boundary runs along eta_trgt, if that is x or y: the far edge of the last
        trainable cell, NaN where it is not known. Empty if it is neither.
    """

    x_edges: Array
    y_edges: Array
    middle: Array
    diverged: Array
    stuck: Array
    boundary: Array


def lay_out(dataset: xr.Dataset, color: str, x: str = "eta_trgt", y: str = "t_wrm") -> Sheet:
    """The cells of ``dataset`` along two of its dimensions, with the median of ``color``.

    All other dimensions but the seed have one value.

    Raises
    ------
    InputError
        For a colour that is no number of each run.
    """
    numbers = [
        str(name) for name, variable in dataset.data_vars.items()
        if {*variable.dims} == {*dataset["status"].dims} and variable.dtype.kind == "f"
    ]  # fmt: skip
    if color in dataset and color not in numbers:
        raise InputError("color", color, "is not a real number of each run; try loss_final")
    one_of("color", color, numbers)
    others = [name for name in dataset["status"].dims if name not in ("seed", x, y)]
    sheet = dataset.isel(dict.fromkeys(others, 0)).transpose("seed", y, x, ...)
    done = (sheet["status"] == "done").values
    trained = survived(sheet).values & done
    diverged = sheet["diverged"].values & done
    shown = trained.sum(axis=0) > 0.5 * done.sum(axis=0)
    values = np.where(trained, sheet[color].values, np.nan)
    # Some parts of a sweep have no such variable.
    known = shown & np.isfinite(values).any(axis=0)
    middle = np.full(shown.shape, np.nan)
    middle[known] = np.nanmedian(values[:, known], axis=0)

    failed = ~shown & done.any(axis=0)
    mostly = failed & (diverged.sum(axis=0) >= (done & ~trained & ~diverged).sum(axis=0))
    edges = {name: _edges(sheet[name].values) for name in (x, y)}
    line = np.array([])
    if "eta_trgt" in edges:
        edge = median(boundary(sheet)).values
        passed = np.searchsorted(sheet["eta_trgt"].values, np.nan_to_num(edge), side="right")
        line = edges["eta_trgt"][passed]
        line[np.isnan(edge)] = np.nan
    return Sheet(edges[x], edges[y], middle, mostly, failed & ~mostly, line)


def is_logarithmic(values: Array) -> bool:
    """Whether coordinates have a place on a logarithmic axis; others stand side by side."""
    return values.dtype.kind in "fi" and bool((values > 0).all())


def _edges(centres: Array) -> NDArray[np.float64]:
    """Cell edges halfway between positive centres on a log axis; of other centres between ranks."""
    if not is_logarithmic(centres):
        return np.arange(-0.5, len(centres))
    logs = np.log(np.asarray(centres, dtype=float))
    if logs.size == 1:
        logs = np.clip(logs, np.log(1e-250), np.log(1e250))
        return np.exp(logs[0] + np.array([-0.5, 0.5]))
    inner = 0.5 * (logs[1:] + logs[:-1])
    edges = np.concatenate([[2 * logs[0] - inner[0]], inner, [2 * logs[-1] - inner[-1]]])
    # Beyond, matplotlib cannot place margins and ticks.
    return np.exp(np.clip(edges, np.log(1e-250), np.log(1e250)))
