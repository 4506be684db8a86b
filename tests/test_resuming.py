"""A sweep that was stopped goes on, grows, is shared out, and refuses what it is not."""

import itertools
import shutil
import signal
import sys
import threading
import time
from contextlib import closing
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from profiles import fewer
from program import QUADRATIC, chunks, opened, own_words
from warm import MAIN, Warm
from warm import run as run_warm

from simulator import GD, UV, Adam, InputError, Momentum, Quadratic, Warmup, load_data
from simulator.sweeps import Destination, Spec, execute, open_store
from simulator.sweeps.difference import difference
from simulator.sweeps.lock import Lock
from simulator.sweeps.origin import numerics
from simulator.sweeps.store import ResultStore

pytestmark = pytest.mark.usefixtures("folder", "undrawn")

SPEC = Spec(
    model=Quadratic((1.0, 3.0)),
    optimizer=GD(),
    seeds=(0, 1, 2),
    eta_init=(0.0, 0.1),
    eta_trgt=(0.25, 0.5, 0.7),
    t_wrm=(1, 4, 8),
    steps=8,
)
STORE = Path("store.zarr")
TINY = "--width 4 --depth 2 --samples 16 --steps 8"


def values(dataset):
    return {n: a.values.tolist() for n, a in dataset.load().variables.items()}


@pytest.fixture
def runs(monkeypatch):
    """The cells that are run, one by one; a name in ``fail`` makes the next one raise."""
    module = sys.modules["simulator.sweeps.work"]
    done, original = [], module.run_cell

    def run_cell(spec, data, cell, eta_critical, **options):
        done.append(tuple(cell))
        return original(spec, data, cell, eta_critical, **options)

    monkeypatch.setattr(module, "run_cell", run_cell)
    return done


# --- stopping -----------------------------------------------------------------------------------


@pytest.mark.parametrize("after", [1, 5, 20])
def test_cells_of_a_chunk_that_was_stopped_in_the_middle_are_kept(runs, after):
    count = itertools.count(1)

    def stop(more):
        # Time for the main thread to begin to wait, and then to hear the signal.
        time.sleep(0.1 * more)
        if next(count) == after + 1:
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        execute(SPEC, None, Destination(STORE), workers=1, chunk_cells=1000, progress=stop)
    done = int((open_store(STORE)[0]["status"] == "done").sum())
    assert after <= done < SPEC.cells
    runs.clear()
    resumed = execute(SPEC, None, Destination(STORE, resume=True))
    assert len(runs) == SPEC.cells - done
    assert values(resumed) == values(execute(SPEC, None))


# --- growing ------------------------------------------------------------------------------------

axes = st.fixed_dictionaries(
    {
        "seeds": st.integers(1, 4).map(lambda n: tuple(range(n))),
        "eta_init": st.sets(st.sampled_from([0.0, 0.1, 0.2]), min_size=1),
        "eta_trgt": st.sets(st.sampled_from([0.25, 0.3, 0.5, 0.7]), min_size=1),
        "t_wrm": st.sets(st.sampled_from([1, 2, 4, 8]), min_size=1),
    }
)


@fewer(0.2)
@given(small=axes, more=axes, cells=st.tuples(st.integers(1, 9), st.integers(1, 9)))
def test_a_grown_store_is_the_one_that_was_large_at_once(tmp_path_factory, small, more, cells):
    path = tmp_path_factory.mktemp("grown") / "store.zarr"
    large = {name: tuple(sorted({*small[name], *more[name]})) for name in small}
    small = {name: tuple(sorted(values)) for name, values in small.items()}
    first, second = replace(SPEC, **small), replace(SPEC, **large)
    execute(first, None, Destination(path), chunk_cells=cells[0])
    told = []
    grown = execute(
        second, None, Destination(path, grow=True), chunk_cells=cells[1], progress=told.append
    )
    assert values(grown) == values(execute(second, None))
    assert grown.attrs["complete"] is True
    assert sum(told) == second.cells


def test_only_what_is_new_is_run(runs):
    execute(SPEC, None, Destination(STORE))
    runs.clear()
    larger = replace(SPEC, eta_trgt=(0.1, 0.25, 0.5, 0.6, 0.7), seeds=(0, 1, 2, 3))
    execute(larger, None, Destination(STORE, grow=True))
    new = {c for c in np.ndindex(larger.shape) if c[0] == 3 or c[2] in (0, 3)}
    assert sorted(runs) == sorted(new)


