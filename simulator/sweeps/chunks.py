"""How many cells a task computes and one write commits.

A write takes 25 ms of one core, one file for every variable, whatever is in them: a chunk's runs
should take longer. More chunks than that share a sweep out better, and lose less when killed.
"""

from __future__ import annotations

from simulator.data import Data
from simulator.sweeps.side_by_side import goes_side_by_side
from simulator.sweeps.spec import Spec

__all__ = ["cells_in_a_chunk"]

_CHUNKS_WANTED = 24
_LEAST_FLOPS = 1.5e10  # half a second of one core
_LEAST_LANE_UPDATES = 20_000_000
_MOST_CELLS = 65536
_MOST_BYTES = 2**25


def cells_in_a_chunk(spec: Spec, data: Data | None) -> int:
    """About how many."""
    if goes_side_by_side(spec, data):
        least = max(1024, _LEAST_LANE_UPDATES // spec.steps)
    else:
        parameters = spec.model.init(data, spec.seeds[0], spec.dtype).size
        samples = spec.batch_size or (data.samples if data else 1)
        least = int(_LEAST_FLOPS / (6.0 * spec.steps * samples * parameters))
    # In a sweep of a second or two every core should still find work.
    cells = max(spec.cells // _CHUNKS_WANTED, min(least, spec.cells // 4), 1)
    if spec.curves:
        cells = min(cells, max(1, _MOST_BYTES // (spec.steps * 32)))
    return min(cells, _MOST_CELLS)
