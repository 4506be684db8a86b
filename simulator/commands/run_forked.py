"""``warmup run --fork-at``: a run, and the same one with something changed from a step on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from simulator.checks import InputError, at_least, check_batch_size, positive
from simulator.commands.options import was_given
from simulator.commands.results import curves_of, results_of
from simulator.commands.run_several import refuse_keeping, report_runs
from simulator.commands.terminal import announce_compilation

if TYPE_CHECKING:
    from simulator.commands.drawing import Drawing
    from simulator.data import Data
    from simulator.sweeps import Spec

__all__ = ["CHANGES", "run_forked"]

CHANGES = ("fork_eta", "fork_batch_size")


@contextmanager
def _of_the_fork() -> Iterator[None]:
    """Name the command line's option for an argument of `fork`."""
    try:
        yield
    except InputError as error:
        raise InputError(f"fork_{error.option}", error.value, error.remedy) from None


def run_forked(spec: Spec, data: Data | None, drawing: Drawing, given: dict[str, Any]) -> None:
    """Do both, draw them over one another, and report how they ended."""
    from simulator.figures.about import about_cell
    from simulator.sweeps import rehearse, run_cell, seed_constants
    from simulator.training import fork

    at, eta, size = given["fork_at"], given["fork_eta"], given["fork_batch_size"]
    if spec.cells > 1:
        raise InputError("fork_at", at, f"forks one run, not {spec.cells}; leave the lists out")
    refuse_keeping(given)
    if at_least("fork_at", at, 0) >= spec.steps:
        raise InputError("fork_at", at, f"give a step from 0 to {spec.steps - 1}")
    changed: dict[str, Any] = {"fork_at": at}
    if eta is not None:
        changed["fork_eta"] = positive("fork_eta", eta)
    samples = 0 if data is None else data.samples
    if was_given("fork_batch_size"):
        changed["fork_batch_size"] = size = samples if size is None else size
        with _of_the_fork():
            check_batch_size(size, samples)
    fork_text = {"fork": ", ".join(f"{name} {value}" for name, value in changed.items())}
    drawing = drawing.showing(about_cell(spec, data, (0,) * 4) | fork_text)
    rehearse(spec, data)
    announce_compilation()
    known = seed_constants(spec, data, spec.seeds[0])
    first = run_cell(spec, data, (0,) * 4, known["eta_critical"])
    with _of_the_fork():
        second = fork(first, at=at, eta=eta, batch_size=size)
    runs, found = [first, second], list[dict[str, Any]]()
    for run, where in zip(runs, ({}, changed), strict=True):
        found.append({"at": where, "result": results_of(spec, data, run, known)})
        if given["curves"]:
            found[-1]["curves"] = curves_of(spec, data, run)
    changes = [] if eta is None else [f"eta times {eta:g}"]
    changes += [] if size is None else [f"batch size {size}"]
    labels = ["run", f"fork at {at}" + f": {', '.join(changes)}" * bool(changes)]
    report_runs(spec, runs, labels, found, drawing, as_json=given["as_json"])