def test_cells_of_neighbours_in_lanes_are_not_run_twice(monkeypatch):
    data = load_data("teacher", samples=1)
    spec = Spec(UV(width=8), GD(), eta_trgt=(0.5, 1.0), seeds=(0, 1), steps=8, eta_unit="critical")
    execute(spec, data, Destination(STORE))
    module, trained = sys.modules["simulator.sweeps.batched"], []
    original = module.train_batched

    def count(lanes, states, *arguments, **options):
        trained.append(states.shape[1])
        return original(lanes, states, *arguments, **options)

    larger = replace(spec, eta_trgt=(0.5, 0.75, 1.0, 2.0), t_wrm=(1, 4))
    fresh = values(execute(larger, data))
    monkeypatch.setattr(module, "train_batched", count)
    assert values(execute(larger, data, Destination(STORE, grow=True))) == fresh
    assert sum(trained) == larger.cells - spec.cells


def test_a_grid_that_lacks_something_is_no_larger_one():
    execute(SPEC, None, Destination(STORE))
    before = chunks(STORE)
    for change, message in (
        ({"eta_trgt": (0.25, 0.5)}, "has eta_trgt 0.7, which the larger grid lacks"),
        ({"seeds": (0, 1)}, "has seeds 2, which the larger grid lacks"),
        ({"steps": 9}, "was made with steps 8, not 9"),
        ({"model": Quadratic((1.0, 4.0))}, "was made with curvatures 1, 3, not 1, 4"),
        ({"optimizer": Momentum()}, "was made with optimizer gd, not momentum"),
    ):
        with pytest.raises(InputError, match=message):
            execute(replace(SPEC, **change), None, Destination(STORE, grow=True))
    assert chunks(STORE) == before


def test_a_store_that_stops_growing_is_as_it_was(monkeypatch):
    execute(SPEC, None, Destination(STORE))
    before = chunks(STORE)

    def stop(old, new):
        raise KeyboardInterrupt

    monkeypatch.setattr(sys.modules["simulator.sweeps.destination"], "carry_over", stop)
    with pytest.raises(KeyboardInterrupt):
        execute(replace(SPEC, seeds=(0, 1, 2, 3)), None, Destination(STORE, grow=True))
    assert chunks(STORE) == before
    assert list(Path().iterdir()) == [STORE]


def test_a_writer_that_died_between_two_stores_left_the_old_one_which_comes_back():
    execute(SPEC, None, Destination(STORE))
    before = chunks(STORE)
    shutil.copytree(STORE, f".store.zarr.{'1' * 32}.new")
    STORE.rename(f".store.zarr.{'1' * 32}.old")
    execute(SPEC, None, Destination(STORE, resume=True))
    assert chunks(STORE) == before
    assert list(Path().iterdir()) == [STORE]


# --- shares -------------------------------------------------------------------------------------


@pytest.mark.parametrize("shares", [1, 2, 5, 12])
def test_shares_make_the_same_store_in_any_order_any_number_of_times(shares):
    execute(SPEC, None, Destination(Path("whole.zarr")), chunk_cells=6)
    there = len(list(Path("whole.zarr/status/c").glob("*/*/*/*")))
    order = [*range(1, shares + 1), 1]
    order = np.random.default_rng(shares).permutation(order).tolist()
    for position, share in enumerate(order):
        where = Destination(STORE, resume=True, share=(share, shares))
        found = execute(SPEC, None, where, chunk_cells=6)
        left = set(range(1, shares + 1)) - set(order[: position + 1])
        assert found.attrs["complete"] is all(share > there for share in left)
    assert chunks(STORE) == chunks(Path("whole.zarr"))


def test_shards_begin_at_once_and_meet_in_one_store(run):
    line = f"sweep {QUADRATIC} --eta-trgt 0.1:0.9:9 --t-wrm 1,2,4,8 --seeds 4"
    shards = [
        Warm(MAIN, *line.split(), "-o", "store.zarr", "--shard", f"{i}/4") for i in (1, 2, 3, 4, 2)
    ]
    for shard in shards:
        _, err = shard.communicate()
        assert shard.returncode == 0, err
        assert "Traceback" not in own_words(err)
    assert opened("store.zarr").attrs["complete"] is True
    assert run(f"{line} -o whole.zarr").code == 0
    assert chunks(STORE) == chunks(Path("whole.zarr"))


def test_a_shard_says_what_is_left(run):
    line = f"sweep {QUADRATIC} --eta-trgt 0.1:0.9:9 --t-wrm 1,2,4,8 --seeds 4 -o store.zarr"
    first = run(f"{line} --shard 1/2")
    assert first.code == 0
    assert "Shard 1/2 is done; 72 of 144 runs are left to the others." in first.out
    assert not Path("store.png").exists()
    assert "Diagram" in run(f"{line} --shard 2/2").out


