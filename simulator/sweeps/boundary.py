"""The boundary of a phase diagram, where training stops succeeding."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["boundary", "median", "survived"]


def survived(dataset: xr.Dataset) -> xr.DataArray:
    """Whether each run trained, other than by staying at an unstable minimum (bool)."""
    return dataset["trainable"] & (dataset["outcome"] != "stuck")


def boundary(dataset: xr.Dataset) -> xr.DataArray:
    """The largest eta_trgt such that it and all smaller ones on the grid survive; 0 without.

    Dimensions seed, eta_init, t_wrm; in the unit of eta_trgt. NaN where the deciding run has not
    been done. Islands above it may train again, because training near the boundary is chaotic.
    """
    done = dataset["status"] == "done"
    lived = (survived(dataset) & done).astype(int).cumprod("eta_trgt").sum("eta_trgt")
    settled = done.astype(int).cumprod("eta_trgt").sum("eta_trgt")
    grid = np.concatenate([[0.0], dataset["eta_trgt"].values])
    edge = lived.copy(data=grid[lived.values])
    decided = (settled > lived) | (lived == dataset.sizes["eta_trgt"])
    return edge.where(decided).rename("boundary")


def median(edges: xr.DataArray) -> xr.DataArray:
    """The largest eta_trgt up to which most decided seeds survive; NaN without any.

    That is the lower median of the seeds' boundaries, so that line and cells of a diagram agree.
    """
    ordered = np.sort(edges.transpose("seed", ...).values, axis=0)
    counts = np.isfinite(ordered).sum(axis=0)
    middle = np.take_along_axis(ordered, (np.maximum(counts - 1, 0) // 2)[None], axis=0)[0]
    return edges.isel(seed=0, drop=True).copy(data=np.where(counts > 0, middle, np.nan))
