"""Where training stops surviving: the boundary of a phase diagram."""

from __future__ import annotations

import numpy as np
import xarray as xr

__all__ = ["boundary", "median", "survived"]


def survived(dataset: xr.Dataset) -> xr.DataArray:
    """Which runs trained, and not by sitting still at an unstable minimum (bool, per run)."""
    return dataset["trainable"] & (dataset["outcome"] != "stuck")


def boundary(dataset: xr.Dataset) -> xr.DataArray:
    """The largest eta_trgt up to which every one on the grid survives; NaN if not the first.

    Dimensions seed, eta_init, t_wrm; in the unit of eta_trgt. Above it there may be islands that
    train again: near the boundary training is chaotic.
    """
    lived = survived(dataset).astype(int).cumprod("eta_trgt").sum("eta_trgt")
    grid = np.concatenate([[np.nan], dataset["eta_trgt"].values])
    return lived.copy(data=grid[lived.values]).rename("boundary")


def median(edges: xr.DataArray) -> xr.DataArray:
    """The upper median over seeds; a seed that trains at nothing counts as the lowest."""
    found = edges.fillna(-np.inf).quantile(0.5, "seed", method="higher")
    return found.where(found > 0)
