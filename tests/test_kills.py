"""Killed at any moment, a sweep leaves a store that opens, holds whole cells, and goes on.

``pytest tests/test_kills.py --kills 200`` kills so many; without it, a few. With
``--log-file kills.log --log-file-level INFO`` it writes down how each kill of a replaced or shared
store ended.
"""

import logging
import os
import random
import shutil
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from program import QUADRATIC, STOP_AT_A_RENAME, await_that, chunks, content, files
from warm import MAIN, Warm, warmup
from warm import run as run_warm

from simulator.commands import main

log = logging.getLogger(__name__)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.name == "nt", reason="nothing there is killed like this"),
    pytest.mark.usefixtures("folder", "undrawn"),
]

SWEEPS = {
    "uv": "sweep --model uv --data teacher --samples 1 --width 64 --eta-trgt 0.5:6:32 "
    "--t-wrm 1,4,16 --seeds 60 --steps 1000 --sharpness-every 0",
    "mlp": "sweep --width 8 --depth 2 --samples 32 --eta-trgt 0.5:8:10 --t-wrm 1,8 --seeds 4 "
    "--steps 200 --sharpness-every 40 --curves",
}


def pytest_generate_tests(metafunc):
    if "moment" in metafunc.fixturenames:
        metafunc.parametrize("moment", range(metafunc.config.getoption("--kills")))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The chunks of uninterrupted sweeps, on threads here, and their values."""
    found = {}
    for name, line in SWEEPS.items():
        path = tmp_path_factory.mktemp("whole") / f"{name}.zarr"
        began = time.monotonic()
        warmup(f"{line} -o {path}")
        found[name] = chunks(path), xr.open_zarr(path, chunks=None).load(), time.monotonic() - began
    return found


def kill_at_random(line, draw, seconds):
    """Start a sweep and kill it at some moment of its life; whether it lived to its end."""
    sweep = Warm(MAIN, *line.split())
    if draw.random() < 0.8:
        # Wait for the first sign of a store.
        signs = Path().glob
        await_that(lambda: sweep.poll() is not None or any(signs("*killed.zarr*")))
        seconds *= 0.5
    return not killed_after(sweep, draw.uniform(0.0, seconds)) and sweep.returncode == 0


def killed_after(sweep, seconds):
    """Whether a sweep had to be killed after so many seconds."""
    try:
        sweep.wait(seconds)
    except subprocess.TimeoutExpired:
        sweep.kill()
        sweep.communicate()
    return sweep.returncode == -9


def assert_whole_cells(store, expected):
    """It opens, and what it calls done is as it would have been."""
    found = xr.open_zarr(store, chunks=None).load()
    done = (found["status"] == "done").values
    for name, values in found.data_vars.items():
        np.testing.assert_array_equal(values.values[done], expected[name].values[done], name)
    return done.mean()


@pytest.mark.parametrize("where", ["threads", "cluster"])
def test_a_sweep_that_was_killed_goes_on_to_the_same_bytes(run, whole, request, where, moment):
    draw = random.Random(f"{where} {moment}")
    name = draw.choice(sorted(SWEEPS))
    expected, values, seconds = whole[name]
    line = f"{SWEEPS[name]} -o killed.zarr --resume"
    if where == "cluster":
        line += f" --scheduler {request.getfixturevalue('cluster').scheduler_address}"
    for _ in range(draw.randint(1, 3)):
        lived = kill_at_random(line, draw, seconds)
        if Path("killed.zarr").exists():
            assert_whole_cells("killed.zarr", values)
        if lived:
            break
    assert run(line).code == 0
    assert_as_if_never_killed(expected)


def assert_as_if_never_killed(expected):
    store = Path("killed.zarr")
    assert chunks(store) == expected
    assert xr.open_zarr(store).attrs["complete"] is True
    assert not list(store.rglob("*.partial"))
    assert {path.name for path in Path().iterdir()} <= {"killed.zarr", "killed.png"}


STOP = """
import contextlib, itertools, os, sys
from simulator.commands import main
import zarr.storage._local as local

where, number, whole = sys.argv[1], int(sys.argv[2]), local._atomic_write
counted = itertools.count(1)

