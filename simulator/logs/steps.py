"""Number the rows of a log by step, by epoch, or by counting them; handle resumed runs."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from simulator.checks import InputError
from simulator.logs.account import Resumption
from simulator.logs.rows import Column, Rows

__all__ = ["Numbering", "numbered"]

Curve = NDArray[np.float64]

_LARGEST_STEP = 2.0**53
# Steps that go back more often than once in so many rows are not those of a resumed run.
_LEAST_ROWS = 3


@dataclass
class Numbering:
    """The step of each row, and which rows are kept.

    Attributes
    ----------
    step : array, shape (rows,)
    kept : array of int
        Indices of the rows that no later piece replaces; their steps never decrease.
    unit : str
        "step", "epoch" or "row".
    columns : tuple of str
        The quantities that give the numbers.
    resumed : tuple of Resumption
    notes : list of str
    """

    step: Curve
    kept: NDArray[np.int64]
    unit: str
    columns: tuple[str, ...] = ()
    resumed: tuple[Resumption, ...] = ()
    notes: list[str] = field(default_factory=list)


def numbered(
    rows: Rows,
    at: NDArray[np.int64],
    columns: dict[str, Column],
    step: Column | None,
    epoch: Column | None,
) -> Numbering:
    """Number the rows ``at`` of a log with the quantities ``columns``.

    Raises
    ------
    InputError
        If a row has no step, if a step is not a whole number, or if steps do not increase.
    """
    epochs = None if epoch is None else _whole(epoch, at)
    headers = np.searchsorted(at, rows.pieces)
    headers = np.unique(headers[(headers > 0) & (headers < len(at))])
    if step is None:
        if epochs is None or _is_unordered(epochs, columns, headers):
            notes = ["The header is repeated in the file."] if rows.pieces else []
            return Numbering(
                np.arange(len(at), dtype=float), np.arange(len(at)), "row", notes=notes
            )
        return _pieced(rows, at, epochs, columns, headers, "epoch")
    steps = _whole(step, at)
    if steps is None:
        raise _not_whole(rows, at, step)
    again = np.flatnonzero(np.diff(steps) < 0) + 1
    if epochs is not None and again.size and (epochs[again] > epochs[again - 1]).any():
        return _counted_on(rows, at, steps, epochs, again, columns)
    return _pieced(rows, at, steps, columns, headers, "step")


def _is_whole(column: Column) -> NDArray[np.bool_]:
    with np.errstate(invalid="ignore"):
        whole = column.values == np.rint(column.values)
        return column.given & whole & (np.abs(column.values) < _LARGEST_STEP)


def _whole(column: Column, at: NDArray[np.int64]) -> Curve | None:
    """The numbers of these rows if all are given and whole, else None."""
    column = column.take(at)
    return column.values if _is_whole(column).all() else None


def _not_whole(rows: Rows, at: NDArray[np.int64], step: Column) -> InputError:
    row = int(at[np.argmin(_is_whole(step.take(at)))])
    if not step.given[row]:
        return rows.error(row, "has no step; a row with a value needs one")
    return rows.error(row, f"has step {step.values[row]:.17g}; steps are whole numbers below 2^53")


def _breaks(
    steps: Curve, columns: dict[str, Column], headers: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Rows at which a new piece begins: at a header, a smaller step, or a step with two values."""
    rises = np.diff(steps)
    found = np.union1d(headers, np.flatnonzero(rises < 0) + 1)
    if (rises == 0).any():
        piece = np.searchsorted(found, np.arange(len(steps)), "right")
        for column in columns.values():
            given = np.flatnonzero(column.given)
            values = column.values[given]
            again = (np.diff(steps[given]) == 0) & (np.diff(piece[given]) == 0)
            same = (values[1:] == values[:-1]) | (np.isnan(values[1:]) & np.isnan(values[:-1]))
            found = np.union1d(found, given[1:][again & ~same])
    return found


def _is_unordered(steps: Curve, columns: dict[str, Column], headers: NDArray[np.int64]) -> bool:
    """Whether there are too many new pieces for a resumed run."""
    unforeseen = np.setdiff1d(_breaks(steps, columns, headers), headers)
    return _LEAST_ROWS * len(unforeseen) > len(steps)


def _pieced(
    rows: Rows, at: NDArray[np.int64], steps: Curve, columns: dict[str, Column],
    headers: NDArray[np.int64], unit: str,
) -> Numbering:  # fmt: skip
    """Pieces of a resumed run: each replaces the earlier rows from its first step on."""
    begins = _breaks(steps, columns, headers)
    unforeseen = np.setdiff1d(begins, headers)
    if _is_unordered(steps, columns, headers):
        row = int(unforeseen[0])
        before, here = int(steps[row - 1]), int(steps[row])
        what = f"has {unit} {here} again, with another value" if here == before else (
            f"has {unit} {here} after {unit} {before}"
        )  # fmt: skip
        raise rows.error(at[row], f"{what}; {unit}s must increase, except where a run was resumed")
    anew = unforeseen[steps[unforeseen] <= steps[0]]
    if len(anew) > 1:
        what = f"has {unit} {int(steps[anew[1]])} for the third time"
        remedy = "add a column of epochs if steps restart with them; keep one run of several"
        raise rows.error(at[anew[1]], f"{what}; {remedy}")
    bounds = [*map(int, begins), len(at)]
    alive = [(0, bounds[0])]
    resumed = []
    for begin, end in pairwise(bounds):
        replaced = 0
        while alive and steps[alive[-1][1] - 1] >= steps[begin]:
            start, stop = alive.pop()
            cut = start + int(np.searchsorted(steps[start:stop], steps[begin]))
            replaced += stop - cut
            if cut > start:
                alive.append((start, cut))
        alive.append((begin, end))
        resumed.append(Resumption(rows.at(int(at[begin])), int(steps[begin]), replaced))
    kept = np.concatenate([np.arange(start, stop) for start, stop in alive])
    return Numbering(steps, kept, unit, (unit,), tuple(resumed))


def _counted_on(
    rows: Rows, at: NDArray[np.int64], steps: Curve, epochs: Curve,
    again: NDArray[np.int64], columns: dict[str, Column],
) -> Numbering:  # fmt: skip
    """Steps that restart with each epoch: number them consecutively."""
    within = np.delete(np.diff(steps), again - 1)
    within = within[within > 0]
    odd = again[epochs[again] <= epochs[again - 1]]
    uneven = not within.size or (within != within[0]).any()
    if odd.size or uneven or len(_breaks(steps, columns, again)) > len(again):
        row = int(odd[0] if odd.size else again[0])
        what = f"has step {int(steps[row])} after step {int(steps[row - 1])}"
        remedy = "steps restart with an epoch and are not evenly spaced; number them consecutively"
        raise rows.error(at[row], f"{what}: {remedy}")
    added = np.zeros(len(at))
    added[again] = steps[again - 1] - steps[again] + within[0]
    return Numbering(
        steps + np.cumsum(added), np.arange(len(at)), "step", ("step", "epoch"),
        notes=["Steps restart with each epoch in the file; here they are numbered consecutively."],
    )  # fmt: skip
