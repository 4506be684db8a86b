"""Where training stops surviving: the boundary of a phase diagram."""

from __future__ import annotations

import numpy as np
import xarray as xr

__all__ = ["boundary"]


def boundary(dataset: xr.Dataset) -> xr.DataArray:
    """The largest eta_trgt up to which every one on the grid is trainable; NaN if not the first.

    Dimensions seed, eta_init, t_wrm; in the unit of eta_trgt. Above it there may be islands that
    train again: near the boundary training is chaotic.
    """
    trains = dataset["trainable"].astype(int).cumprod("eta_trgt").sum("eta_trgt")
    grid = np.concatenate([[np.nan], dataset["eta_trgt"].values])
    return trains.copy(data=grid[trains.values]).rename("boundary")
