"""Whatever happens to a store, in whatever order, it holds no cell that is not as it should be."""

import shutil
import tempfile
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from profiles import fewer

from simulator import GD, Quadratic
from simulator.sweeps import AXES, Destination, Spec, execute
from simulator.sweeps.store import ResultStore

LARGEST = Spec(
    model=Quadratic((1.0, 3.0)),
    optimizer=GD(),
    seeds=(0, 1),
    eta_init=(0.0, 0.1),
    eta_trgt=(0.25, 0.5, 0.7),
    t_wrm=(1, 4),
    steps=4,
    curves=True,
)
WHOLE = {}


def expected():
    """The largest grid in memory, made once."""
    if not WHOLE:
        WHOLE["is"] = execute(LARGEST, None).load()
    return WHOLE["is"]


def grids(spec):
    """A part of the largest grid that has all of ``spec``."""
    return st.fixed_dictionaries(
        {
            name: st.sets(st.sampled_from(getattr(LARGEST, name))).map(
                lambda more, name=name: tuple(sorted({*getattr(spec, name), *more}))
            )
            for name in ("seeds", "eta_init", "eta_trgt", "t_wrm")
        }
    )


class StoreMachine(RuleBasedStateMachine):
    """A store, and people who stop, share, grow, damage and resume the sweep in it."""

    def __init__(self):
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.path = self.folder / "store.zarr"

    @initialize(pick=st.data(), cells=st.integers(1, 6))
    def begin(self, pick, cells):
        none = replace(LARGEST, seeds=(0,), eta_init=(0.0,), eta_trgt=(0.5,), t_wrm=(1,))
        self.spec = replace(LARGEST, **pick.draw(grids(none)))
        shape = self.spec.chunk_shape(cells)
        ResultStore.create(self.path, self.spec, None, shape).close()

    @rule(writes=st.integers(0, 5))
    def is_stopped_after_some_chunks(self, writes):
        whole, left = ResultStore.write, iter(range(writes))

        def write(store, region, values):
            if next(left, None) is None:
                raise KeyboardInterrupt
            whole(store, region, values)

        ResultStore.write = write
        try:
            execute(self.spec, None, Destination(self.path, resume=True), workers=1)
        except KeyboardInterrupt:
            pass
        finally:
            ResultStore.write = whole

    @rule(pick=st.data())
    def does_a_share(self, pick):
        shares = pick.draw(st.integers(1, 4))
        share = (pick.draw(st.integers(1, shares)), shares)
        execute(self.spec, None, Destination(self.path, resume=True, share=share))

    @precondition(lambda self: self.spec.cells < LARGEST.cells)
    @rule(pick=st.data(), cells=st.integers(1, 6))
    def grows(self, pick, cells):
        self.spec = replace(LARGEST, **pick.draw(grids(self.spec)))
        execute(self.spec, None, Destination(self.path, grow=True), chunk_cells=cells)

    @rule(pick=st.data())
    def is_damaged(self, pick):
        files = [f for f in sorted(self.path.rglob("c/**/*")) if f.is_file()]
        file = pick.draw(st.sampled_from(files))
        content = bytearray(file.read_bytes())
        how = pick.draw(st.sampled_from(["lose", "cut", "flip"]))
        if how == "lose":
            file.unlink()
        elif how == "cut":
            file.write_bytes(content[: pick.draw(st.integers(0, max(0, len(content) - 1)))])
        elif content:
            at = pick.draw(st.integers(0, len(content) - 1))
            content[at] ^= 1 << pick.draw(st.integers(0, 7))
            file.write_bytes(content)

    @rule()
    def is_resumed(self):
        execute(self.spec, None, Destination(self.path, resume=True))

    @invariant()
    def what_is_done_is_as_it_should_be(self):
        if not self.path.exists():
            return
        whole = expected().sel(
            {axis: list(values) for axis, values in self.spec.coordinates().items()}
        )
        with closing(ResultStore.reopen(self.path, self.spec, None)) as store:
            for region in store.regions():
                chunk = store.read(region)
                done = chunk["status"] == "done"
                part = whole.isel(dict(zip(AXES, region, strict=True)))
                for name, values in chunk.items():
                    np.testing.assert_array_equal(values[done], part[name].values[done], name)

    def teardown(self):
        if self.path.exists():
            found = execute(self.spec, None, Destination(self.path, resume=True)).load()
            assert found.attrs["complete"] is True
            assert (found["status"] == "done").all()
            self.what_is_done_is_as_it_should_be()
            assert list(self.folder.iterdir()) == [self.path]
        shutil.rmtree(self.folder)


TestStore = StoreMachine.TestCase
TestStore.settings = settings(fewer(0.2), stateful_step_count=8)
TestStore = pytest.mark.slow(TestStore)
