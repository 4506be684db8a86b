"""The common part of the probes for users' training loops in PyTorch and JAX.

`simulator.torch.Probe` and `simulator.jax.Probe` provide the line along the next update.
`simulator.logs` reads the columns of the log.
"""

from __future__ import annotations

import json
import math
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from simulator.checks import InputError, count
from simulator.curvature.of_the_step import CriticalSearch, Line, quotient
from simulator.files import check_target
from simulator.measures import OF_THE_STEP, chosen_measures

# Number of earlier losses that a loss is compared with. In stationary noise one loss in 33 exceeds
# them all.
RECENT = 32

__all__ = ["LoopProbe", "MeasuredLine", "Reading"]


class Reading(NamedTuple):
    """The measurements of one update before it is taken: a row of the log.

    Attributes
    ----------
    step : int
        Number of updates before this one.
    loss : float
        Loss of the batch of the update.
    eta : float
        Learning rate.
    gradient_norm : float or None
        Norm of the gradient of that loss; None if not measured.
    directional_sharpness, critical_sharpness : float or None
        As the curves of a `Run`; None if not measured.
    """

    step: int
    loss: float
    eta: float
    gradient_norm: float | None = None
    directional_sharpness: float | None = None
    critical_sharpness: float | None = None


class MeasuredLine(Line, Protocol):
    """A line along an update whose initial loss and gradient are known."""

    def loss(self) -> float:
        """The loss before the update."""

    def gradient_norm(self) -> float:
        """The norm of the gradient."""


class LoopProbe:
    """Measure every ``every`` updates and when the loss exceeds the last 32, and log the result.

    Attributes
    ----------
    step : int
        Number of updates so far. Set it when a loop is resumed.
    """

    def __init__(self, log: str | Path | None, every: int, measure: Sequence[str] | str) -> None:
        self.step = 0
        self._every = count("every", every, 1)
        self._measure = chosen_measures(measure)
        others = [name for name in self._measure if name not in OF_THE_STEP]
        if others:
            raise InputError("measure", others[0], f"give {' or '.join(OF_THE_STEP)}, or both")
        self._search, self._due = CriticalSearch(), False
        self._recent: deque[float] = deque(maxlen=RECENT)
        self._rest = 0
        self._log = None if log is None else _Log(Path(log))

    def _take(
        self, eta: float, loss: float | None, line: Callable[[], MeasuredLine] | None
    ) -> Reading | None:
        """Measure if a measurement is due, log, and advance to the next update.

        If there is no line, the measurement is made at the next update.
        """
        step = self.step
        self.step += 1
        planned = step % self._every == 0 and step >= self._rest
        if self._is_new_high(loss):
            # It replaces the next planned one, so that noise does not add to the cost.
            self._rest, planned = step + self._every, True
        self._due |= planned
        reading = None if loss is None else Reading(step, loss, eta)
        measured = None
        if self._due and line is not None:
            reading = measured = self._read(step, eta, loss, line())
            self._due = False
        if self._log is not None and reading is not None:
            self._log.write(reading)
        return measured

    def _is_new_high(self, loss: float | None) -> bool:
        """Whether this loss exceeds all recent ones: a spike is measured while it grows."""
        if loss is None:
            return False
        high = len(self._recent) == RECENT and loss > max(self._recent)
        self._recent.append(loss)
        return high

    def _read(self, step: int, eta: float, given: float | None, line: MeasuredLine) -> Reading:
        directional = critical = None
        bend = math.nan
        if "directional" in self._measure:
            bend = line.bend()
            directional = quotient(line.slope(), bend)
        loss = line.loss()
        if "critical" in self._measure and math.isfinite(loss):
            critical = self._search.sharpness(line, loss, eta, bend)
        shown = loss if given is None else given
        return Reading(step, shown, eta, line.gradient_norm(), directional, critical)


class _Log:
    """Append rows to a file: csv if its name ends in .csv, else JSON lines."""

    def __init__(self, path: Path) -> None:
        check_target("log", path)
        self._path, self._csv = path, path.suffix.lower() == ".csv"
        if path.exists():
            self._drop_incomplete_line()
        if self._csv:
            # A resumed loop repeats the header, which tells the reader of the resumption.
            self._append(",".join(Reading._fields))

    def write(self, reading: Reading) -> None:
        """Append a row without the values that were not measured."""
        row = reading._asdict()
        if self._csv:
            self._append(",".join("" if value is None else f"{value!r}" for value in row.values()))
        else:
            known = {name: value for name, value in row.items() if value is not None}
            self._append(json.dumps(known))

    def _append(self, line: str) -> None:
        try:
            # Opened for each row, so that an interrupted training keeps its log.
            with self._path.open("a", encoding="utf-8") as file:
                file.write(f"{line}\n")
        except OSError as error:
            raise InputError("log", self._path, f"cannot be written: {error.strerror}") from None

    def _drop_incomplete_line(self) -> None:
        """Remove the last line if a killed training left it incomplete."""
        try:
            with self._path.open("rb+") as file:
                whole = file.read().rfind(b"\n") + 1
                file.truncate(whole)
        except OSError as error:
            raise InputError("log", self._path, f"cannot be written: {error.strerror}") from None
