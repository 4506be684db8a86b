"""What closed forms say of a phase diagram, as lines upon it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulator.data import Data
from simulator.models import UV
from simulator.schedules import Warmup
from simulator.shipped import is_shipped
from simulator.sweeps.seed_constants import is_one_example
from simulator.sweeps.spec import Spec
from simulator.theory import warmup

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["Lines", "closed_forms"]

# The paper's start, eta_init = 2 / lam_0, is that of the closed form; so far beside it at most.
_NEAR_THE_EDGE = 0.15


class Lines(NamedTuple):
    """Closed forms in the units of the diagram; NaN where there is none.

    Attributes
    ----------
    eta_max : float
        Largest constant learning rate that is survived: exact where t_wrm is 1.
    ceiling : float
        Learning rate beyond which no warmup helps.
    shortest : array
        t_wrm below which a warmup diverges, at each eta_trgt asked for.
    """

    eta_max: float
    ceiling: float
    shortest: NDArray[np.float64]


def closed_forms(
    dataset: xr.Dataset,
    spec: Spec,
    data: Data | None,
    eta_trgt: NDArray[np.float64],
    eta_init: int = 0,
) -> Lines:
    """Medians over the seeds of ``dataset``, which may be a part of the sweep's.

    They speak of rates that stay at eta_trgt after a warmup. ``shortest`` is `simulator.theory`'s
    ``warmup.shortest_warmup`` from the edge, eta_init = 2 / lam_0, whose residual is known: it is
    that of the start. From 0 it depends on noise in the labels, and one example has none.
    """
    blank = np.full(len(eta_trgt), np.nan)
    if not is_shipped(spec.schedule, Warmup) or spec.schedule.options()["decay"] != "none":
        return Lines(np.nan, np.nan, blank)
    # Every run of a seed has the same; those that were not done have none.
    known = dataset.isel(eta_init=eta_init).transpose("seed", ...)
    unit = (
        _of_seeds(known["eta_critical"].values)
        if spec.eta_unit == "critical"
        else np.ones(known.sizes["seed"])
    )

    def median(name: str) -> float:
        if name not in known:
            return np.nan
        return _median(_of_seeds(known[name].values) / unit)

    shortest = [
        _shortest(spec, data, int(seed), eta_trgt * one, spec.eta_init[eta_init] * one)
        for seed, one in zip(known["seed"].values, unit, strict=True)
        if np.isfinite(one)
    ]
    over_seeds = np.array([_median(column) for column in np.transpose(shortest)])
    return Lines(
        median("theory_eta_max"), median("theory_eta_ceiling"),
        over_seeds if len(over_seeds) else blank,
    )  # fmt: skip


def _shortest(
    spec: Spec, data: Data | None, seed: int, eta_trgt: NDArray[np.float64], eta_init: float
) -> NDArray[np.float64]:
    blank = np.full(len(eta_trgt), np.nan)
    if data is None or not is_one_example(spec, data) or spec.schedule.options()["exponent"] != 1.0:
        return blank
    assert isinstance(spec.model, UV)
    delta, lam, kappa, _ = spec.model.one_example(spec.model.init(data, seed, spec.dtype), data)
    residual = abs(eta_init * kappa * delta)
    at_the_edge = abs(eta_init * lam - 2.0) <= 2.0 * _NEAR_THE_EDGE
    if not at_the_edge or not 0 < residual < 1:
        return blank
    return np.asarray(warmup.shortest_warmup(eta_trgt, lam, residual, eta_init))


def _of_seeds(values: NDArray[np.float64]) -> NDArray[np.float64]:
    flat = values.reshape(len(values), -1)
    return np.array([_median(row) for row in flat])


def _median(values: NDArray[np.float64]) -> float:
    known = values[~np.isnan(values)]
    return float(np.median(known)) if known.size else np.nan
