"""Links, renames and moves of stores, and what dead processes leave; nothing else is touched."""

import json
import os
import shutil
import socket
import sys
from contextlib import closing
from pathlib import Path

import pytest
from program import GRID, QUADRATIC, STOP_AT_A_RENAME, assert_refused, content, files
from warm import run as run_warm
from warm import warmup

from simulator import InputError
from simulator.sweeps import placing
from simulator.sweeps.lock import Lock
from simulator.sweeps.store import ResultStore

pytestmark = [
    pytest.mark.usefixtures("folder", "undrawn"),
    pytest.mark.skipif(os.name == "nt", reason="links and locks are others there"),
]

STORE = Path("store.zarr")
SMALL = f"sweep {QUADRATIC} {GRID} --curves -o store.zarr"
LARGE = f"sweep {QUADRATIC} --eta-trgt 0.25,0.5,0.7 --t-wrm 1,4 --seeds 2 --curves -o store.zarr"
WRITERS = [f"{SMALL} --resume", f"{SMALL} --overwrite", f"{LARGE} --grow", f"{SMALL} --shard 1/2"]
ID = "0123456789abcdef" * 2


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """The files of the larger sweep, undisturbed."""
    path = tmp_path_factory.mktemp("large") / "store.zarr"
    line = LARGE.replace("store.zarr", str(path))
    warmup(line)
    return files(path)


# --- links --------------------------------------------------------------------------------------


def replace_by(path, kind, target):
    """Put a link to a copy outside, or what is no file, in the place of an entry of a store."""
    if path.is_dir():
        shutil.copytree(path, target)
        shutil.rmtree(path)
    else:
        target.write_bytes(path.read_bytes() or b"precious")
        path.unlink()
    if kind == "link":
        path.symlink_to(target.absolute())
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        with socket.socket(socket.AF_UNIX) as endpoint:
            endpoint.bind(str(path))


@pytest.mark.parametrize("kind", ["link", "pipe", "socket"])
@pytest.mark.parametrize(
    "inside",
    [
        ".lock",
        "zarr.json",
        "loss_final/c",
        "eta_trgt/zarr.json",
        "loss_final/c/0/0/0/0",
        "digests/0.0.0.0",
    ],
)
def test_no_link_inside_a_store_is_followed(run, store, folder, inside, kind):
    outside = folder / "outside"
    replace_by(store / inside, kind, outside)
    before = content(folder)
    writers = WRITERS if kind == "link" else WRITERS[:1]
    for line, option in [*((line, "--output") for line in writers), ("info store.zarr", "store")]:
        result = run(line)
        assert_refused(result, option, "store.zarr")
        assert inside in result.err
        assert content(folder) == before


def test_a_lock_that_is_another_s_file_is_not_emptied(run, store, folder):
    Path("precious").write_text("precious")
    (store / ".lock").unlink()
    os.link("precious", store / ".lock")
    for line in WRITERS:
        assert_refused(run(line), "--output", "store.zarr")
        assert Path("precious").read_text() == "precious"


def test_a_lock_that_becomes_a_link_is_not_followed(store):
    """Between the look at all of a store and its lock."""
    Path("precious").write_text("precious")
    (store / ".lock").unlink()
    (store / ".lock").symlink_to(Path("precious").absolute())
    with pytest.raises(InputError, match=r"its \.lock is not a regular file"):
        Lock(store)
    assert Path("precious").read_text() == "precious"


@pytest.mark.parametrize(
    "line", [f"{SMALL} --resume", f"{LARGE} --grow", f"{LARGE} --overwrite", LARGE]
)
def test_a_store_that_is_a_link_stays_one(run, store, folder, large, line):
    small = files(store)
    Path("disk").mkdir()
    store.rename("disk/real.zarr")
    store.symlink_to("disk/real.zarr")
    if line == LARGE:
        # A link to a store that is to be made.
        shutil.rmtree("disk/real.zarr")
    assert run(line).code == 0
    assert str(store.readlink()) == "disk/real.zarr"
    assert files(Path("disk/real.zarr")) == (small if "--resume" in line else large)
    assert [path.name for path in Path("disk").iterdir()] == ["real.zarr"]
    assert {path.name for path in folder.iterdir()} == {"disk", "store.zarr"}


