"""The program from the outside: what it makes, what it says, what it refuses."""

import inspect
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections import namedtuple
from pathlib import Path

import click
import numpy as np
import pytest
import xarray as xr

from simulator import load_data, simulate
from simulator.commands import main, warmup
from simulator.data import LOADERS
from simulator.figures import FORMATS
from simulator.models import MODELS
from simulator.numerics.activations import CODES
from simulator.numerics.dense import LOSSES
from simulator.optimizers import OPTIMIZERS
from simulator.parameterizations import PARAMETERIZATIONS
from simulator.schedules import DECAYS
from simulator.sweeps import Spec
from simulator.sweeps.spec import ETA_UNITS
from simulator.training import DTYPES

ROOT = Path(__file__).parents[1]
PROGRAM = [sys.executable, "-c", "from simulator.commands import main; main()"]
HEAVY = {"numpy", "scipy", "numba", "matplotlib", "xarray", "zarr", "sklearn"}

QUADRATIC = "--model quadratic --steps 8"
GRID = "--eta-trgt 0.25,0.5 --t-wrm 1,4 --seeds 1"
NETWORK = "--width 4 --depth 2 --samples 16 --steps 16 --sharpness-every 4"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def run(capsys):
    """Run the program here: its exit code, stdout and stderr."""

    def run(line):
        with pytest.raises(SystemExit) as leaving:
            main(shlex.split(line))
        return namedtuple("Result", "code out err")(leaving.value.code, *capsys.readouterr())

    return run


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """A finished store of four runs with their curves."""
    path = tmp_path_factory.mktemp("stored") / "store.zarr"
    line = f"sweep {QUADRATIC} {GRID} --curves --output {path}"
    with pytest.raises(SystemExit, match="0"):
        main(shlex.split(line))
    return path


@pytest.fixture
def store(stored, folder):
    return shutil.copytree(stored, folder / "store.zarr")


def strict_json(text):
    def refuse(literal):
        raise AssertionError(f"{literal} is not JSON")

    return json.loads(text, parse_constant=refuse)


def content(folder):
    return {p: p.read_bytes() if p.is_file() else None for p in folder.rglob("*")}


def opened(path):
    return xr.open_zarr(path).load()


# --- what is refused ----------------------------------------------------------------------------

