"""Bad days: full disks, cut files, jumping clocks; and what made a store, to make it again."""

import errno
import itertools
import json
import os
import subprocess
import time
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from program import GRID, PROGRAM, QUADRATIC, chunks, content
from warm import warmup

from simulator import GD, InputError, Quadratic
from simulator.sweeps import Destination, Spec, check, execute, open_store

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


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EDQUOT])
@pytest.mark.parametrize("write", [1, 30, 70, 100])
def test_a_disk_that_fails_is_named_and_what_was_written_is_kept(run, monkeypatch, number, write):
    import zarr.storage._local as local

    line = f"sweep {QUADRATIC} --eta-trgt 0.25,0.5 --t-wrm 1,4 --seeds 3 -o store.zarr --resume"
    whole, counted = local._atomic_write, itertools.count(1)

    def failing(path, mode, exclusive=False):
        if next(counted) >= write:
            raise OSError(number, "the disk is unhappy", str(path))
        return whole(path, mode, exclusive)

    with monkeypatch.context() as patch:
        patch.setattr(local, "_atomic_write", failing)
        result = run(line)
    # A store that cannot be made is bad input; one that cannot be gone on with is bad luck.
    making = not STORE.exists()
    assert result.code == (2 if making else 1)
    assert "Traceback" not in result.err
    assert "the disk is unhappy" in result.err
    assert list(Path().iterdir()) == [] if making else [STORE]
    if not making:
        assert result.err.splitlines()[-1].strip() == f"warmup {line}"
        assert values(open_store(STORE)[0])
    assert run(line).code == 0
    assert not list(STORE.rglob("*.partial"))