def test_a_link_to_itself_is_refused(run):
    STORE.symlink_to("store.zarr")
    for line in WRITERS:
        assert_refused(run(line), "--output", "store.zarr")


# --- renames ------------------------------------------------------------------------------------


def killed_at(moment, line):
    assert run_warm(STOP_AT_A_RENAME, *moment.split(), *line.split()).returncode == -9


def in_a_copy(monkeypatch, tmp_path_factory):
    """As the killed process left it, once more."""
    copy = tmp_path_factory.mktemp("copy") / "copy"
    shutil.copytree(Path.cwd(), copy)
    monkeypatch.chdir(copy)


@pytest.mark.parametrize(
    ("option", "moment"),
    [
        ("--grow", "after 1 exchange"),
        ("--grow", "after 1 turns"),
        ("--grow", "after 2 turns"),
        ("--overwrite", "after 1 turns"),
    ],
)
def test_a_kill_at_a_rename_loses_nothing(
    run, store, large, monkeypatch, tmp_path_factory, option, moment
):
    small, folder = files(store), Path.cwd()
    killed_at(moment, f"{LARGE} {option}")
    swapped = moment in ("after 1 exchange", "after 2 turns")
    assert STORE.exists() is swapped
    shard = LARGE if swapped else SMALL
    for first in ("info store.zarr", f"{shard} --shard 1/2"):
        monkeypatch.chdir(folder)
        in_a_copy(monkeypatch, tmp_path_factory)
        result = run(first)
        assert result.code == 0, result.err
        if not swapped:
            assert files(STORE) == small
        elif option == "--grow":
            done = json.loads(run("info store.zarr --json").out)["status"]
            assert done["done"] >= 4
        assert run(f"{LARGE} {option}").code == 0
        assert files(STORE) == large
        assert {path.name for path in Path().iterdir()} == {"store.zarr"}


def test_a_store_that_was_not_replaced_is_never_removed(run, store, large, caplog):
    """Killed between two renames, and then somebody put another store there."""
    small = files(store)
    killed_at("after 1 turns", f"{LARGE} --grow")
    (kept,) = Path().glob(".store.zarr.*.old")
    shutil.copytree(kept, "other.zarr")
    Path("other.zarr").rename("store.zarr")
    assert run(f"{LARGE} --grow").code == 0
    assert files(STORE) == large
    assert files(kept) == small
    assert "move it away" in caplog.text


def test_stores_beside_with_longer_names_are_not_touched(run, store):
    """``.store.zarr.b.ID.old`` belongs to ``store.zarr.b``."""
    others = [f".store.zarr.b.{ID}.old", f".store.zarr.b.{ID}.new", ".store.zarr.notes.new"]
    for name in others:
        shutil.copytree(store, name)
    before = {name: content(Path(name)) for name in others}
    assert run(f"{LARGE} --grow").code == 0
    shutil.rmtree(store)
    assert run(LARGE).code == 0
    assert {name: content(Path(name)) for name in others} == before


@pytest.mark.parametrize("way", ["exchange", "turns"])
def test_a_store_put_there_in_the_last_moment_is_not_replaced(store, monkeypatch, way):
    theirs = shutil.copytree(store, Path("theirs.zarr"))
    before, exchange = files(theirs), placing._exchange
    beside, lock = placing.begin(STORE, shared=False)
    moved = []

    def late(one, other):
        if not moved:
            moved.append(STORE.rename("moved.zarr"))
            Path("theirs.zarr").rename(STORE)
        return exchange(one, other) if way == "exchange" else False

    monkeypatch.setattr(placing, "_exchange", late)
    with closing(lock), closing(Lock(store)) as held, pytest.raises(FileExistsError):
        placing.settle(beside, STORE, held)
    assert files(STORE) == before


@pytest.mark.parametrize("way", ["exchange", "turns"])
def test_a_replacement_that_fails_leaves_what_was_there(run, store, monkeypatch, way):
    before, rename = files(store), Path.rename

    def fail(one, other):
        if str(one).endswith(".new"):
            raise OSError(5, "the disk is unhappy")
        return rename(one, other)

    monkeypatch.setattr(Path, "rename", fail)
    monkeypatch.setattr(placing, "_exchange", (lambda *names: False) if way == "turns" else fail)
    assert_refused(run(f"{LARGE} --grow"), "--output", "store.zarr")
    assert files(STORE) == before
    assert [path.name for path in Path().iterdir()] == ["store.zarr"]