BAD = [
    # names
    ("swep", "swep", ""),
    ("run --model resnet", "--model", "resnet"),
    ("run --activation sigmoid", "--activation", "sigmoid"),
    ("run --param ntk", "--param", "ntk"),
    ("run --loss hinge", "--loss", "hinge"),
    ("run --optimizer sgd", "--optimizer", "sgd"),
    ("run --decay linear", "--decay", "linear"),
    ("run --eta-unit relative", "--eta-unit", "relative"),
    ("run --dtype float16", "--dtype", "float16"),
    ("run --data cifar", "--data", "cifar"),
    ("run --data table.csv", "--data", "table.csv"),
    ("run --model uv --representation kernel", "--representation", "kernel"),
    ("sweep --model mpl", "--model", "mpl"),
    ("plot store.zarr --color loss_fnal", "--color", "loss_fnal"),
    ("plot store.zarr --color outcome", "--color", "outcome"),
    ("plot store.zarr --color eta_init", "--color", "eta_init"),
    ("plot store.zarr --color sharpness", "--color", "sharpness"),
    # options
    ("run --widht 8", "--widht", ""),
    ("sweep --eta-target 1", "--eta-target", ""),
    ("plot store.zarr --figur a.png", "--figur", ""),
    ("info store.zarr --jsn", "--jsn", ""),
    ("run --width", "--width", ""),
    ("run quickly", "quickly", ""),
    ("info", "STORE.zarr", ""),
    ("plot", "STORE.zarr", ""),
    # grids
    ("sweep --eta-trgt fast", "--eta-trgt", "fast"),
    ("sweep --eta-trgt ''", "--eta-trgt", "''"),
    ("sweep --eta-trgt 1,,2", "--eta-trgt", "1,,2"),
    ("sweep --eta-trgt 4:1:3", "--eta-trgt", "4:1:3"),
    ("sweep --eta-trgt 1:1:2", "--eta-trgt", "1:1:2"),
    ("sweep --eta-trgt 1:2", "--eta-trgt", "1:2"),
    ("sweep --eta-trgt 1:2:x", "--eta-trgt", "1:2:x"),
    ("sweep --eta-trgt 1:2:0", "--eta-trgt", "1:2:0"),
    ("sweep --eta-trgt 1:2:1000000000", "--eta-trgt", "1:2:1000000000"),
    ("sweep --eta-trgt 1:2:3:lin", "--eta-trgt", "1:2:3:lin"),
    ("sweep --eta-trgt 0:2:3:log", "--eta-trgt", "0:2:3:log"),
    ("sweep --eta-trgt 1e-300:1e300:3:log", "--eta-trgt", "1e-300:1e300:3:log"),
    ("sweep --eta-trgt 1,1", "--eta-trgt", "1,1"),
    ("sweep --eta-trgt 4,2", "--eta-trgt", "4,2"),
    ("sweep --eta-trgt 1,nan", "--eta-trgt", "1,nan"),
    ("sweep --eta-trgt 1,inf", "--eta-trgt", "1,inf"),
    ("sweep --eta-trgt 0,1", "--eta-trgt", "0"),
    ("sweep --eta-trgt -1", "--eta-trgt", "-1"),
    ("sweep --eta-init -1,0", "--eta-init", "-1"),
    ("sweep --t-wrm 1.5", "--t-wrm", "1.5"),
    ("sweep --t-wrm 0,1", "--t-wrm", "0"),
    ("sweep --t-wrm 1,1000", "--t-wrm", "1000"),
    ("sweep --t-wrm 4,4", "--t-wrm", "4,4"),
    ("run --curvatures 1,nan --model quadratic", "--curvatures", "1,nan"),
    # numbers
    ("run --steps many", "--steps", "many"),
    ("run --steps 0", "--steps", "0"),
    ("run --steps 8.5", "--steps", "8.5"),
    ("run --eta-trgt 1,2", "--eta-trgt", "1,2"),
    ("run --eta-trgt 0", "--eta-trgt", "0"),
    ("run --eta-trgt -8", "--eta-trgt", "-8"),
    ("run --eta-trgt nan", "--eta-trgt", "nan"),
    ("run --eta-trgt inf", "--eta-trgt", "inf"),
    ("run --eta-init -0.5", "--eta-init", "-0.5"),
    ("run --t-wrm 0", "--t-wrm", "0"),
    ("run --t-wrm 600", "--t-wrm", "600"),
    ("run --warmup-exponent 0", "--warmup-exponent", "0"),
    ("run --width 0", "--width", "0"),
    ("run --depth 1", "--depth", "1"),
    ("run --var-w 0", "--var-w", "0"),
    ("run --var-w nan", "--var-w", "nan"),
    ("run --model uv --s 2", "--s", "2"),
    ("run --model uv --s -0.5", "--s", "-0.5"),
    ("run --model uv --s nan", "--s", "nan"),
    ("run --optimizer momentum --momentum 1", "--momentum", "1"),
    ("run --optimizer momentum --momentum -0.5", "--momentum", "-0.5"),
    ("run --batch-size 0", "--batch-size", "0"),
    ("run --batch-size 513", "--batch-size", "513"),
    ("sweep --batch-size 513", "--batch-size", "513"),
    (f"run {QUADRATIC} --t-wrm 1 --batch-size 5", "--batch-size", "5"),
    ("run --samples 0", "--samples", "0"),
    ("run --samples 2000", "--samples", "2000"),
    ("run --data teacher --samples 0", "--samples", "0"),
    ("run --data good.npz --samples 100", "--samples", "100"),
    ("run --sharpness-every -1", "--sharpness-every", "-1"),
    ("run --accuracy 0", "--accuracy", "0"),
    (f"run {QUADRATIC} --t-wrm 1 --top-k 0", "--top-k", "0"),
    ("run --seed -1", "--seed", "-1"),
    ("run --seed 9223372036854775808", "--seed", "9223372036854775808"),
    ("run --data-seed -1", "--data-seed", "-1"),
    ("run --data teacher --data-seed -1", "--data-seed", "-1"),
    ("run --data mnist1d --data-seed -1", "--data-seed", "-1"),
    ("sweep --seeds 0", "--seeds", "0"),
    ("sweep --seeds 10000000000000000000", "--seeds", "10000000000000000000"),
    ("sweep --workers 0", "--workers", "0"),
    ("sweep --workers -2", "--workers", "-2"),
    ("plot store.zarr --eta-init 1", "--eta-init", "1"),
    ("plot store.zarr --eta-init -1", "--eta-init", "-1"),
    # options of something else
    ("run --model uv --depth 4", "--depth", "4"),
    ("run --model uv --activation relu", "--activation", "relu"),
    ("run --model uv --loss xent", "--loss", "xent"),
    ("run --model uv --param mup", "--param", "mup"),
    ("run --model uv --bias", "--bias", ""),
    ("run --model uv --no-bias", "--no-bias", ""),
    ("run --model mlp --s 0.5", "--s", "0.5"),
    ("run --curvatures 1,2", "--curvatures", "1,2"),
    (f"run {QUADRATIC} --width 8", "--width", "8"),
    ("run --momentum 0.5", "--momentum", "0.5"),
    ("run --loss xent --data teacher", "--loss", "xent"),
    # data files
    ("run --data missing.npz", "--data", "missing.npz"),
    ("run --data folder.npz", "--data", "folder.npz"),
    ("run --data text.npz", "--data", "text.npz"),
    ("run --data empty.npz", "--data", "empty.npz"),
    ("run --data truncated.npz", "--data", "truncated.npz"),
    ("run --data damaged.npz", "--data", "damaged.npz"),
    ("run --data objects.npz", "--data", "objects.npz"),
    ("run --data array.npz", "--data", "array.npz"),
    ("run --data nan.npz", "--data", "nan.npz"),
    ("run --data mismatch.npz", "--data", "mismatch.npz"),
    ("run --data no_x.npz", "--data", "no_x.npz"),
    ("run --data half_test.npz", "--data", "half_test.npz"),
    ("run --data real_labels.npz", "--data", "real_labels.npz"),
    # config
    ("run --config missing.toml", "--config", "missing.toml"),
    ("run --config folder.npz", "--config", "folder.npz"),
    ("run --config broken.toml", "--config", "broken.toml"),
    ("run --config binary.toml", "--config", "binary.toml"),
    ("run --config unknown_key.toml", "--config", "widht"),
    ("run --config unknown_name.toml", "--model", "resnet"),
    ("run --config table.toml", "--config", "model"),
    ("run --config word.toml", "--steps", "many"),
    ("run --config truth.toml", "--steps", "true"),
    ("sweep --config reversed.toml", "--eta-trgt", "4,2"),
    ("sweep --config nan.toml", "--eta-trgt", "nan"),
    # output
    (f"sweep {QUADRATIC} {GRID} --output text.npz", "--output", "text.npz"),
    (f"sweep {QUADRATIC} {GRID} --output store.zarr", "--output", "store.zarr"),
    (f"sweep {QUADRATIC} {GRID} --output no/such.zarr", "--output", "no/such.zarr"),
    (f"sweep {QUADRATIC} {GRID} --output .", "--output", "."),
    (f"sweep {QUADRATIC} {GRID} --output same.png", "--output", "same.png"),
    (f"run {QUADRATIC} --t-wrm 1 --output store.zarr", "--output", "store.zarr"),
    (f"run {QUADRATIC} --t-wrm 1 --output no/such.zarr", "--output", "no/such.zarr"),
    (f"sweep {QUADRATIC} {GRID} --figure a.gif", "--figure", "a.gif"),
    (f"sweep {QUADRATIC} {GRID} --figure no/such.png", "--figure", "no/such.png"),
    ("run --figure picture", "--figure", "picture"),
    ("plot store.zarr --figure a.bmp", "--figure", "a.bmp"),
    ("plot missing.zarr", "store", "missing.zarr"),
    ("plot .", "store", "."),
    ("info missing.zarr", "store", "missing.zarr"),
    ("info folder.npz", "store", "folder.npz"),
    ("info text.npz", "store", "text.npz"),
    # resume and overwrite
    (f"sweep {QUADRATIC} {GRID} --resume", "--resume", ""),
    (f"sweep {QUADRATIC} {GRID} --resume --overwrite --output store.zarr", "--resume", ""),
    (f"sweep {QUADRATIC} {GRID} --resume --output store.zarr", "--resume", "store.zarr"),
    (f"sweep {QUADRATIC} {GRID} --resume --output folder.npz", "--output", "folder.npz"),
    (f"sweep {QUADRATIC} {GRID} --overwrite --output folder.npz", "--output", "folder.npz"),
    (f"sweep {QUADRATIC} {GRID} --overwrite --output text.npz", "--output", "text.npz"),
    (f"run {QUADRATIC} --t-wrm 1 --overwrite --output folder.npz", "--output", "folder.npz"),
    # replay
    ("run --cell eta_trgt=1", "--cell", "eta_trgt=1"),
    ("run --replay missing.zarr --cell t_wrm=1", "--replay", "missing.zarr"),
    ("run --replay text.npz --cell t_wrm=1", "--replay", "text.npz"),
    ("run --replay store.zarr --cell eta_trgt=0.3,t_wrm=1", "--cell", "eta_trgt=0.3"),
    ("run --replay store.zarr --cell eta_trgt=nan,t_wrm=1", "--cell", "eta_trgt=nan"),
    ("run --replay store.zarr --cell eta_trgt=inf,t_wrm=1", "--cell", "eta_trgt=inf"),
    ("run --replay store.zarr --cell eta_trgt=0.5,t_wrm=1,seed=9", "--cell", "seed=9"),
    ("run --replay store.zarr --cell eta_target=0.5", "--cell", "eta_target"),
    ("run --replay store.zarr --cell eta_trgt", "--cell", "eta_trgt"),
    ("run --replay store.zarr --cell t_wrm=1", "--cell", "without eta_trgt"),
    ("run --replay store.zarr", "--cell", "without eta_trgt"),
    ("run --replay store.zarr --cell eta_trgt=0.5,t_wrm=1 --steps 9", "--steps", "9"),
    ("run --replay store.zarr --cell eta_trgt=0.5,t_wrm=1 --model uv", "--model", "uv"),
]