@pytest.mark.parametrize("length", [0, 1, "half", "all but one"])
def test_a_file_that_was_cut_short_is_named_by_readers_and_mended_by_resuming(run, store, length):
    before = content(store)
    file = next(f for f in sorted(store.rglob("loss_final/c/**/*")) if f.is_file())
    whole = file.read_bytes()
    keep = {"half": len(whole) // 2, "all but one": len(whole) - 1}.get(length, length)
    file.write_bytes(whole[:keep])
    for reader in (
        f"plot {store} --figure a.png",
        f"run --replay {store} --cell eta_trgt=0.25,t_wrm=1",
    ):
        result = run(reader)
        assert (result.code, result.out) == (2, "")
        assert "is damaged" in result.err
        assert "--resume repairs it" in result.err
    assert run(f"sweep {QUADRATIC} {GRID} --curves -o {store} --resume").code == 0
    assert content(store) == before


@pytest.mark.parametrize("name", ["loss_final", "outcome", "status", "loss"])
def test_a_lost_file_is_no_data(run, store, name):
    before = content(store)
    next(f for f in sorted(store.rglob(f"{name}/c/**/*")) if f.is_file()).unlink()
    result = run(f"plot {store} --figure a.png")
    if name == "status":
        assert "not_run" in run(f"info {store}").out
    else:
        assert (result.code, f"lacks a part of {name}" in result.err) == (2, True)
    assert run(f"sweep {QUADRATIC} {GRID} --curves -o {store} --resume").code == 0
    assert content(store) == before


def test_a_store_of_an_older_layout_is_refused_by_name_and_can_be_replaced(run):
    with zipfile.ZipFile(Path(__file__).parent / "stores" / "layout-1.zip") as archive:
        archive.extractall()
    grid = "--model quadratic --steps 4 --eta-trgt 0.5,1 --t-wrm 1,2 --seeds 1"
    for line in ("info", "plot", f"sweep {grid} --resume -o"):
        result = run(f"{line} layout-1.zarr")
        assert (result.code, result.out, result.err.count("\n")) == (2, "", 1)
        assert "has layout 1, this version reads 2 to 4" in result.err
    assert run(f"sweep {grid} -o layout-1.zarr --overwrite").code == 0
    assert run("info layout-1.zarr").code == 0


@pytest.mark.parametrize("layout", [2, 3])
def test_a_store_of_an_earlier_layout_is_read_and_not_written_to(run, layout):
    """Made by commits before digests, and before schedules were objects in a spec."""
    with zipfile.ZipFile(Path(__file__).parent / "stores" / f"layout-{layout}.zip") as archive:
        archive.extractall()
    again = run("info store.zarr --command").out
    assert {2: "--decay cosine", 3: "--schedule persistent-catapult --delta 0.2"}[layout] in again
    cell = {2: "eta_trgt=0.5,t_wrm=4", 3: "eta_trgt=0.8,t_wrm=1"}[layout]
    replayed = json.loads(run(f"run --replay store.zarr --cell {cell} --json").out)
    whole, spec, _ = open_store(Path("store.zarr"))
    where = {name: float(value) for name, _, value in (c.partition("=") for c in cell.split(","))}
    at = dict(zip(spec.axes, spec.locate(where), strict=True))
    # Numbers only: words have other definitions since.
    for name in ("loss_final", "sharpness_final", "eta_critical"):
        assert replayed["result"][name] == whole[name].isel(at).load().item()
    for line in ("plot store.zarr", "report store.zarr -o report.html",
                 f"explain store.zarr --cell {cell}"):  # fmt: skip
        assert run(line).code == 0
    grid = "--model quadratic --steps 8 --eta-trgt 0.25,0.5,0.8 --t-wrm 1,4 --seeds 2"
    for how in ("--resume", "--grow"):
        refused = run(f"sweep {grid} -o store.zarr {how}")
        assert refused.code == 2
        assert f"has layout {layout}, which this version reads but does not write" in refused.err


def test_only_a_store_of_ours_is_replaced(run):
    xr.Dataset({"a": ("x", [1.0])}).to_zarr("theirs.zarr", consolidated=False)
    before = content(Path("theirs.zarr"))
    result = run(f"sweep {QUADRATIC} {GRID} -o theirs.zarr --overwrite")
    assert result.code == 2
    assert "was not made by warmup sweep" in result.err
    assert content(Path("theirs.zarr")) == before


def test_a_billion_runs_are_refused_with_hours_and_bytes_unless_asked_for(run):
    line = f"sweep {QUADRATIC} --eta-trgt 1:9:1000 --t-wrm 1 --eta-init 0:1:1000 --seeds 1000"
    result = run(line)
    assert (result.code, result.out, result.err.count("\n")) == (2, "", 1)
    for word in ("1000000000 runs take about", "hours", "GB", "--large"):
        assert word in result.err
    assert list(Path().iterdir()) == []
    many = tuple(np.linspace(0.1, 1.0, 1000))
    spec = replace(SPEC, seeds=tuple(range(200)), eta_init=many, eta_trgt=many, t_wrm=(1,))
    check(spec, None, Destination(STORE), large=True)
    with pytest.raises(InputError, match="200000000 runs take about"):
        check(spec, None, Destination(STORE))
    with pytest.raises(InputError, match="GB are free"):
        Destination(STORE).check(replace(SPEC, steps=10**12, curves=True), None)


def test_the_clock_may_jump(monkeypatch):
    whole = values(execute(SPEC, None))
    ticks = itertools.cycle([1e9, 0.0, 5e9, -3.0])
    monkeypatch.setattr(time, "time", lambda: next(ticks))
    execute(replace(SPEC, seeds=(0,)), None, Destination(STORE))
    assert values(execute(SPEC, None, Destination(STORE, grow=True))) == whole


@pytest.mark.parametrize(
    "environment",
    [
        "PYTHONHASHSEED=7 TZ=Asia/Kathmandu LC_ALL=tr_TR.UTF-8",
        "OPENBLAS_NUM_THREADS=2 NUMBA_NUM_THREADS=2 COLUMNS=20 LANG=de_DE",
    ],
)
def test_no_byte_depends_on_the_environment(environment):
    network = "--width 4 --depth 2 --samples 16 --steps 16 --eta-trgt 0.5,1 --t-wrm 1,4 --seeds 2"
    changed = dict(entry.split("=") for entry in environment.split())
    warmup(f"sweep {network} -o one.zarr")
    line = [*PROGRAM, "sweep", *network.split(), "-o", "other.zarr"]
    subprocess.run(line, env={**os.environ, **changed}, check=True, capture_output=True)
    assert chunks(Path("one.zarr")) == chunks(Path("other.zarr"))


# --- what made it -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    [
        f"sweep {QUADRATIC} {GRID} --curvatures 0.5,1.25",
        "sweep --model uv --data teacher --samples 1 --width 8 --s 0.3 --eta-trgt 1:3:4:log "
        "--t-wrm 1,4 --steps 8 --seeds 2",
        f"sweep {TINY} --eta-trgt 0.5 --t-wrm 1 --seeds 1 --bias --activation tanh --param mup "
        "--optimizer adam --layer-rates --batch-size 8 --curves",
        f"sweep {TINY} --eta-trgt 0.5 --seeds 1 --optimizer momentum --ema --momentum 0.5 "
        "--schedule persistent-catapult --sharpness-every 1 --loss xent",
        "sweep --width 4 --depth 2 --data mine.npz --samples 6 --steps 8 --eta-trgt 0.1 --t-wrm 2 "
        "--seeds 1 --decay cosine --eta-unit absolute",
        f"run {TINY} --eta-trgt 0.5 --t-wrm 4 --seed 5 --warmup-exponent 2",
    ],
)
def test_the_line_that_a_store_names_makes_it_again(run, line):
    draw = np.random.default_rng(0)
    np.savez("mine.npz", x=draw.standard_normal((8, 2)), y=draw.standard_normal(8)[:, None])
    assert run(f"{line} -o store.zarr").code == 0
    told = json.loads(run("info store.zarr --json").out)
    assert told["made_with"]["typed"] == f"warmup {line} -o store.zarr"
    again = run("info store.zarr --command").out
    assert again.startswith("warmup ")
    assert again.count("\n") == 1
    assert run(again.removeprefix("warmup ")).code == 0
    assert chunks(Path("again.zarr")) == chunks(STORE)


def test_a_store_names_packages_processor_and_threads(run, store):
    told = json.loads(run(f"info {store} --json").out)
    assert told["versions"]["numba"]
    assert told["machine"]["cpu"]
    assert told["machine"]["blas"]
    assert told["machine"]["cores"] >= 1