@pytest.mark.parametrize("way", ["exchange", "turns"])
def test_where_no_path_follows_a_folder_stores_take_their_place_too(run, large, monkeypatch, way):
    """macOS has no path of an open folder."""
    monkeypatch.setattr(Lock, "root", property(lambda lock: lock._path))
    if way == "turns":
        monkeypatch.setattr(placing, "_exchange", lambda *names: False)
    for line in (SMALL, f"{SMALL} --overwrite", f"{LARGE} --grow"):
        result = run(line)
        assert result.code == 0, result.err
    assert files(STORE) == large
    assert [path.name for path in Path().iterdir() if path.suffix != ".svg"] == ["store.zarr"]


# --- moved while it is written ------------------------------------------------------------------


@pytest.mark.parametrize("what", ["moved", "removed", "half removed", "replaced"])
@pytest.mark.parametrize("writes", [0, 3])
def test_a_store_that_goes_away_ends_the_run(run, monkeypatch, large, what, writes):
    whole, left = ResultStore.write, iter(range(writes))

    def write(store, region, values):
        if next(left, None) is None and not Path("gone").exists():
            if what == "half removed":
                (STORE / "zarr.json").unlink()
                Path("gone").mkdir()
                return whole(store, region, values)
            STORE.rename("gone")
            if what == "removed":
                shutil.rmtree("gone")
                Path("gone").mkdir()
            if what == "replaced":
                shutil.copytree("gone", STORE)
        return whole(store, region, values)

    with monkeypatch.context() as patch:
        patch.setattr(ResultStore, "write", write)
        patch.setattr(sys.modules["simulator.sweeps.execute"], "cells_in_a_chunk", lambda *_: 2)
        result = run(f"{LARGE} --resume")
    assert (result.code, result.out) == (1, "")
    assert "was moved, removed or replaced while it was written" in result.err
    assert "Traceback" not in result.err
    # No folder without a root is left, and no other store is written to.
    assert STORE.exists() is (what in ("replaced", "half removed"))
    assert ("Remove what is at store.zarr now." in result.err) is STORE.exists()
    if what == "replaced":
        assert files(STORE) == files(Path("gone"))
    shutil.rmtree(STORE, ignore_errors=True)
    if "removed" not in what:
        Path("gone").rename(STORE)
    again = result.err.splitlines()[-1].strip()
    assert run(again.removeprefix("warmup ")).code == 0
    assert json.loads(run("info store.zarr --json").out)["complete"] is True
    if "removed" in what:
        assert files(STORE) == large


# --- what dead processes leave ------------------------------------------------------------------


def test_a_shard_clears_what_dead_ones_left_and_nothing_that_lives(run, store):
    dead, alive = Path(f".store.zarr.{ID}.new"), Path(f".store.zarr.{ID[::-1]}.new")
    shutil.copytree(store, dead)
    shutil.copytree(store, alive)
    whole = files(store)
    partial = store / "status" / "c" / f"0.{ID}.partial"
    with closing(Lock(alive, shared=True)):
        with closing(Lock(store, shared=True)):
            partial.write_text("half")
            assert run(f"{SMALL} --shard 1/2").code == 0
            # Another shard lives: it may be the one that writes this.
            assert partial.exists()
        assert not dead.exists()
        assert run(f"{SMALL} --shard 2/2").code == 0
        assert files(store) == whole
        assert alive.exists()
    assert run(f"{SMALL} --shard 2/2").code == 0
    assert not alive.exists()


def test_a_folder_that_is_not_locked_yet_is_made_again(run, monkeypatch):
    """A process that clears up may be faster than the lock of one that begins."""
    taken, cleared = Lock._open, []

    def late(lock):
        if len(cleared) < 3:
            cleared.append(shutil.rmtree(lock._path))
        taken(lock)

    monkeypatch.setattr(Lock, "_open", late)
    assert run(SMALL).code == 0
    assert len(cleared) == 3
    assert [path.name for path in Path().glob("*.zarr")] == ["store.zarr"]