TOMLS = {
    "broken.toml": "steps = = 8",
    "unknown_key.toml": "widht = 8",
    "unknown_name.toml": 'model = "resnet"',
    "table.toml": "[model]\nwidth = 8",
    "word.toml": 'steps = "many"',
    "truth.toml": 'model = "quadratic"\nt_wrm = 1\nsteps = true',
    "reversed.toml": "eta_trgt = [4, 2]",
    "nan.toml": "eta_trgt = nan",
}


@pytest.fixture
def clutter(folder, store):
    """Files that a person may name by mistake, and the bits that they must keep."""
    x, y = np.random.default_rng(0).standard_normal((40, 3)), np.arange(40) % 2
    Path("folder.npz").mkdir()
    Path("folder.npz/notes").write_text("precious")
    Path("text.npz").write_text("precious")
    Path("empty.npz").touch()
    Path("binary.toml").write_bytes(b"\xff\xfe\x00")
    np.savez("good.npz", x=x, y=y)
    np.savez("objects.npz", x=np.array([[None]]), y=[0])
    np.savez("nan.npz", x=x * np.nan, y=y)
    np.savez("mismatch.npz", x=x, y=y[:-1])
    np.savez("no_x.npz", y=y)
    np.savez("half_test.npz", x=x, y=y, x_test=x)
    np.savez("real_labels.npz", x=x, y=y / 2)
    with Path("array.npz").open("wb") as file:
        np.save(file, x)
    Path("truncated.npz").write_bytes(Path("good.npz").read_bytes()[:-60])
    np.savez_compressed("damaged.npz", x=x, y=y)
    damaged = bytearray(Path("damaged.npz").read_bytes())
    damaged[60:120] = bytes(60)
    Path("damaged.npz").write_bytes(damaged)
    for name, text in TOMLS.items():
        Path(name).write_text(text)
    return content(folder)


