"""Grids of runs: what is asked (spec), doing it (execute), where it is kept (store)."""

from __future__ import annotations

from simulator.sweeps.execute import check, cores, execute, rehearse, run_cell, sweep
from simulator.sweeps.foreknowledge import foreknowledge
from simulator.sweeps.spec import AXES, Spec, first_seeds
from simulator.sweeps.store import check_output, open_store, save_run

__all__ = [
    "AXES", "Spec", "check", "check_output", "cores", "execute", "first_seeds", "foreknowledge",
    "open_store", "rehearse", "run_cell", "save_run", "sweep",
]  # fmt: skip
