"""Calling the program, and looking at what it made."""

import json
import re
import sys
import time
from pathlib import Path

import xarray as xr

ROOT = Path(__file__).parents[1]
PROGRAM = [sys.executable, "-c", "from simulator.commands import main; main()"]
HEAVY = {"numpy", "scipy", "numba", "matplotlib", "xarray", "zarr", "sklearn"}

QUADRATIC = "--model quadratic --steps 8"
GRID = "--eta-trgt 0.25,0.5 --t-wrm 1,4 --seeds 1"
# Arguments: before or after which rename of a folder it is killed, by which way two names are
# exchanged, and the line.
STOP_AT_A_RENAME = """
import itertools, os, signal, sys
from pathlib import Path
from simulator.commands import main
from simulator.sweeps import placing

where, number, way = sys.argv[1], int(sys.argv[2]), sys.argv[3]
counted = itertools.count(1)

def dying(change):
    def changed(*names):
        now = where if next(counted) == number else ""
        if now == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        done = change(*names)
        if now == "after":
            os.kill(os.getpid(), signal.SIGKILL)
        return done
    return changed

Path.rename = dying(Path.rename)
placing._exchange = dying(placing._exchange) if way == "exchange" else lambda *names: False
main(sys.argv[4:])
"""
NETWORK = "--width 4 --depth 2 --samples 16 --steps 16 --sharpness-every 4"


def await_that(there):
    """Wait until ``there()`` is true; conftest.py ends a test that waits for ever."""
    while not there():
        time.sleep(0.002)


def await_a_chunk(sweep, store):
    """Wait for the first chunk that a running program writes, or for its end, which is an error."""

    def written():
        assert sweep.poll() is None, sweep.communicate()
        return any(path.is_file() for path in (store / "status" / "c").rglob("*"))

    await_that(written)


def own_words(err):
    """What a program says on stderr, without Zarr's exit hook.

    The hook waits 0.2 s for Zarr's thread, then closes its loop and prints a traceback: on a busy
    machine 0.2 s are few.
    """
    return err.partition("Thread did not finish cleanly")[0]


def strict_json(text):
    def refuse(literal):
        raise AssertionError(f"{literal} is not JSON")

    return json.loads(text, parse_constant=refuse)


def content(folder):
    return {p: p.read_bytes() if p.is_file() else None for p in folder.rglob("*")}


def opened(path):
    """What a store holds, without the line that was typed to make it."""
    dataset = xr.open_zarr(path, chunks=None).load()
    del dataset.attrs["command"]
    return dataset


def assert_refused(result, option, value):
    """One line on stderr, with the option as typed and then its value; nothing on stdout."""
    assert "Traceback" not in result.err
    assert (result.code, result.out, result.err.count("\n")) == (2, "", 1), result
    assert re.search(rf"{re.escape(option)}\b\W*?{re.escape(value)}", result.err, re.I), result.err


def chunks(store):
    """Every chunk of a store, to the last byte; neither what was typed to make it nor its lock."""
    return {
        str(path.relative_to(store)): path.read_bytes()
        for path in sorted(store.rglob("*"))
        if path.is_file() and path.name not in ("zarr.json", ".lock")
    }


def files(store):
    """Every file of a store but its lock; neither the line that was typed nor a digest of it."""
    found = {str(p.relative_to(store)): p.read_bytes() for p in store.rglob("*") if p.is_file()}
    root, origin = (json.loads(found[name]) for name in ("zarr.json", "origin/zarr.json"))
    del root["attributes"]["command"], found[".lock"]
    del origin["attributes"]["command"], origin["attributes"]["digest"]
    return {**found, "zarr.json": root, "origin/zarr.json": origin}


def forge(store):
    """Write the digests of a store anew, as somebody who means to deceive would."""
    from simulator.sweeps.digests import FOLDER, Manifest, sealed

    document = json.loads((store / "zarr.json").read_text())
    copies = document.get("consolidated_metadata", {}).get("metadata", {})
    copies = {name: copy for name, copy in copies.items() if copy["node_type"] == "array"}
    for name, copy in copies.items():
        (store / name / "zarr.json").write_text(json.dumps(copy))
    origin = {"zarr_format": 3, "node_type": "group"}
    origin["attributes"] = sealed(document["attributes"], copies)
    (store / "origin" / "zarr.json").write_text(json.dumps(origin))
    manifest = Manifest.read(store)
    for file in (store / FOLDER).iterdir():
        parts = {name: store / manifest.file(name, file.name) for name in manifest.variables}
        digests = {
            name: [manifest.digest(part.relative_to(store).as_posix(), part.read_bytes())]
            for name, part in parts.items()
            if part.is_file()
        }
        file.write_text(json.dumps({name: [None] for name in parts} | digests))


def assert_same(ours, theirs):
    """Every variable of the first, to the last bit."""
    for name in ours:
        a, b = ours[name].values, theirs[name].transpose(*ours[name].dims).values
        same = (a == b) | ((a != a) & (b != b))
        assert same.all(), name
