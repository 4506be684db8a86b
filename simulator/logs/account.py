"""An account of what was read from a log: the column of each quantity, and how steps count."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from simulator.checks import printable
from simulator.logs.names import mentioned

__all__ = ["CALLED", "Account", "Resumption", "spaced"]

CALLED = {
    "loss": "loss", "eta": "learning rate", "sharpness": "sharpness",
    "preconditioned_sharpness": "preconditioned sharpness",
    "directional_sharpness": "directional sharpness", "critical_sharpness": "critical sharpness",
    "step": "step", "epoch": "epoch",
}  # fmt: skip
_MOST_STEPS = 5


class Resumption(NamedTuple):
    """Where a run was resumed: place in the file, step, and number of earlier rows replaced."""

    place: str
    step: int
    replaced: int


@dataclass(frozen=True)
class Account:
    """What was read from a log; ``str`` of it is a short text.

    Attributes
    ----------
    rows : int
        Number of rows in the file.
    steps : int
        Number of steps (epochs, rows) with a loss: the length of the curves.
    columns : dict
        The column of each quantity.
    skipped : tuple of str
        The other columns.
    unit : str
        The unit of ``step`` of the curves: "step", "epoch", or "row" if the file has neither.
    first, last : int
        The first and the last step.
    every : int or None
        The distance between steps; None if they are not evenly spaced.
    gaps : tuple of int
        Steps whose loss is not finite although a later loss is; the curves leave them out.
    resumed : tuple of Resumption
        Where the run was resumed.
    notes : tuple of str
        Further sentences on the file.
    """

    rows: int
    steps: int
    columns: dict[str, str]
    skipped: tuple[str, ...]
    unit: str
    first: int
    last: int
    every: int | None
    gaps: tuple[int, ...]
    resumed: tuple[Resumption, ...]
    notes: tuple[str, ...]

    def __str__(self) -> str:
        sentences = [
            self._taken(), self._spacing(), self._missing(), *self._resumptions(), self._gap(),
            *self.notes,
        ]  # fmt: skip
        return " ".join(sentence for sentence in sentences if sentence)

    def _taken(self) -> str:
        taken = ", ".join(
            f"{CALLED[name]} from '{printable(column, 40)}'"
            for name, column in self.columns.items()
        )
        skipped = f"; skipped {mentioned(self.skipped)}" if self.skipped else ""
        return f"Read {_count(self.rows, 'row')}: {taken}{skipped}."

    def _spacing(self) -> str:
        counted = {
            "epoch": " The log has one row per epoch, not one per update.",
            "row": " No column holds the step, so rows are counted instead.",
        }.get(self.unit, "")
        if self.first == self.last:
            return f"{self.unit.capitalize()} {self.first} only.{counted}"
        text = f"{self.unit.capitalize()}s {self.first} to {self.last}"
        if self.every is None:
            return f"{text}, {self.steps + len(self.gaps)} of them, unevenly spaced.{counted}"
        return f"{text}, {spaced(self.every, self.unit)}.{counted}"

    def _missing(self) -> str:
        missing = [] if "eta" in self.columns else ["learning rate"]
        if not {"sharpness", "preconditioned_sharpness"} & self.columns.keys():
            missing.append("sharpness")
        return f"The log has no {' and no '.join(missing)}." if missing else ""

    def _resumptions(self) -> list[str]:
        shown = [
            f"The run was resumed at {self.unit} {step} ({place})"
            + (f", which replaces {_count(rows, 'earlier row')}." if rows else ".")
            for place, step, rows in self.resumed[:3]
        ]
        return (
            [*shown, f"It was resumed {len(self.resumed)} times in all."]
            if self.resumed[3:]
            else shown
        )

    def _gap(self) -> str:
        if not self.gaps:
            return ""
        which = ", ".join(map(str, self.gaps[:_MOST_STEPS]))
        more = ", …" if len(self.gaps) > _MOST_STEPS else ""
        one = len(self.gaps) == 1
        losses = "1 loss is" if one else f"{len(self.gaps)} losses are"
        steps = self.unit if one else f"{self.unit}s"
        return f"{losses} not finite, at {steps} {which}{more}, but training continues."


def spaced(every: int, unit: str) -> str:
    """How steps are spaced: ``every step``, ``every 4th step``."""
    if every == 1:
        return f"every {unit}"
    ending = "th" if 10 <= every % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(every % 10, "th")
    return f"every {every}{ending} {unit}"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
