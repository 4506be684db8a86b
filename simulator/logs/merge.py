"""From rows of a file to curves over steps: columns are chosen, rows of one step are merged."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulator.checks import InputError, printable
from simulator.logs.account import CALLED, Account
from simulator.logs.names import candidates, mentioned
from simulator.logs.rows import Column, Rows, part
from simulator.logs.steps import numbered

__all__ = ["Log", "merge"]

Curve = NDArray[np.float64]

_CURVES = (
    "loss", "eta", "sharpness", "preconditioned_sharpness", "directional_sharpness",
    "critical_sharpness",
)  # fmt: skip
# Beyond it, ratios and the margins of a figure overflow: as good as infinite.
_LARGEST = 1e300


@dataclass(frozen=True, eq=False)
class Log:
    """Curves of a log: one entry for each step with a loss.

    Attributes
    ----------
    step : array, shape (rows,)
        Rising whole numbers; `Account.unit` says of what.
    loss, eta, sharpness, preconditioned_sharpness : arrays, shape (rows,)
    directional_sharpness, critical_sharpness : arrays, shape (rows,)
        What was logged with it; NaN where nothing was. Only the last losses may be NaN or infinite:
        those of a run that diverged.
    account : Account
        What was read, and how.
    """

    step: Curve
    loss: Curve
    eta: Curve
    sharpness: Curve
    preconditioned_sharpness: Curve
    directional_sharpness: Curve
    critical_sharpness: Curve
    account: Account


def merge(rows: Rows, chosen: dict[str, str]) -> Log:
    """One entry for each step with a loss, from rows as they were logged.

    Rows of one step are one entry. Where a run was resumed, the later piece replaces the earlier.
    A loss that is not finite, with a finite one later, is a gap.

    Parameters
    ----------
    rows : Rows
    chosen : dict of str
        Columns by quantity that ``--columns`` names.

    Raises
    ------
    InputError
        Where two columns may hold one quantity and differ, where none is a loss, and for steps that
        make no sense; with the line.
    """
    taken = _chosen(rows, _named(rows, chosen))
    if "loss" not in taken:
        raise InputError("source", rows.path, "has no row with a loss")
    columns = {name: rows.columns[taken[name]] for name in _CURVES if name in taken}
    # Rows that hold something of use: those of a validation do not.
    at = np.flatnonzero(np.any([column.given for column in columns.values()], axis=0))
    columns = {name: column.take(at) for name, column in columns.items()}
    numbering = numbered(
        rows, at, columns, *(rows.columns.get(taken.get(name, "")) for name in ("step", "epoch"))
    )
    step = part(numbering.step, numbering.kept)
    columns = {name: column.take(numbering.kept) for name, column in columns.items()}
    begins = np.flatnonzero(np.diff(step, prepend=np.nan))
    known = np.logical_or.reduceat(columns["loss"].given, begins)
    having = np.flatnonzero(known)
    step = part(part(step, begins), having)
    curves = {
        name: _bounded(part(_last_given(column, begins), having))
        for name, column in columns.items()
    }
    gap = _gaps(curves["loss"])
    if gap is None:
        raise InputError("source", rows.path, "has no finite loss")
    whole = np.flatnonzero(~gap)
    kept = {name: part(curve, whole) for name, curve in curves.items()}
    used = {name: taken[name] for name in (*numbering.columns, *columns)}
    account = Account(
        rows=len(rows), steps=len(whole), columns=used,
        skipped=tuple(name for name in rows.names if name and name not in used.values()),
        unit=numbering.unit, first=int(step[0]), last=int(step[-1]), every=_spacing(step),
        gaps=tuple(map(int, step[gap])), resumed=numbering.resumed,
        notes=(*rows.notes, *numbering.notes, *_doubts(kept, numbering.unit, int((~known).sum()))),
    )  # fmt: skip
    missing = np.full(len(whole), np.nan)
    every_curve = {name: kept.get(name, missing) for name in _CURVES}
    return Log(part(step, whole), **every_curve, account=account)


def _named(rows: Rows, chosen: dict[str, str]) -> dict[str, list[list[str]]]:
    """The columns that may hold each quantity; a loss is among them."""
    named = candidates(rows.path, rows.names, chosen)
    if "loss" not in named:
        names = mentioned(rows.names) or "none"
        remedy = f"has no training loss (columns: {names}); name it with --columns loss=NAME"
        raise InputError("source", rows.path, remedy)
    return named


def _gaps(loss: Curve) -> NDArray[np.bool_] | None:
    """Where a loss is not finite that has a finite one after it; None if none is finite."""
    finite = np.isfinite(loss)
    if not finite.any():
        return None
    gap = ~finite
    gap[np.flatnonzero(finite)[-1] :] = False
    return gap


def _doubts(curves: dict[str, Curve], unit: str, without_loss: int) -> list[str]:
    """Sentences on what is known at some steps only, and on steps that were left out."""
    notes = []
    for name, curve in curves.items():
        measured = int(np.isfinite(curve).sum())
        if name != "loss" and measured < len(curve):
            notes.append(f"The {CALLED[name]} is known at {measured} of {len(curve)} {unit}s.")
    if without_loss and unit != "row":
        notes.append(f"{without_loss} {unit}{'s' * (without_loss > 1)} without a loss left out.")
    return notes


def _chosen(rows: Rows, named: dict[str, list[list[str]]]) -> dict[str, str]:
    """The column of each quantity, of those that may hold it."""
    taken = {}
    for name, groups in named.items():
        for group in groups:
            filled = [c for c in group if c in rows.columns and rows.columns[c].given.any()]
            if filled:
                taken[name] = _agreed(rows, name, filled)
                break
    return taken


def _agreed(rows: Rows, name: str, names: list[str]) -> str:
    """The fullest of several columns, if the others say the same where they say anything."""
    fullest = max(names, key=lambda column: int(rows.columns[column].given.sum()))
    main = rows.columns[fullest]
    for other in (column for column in names if column != fullest):
        column = rows.columns[other]
        same = main.given & (
            (main.values == column.values) | (np.isnan(main.values) & np.isnan(column.values))
        )
        differs = np.flatnonzero(column.given & ~same)
        if differs.size:
            row = int(differs[0])
            a, b = (f"{rows.shown(c, row)} in '{printable(c, 40)}'" for c in (fullest, other))
            choice = f"choose with --columns {name}={printable(fullest, 40)}"
            what = f"has {a} and {b}, and either may be the {CALLED[name]}; {choice}"
            raise rows.error(row, what)
    return fullest


def _bounded(values: Curve) -> Curve:
    with np.errstate(invalid="ignore"):
        far = np.abs(values) > _LARGEST
    return np.where(far, np.copysign(np.inf, values), values) if far.any() else values


def _last_given(column: Column, begins: NDArray[np.int64]) -> Curve:
    """The last number that is given of each run of rows; NaN where none is."""
    if len(begins) == len(column.values):
        return column.values
    rows = np.where(column.given, np.arange(len(column.values)), -1)
    last = np.maximum.reduceat(rows, begins)
    return np.where(last >= 0, column.values[last], np.nan)


def _spacing(step: Curve) -> int | None:
    """The distance of steps, if there is one; the first and the last may be nearer.

    Some logs have the first step, or the last, besides every tenth.
    """
    gaps = np.diff(step)
    if not gaps.size:
        return 1
    most = gaps.max()
    return int(most) if (gaps[1:-1] == most).all() else None
