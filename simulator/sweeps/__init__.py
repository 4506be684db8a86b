"""Grids of runs: their description (spec), execution (execute) and storage (store)."""

from __future__ import annotations

from simulator.sweeps.custom import is_recorded
from simulator.sweeps.destination import Destination, save_run
from simulator.sweeps.execute import check, cores, execute, rehearse, sweep
from simulator.sweeps.over import axes_of, text_of
from simulator.sweeps.placing import is_taken
from simulator.sweeps.reading import load, open_store, recorded, tally
from simulator.sweeps.seed_constants import gentle_phase, seed_constants
from simulator.sweeps.selection import selected
from simulator.sweeps.spec import AXES, LATER, OURS, Spec, first_seeds
from simulator.sweeps.store import StoreMovedError
from simulator.sweeps.work import run_cell

__all__ = [
    "AXES", "LATER", "OURS", "Destination", "Spec", "StoreMovedError", "axes_of", "check", "cores",
    "execute", "first_seeds", "gentle_phase", "is_recorded", "is_taken", "load", "open_store",
    "recorded", "rehearse", "run_cell", "save_run", "seed_constants", "selected", "sweep",
    "tally", "text_of",
]  # fmt: skip