class Half:
    def __init__(self, file): self.file = file
    def write(self, content):
        self.file.write(bytes(content)[: len(content) // 2]); self.file.flush(); os._exit(9)

@contextlib.contextmanager
def dying(path, mode, exclusive=False):
    now = where if next(counted) == number else ""
    if now == "before":
        os._exit(9)
    try:
        with whole(path, mode, exclusive) as file:
            yield Half(file) if now == "half" else file
            if now == "written":
                os._exit(9)
    finally:
        # What was to be there only once may have been there before.
        if now == "after":
            os._exit(9)

local._atomic_write = dying
main(sys.argv[3:])
"""


SMALL = f"sweep {QUADRATIC} --eta-trgt 0.25,0.5 --t-wrm 1,4 --seeds 2"


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    path = tmp_path_factory.mktemp("small") / "small.zarr"
    warmup(f"{SMALL} -o {path}")
    return chunks(path), xr.open_zarr(path, chunks=None).load()


@pytest.mark.parametrize("where", ["before", "half", "written", "after"])
@pytest.mark.parametrize("write", [1, 40, 60, 80])
def test_killed_inside_any_write_of_any_file(run, small, where, write):
    """The first 50 or so make the store, then each chunk has 16 files; its status is the last.

    Its digests come after: see ``test_a_writer_that_dies_around_its_digests_leaves_no_doubt``.
    """
    expected, values = small
    line = f"{SMALL} -o killed.zarr --resume"
    assert run_warm(STOP, where, str(write), *line.split()).returncode == 9
    if Path("killed.zarr").exists():
        assert_whole_cells("killed.zarr", values)
    assert run(line).code == 0
    assert_as_if_never_killed(expected)


# --- a store that is replaced, grown or shared ---------------------------------------------------

PARTS = (
    "sweep --width 4 --depth 2 --samples 16 --t-wrm 1,8 --steps 60 --sharpness-every 20 --curves "
    "--eta-trgt 0.5:8:8"
)
WAYS = ["grow", "overwrite", "shards", "grow on a cluster", "overwrite on a cluster"]
RENAMES = ["before 1 exchange", "after 1 exchange", *(f"after {n} turns" for n in (1, 2, 3))]


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    """A smaller store, and the files of the larger one, undisturbed."""
    small, large = (tmp_path_factory.mktemp("parts") / name for name in ("small", "large"))
    for path, seeds in ((small, 4), (large, 9)):
        with pytest.raises(SystemExit, match="0"):
            main([*PARTS.split(), "--seeds", str(seeds), "-o", str(path)])
    return small, files(large)


def neighbours():
    """What is nobody's business, some of it with names that are nearly those of leavings."""
    for name in ("precious", f".killed.zarr.other.{'a' * 32}.old", ".killed.zarr.notes.new"):
        Path(name).mkdir()
        Path(name, "notes").write_text(name)
    return {path: content(path) for path in Path().iterdir()}


def names_in(place):
    try:
        return set(os.listdir(place))  # noqa: PTH208 - one call, whatever others rename meanwhile
    except FileNotFoundError:
        return set()


def kill_somewhere(line, draw):
    """Kill a sweep at a chosen rename, or a moment after its first sign; whether it was."""
    if draw.random() < 0.5:
        moment = draw.choice(RENAMES).split()
        return run_warm(STOP_AT_A_RENAME, *moment, *line.split()).returncode == -9
    # A new name, or a new chunk.
    place = draw.choice([".", "killed.zarr/status/c"])
    before = names_in(place)
    sweep = Warm(MAIN, *line.split())
    await_that(lambda: sweep.poll() is not None or names_in(place) != before)
    return killed_after(sweep, draw.expovariate(2.0))


def test_a_kill_while_a_store_is_replaced_or_shared_changes_no_file(run, parts, request, moment):
    draw, way = random.Random(f"parts {moment}"), WAYS[moment % len(WAYS)]
    (small, expected), before = parts, neighbours()
    line = f"{PARTS} --seeds 9 -o killed.zarr"
    if "cluster" in way:
        line += f" --scheduler {request.getfixturevalue('cluster').scheduler_address}"
    if way == "shards":
        lines = [f"{line} --shard {i}/3" for i in (1, 2, 3)]
    else:
        shutil.copytree(small, "killed.zarr")
        lines = [f"{line} --{way.split()[0]}"]
    draw.shuffle(lines)
    for part in lines:
        killed = kill_somewhere(part, draw)
        left = sorted(path.name for path in {*Path().iterdir()} - {*before})
        log.info("%s: %s, leaving %s", way, "killed" if killed else "lived", left)
    if draw.random() < 0.5:
        run("info killed.zarr")  # A reader may be the first that comes by.
    for part in lines:
        result = run(part)
        assert result.code == 0, result.err
    assert files(Path("killed.zarr")) == expected
    assert {path: content(path) for path in before} == before
    assert {*Path().iterdir()} - {*before} <= {Path("killed.zarr"), Path("killed.png")}
