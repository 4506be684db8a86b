"""The events of a run as a paragraph and as a table."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from simulator import regimes
from simulator.checks import InputError
from simulator.events.detect import Events, find_events
from simulator.events.from_log import curves_of
from simulator.events.of_a_loop import is_known_by_its_steps, verdict
from simulator.events.sentences import cause, sentences
from simulator.limits import StabilityLimit
from simulator.logs import Account, read_log
from simulator.trajectory import Trajectory

if TYPE_CHECKING:
    from simulator.optimizers import Optimizer

__all__ = ["Row", "Story", "explain"]

_ROWS = 12


@dataclass(frozen=True)
class Row:
    """A row of the table: the steps of an event, its kind, its numbers and its cause."""

    first: int
    last: int
    event: str
    loss: str
    sharpness: str
    why: str


@dataclass(frozen=True, eq=False)
class Story:
    """The description of a run.

    Attributes
    ----------
    curves : Trajectory
        The curves that were examined.
    events : Events
        The events found on them.
    sentences : tuple of str
        The events in sentences.
    rows : tuple of Row
        The events as a table of at most 12 rows.
    source : Account or None
        What was read from a log, and how; None for a `Run`. ``str`` of it is a text.
    """

    curves: Trajectory
    events: Events
    sentences: tuple[str, ...]
    rows: tuple[Row, ...]
    source: Account | None = None

    @property
    def paragraph(self) -> str:
        """The sentences as one text."""
        return " ".join(self.sentences)

    def __str__(self) -> str:
        account = "" if self.source is None else str(self.source)
        table = self.table if self.rows else ""
        return "\n\n".join(part for part in (account, self.paragraph, table) if part)

    @property
    def table(self) -> str:
        """The table as aligned text."""
        head = (f"{self.curves.unit}s", "event", "loss", "sharpness", "")
        lines = [
            (
                f"{row.first}" if row.last == row.first else f"{row.first} to {row.last}",
                row.event, row.loss, row.sharpness, row.why,
            )
            for row in self.rows
        ]  # fmt: skip
        widths = [max(len(line[i]) for line in (head, *lines)) for i in range(len(head))]
        return "\n".join(
            "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
            for line in (head, *lines)
        )


def explain(
    run: Trajectory | str | Path,
    natural: str | None = None,
    *,
    optimizer: Optimizer | None = None,
    columns: Sequence[str] | None = None,
) -> Story:
    """Describe what happened in a run.

    Parameters
    ----------
    run : Run, Trajectory or path
        A run of this package, curves from another program, or the path of a log: a table (csv,
        tsv, …), JSON lines, or ``trainer_state.json`` of Hugging Face.
    natural : str, optional
        The result of `simulator.natural_phase`, for a run that starts above the threshold.
    optimizer : Optimizer, optional
        The optimizer of a log. The logged sharpness, of an adaptive optimizer the preconditioned
        sharpness, is compared with its stability limit. Default: gradient descent.
    columns : sequence of str, optional
        The columns of a log, if they have other names: ``["loss=train_loss", "eta=rate"]``, or the
        quantities of a table's columns in order, ``["step", "loss", "-", "eta"]``, where ``-``
        skips a column.

    Returns
    -------
    Story
        ``print`` shows all of it. For a log, ``source`` lists the columns that were read and how
        steps are counted.

    Raises
    ------
    InputError
        If a log cannot be read or is ambiguous; the message names the line.

    Notes
    -----
    `simulator.regimes` and `simulator.events.detect` define the terms, after Kalra & Barkeshli
    2024, sections 3 and 4, and Damian, Nichani & Lee 2023.
    """
    source = None
    if isinstance(run, (str, Path)):
        log = read_log(run, columns)
        limit = StabilityLimit(2.0) if optimizer is None else optimizer.limit
        run, source = curves_of(log, limit), log.account
        if optimizer is not None and optimizer.adaptive and not run.adaptive:
            # Its threshold is one of the preconditioned sharpness.
            run = replace(run, limit=StabilityLimit(math.nan))
    if not isinstance(run, Trajectory):
        raise InputError("run", run, "is not a run; give a Run, or the path of a log")
    with np.errstate(all="ignore"):  # a log may hold any number
        events = find_events(run)
        texts, rows = tuple(sentences(run, events, natural)), _table(run, events)
    return Story(run, events, texts, rows, source)


def _table(curves: Trajectory, events: Events) -> tuple[Row, ...]:
    sharpness, rows = curves.effective_sharpness, []
    by_steps = is_known_by_its_steps(curves)

    def number(value: float) -> str:
        return f"{value:.3g}" if np.isfinite(value) else "-"

    measured = np.flatnonzero(np.isfinite(curves.ratio))

    def between(start: int, end: int) -> str:
        """The first and the last measurement of these rows, or the two around."""
        around = sharpness[measured[regimes.measured_within(measured, start, end)]]
        return f"{around[0]:.3g} to {around[-1]:.3g}" if around.size else ""

    inside = [(e.start, e.end) for e in events.edges] + [(c.crossing, c.end) for c in events.apart]
    for row in events.crossings:
        if not any(first <= row <= last for first, last in inside):
            at = curves.at(row)
            rows.append(
                Row(at, at, "crossing", f"{curves.loss[row]:.3g}", number(sharpness[row]), "")
            )
    for c in events.apart:
        rows.append(
            Row(
                curves.at(c.start), curves.at(c.end), "spike" if by_steps else "catapult",
                f"x {c.loss_ratio:.3g} at {curves.at(c.peak)}",
                between(c.start, c.end),
                verdict(curves, c) if by_steps else cause(c),
            )
        )  # fmt: skip
    for e in events.edges:
        rows.append(
            Row(
                curves.at(e.start), curves.at(e.end), "edge of stability",
                f"{curves.loss[e.start]:.3g} to {curves.loss[e.end]:.3g}",
                between(e.start, e.end),
                f"{e.mean_ratio:.2f} times the threshold on average",
            )
        )  # fmt: skip
    if events.diverged >= 0:
        at = curves.at(events.diverged)
        rows.append(Row(at, at, "divergence", "not finite", "-", ""))
    rows.sort(key=lambda row: (row.first, row.last))
    if len(rows) > _ROWS:
        left = rows[_ROWS - 1 :]
        more = Row(left[0].first, left[-1].last, f"and {len(left)} more events", "", "", "")
        rows = [*rows[: _ROWS - 1], more]
    return tuple(rows)
