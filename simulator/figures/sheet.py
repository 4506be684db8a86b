"""What a phase diagram shows of a sweep, before it is drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulator.checks import InputError
from simulator.sweeps.boundary import boundary, median, survived
from simulator.sweeps.spec import AXES

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["Sheet", "lay_out"]

Array = NDArray[Any]


class Sheet(NamedTuple):
    """The cells of one eta_init, over all seeds; arrays of shape (t_wrm, eta_trgt).

    Attributes
    ----------
    x_edges, y_edges : arrays
        Of the cells, along eta_trgt and t_wrm.
    middle : array
        Median over the seeds that trained; NaN unless most did.
    diverged, stuck : arrays of bool
        Cells that did not train: what most of those seeds did.
    right : array, shape (t_wrm,)
        Where the boundary runs: right edge of the last trainable cell, NaN where it is not known.
    """

    x_edges: Array
    y_edges: Array
    middle: Array
    diverged: Array
    stuck: Array
    right: Array


def lay_out(dataset: xr.Dataset, color: str, eta_init: int = 0) -> Sheet:
    """The cells of ``dataset`` at an index along eta_init, with the median of ``color``.

    Raises
    ------
    InputError
        For a colour that is no number of each run.
    """
    if color not in dataset or dataset[color].dtype.kind != "f" or dataset[color].dims != AXES:
        raise InputError("color", color, "give a variable of real numbers, loss_final say")
    sheet = dataset.isel(eta_init=eta_init).transpose("seed", "t_wrm", "eta_trgt", ...)
    done = (sheet["status"] == "done").values
    trained = survived(sheet).values & done
    diverged = sheet["diverged"].values & done
    shown = trained.sum(axis=0) > 0.5 * done.sum(axis=0)
    values = np.where(trained, sheet[color].values, np.nan)
    middle = np.full(shown.shape, np.nan)
    middle[shown] = np.nanmedian(values[:, shown], axis=0)

    failed = ~shown & done.any(axis=0)
    mostly = failed & (diverged.sum(axis=0) >= (done & ~trained & ~diverged).sum(axis=0))
    x_edges, y_edges = (_edges(sheet[name].values) for name in ("eta_trgt", "t_wrm"))
    edge = median(boundary(sheet)).transpose("t_wrm").values
    right = x_edges[np.searchsorted(sheet["eta_trgt"].values, np.nan_to_num(edge), side="right")]
    right[np.isnan(edge)] = np.nan
    return Sheet(x_edges, y_edges, middle, mostly, failed & ~mostly, right)


def _edges(centres: Array) -> NDArray[np.float64]:
    """Cell edges halfway between positive centres on a log axis."""
    logs = np.log(np.asarray(centres, dtype=float))
    if logs.size == 1:
        logs = np.clip(logs, np.log(1e-250), np.log(1e250))
        return np.exp(logs[0] + np.array([-0.5, 0.5]))
    inner = 0.5 * (logs[1:] + logs[:-1])
    edges = np.concatenate([[2 * logs[0] - inner[0]], inner, [2 * logs[-1] - inner[-1]]])
    # Beyond, matplotlib cannot place margins and ticks.
    return np.exp(np.clip(edges, np.log(1e-250), np.log(1e250)))
