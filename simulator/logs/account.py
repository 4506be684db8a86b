"""What was read of a log, in words: which column was taken for what, and how steps are counted."""

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
    """Where a run was resumed: the place in the file, the step, and how many rows it replaced."""

    place: str
    step: int
    replaced: int


@dataclass(frozen=True)
class Account:
    """What was read of a log; ``str`` of it is a short text.

    Attributes
    ----------
    rows : int
        Rows of the file.
    steps : int
        Steps (epochs, rows) with a loss that is known, which the curves are over.
    columns : dict
        The column that each quantity is from.
    skipped : tuple of str
        The other columns.
    unit : str
        What ``step`` of the curves counts: "step", "epoch", or "row" where the file has neither.
    first, last : int
        The first and the last of them.
    every : int or None
        The distance between steps; None if they are not evenly spaced.
    gaps : tuple of int
        Steps whose loss is not finite, before finite ones: the curves leave them out.
    resumed : tuple of Resumption
        Where the run was resumed.
    notes : tuple of str
        Sentences on what else was met.
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
            "epoch": " An epoch is one row here, however many updates it has.",
            "row": " No column is a step, so rows are counted.",
        }.get(self.unit, "")
        if self.first == self.last:
            return f"{self.unit.capitalize()} {self.first} only.{counted}"
        text = f"{self.unit.capitalize()}s {self.first} to {self.last}"
        if self.every is None:
            return f"{text}, {self.steps + len(self.gaps)} of them, unevenly spaced.{counted}"
        return f"{text}, {spaced(self.every)}.{counted}"

    def _missing(self) -> str:
        missing = [] if "eta" in self.columns else ["learning rate"]
        if not {"sharpness", "preconditioned_sharpness"} & self.columns.keys():
            missing.append("sharpness")
        return f"The log has no {' and no '.join(missing)}." if missing else ""

    def _resumptions(self) -> list[str]:
        shown = [
            f"Resumed at {self.unit} {step} ({place})"
            + (f": {_count(rows, 'earlier row')} replaced." if rows else ".")
            for place, step, rows in self.resumed[:3]
        ]
        return [*shown, f"Resumed {len(self.resumed)} times in all."] if self.resumed[3:] else shown

    def _gap(self) -> str:
        if not self.gaps:
            return ""
        which = ", ".join(map(str, self.gaps[:_MOST_STEPS]))
        more = ", …" if len(self.gaps) > _MOST_STEPS else ""
        one = len(self.gaps) == 1
        losses = "1 loss is" if one else f"{len(self.gaps)} losses are"
        steps = self.unit if one else f"{self.unit}s"
        return f"{losses} not finite, at {steps} {which}{more}; training went on."


def spaced(every: int) -> str:
    """How steps are spaced: ``every one``, ``every 4th``."""
    if every == 1:
        return "every one"
    ending = "th" if 10 <= every % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(every % 10, "th")
    return f"every {every}{ending}"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
