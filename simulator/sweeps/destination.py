"""The destination of a sweep's results, and the treatment of an existing store."""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from simulator.checks import InputError
from simulator.data import Data
from simulator.runs import Run
from simulator.sweeps.custom import is_recorded
from simulator.sweeps.declare import coordinates, describe
from simulator.sweeps.difference import difference
from simulator.sweeps.growth import carry_over
from simulator.sweeps.layout import Layout
from simulator.sweeps.memory import Memory
from simulator.sweeps.origin import machine, numerics
from simulator.sweeps.placing import bring_back, clear, resolved
from simulator.sweeps.reading import check_layout, described, open_group
from simulator.sweeps.spec import OURS, Spec
from simulator.sweeps.store import ResultStore, hold

__all__ = ["Destination", "save_run"]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Destination:
    """A path, and how to treat a store at this path.

    Attributes
    ----------
    path : path, optional
        None keeps the results in memory. The target of a link is written or replaced, not the link.
    resume, overwrite, grow : bool
        Resume the store, replace it, or add the cells of a larger grid. Without any of these, the
        path must not exist.
    share : (I, N)
        Run every N-th chunk, starting at the I-th; other processes run the others. The first of
        them makes the store.
    """

    path: Path | None = None
    resume: bool = False
    overwrite: bool = False
    grow: bool = False
    share: tuple[int, int] = (1, 1)

    def __post_init__(self) -> None:
        chosen = [name for name in ("resume", "overwrite", "grow") if getattr(self, name)]
        if len(chosen) > 1:
            raise InputError(chosen[0], f"with --{chosen[1]}", "give one of the two")
        shard = "shard", "{}/{}".format(*self.share)
        if not 1 <= self.share[0] <= self.share[1]:
            raise InputError(*shard, "give I/N with I from 1 to N")
        if self.is_shared and self.path is None:
            raise InputError(*shard, "shards meet in one store; name it with -o")
        if self.is_shared and chosen not in ([], ["resume"]):
            raise InputError(
                *shard, f"cannot be given with --{chosen[0]}; do that without it first"
            )

    @property
    def is_shared(self) -> bool:
        """Whether other processes write other chunks."""
        return self.share[1] > 1

    def check(self, spec: Spec, data: Data | None) -> None:
        """Raise the errors of `open` without writing anything."""
        if self.path is None:
            return
        path = resolved(self.path)
        needed = Layout(spec, data).cell_bytes() * spec.cells
        if os.path.lexists(path):
            if self.resume or self.grow or self.is_shared:
                option = "grow" if self.grow else "resume" if self.resume else "shard"
                _agree(self.path, spec, data, grown=self.grow, option=option)
                if not self.grow:
                    # The number of finished cells is not known.
                    needed = 0
            elif self.overwrite:
                check_layout(self.path, "output")
            else:
                raise InputError(
                    "output", self.path, "exists; --resume continues it, --overwrite replaces it"
                )
        _check_room(path, needed)

    def open(
        self, spec: Spec, data: Data | None, chunk_shape: tuple[int, ...], command: str | None
    ) -> ResultStore | Memory:
        """The store, locked and ready for writing."""
        if self.path is None:
            return Memory(spec, data, chunk_shape)
        path = resolved(self.path)
        bring_back(path)
        clear(path)
        if not path.exists():
            try:
                return ResultStore.create(
                    path, spec, data, chunk_shape, command=command, shared=self.is_shared
                )
            except InputError:
                # Another shard was faster.
                if not (self.is_shared and path.exists()):
                    raise
        self.check(spec, data)
        if self.overwrite:
            with closing(hold(path)) as lock:
                return ResultStore.create(
                    path, spec, data, chunk_shape, command=command, replace=lock
                )
        theirs, _ = described(path, open_group(path, "r", "output"), "output")
        # User-defined objects are only records there, and agree.
        theirs = _with_own(theirs, spec)
        store = ResultStore.reopen(path, theirs, data, shared=self.is_shared)
        if theirs == spec:
            return store
        with closing(store):
            if store.others():
                log.warning(
                    "%s: the larger store does not contain %s, which warmup sweep did not write",
                    path, ", ".join(store.others()),
                )  # fmt: skip
            return ResultStore.create(
                path, spec, data, chunk_shape, command=command, replace=store.lock,
                fill=partial(carry_over, store),
            )  # fmt: skip


def _with_own(theirs: Spec, ours: Spec) -> Spec:
    """The stored spec, with the given models and optimizers in place of records of them."""
    over = []
    for axis, mine in zip(theirs.over, ours.over, strict=True):
        known = dict(zip(mine.labels, mine.values, strict=True))
        over.append(replace(axis, values=tuple(known[label] for label in axis.labels)))
    first = {kind: getattr(ours, kind) for kind in OURS}
    return replace(theirs, **first, over=tuple(over))


def save_run(
    where: Destination,
    spec: Spec,
    data: Data | None,
    run: Run,
    known: Mapping[str, float],
    command: str,
) -> None:
    """A store of one run, the only cell of ``spec``, with its curves."""
    one = (1, 1, 1, 1)
    with closing(where.open(spec, data, one, command)) as store:
        chunk = store.layout.blank(one)
        store.layout.fill(chunk, (0, 0, 0, 0), run, known)
        store.write(next(store.regions()), chunk)
        store.finish()


def _agree(path: Path, spec: Spec, data: Data | None, *, grown: bool, option: str) -> None:
    """Raise InputError if spec, data or numerics of a store differ; name the first difference."""
    group = open_group(path, "r", "output")
    their_spec, their_data = described(path, group, "output")
    # The source of the data may have another path; the digest decides.
    digest = {"digest": describe(data).get("digest")}
    found = (
        difference(their_spec, spec, grown=grown)
        or _difference(their_data, digest)
        or _difference(json.loads(str(group.attrs["numerics"])), numerics())
    )
    if found:
        raise InputError(option, path, f"{found}; {_remedy(their_spec, spec)}")
    layout = {*coordinates(spec), *(variable.name for variable in Layout(spec, data))}
    for name in sorted(layout ^ {*group.array_keys()}):
        has = "lacks" if name in layout else "has"
        raise InputError(option, path, f"{has} {name}, unlike this version's; use another output")
    rounding = {name: machine()[name] for name in ("cpu", "features", "blas")}
    if _difference(json.loads(str(group.attrs["machine"])), rounding):
        log.warning(
            "%s was started on another processor: the last bits of new results may differ", path
        )


def _remedy(theirs: Spec, ours: Spec) -> str:
    for kind in OURS:
        there, here = getattr(theirs, kind), getattr(ours, kind)
        if is_recorded(there) and there.name != here.name:
            return f"{there.name} is user-defined: resume in Python, with sweep(..., resume=True)"
    return "use the same, or another output"


def _difference(theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> str | None:
    for name, value in ours.items():
        if theirs.get(name) != value:
            return f"was made with {name} {theirs.get(name)}, not {value}"
    return None


def _check_room(path: Path, needed: int) -> None:
    folder = path.absolute().parent
    if not folder.is_dir():
        raise InputError("output", path, f"there is no folder {folder}; make it first")
    if not os.access(folder, os.W_OK):
        raise InputError("output", path, f"the folder {folder} cannot be written to")
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise InputError(
            "output", path,
            f"needs {needed / 1e9:.3g} GB and {free / 1e9:.3g} GB are free; "
            "give a smaller grid, fewer steps, or no curves",
        )  # fmt: skip
