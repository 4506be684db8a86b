"""Warmup from catapult to catapult, without a given length."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from simulator.catapult_search import DELTA, paper_search
from simulator.checks import nonnegative, positive
from simulator.schedules.base import Chooser, Probe, Schedule

__all__ = ["PersistentCatapult"]

# Default start of the first search, as a fraction of eta_trgt.
_FIRST = 1e-3


@dataclass(frozen=True)
class PersistentCatapult(Schedule):
    """Raise eta until one update raises the loss, each time the loss has fallen again.

    Training continues at the eta found: a catapult follows and the sharpness falls. Once the loss
    is below its value at the search, the next search starts from this eta. eta never falls and is
    at most eta_trgt. `Run.forward_passes` counts the forward passes of the searches.

    Parameters
    ----------
    eta_trgt : float
        The largest learning rate.
    eta_init : float
        Start of the first search; 0 means a thousandth of eta_trgt.
    delta : float
        A search ends at an eta at which one update raises the loss by at most this fraction.

    Raises
    ------
    InputError
        If a value is not allowed.

    Notes
    -----
    Kalra & Barkeshli 2024, algorithm 3, with corrections: as printed it never starts (it requires a
    loss below that of the first step at the first step) and never takes an update.
    """

    name: ClassVar[str] = "persistent-catapult"

    eta_trgt: float = 1.0
    eta_init: float = 0.0
    delta: float = DELTA

    def __post_init__(self) -> None:
        positive("eta_trgt", self.eta_trgt)
        nonnegative("eta_init", self.eta_init)
        positive("delta", self.delta)

    def chooser(self) -> Chooser:
        return _Searches(self)


class _Searches:
    """The state between searches: the learning rate, and the loss at the last search."""

    MEMORY = ("eta", "lowest")

    def __init__(self, schedule: PersistentCatapult) -> None:
        self._delta, self._most = schedule.delta, float(schedule.eta_trgt)
        self.eta = min(float(schedule.eta_init) or _FIRST * self._most, self._most)
        self.lowest = math.inf

    def __call__(self, probe: Probe) -> float:
        if self.eta < self._most and probe.loss < self.lowest:
            self.lowest = probe.loss
            if probe.loss_after(self.eta) < probe.loss:
                found = paper_search(
                    probe.loss_after, probe.loss, eta_0=2.0 * self.eta, lower=self.eta,
                    delta=self._delta, eta_most=self._most,
                )  # fmt: skip
                self.eta = found.upper if found.found else self._most
        return self.eta
