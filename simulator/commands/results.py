"""What a command reports of one run, by the names of a store's variables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from simulator.data import Data
    from simulator.runs import Run
    from simulator.sweeps import Spec

__all__ = ["curves_of", "results_of"]


def results_of(
    spec: Spec, data: Data | None, result: Run, known: dict[str, float]
) -> dict[str, Any]:
    """Its numbers and words, after those ``known`` of its seed."""
    from simulator.sweeps.layout import variables

    return known | {v.name: v.of(result) for v in variables(spec, data) if v.of is not None}


def curves_of(spec: Spec, data: Data | None, result: Run) -> dict[str, Any]:
    """Its curves."""
    from simulator.sweeps.layout import curves

    found = {v.name: v.of(result) for v in curves(spec, data) if v.of is not None}
    if result.eigenvalues.shape[1] > 1:
        found["eigenvalues"] = result.eigenvalues
    return found
