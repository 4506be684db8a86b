"""What the page has of every run: its description, its numbers, and its curves, packed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from simulator.arrays import Array
from simulator.data import Data
from simulator.events import Events, explain
from simulator.figures.extent import loss_extent, sharpness_extent
from simulator.measures import CURVES
from simulator.regimes import NATURAL_PHASES, OUTCOMES
from simulator.reporting.decimate import rows_to_keep
from simulator.sweeps import gentle_phase, is_recorded, seed_constants
from simulator.sweeps.layout import STATUS, VARIABLES, Chunk, same_value, variables
from simulator.sweeps.spec import Region, Spec
from simulator.training.batches import Batches
from simulator.trajectory import Trajectory

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["Cells", "Packed", "numbers", "pack", "shown_curves"]

# Of all curves together, so that a page of 2200 runs stays below 5 MB; and the least of a run.
_MOST_ROWS, _LEAST_ROWS = 88_000, 16

_UNTOLD = {
    "not_run": "This run has not been done yet.",
    "failed": "This run failed with an error; warmup sweep --resume tries it again.",
}


class Packed:
    """Rows of many runs as one column each, run after run, in the order of the grid."""

    def __init__(self, cells: int, **dtypes: str) -> None:
        self._dtypes = dtypes
        self._parts: list[dict[str, Array] | None] = [None] * cells

    def put(self, cell: int, **columns: Any) -> None:
        """The rows of one run; nothing put is no row."""
        self._parts[cell] = columns

    @property
    def first(self) -> NDArray[np.int32]:
        """The first row of each run, shape (cells + 1,)."""
        name = next(iter(self._dtypes))
        counts = [0 if part is None else len(part[name]) for part in self._parts]
        return np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)

    @property
    def columns(self) -> dict[str, Array]:
        """All rows."""
        there = [part for part in self._parts if part is not None]
        return {
            name: np.concatenate(
                [np.empty(0, dtype), *(part[name] for part in there)], dtype=dtype, casting="unsafe"
            )
            for name, dtype in self._dtypes.items()
        }


@dataclass
class Cells:
    """All runs of a sweep, flat, in the order of its axes.

    Attributes
    ----------
    words : list of str
        What happened in each.
    curves : Packed
        step, log10 of the loss, sharpness, eta: decimated. Steps and logarithms, so that single
        precision is enough for any loss.
    spans : Packed
        Stretches between two steps: at the edge of stability (kind 0), or a catapult (kind 1).
    frame : dict of arrays, shape (cells,)
        The extents to show.
    threshold : array, shape (cells,)
        Of the sharpness at the last update; NaN where it is not known.
    runs, other : int
        How many runs have curves; and how many of them, done again, are not the store's.
    """

    words: list[str]
    curves: Packed
    spans: Packed
    frame: dict[str, Array]
    threshold: Array
    runs: int = 0
    other: int = 0


def numbers(dataset: xr.Dataset, spec: Spec, data: Data | None) -> dict[str, tuple[str, Any]]:
    """Long name and values, flat, of every variable that a run has; text is of our vocabulary."""
    found: dict[str, tuple[str, Any]] = {}
    known = {"outcome": OUTCOMES, "natural_phase": NATURAL_PHASES}
    for variable in VARIABLES:
        if variable.name not in dataset:
            continue
        values = dataset[variable.name].values.ravel()
        shown: Any
        if variable.name in known:
            words = known[variable.name]
            shown = [str(v).replace("_", " ") if v in words else "" for v in values]
        elif variable.dtype == "bool":
            shown = ["yes" if value else "no" for value in values]
        else:
            shown = values.astype(np.float64)
            if variable.dtype == "int64":
                shown[values == variable.missing] = np.nan
        found[variable.name] = (variable.long_name, shown)
    return found


def pack(
    dataset: xr.Dataset, spec: Spec, data: Data | None, chunks: Iterable[tuple[Region, Chunk]] = ()
) -> Cells:
    """Describe and pack every run of a sweep.

    Parameters
    ----------
    dataset : xarray.Dataset
        The sweep, without its curves.
    chunks : iterable of (Region, Chunk)
        Its curves, as `chunks_with_curves` yields them; by default none, and the outcome is the
        whole description.
    """
    status = dataset[STATUS.name].values
    done = status == "done"
    blank = np.full(spec.cells, np.nan, np.float32)
    ends = [f"{name}_{end}" for name in ("loss", "sharpness", "eta") for end in ("low", "high")]
    cells = Cells(
        words=_words(dataset, status),
        curves=Packed(
            spec.cells,
            step=_whole(spec),
            loss="f4",
            sharpness="f4",
            eta="f4",
            **dict.fromkeys(shown_curves(spec), "f4"),
        ),
        spans=Packed(spec.cells, start=_whole(spec), end=_whole(spec), kind="u1"),
        frame={name: np.full(spec.cells, np.nan) for name in ("rows", *ends)},
        threshold=blank,
    )
    most = max(_LEAST_ROWS, _MOST_ROWS // max(1, int(done.sum())))
    parts = dict(spec.parts())
    constants = {
        index: part.model.constant_loss(data) if data is not None else None
        for index, part in parts.items()
    }

    @cache
    def gentle(which: tuple[int, ...], seed: int) -> str | None:
        part = parts[which]
        if is_recorded(part.model):
            return None
        known = seed_constants(part, data, part.seeds[seed])
        return gentle_phase(part, data, part.seeds[seed], known["eta_critical"])

    compared = [v.name for v in variables(spec, data) if v.name in dataset]
    with np.errstate(all="ignore"):  # a store may hold any number
        for region, chunk in chunks:
            for at in np.argwhere(done[region]):
                offset = tuple(at)
                cell = tuple(part.start + i for part, i in zip(region, offset, strict=True))
                flat = int(np.ravel_multi_index(cell, spec.shape))
                if STATUS.name in chunk and chunk[STATUS.name][offset] == "failed":
                    cells.words[flat] = "This run failed when it was repeated for this page."
                    cells.other += 1
                    continue
                first, last = (
                    float(dataset[f"loss_{end}"].values[cell]) for end in ("init", "final")
                )
                which = cell[: len(spec.over)]
                seen = _curves(parts[which], data, chunk, offset, first, last, constants[which])
                natural = gentle(which, cell[-4]) if seen.natural_phase == "unknown" else None
                _put(cells, flat, seen, natural, most, shown_curves(spec))
                cells.runs += 1
                cells.other += not all(
                    same_value(chunk[name][offset], dataset[name].values[cell])
                    for name in compared
                    if name in chunk
                )
    return cells


def shown_curves(spec: Spec) -> list[str]:
    """The curves beside the sharpness, one for each measure of the sweep."""
    return [CURVES[name][0] for name in spec.measure if name in CURVES]


def _whole(spec: Spec) -> str:
    return "u2" if spec.steps < 2**16 else "i4"


def _words(dataset: xr.Dataset, status: Array) -> list[str]:
    """What the outcome alone says."""
    outcomes = dataset["outcome"].values
    return [
        _UNTOLD.get(state, "")
        if state != "done"
        else f"Outcome: {name.replace('_', ' ')} ({OUTCOMES[name]})."
        if (name := str(outcome)) in OUTCOMES
        else ""
        for state, outcome in zip(status.ravel(), outcomes.ravel(), strict=True)
    ]


def _curves(
    spec: Spec,
    data: Data | None,
    chunk: Chunk,
    at: tuple[int, ...],
    initial: float,
    final: float,
    constant: float | None,
) -> Trajectory:
    loss = chunk["loss"][at]
    conditioned = chunk.get("preconditioned_sharpness")
    return Trajectory(
        step=np.arange(len(loss), dtype=float),
        loss=loss,
        eta=chunk["eta"][at],
        sharpness=chunk["sharpness"][at],
        preconditioned_sharpness=None if conditioned is None else conditioned[at],
        limit=spec.optimizer.limit,
        converged=chunk["converged"][at] if "converged" in chunk else None,
        gradient_final=float(chunk["gradient_final"][at]) if "gradient_final" in chunk else np.nan,
        loss_init=initial,
        loss_final=final,
        constant_loss=constant,
        updates_per_epoch=Batches(data.samples if data else 0, spec.batch_size, 0).per_epoch,
        **{name: chunk[name][at] for names in CURVES.values() for name in names if name in chunk},
    )


def _put(
    cells: Cells, at: int, curves: Trajectory, natural: str | None, most: int, shown: list[str]
) -> None:
    story = explain(curves, natural)
    events = story.events
    cells.words[at] = story.paragraph
    end = max(1, events.diverged if events.diverged >= 0 else len(curves.loss))
    loss, sharpness, eta = (
        curve[:end] for curve in (curves.loss, curves.effective_sharpness, curves.eta)
    )
    top = 1.08 * float(eta.max())
    beside = {name: getattr(curves, name)[:end] for name in shown}
    extents = {
        "loss": loss_extent(curves),
        "sharpness": _curvature_extent(curves, beside.values()),
        "eta": (0.0, top),
    }
    heights = [
        _height(np.log10(loss), extents["loss"]),
        _height(np.log10(sharpness), extents["sharpness"]),
        _height(np.log10(curves.threshold[:end]), extents["sharpness"]),
        eta / top,
        *(_height(np.log10(curve), extents["sharpness"]) for curve in beside.values()),
    ]
    peaks = [catapult.peak for catapult in events.catapults]
    rows = rows_to_keep(heights, most, [*peaks, *_ends(loss), *_ends(sharpness)])
    cells.curves.put(
        at, step=rows, loss=np.log10(loss[rows]), eta=eta[rows],
        **{
            name: np.clip(curve, -3e38, 3e38)[rows]
            for name, curve in {"sharpness": sharpness, **beside}.items()
        },
    )  # fmt: skip
    spans = _spans(events)
    cells.spans.put(at, start=spans[:, 0], end=spans[:, 1], kind=spans[:, 2])
    cells.frame["rows"][at] = end
    for name, extent in extents.items():
        if extent is not None:
            cells.frame[f"{name}_low"][at], cells.frame[f"{name}_high"][at] = extent
    cells.threshold[at] = curves.threshold[end - 1]


def _curvature_extent(curves: Trajectory, beside: Iterable[Array]) -> tuple[float, float] | None:
    """Lowest and highest curvature to show; of curves beside the sharpness what is typical."""
    extents = [sharpness_extent(curves)]
    for curve in beside:
        positive = curve[(curve > 0) & np.isfinite(curve)]
        if positive.size:
            low, high = np.quantile(positive, [0.02, 0.95])
            extents.append((0.5 * float(low), 1.6 * float(high)))
    known = [extent for extent in extents if extent is not None]
    if not known:
        return None
    return min(low for low, _ in known), max(high for _, high in known)


def _height(logs: Array, extent: tuple[float, float] | None) -> Array:
    """Where in its plot a curve is drawn, from 0 to 1; NaN outside."""
    if extent is None:
        return np.full(len(logs), np.nan)
    low, high = np.log10(extent)
    heights = (logs - low) / (high - low)
    return np.where((heights >= -0.5) & (heights <= 1.5), heights, np.nan)


def _ends(curve: Array) -> list[int]:
    """The rows of its smallest and its largest value."""
    known = np.flatnonzero(np.isfinite(curve))
    if not known.size:
        return []
    return [int(known[choose(curve[known])]) for choose in (np.argmin, np.argmax)]


def _spans(events: Events) -> Array:
    """Edges first: catapults within lie upon them."""
    spans = [(edge.start, edge.end, 0) for edge in events.edges]
    spans += [(catapult.start, catapult.end, 1) for catapult in events.catapults]
    return np.array(spans, dtype=int).reshape(-1, 3)