def assert_refused(result, option, value):
    """One line on stderr, with the option as typed and then its value; nothing on stdout."""
    assert "Traceback" not in result.err
    assert (result.code, result.out, result.err.count("\n")) == (2, "", 1), result
    assert re.search(rf"{re.escape(option)}\b\W*?{re.escape(value)}", result.err, re.I), result.err


@pytest.mark.parametrize(("line", "option", "value"), BAD, ids=[line for line, *_ in BAD])
def test_bad_input_is_refused_in_one_line_and_nothing_is_made(
    run, clutter, folder, monkeypatch, line, option, value
):
    # Whether or not the kernels are compiled already, the refusal is all that is said.
    monkeypatch.setattr("simulator.numerics.jit.cache_is_cold", lambda: True)
    result = run(line)
    assert content(folder) == clutter
    assert_refused(result, option, value)


def test_a_resumed_spec_that_differs_says_in_what(run, store):
    result = run(f"sweep {QUADRATIC} {GRID} --curves --steps 9 --resume --output store.zarr")
    assert_refused(result, "--resume", "store.zarr")
    assert "steps 8, not 9" in result.err


@pytest.mark.parametrize("more", ["", "--overwrite"])
def test_a_grid_that_would_not_fit_the_disk_is_refused(run, store, folder, monkeypatch, more):
    before = content(folder)
    monkeypatch.setattr("shutil.disk_usage", lambda path: namedtuple("Usage", "free")(100))
    name = "store.zarr" if more else "big.zarr"
    result = run(f"sweep {QUADRATIC} {GRID} --output {name} {more}")
    assert content(folder) == before
    assert_refused(result, "--output", name)


@pytest.mark.parametrize(
    "line",
    [
        "run --width 1000000000",
        f"run {QUADRATIC} --steps 100000000000000000",
        "run --data teacher --samples 1000000000000000",
        f"sweep {QUADRATIC} {GRID} --steps 100000000000000000",
    ],
)
def test_what_no_memory_can_hold_is_refused_in_one_line(run, folder, line):
    result = run(line)
    assert (result.code, result.out, result.err.count("\n")) == (2, "", 1), result
    assert not content(folder)


