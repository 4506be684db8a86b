"""What the program refuses: one line, exit code 2, and nothing made."""

import subprocess
import sys
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest
from program import GRID, PROGRAM, QUADRATIC, assert_refused, content

pytestmark = pytest.mark.usefixtures("folder")


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
    ("run --optimizer momentum --dampening 1", "--dampening", "1"),
    ("run --optimizer momentum --dampening 0.1 --ema", "--dampening", "0.1"),
    ("run --optimizer nesterov --momentum 2", "--momentum", "2"),
    ("run --optimizer adam --beta1 1", "--beta1", "1"),
    ("run --optimizer rmsprop --beta2 -1", "--beta2", "-1"),
    ("run --optimizer gi-adam --eps -1", "--eps", "-1"),
    ("run --optimizer adamw --weight-decay nan", "--weight-decay", "nan"),
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
    ("run --optimizer nesterov --ema", "--ema", ""),
    ("run --optimizer momentum --no-ema --beta1 0.5", "--beta1", "0.5"),
    ("run --optimizer rmsprop --beta1 0.5", "--beta1", "0.5"),
    ("run --optimizer adam --weight-decay 0.1", "--weight-decay", "0.1"),
    ("run --optimizer adam --momentum 0.5", "--momentum", "0.5"),
    ("run --optimizer adma", "--optimizer", "adma"),
    ("run --layer-rates", "--layer-rates", "with sp"),
    ("sweep --model uv --layer-rates", "--layer-rates", "with uv"),
    ("run --model uv --optimizer adam", "--representation", "gram"),
    ("sweep --model uv --optimizer rmsprop", "--representation", "gram"),
    # critical
    ("critical --method papre", "--method", "papre"),
    ("critical --failure dead", "--failure", "dead"),
    ("critical --eta-unit relative --eta-trgt 1 --t-wrm 4", "--eta-unit", "relative"),
    ("critical --tolerance 0", "--tolerance", "0"),
    ("critical --method paper --delta 0", "--delta", "0"),
    ("critical --method paper --eta-0 -1", "--eta-0", "-1"),
    ("critical --delta 0.2", "--delta", "0.2"),
    ("critical --eta-0 0.2", "--eta-0", "0.2"),
    ("critical --eta-most 0", "--eta-most", "0"),
    ("critical --eta-most nan", "--eta-most", "nan"),
    ("critical --steps -1", "--steps", "-1"),
    ("critical --seeds 0", "--seeds", "0"),
    ("critical --workers 0", "--workers", "0"),
    ("critical --dtype float16", "--dtype", "float16"),
    ("critical --batch-size 513", "--batch-size", "513"),
    ("critical --eta-trgt 8", "--eta-trgt", "8"),
    ("critical --t-wrm 8", "--t-wrm", "8"),
    ("critical --eta-trgt 8 --t-wrm 0", "--t-wrm", "0"),
    ("critical --eta-trgt 8 --t-wrm 600", "--t-wrm", "600"),
    ("critical --eta-trgt 0 --t-wrm 8", "--eta-trgt", "0"),
    ("critical --layer-rates", "--layer-rates", "with sp"),
    ("critical --model uv --optimizer adam", "--representation", "gram"),
    ("critical --data missing.npz", "--data", "missing.npz"),
    # theory
    ("theory --law warmup-deccay", "--law", "warmup-deccay"),
    ("theory --law", "--law", ""),
    ("theory --seed -1", "--seed", "-1"),
    ("theory --figure a.png", "--figure", "a.png"),
    ("theory --law moving-average-momentum --figure a.png", "--figure", "a.png"),
    ("theory warmup-decay", "warmup-decay", ""),
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


@pytest.mark.parametrize(("line", "option", "value"), BAD, ids=[line for line, *_ in BAD])
def test_bad_input_is_refused_in_one_line_and_nothing_is_made(
    run, clutter, folder, monkeypatch, line, option, value
):
    # Whether or not kernels are to be compiled, the refusal is all that is said.
    for command in ("run", "sweep", "critical", "theory"):
        module = sys.modules[f"simulator.commands.{command}"]
        monkeypatch.setattr(module, "announce_compilation", lambda: print("compiling"))
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