# --- locks --------------------------------------------------------------------------------------


def test_a_store_has_one_writer():
    execute(SPEC, None, Destination(STORE))
    before = chunks(STORE)
    with closing(ResultStore.reopen(STORE, SPEC, None)):
        for where in (
            Destination(STORE, resume=True),
            Destination(STORE, overwrite=True),
            Destination(STORE, grow=True),
            Destination(STORE, share=(1, 2)),
        ):
            with pytest.raises(InputError, match="is being written by process"):
                execute(SPEC, None, where)
        assert values(open_store(STORE)[0])
    assert chunks(STORE) == before
    execute(SPEC, None, Destination(STORE, resume=True))


def test_shards_lock_out_others_not_each_other():
    execute(SPEC, None, Destination(STORE))
    with closing(Lock(STORE, shared=True)):
        execute(SPEC, None, Destination(STORE, share=(1, 2)))
        with pytest.raises(InputError, match="is being written by other shards"):
            execute(SPEC, None, Destination(STORE, resume=True))


def test_a_dead_process_holds_no_lock():
    execute(SPEC, None, Destination(STORE))
    hold = "import os; from simulator.sweeps.lock import *; from pathlib import Path; "
    hold += "lock = Lock(Path('store.zarr')); os._exit(9)"
    assert run_warm(hold).returncode == 9
    assert (STORE / ".lock").read_text().startswith("process")
    execute(SPEC, None, Destination(STORE, resume=True))
    assert (STORE / ".lock").read_text() == ""


# --- what is not the same sweep -----------------------------------------------------------------

OTHER = {
    "model": Quadratic((1.0, 4.0)), "optimizer": Adam(), "eta_trgt": (0.25, 0.5, 0.8),
    "eta_init": (0.0,), "t_wrm": (1,), "seeds": (0,), "steps": 9, "eta_unit": "critical",
    "batch_size": 1, "layer_rates": True, "sharpness_every": 3, "top_k": 2, "sharpness_tol": 1e-6,
    "curves": True, "dtype": "float32", "schedule": Warmup(decay="cosine"),
    "over": {"sharpness_tol": [1e-5, 1e-4]}, "measure": ("sharpness", "full"), "batches": 7,
    "batch_accuracy": 0.1, "batch_every": 3,
}  # fmt: skip


@pytest.mark.parametrize("field", [field.name for field in fields(Spec)])
def test_each_entry_of_a_spec_is_told_apart(field):
    other = replace(SPEC, **{field: OTHER[field]})
    shown = {"model": "curvatures", "over": "sharpness_tol", "schedule": "decay"}.get(field, field)
    assert f"was made with {shown} " in difference(SPEC, other)
    assert difference(SPEC, replace(SPEC)) is None


def test_a_data_file_that_changed_meanwhile_is_noticed(run, folder):
    x, y = np.random.default_rng(0).standard_normal((2, 8, 2))
    np.savez("mine.npz", x=x, y=y)
    line = "sweep --data mine.npz --width 2 --depth 2 --steps 4 --eta-trgt 0.1 --t-wrm 1 --seeds 1"
    assert run(f"{line} -o store.zarr").code == 0
    Path("moved").mkdir()
    shutil.copy("mine.npz", "moved/mine.npz")
    assert run(f"{line} -o store.zarr --resume".replace("mine", "moved/mine")).code == 0
    np.savez("mine.npz", x=x, y=np.nextafter(y, 9.0))
    result = run(f"{line} -o store.zarr --resume")
    assert result.code == 2
    assert "was made with digest" in result.err


@pytest.mark.parametrize("name", ["numpy", "numba", "warmup-simulator", "source"])
def test_other_numerics_do_not_go_on(monkeypatch, name):
    execute(SPEC, None, Destination(STORE))
    changed = {**numerics(), name: "0.0"}
    monkeypatch.setattr(sys.modules["simulator.sweeps.destination"], "numerics", lambda: changed)
    with pytest.raises(InputError, match=f"was made with {name} .*, not 0.0"):
        execute(SPEC, None, Destination(STORE, resume=True))


def test_another_processor_goes_on_and_says_so(monkeypatch, caplog):
    module = sys.modules["simulator.sweeps.destination"]
    execute(SPEC, None, Destination(STORE))
    monkeypatch.setattr(module, "machine", lambda: {"cpu": "m1", "features": [], "blas": []})
    execute(SPEC, None, Destination(STORE, resume=True))
    assert "another processor" in caplog.text