def test_bad_input_leaves_a_real_process_the_same_way(folder):
    line = "run --eta-trgt nan"
    done = subprocess.run([*PROGRAM, *line.split()], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "warmup: --eta-trgt nan: give a number above 0.\n"
    assert not content(folder)


def test_a_name_that_is_nearly_right_is_suggested(run):
    assert "did you mean quadratic?" in run("run --model quadratc").err
    assert "--width" in run("run --widht 8").err


# --- run ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("line", [QUADRATIC, NETWORK])
def test_a_run_tells_its_outcome_and_draws_one_figure(run, folder, line):
    result = run(f"run {line} --t-wrm 4 --eta-trgt 0.5")
    assert result.code == 0
    assert re.search(r"^Outcome +\w+: ", result.out, re.M)
    assert [path.name for path in folder.iterdir()] == ["run.png"]


@pytest.mark.parametrize("line", [QUADRATIC, NETWORK, f"{NETWORK} --optimizer momentum --top-k 2"])
@pytest.mark.parametrize("eta_trgt", [0.5, 1e6])
def test_a_run_gives_one_json_document_and_nothing_else(run, line, eta_trgt):
    result = run(f"run {line} --t-wrm 4 --eta-trgt {eta_trgt} --curves --json")
    document = strict_json(result.out)
    assert result.code == 0
    assert document["command"] == "run"
    assert document["cell"] == {"seed": 0, "eta_init": 0, "eta_trgt": eta_trgt, "t_wrm": 4}
    assert Path(document["figure"]).is_file()
    assert {len(curve) for curve in document["curves"].values()} == {document["spec"]["steps"]}
    assert document["curves"]["loss"][0] == document["result"]["loss_init"]


def test_a_run_is_kept_with_its_curves_where_o_says(run):
    for more in ("", " --overwrite"):
        assert run(f"run {QUADRATIC} --t-wrm 4 -o one.zarr{more}").code == 0
    dataset = opened("one.zarr")
    assert dict(dataset.sizes) == {"seed": 1, "eta_init": 1, "eta_trgt": 1, "t_wrm": 1, "step": 8}
    assert dataset["status"].item() == "done"
    assert dataset.attrs["complete"] is True


def test_a_run_in_other_words_is_the_library_s_run(run):
    line = f"run {NETWORK} --t-wrm 4 --eta-trgt 0.1 --eta-unit absolute --seed 3 --json"
    found = strict_json(run(line).out)["result"]
    from simulator import MLP, Warmup

    ours = simulate(
        MLP(width=4, depth=2),
        load_data("digits", 16),
        schedule=Warmup(eta_trgt=0.1, t_wrm=4),
        steps=16,
        seed=3,
        sharpness_every=4,
    )
    assert (found["loss_final"], found["sharpness_final"]) == (
        ours.loss_final,
        ours.sharpness_final,
    )


# --- sweep --------------------------------------------------------------------------------------


@pytest.mark.parametrize("line", [QUADRATIC, NETWORK, f"{NETWORK} --data teacher"])
def test_a_sweep_makes_a_complete_store_and_its_diagram(run, folder, line):
    result = run(f"sweep {line} {GRID}")
    assert result.code == 0
    assert "4 runs" in result.out
    assert sorted(path.name for path in folder.iterdir()) == ["sweep.png", "sweep.zarr"]
    dataset = opened("sweep.zarr")
    assert (dataset["status"] == "done").all()
    assert dataset.attrs["complete"] is True
    assert dataset["eta_trgt"].values.tolist() == [0.25, 0.5]
    assert dataset["t_wrm"].values.tolist() == [1, 4]


def test_a_sweep_gives_one_json_document_and_nothing_else(run):
    result = run(f"sweep {NETWORK} {GRID} --json")
    document = strict_json(result.out)
    assert result.code == 0
    assert (document["store"], document["figure"]) == ("sweep.zarr", "sweep.png")
    assert document["runs"] == 4 == sum(document["outcomes"].values())
    assert Spec.from_dict(document["spec"]).t_wrm == (1, 4)
    assert [row["t_wrm"] for row in document["boundary"]] == [1, 4]


def test_a_sweep_on_which_nothing_trains_is_told_without_a_warning(run):
    result = run(f"sweep {QUADRATIC} --eta-trgt 100,1000 --t-wrm 1,4 --seeds 2 --json")
    assert (result.code, result.err) == (0, "")
    assert {row["eta_trgt_max"] for row in strict_json(result.out)["boundary"]} == {0.0}


def test_a_sweep_without_a_name_replaces_nothing(run, folder):
    for _ in range(3):
        assert run(f"sweep {QUADRATIC} {GRID}").code == 0
    names = {
        "sweep.zarr",
        "sweep-2.zarr",
        "sweep-3.zarr",
        "sweep.png",
        "sweep-2.png",
        "sweep-3.png",
    }
    assert {path.name for path in folder.iterdir()} == names


def test_a_store_is_replaced_when_that_is_asked(run, store):
    assert run(f"sweep {QUADRATIC} {GRID} --steps 9 -o store.zarr --overwrite").code == 0
    assert json.loads(opened("store.zarr").attrs["spec"])["steps"] == 9


def test_a_complete_store_is_resumed_to_itself(run, store):
    before = content(store / "loss_final")
    assert run(f"sweep {QUADRATIC} {GRID} --curves -o store.zarr --resume").code == 0
    assert content(store / "loss_final") == before


def test_a_store_with_a_missing_chunk_is_resumed_to_the_same_values(run, store):
    before = opened(store)
    (store / "status/c/0/0/1/0").unlink()
    assert (opened(store)["status"] == "not_run").sum() == 1
    assert run(f"sweep {QUADRATIC} {GRID} --curves -o store.zarr --resume").code == 0
    xr.testing.assert_identical(opened(store), before)


def test_workers_change_no_value(run):
    for workers in (1, 3):
        run(f"sweep {NETWORK} {GRID} -o {workers}.zarr --workers {workers}")
    xr.testing.assert_identical(opened("1.zarr"), opened("3.zarr"))


def test_a_run_that_fails_makes_the_exit_code_1_and_says_how_to_go_on(run, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(sys.modules["simulator.sweeps.execute"], "run_cell", None)
        result = run(f"sweep {QUADRATIC} {GRID} -o store.zarr")
    assert result.code == 1
    assert "--resume tries them again" in result.err
    assert run(f"sweep {QUADRATIC} {GRID} -o store.zarr --resume").code == 0


# --- config -------------------------------------------------------------------------------------


def test_the_command_line_wins_over_the_config(run):
    Path("mine.toml").write_text(
        'model = "quadratic"\nsteps = 8\neta_trgt = [0.25, 0.5]\nt_wrm = "1:4:2"\nseeds = 2\n'
        'curvatures = [1, 2.5]\njson = true\noutput = "mine.zarr"\n'
    )
    spec = strict_json(run("sweep --config mine.toml --seeds 1 --eta-trgt 0.125").out)["spec"]
    assert (spec["steps"], spec["t_wrm"], spec["eta_trgt"]) == (8, [1, 4], [0.125])
    assert spec["seeds"] == [0]
    assert spec["model"] == {"name": "quadratic", "curvatures": [1, 2.5]}
    assert Path("mine.zarr").is_dir()


def test_the_place_of_the_config_on_the_line_does_not_matter(run):
    Path("mine.toml").write_text("steps = 9\nt_wrm = 2\nbias = true\nwidth = 4\nsamples = 16")
    for line in ("--config mine.toml --steps 8", "--steps 8 --config mine.toml"):
        spec = strict_json(run(f"run {line} --json").out)["spec"]
        assert (spec["steps"], spec["t_wrm"], spec["model"]["bias"]) == (8, [2], True)


# --- replay -------------------------------------------------------------------------------------


@pytest.mark.parametrize("line", [QUADRATIC, f"{NETWORK} --loss xent", f"{NETWORK} --batch-size 5"])
def test_a_cell_is_replayed_bit_for_bit(run, line):
    run(f"sweep {line} {GRID} --seeds 2 -o store.zarr")
    result = run("run --replay store.zarr --cell eta_trgt=0.5,t_wrm=4,seed=1 --json")
    document = strict_json(result.out)
    assert (result.code, document["result"]["identical"]) == (0, True)
    assert document["cell"] == {"seed": 1, "eta_init": 0, "eta_trgt": 0.5, "t_wrm": 4}
    stored = opened("store.zarr").sel(document["cell"])
    assert document["result"]["loss_final"] == stored["loss_final"].item()


def test_a_replay_may_measure_more_often(run):
    run(f"sweep {NETWORK} {GRID} -o store.zarr")
    line = "run --replay store.zarr --cell eta_trgt=0.5,t_wrm=4 --sharpness-every 1 --curves --json"
    document = strict_json(run(line).out)
    assert document["result"]["identical"] is True
    assert None not in document["curves"]["sharpness"]


def test_a_replay_that_does_not_agree_says_so(run, store):
    import zarr

    zarr.open_group(store)["loss_final"][0, 0, 1, 1] = 0.125
    result = run("run --replay store.zarr --cell eta_trgt=0.5,t_wrm=4")
    assert "NOT bit for bit" in result.out


def test_a_replay_on_a_file_needs_the_file_again_and_unchanged(run, folder):
    x = np.random.default_rng(0).standard_normal((20, 3))
    np.savez("mine.npz", x=x, y=np.arange(20) % 2)
    tiny = "--width 4 --depth 2 --steps 8"
    assert run(f"sweep {tiny} {GRID} --data mine.npz --samples 12 -o store.zarr").code == 0
    replay = "run --replay store.zarr --cell eta_trgt=0.5,t_wrm=4 --json"
    assert_refused(run(replay), "--replay", "store.zarr")
    assert strict_json(run(f"{replay} --data mine.npz").out)["result"]["identical"] is True
    Path("mine.npz").rename("moved.npz")
    assert strict_json(run(f"{replay} --data moved.npz").out)["result"]["identical"] is True
    x[3, 1] += 1e-15
    np.savez("moved.npz", x=x, y=np.arange(20) % 2)
    Path("run.png").unlink()
    assert_refused(run(f"{replay} --data moved.npz"), "--data", "moved.npz")
    assert not Path("run.png").exists()


def test_a_cell_that_was_not_run_is_not_replayed(run, store):
    (store / "status/c/0/0/1/0").unlink()
    assert_refused(
        run("run --replay store.zarr --cell eta_trgt=0.5,t_wrm=1"), "--cell", "eta_trgt=0.5,t_wrm=1"
    )


# --- plot and info ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "start"),
    [("a.png", b"\x89PNG"), ("a.svg", b"<?xml"), ("a.pdf", b"%PDF"), ("A.PNG", b"\x89PNG")],
)
def test_a_figure_has_the_format_of_its_name_and_the_same_bytes_again(run, store, name, start):
    assert run(f"plot store.zarr --figure {name}").code == 0
    first = Path(name).read_bytes()
    assert first.startswith(start)
    run(f"plot store.zarr --figure {name}")
    assert Path(name).read_bytes() == first


def test_a_plot_goes_beside_the_store_and_says_so_in_json(run, store, folder):
    document = strict_json(run("plot store.zarr --color sharpness_final --json").out)
    assert document == {
        "command": "plot", "store": "store.zarr", "figure": "store.png", "color": "sharpness_final",
    }  # fmt: skip
    assert (folder / "store.png").is_file()


def test_a_store_that_is_not_complete_is_drawn_and_said_to_be_so(run, store):
    for file in (store / "status/c").rglob("*"):
        if file.is_file():
            file.unlink()
    assert run("plot store.zarr").code == 0
    assert "not_run                  4" in run("info store.zarr").out


def test_info_tells_a_person_what_a_store_holds(run, store):
    result = run("info store.zarr")
    assert (result.code, result.err) == (0, "")
    assert result.out.startswith("store.zarr: complete")
    for text in ("eta_trgt                 2", "done                     4", "quadratic", "numpy"):
        assert text in result.out


def test_info_tells_a_program_the_spec_that_made_it(run, store):
    document = strict_json(run("info store.zarr --json").out)
    assert document["complete"] is True
    assert document["status"] == {"done": 4}
    assert Spec.from_dict(document["spec"]).eta_trgt == (0.25, 0.5)
    assert document["data"] == {"name": "none"}
    assert set(document["variables"]) == set(opened("store.zarr").data_vars)


# --- help ---------------------------------------------------------------------------------------

LIGHT = f"""
import sys
from simulator.commands import main
try:
    main(sys.argv[1:])
finally:
    print(sorted({HEAVY!r} & set(sys.modules)), file=sys.stderr)
"""


@pytest.mark.parametrize(
    "line", ["--help", "--version", "-h", *(f"{c} --help" for c in warmup.commands)]
)
def test_help_loads_nothing_heavy(line):
    done = subprocess.run(
        [sys.executable, "-c", LIGHT, *line.split()], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "[]\n")


def test_cli_py_is_the_same_program_and_loads_nothing_heavy():
    done = subprocess.run(
        [sys.executable, "-X", "importtime", ROOT / "cli.py", "--help"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    loaded = {line.split("|")[-1].strip().split(".")[0] for line in done.stderr.splitlines()}
    assert "simulator" in loaded
    assert not loaded & HEAVY
    assert done.stdout.startswith("Usage: warmup ")


def test_the_help_lists_every_command(run):
    result = run("--help")
    assert result.code == 0
    for name in warmup.commands:
        assert f"\n  {name} " in result.out


OPTIONS = [
    pytest.param(command, option, id=f"{name} {option.opts[-1]}")
    for name, command in warmup.commands.items()
    for option in command.params
    if isinstance(option, click.Option)
]
CHOICES = {
    "model": set(MODELS),
    "activation": set(CODES),
    "param": set(PARAMETERIZATIONS),
    "loss": set(LOSSES),
    "optimizer": set(OPTIMIZERS),
    "decay": set(DECAYS),
    "eta_unit": set(ETA_UNITS),
    "dtype": set(DTYPES),
    "data": {*LOADERS, "FILE.npz"},
    "representation": {"gram", "parameters"},
    "figure": {"FILE.png", *(ending.lstrip(".") for ending in FORMATS if ending != ".png")},
}


@pytest.mark.parametrize(
    ("name", "groups"),
    [
        ("run", "Model Data Loss Optimizer Schedule Curvature Seeds Execution Output Config"),
        ("sweep", "Model Data Loss Optimizer Schedule Curvature Seeds Execution Output Config"),
        ("plot", "Schedule Output Config"),
        ("info", "Output"),
    ],
)
def test_the_help_of_a_command_lists_its_options_group_by_group(run, name, groups):
    result = run(f"{name} --help")
    assert result.code == 0
    assert re.findall(r"^(\w+):$", result.out, re.M) == [*groups.split(), "Help"]
    for option in warmup.commands[name].params:
        if isinstance(option, click.Option):
            assert option.opts[-1] in result.out


@pytest.mark.parametrize(("command", "option"), OPTIONS)
def test_an_option_shows_its_default_and_the_choices_that_there_are(command, option):
    _, text = option.get_help_record(click.Context(command, show_default=None))
    without = option.is_flag and not option.secondary_opts
    assert ("[default: " in text) != (without or option.name in ("replay", "cell", "config"))
    if option.name in CHOICES:
        assert set(option.metavar.split("|")) == CHOICES[option.name]


def shown(option):
    return re.search(r"\[default: (.*)\]", option.help)[1]


def as_text(default):
    if isinstance(default, bool):
        return "bias" if default else "no-bias"
    if isinstance(default, tuple):
        return ",".join(f"{value:g}" for value in default)
    return default if isinstance(default, str) else f"{default:g}"


@pytest.mark.parametrize("command", ["run", "sweep"])
def test_a_default_that_is_shown_as_text_is_the_constructor_s(command):
    options = {option.name: option for option in warmup.commands[command].params}
    arguments = {"param": "parameterization"}
    for name in ("width", "depth", "activation", "param", "s", "var_w", "bias", "representation",
                 "curvatures", "loss"):  # fmt: skip
        found = {}
        for model, made in MODELS.items():
            taken = inspect.signature(made).parameters.get(arguments.get(name, name))
            if taken is not None:
                found[model] = as_text(taken.default)
        first, *others = found.items()
        expected = [first[1], *(f"{model} {text}" for model, text in others if text != first[1])]
        assert shown(options[name]) == "; ".join(expected)
    assert shown(options["momentum"]) == as_text(OPTIMIZERS["momentum"]().beta)
    assert shown(options["samples"]) == f"{load_data('digits').samples}; all of a file"


@pytest.mark.parametrize(("command", "function"), [("run", simulate), ("sweep", Spec)])
def test_a_default_that_the_library_has_too_is_the_same(command, function):
    parameters = inspect.signature(function).parameters
    both = [option for option in warmup.commands[command].params if option.name in parameters]
    compared = 0
    for option in both:
        theirs = parameters[option.name].default
        # The command line's unit is critical: a first sweep must not need to know the sharpness.
        if isinstance(theirs, (int, float, str)) and option.name != "eta_unit":
            assert option.default == theirs, option.name
            compared += 1
    assert compared >= 5


# --- interruption -------------------------------------------------------------------------------


@pytest.mark.skipif(os.name == "nt", reason="SIGINT cannot be sent to one process")
def test_a_sweep_that_was_interrupted_resumes_to_the_same_bytes(folder):
    line = (
        "sweep --data teacher --samples 16 --width 4 --depth 2 --steps 20000 --sharpness-every 0 "
        "--eta-trgt 0.1,0.2,0.3,0.4 --t-wrm 1,2,4,8 --seeds 1 --workers 2"
    )
    sweep = subprocess.Popen(
        [*PROGRAM, *line.split()], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    status = Path("sweep.zarr/status/c")
    started = time.monotonic()
    while not any(path.is_file() for path in status.rglob("*")):
        assert sweep.poll() is None
        assert time.monotonic() - started < 60
        time.sleep(0.02)
    sweep.send_signal(signal.SIGINT)
    out, err = sweep.communicate(timeout=10)
    assert (sweep.returncode, out) == (130, "")
    assert "Traceback" not in err
    found = opened("sweep.zarr")["status"]
    assert 0 < (found == "done").sum() < found.size
    assert (found != "failed").all()

    again = shlex.split(err.splitlines()[-1])
    assert again[0] == "warmup"
    subprocess.run([*PROGRAM, *again[1:]], check=True, capture_output=True)
    subprocess.run([*PROGRAM, *line.split(), "-o", "other.zarr"], check=True, capture_output=True)
    xr.testing.assert_identical(opened("sweep.zarr"), opened("other.zarr"))
