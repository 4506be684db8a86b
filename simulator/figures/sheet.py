"""What a phase diagram shows of a sweep, before it is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulator.arrays import Array
from simulator.checks import InputError, one_of
from simulator.regimes import NATURAL_PHASES, OUTCOMES
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
        Median over the seeds that trained; NaN unless most did. Of counts the lower median; of
        words the place in ``words`` of the most frequent one.
    diverged, stuck : arrays of bool
        Cells that did not train: what most of those seeds did.
    boundary : array, shape (y,) or (x,)
        Where the boundary runs along eta_trgt, if that is x or y: the far edge of the last
        trainable cell, NaN where it is not known. Empty if it is neither.
    whole : bool
        Whether ``middle`` has whole numbers only: counts, or places in ``words``.
    words : tuple of str
        What those places mean.
    """

    x_edges: Array
    y_edges: Array
    middle: Array
    diverged: Array
    stuck: Array
    boundary: Array
    whole: bool = False
    words: tuple[str, ...] = ()


# What the variables that are words may say.
_WORDS = {"outcome": tuple(OUTCOMES), "natural_phase": tuple(NATURAL_PHASES)}


def lay_out(dataset: xr.Dataset, color: str, x: str = "eta_trgt", y: str = "t_wrm") -> Sheet:
    """The cells of ``dataset`` along two of its dimensions, with the median of ``color``.

    All other dimensions but the seed have one value. ``diverged_step`` is that of cells that
    diverged, everything else that of cells that trained.

    Raises
    ------
    InputError
        For a colour that is no number, count, outcome or natural phase of each run.
    """
    words = _WORDS.get(color, ())
    of_each_run = [
        str(name) for name, variable in dataset.data_vars.items()
        if {*variable.dims} == {*dataset["status"].dims}
    ]  # fmt: skip
    drawn = [n for n in of_each_run if n in _WORDS or dataset[n].dtype.kind in "fi"]
    if color in dataset and color not in drawn:
        remedy = "is no number, count, outcome or natural phase of each run; try loss_final"
        raise InputError("color", color, remedy)
    one_of("color", color, sorted(drawn))
    others = [name for name in dataset["status"].dims if name not in ("seed", x, y)]
    sheet = dataset.isel(dict.fromkeys(others, 0)).transpose("seed", y, x, ...)
    done = (sheet["status"] == "done").values
    trained = survived(sheet).values & done
    diverged = sheet["diverged"].values & done
    shown = trained.sum(axis=0) > 0.5 * done.sum(axis=0)
    counted = diverged if color == "diverged_step" else trained
    values = np.where(counted, _numbers(sheet[color]), np.nan)
    # Some parts of a sweep have no such variable.
    known = (counted.sum(axis=0) > 0.5 * done.sum(axis=0)) & np.isfinite(values).any(axis=0)
    middle = np.full(shown.shape, np.nan)
    whole = dataset[color].dtype.kind != "f"
    middle[known] = _middle(values[:, known], whole=whole, words=words)

    failed = ~shown & done.any(axis=0)
    mostly = failed & (diverged.sum(axis=0) >= (done & ~trained & ~diverged).sum(axis=0))
    edges = {name: _edges(sheet[name].values) for name in (x, y)}
    line = np.array([])
    if "eta_trgt" in edges:
        edge = median(boundary(sheet)).values
        passed = np.searchsorted(sheet["eta_trgt"].values, np.nan_to_num(edge), side="right")
        line = edges["eta_trgt"][passed]
        line[np.isnan(edge)] = np.nan
    uncoloured = failed & np.isnan(middle)
    return Sheet(
        edges[x], edges[y], middle, uncoloured & mostly, uncoloured & ~mostly, line, whole, words
    )


def _numbers(variable: xr.DataArray) -> Array:
    """Its values as real numbers, words as their places; NaN where a run has none."""
    words = _WORDS.get(str(variable.name))
    if words is not None:
        places = {word: float(place) for place, word in enumerate(words)}
        values = [places.get(str(word), np.nan) for word in variable.values.ravel()]
        return np.array(values).reshape(variable.shape)
    numbers: Array = variable.values.astype(float)
    return np.where(numbers < 0, np.nan, numbers) if variable.dtype.kind == "i" else numbers


def _middle(values: Array, *, whole: bool, words: Sequence[str]) -> Array:
    """What is shown of the seeds (seeds, cells)."""
    if words:
        votes = [(values == place).sum(axis=0) for place in range(len(words))]
        return np.argmax(votes, axis=0).astype(float)
    if whole:
        lower: Array = np.nanquantile(values, 0.5, axis=0, method="lower")
        return lower
    return np.nanmedian(values, axis=0)


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
