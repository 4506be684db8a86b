"""The events of a run in the field's words: a paragraph to read aloud, and a table."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from simulator.events.detect import Events, find_events
from simulator.events.sentences import cause, sentences
from simulator.trajectory import Trajectory

__all__ = ["Row", "Story", "explain"]

_ROWS = 12


@dataclass(frozen=True)
class Row:
    """A line of the table: when, what, and the numbers around it."""

    first: int
    last: int
    event: str
    loss: str
    sharpness: str
    why: str


@dataclass(frozen=True, eq=False)
class Story:
    """What happened in a run.

    Attributes
    ----------
    curves : Trajectory
        What was seen.
    events : Events
        What was found in it.
    sentences : tuple of str
        The same in words.
    rows : tuple of Row
        And as a table; many small events of one kind are one row.
    """

    curves: Trajectory
    events: Events
    sentences: tuple[str, ...]
    rows: tuple[Row, ...]

    @property
    def paragraph(self) -> str:
        """The sentences as one text."""
        return " ".join(self.sentences)

    def __str__(self) -> str:
        return f"{self.paragraph}\n\n{self.table}" if self.rows else self.paragraph

    @property
    def table(self) -> str:
        """The rows, aligned."""
        head = ("steps", "event", "loss", "sharpness", "")
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


def explain(run: Trajectory, natural: str | None = None) -> Story:
    """What happened in a run, in words.

    Parameters
    ----------
    run : Run or Trajectory
        A run of this package, or the curves of another program.
    natural : str, optional
        What `simulator.natural_phase` says, where the run cannot show it.

    Returns
    -------
    Story
        ``print`` it, or take it apart.

    Notes
    -----
    The words are defined in `simulator.regimes` and `simulator.events.detect`, after Kalra &
    Barkeshli 2024, sections 3 and 4, and Damian, Nichani & Lee 2023.
    """
    events = find_events(run)
    return Story(run, events, tuple(sentences(run, events, natural)), _table(run, events))


def _table(curves: Trajectory, events: Events) -> tuple[Row, ...]:
    sharpness, rows = curves.effective_sharpness, []

    def number(value: float) -> str:
        return f"{value:.3g}" if np.isfinite(value) else "-"

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
                curves.at(c.start), curves.at(c.end), "catapult",
                f"x {c.loss_ratio:.3g} at {curves.at(c.peak)}",
                f"{number(c.sharpness_before)} to {number(c.sharpness_after)}",
                cause(c),
            )
        )  # fmt: skip
    for e in events.edges:
        rows.append(
            Row(
                curves.at(e.start), curves.at(e.end), "edge of stability",
                f"{curves.loss[e.start]:.3g} to {curves.loss[e.end]:.3g}",
                f"{number(sharpness[e.start])} to {number(sharpness[e.end])}",
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
