"""The cost of a sweep before it starts: length of a chunk, hours and bytes in total."""

from __future__ import annotations

from simulator.checks import InputError
from simulator.data import Data
from simulator.sweeps.layout import Layout
from simulator.sweeps.spec import Spec
from simulator.training.ensemble import batched_for

__all__ = ["cells_in_a_chunk", "core_seconds", "refuse_large"]

# Rates of one core, in round numbers: matrix products of small networks, and updates of tiny
# networks that share vector registers. A measurement of the sharpness costs some gradients.
_FLOPS_PER_SECOND = 3e10
_LANE_UPDATES_PER_SECOND = 1.3e8
_GRADIENTS_A_MEASUREMENT = 6.0
_SECONDS_A_RUN, _SECONDS_AN_UPDATE = 5e-3, 1e-5

# A write takes 25 ms of one core, for one file per variable: the runs of a chunk should take
# longer. But chunks should be small enough to keep every core busy to the end of a sweep, and a
# chunk is lost when its worker is killed.
_WANTED_SECONDS, _WANTED_CHUNKS = 2.0, 24
_LEAST_SECONDS, _LEAST_CHUNKS = 0.5, 4
_LEAST_SECONDS_BATCHED, _LEAST_CHUNKS_BATCHED, _LEAST_CELLS_BATCHED = 0.15, 2, 1024
# Each chunk has a file for every variable.
_MOST_CHUNKS = 4096
_MOST_CELLS = 65536
_MOST_BYTES = 2**25

_MANY_HOURS, _MANY_BYTES = 48.0, 50e9


def core_seconds(spec: Spec, data: Data | None) -> float:
    """Approximate seconds of one core for a run of a part, if it does not diverge early."""
    if batched_for(spec, data):
        return spec.steps / _LANE_UPDATES_PER_SECOND
    parameters = spec.model.init(data, spec.seeds[0], spec.dtype).size
    samples = spec.batch_size or (data.samples if data else 1)
    gradient = 6.0 * parameters / _FLOPS_PER_SECOND
    measured = _gradients_measured(spec, samples, data.samples if data else 1)
    return _SECONDS_A_RUN + spec.steps * (_SECONDS_AN_UPDATE + gradient * (samples + measured))


def _gradients_measured(spec: Spec, samples: int, everything: int) -> float:
    """Cost of the measurements per update, in gradients of one sample."""
    batches = spec.batches * samples
    here = {"sharpness": _GRADIENTS_A_MEASUREMENT, "directional": 1.4, "critical": 3.0}
    there = {
        "batch": 2.4 * batches,
        "full": _GRADIENTS_A_MEASUREMENT * everything,
        "interaction": batches + 1.4 * spec.batches * everything,
    }
    of_the_step = samples * sum(here[name] for name in spec.measure if name in here)
    of_batches = sum(there[name] for name in spec.measure if name in there)
    often = of_the_step / spec.sharpness_every if spec.sharpness_every else 0.0
    return often + of_batches / spec.updates_between_batches


def cells_in_a_chunk(spec: Spec, data: Data | None) -> int:
    """Approximate number of cells per task and per write."""
    return min(_cells_in_a_chunk(part, data) for _, part in spec.parts())


def _cells_in_a_chunk(spec: Spec, data: Data | None) -> int:
    seconds = core_seconds(spec, data)
    least, chunks = _LEAST_SECONDS / seconds, _LEAST_CHUNKS
    if batched_for(spec, data):
        least = max(_LEAST_SECONDS_BATCHED / seconds, _LEAST_CELLS_BATCHED)
        chunks = _LEAST_CHUNKS_BATCHED
    cells = max(
        min(int(least), spec.cells // chunks),
        min(int(_WANTED_SECONDS / seconds), spec.cells // _WANTED_CHUNKS),
        spec.cells // _MOST_CHUNKS,
        1,
    )
    if spec.curves:
        cells = min(cells, max(1, _MOST_BYTES // (spec.steps * 32)))
    return min(cells, _MOST_CELLS)


def refuse_large(spec: Spec, data: Data | None, workers: int) -> None:
    """Raise InputError for a sweep of days or of very many bytes, which may be a mistake."""
    seconds = sum(part.cells * core_seconds(part, data) for _, part in spec.parts())
    hours = seconds / (3600.0 * workers)
    size = float(spec.cells * Layout(spec, data).cell_bytes())
    if hours > _MANY_HOURS or size > _MANY_BYTES:
        raise InputError(
            "large", "not given",
            f"{spec.cells} runs take about {hours:.2g} hours on {workers} cores and "
            f"{size / 1e9:.2g} GB; give a smaller grid, or --large to run it",
        )  # fmt: skip
