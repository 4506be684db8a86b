"""Turn the rows of a log into curves: choose the columns and merge the rows of each step."""

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
# Larger numbers count as infinite: ratios and the margins of a figure would overflow.
_LARGEST = 1e300


@dataclass(frozen=True, eq=False)
class Log:
    """Curves of a log: one entry for each step with a loss.

    Attributes
    ----------
    step : array, shape (rows,)
        Increasing whole numbers, in the unit `Account.unit`.
    loss, eta, sharpness, preconditioned_sharpness : arrays, shape (rows,)
    directional_sharpness, critical_sharpness : arrays, shape (rows,)
        NaN where nothing was logged. Only the last losses may be NaN or infinite: those of a run
        that diverged.
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
    """Merge the logged rows into one entry for each step with a loss.

    If a run was resumed, the later rows of a step replace the earlier ones. A loss that is not
    finite is a gap if a later loss is finite.

    Parameters
    ----------
    rows : Rows
    chosen : dict of str
        Columns by quantity that ``--columns`` names.

    Raises
    ------
    InputError
        If two columns of one quantity differ, if no column is a loss, or if the steps are not
        consistent; the message names the line.
    """
    taken = _chosen(rows, _named(rows, chosen))
    if "loss" not in taken:
        raise InputError("source", rows.path, "has no row with a loss")
    columns = {name: rows.columns[taken[name]] for name in _CURVES if name in taken}
    # Rows with a quantity that is used; rows of a validation have none.
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
    """The columns that may hold each quantity; raises if none is a loss."""
    named = candidates(rows.path, rows.names, chosen)
    if "loss" not in named:
        names = mentioned(rows.names) or "none"
        remedy = f"has no training loss (columns: {names}); name it with --columns loss=NAME"
        raise InputError("source", rows.path, remedy)
    return named


def _gaps(loss: Curve) -> NDArray[np.bool_] | None:
    """Whether each loss is not finite although a later one is; None if no loss is finite."""
    finite = np.isfinite(loss)
    if not finite.any():
        return None
    gap = ~finite
    gap[np.flatnonzero(finite)[-1] :] = False
    return gap


def _doubts(curves: dict[str, Curve], unit: str, without_loss: int) -> list[str]:
    """Sentences on quantities that some steps lack, and on steps without a loss."""
    notes = []
    for name, curve in curves.items():
        measured = int(np.isfinite(curve).sum())
        if name != "loss" and measured < len(curve):
            notes.append(f"The {CALLED[name]} was logged at {measured} of {len(curve)} {unit}s.")
    if without_loss and unit != "row":
        plural = without_loss > 1
        verb = "have no loss and are" if plural else "has no loss and is"
        notes.append(f"{without_loss} {unit}{'s' * plural} {verb} left out.")
    return notes


def _chosen(rows: Rows, named: dict[str, list[list[str]]]) -> dict[str, str]:
    """Choose the column of each quantity."""
    taken = {}
    for name, groups in named.items():
        for group in groups:
            filled = [c for c in group if c in rows.columns and rows.columns[c].given.any()]
            if filled:
                taken[name] = _agreed(rows, name, filled)
                break
    return taken


def _agreed(rows: Rows, name: str, names: list[str]) -> str:
    """The column with the most values, if the other columns agree with it."""
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
            what = f"has {a} and {b}, which may both be the {CALLED[name]}; {choice}"
            raise rows.error(row, what)
    return fullest


def _bounded(values: Curve) -> Curve:
    with np.errstate(invalid="ignore"):
        far = np.abs(values) > _LARGEST
    return np.where(far, np.copysign(np.inf, values), values) if far.any() else values


def _last_given(column: Column, begins: NDArray[np.int64]) -> Curve:
    """The last given number of each group of rows; NaN if none is given."""
    if len(begins) == len(column.values):
        return column.values
    rows = np.where(column.given, np.arange(len(column.values)), -1)
    last = np.maximum.reduceat(rows, begins)
    return np.where(last >= 0, column.values[last], np.nan)


def _spacing(step: Curve) -> int | None:
    """The distance between steps if it is constant, else None.

    The first and the last distance may be smaller: some logs add the first or the last step.
    """
    gaps = np.diff(step)
    if not gaps.size:
        return 1
    most = gaps.max()
    return int(most) if (gaps[1:-1] == most).all() else None
