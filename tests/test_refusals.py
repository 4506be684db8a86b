"""What the program refuses: one line, exit code 2, and nothing made."""

import json
import math
import os
import subprocess
import sys
import zipfile
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest
from bad_input import BAD, TABLES, TOMLS
from program import GRID, PROGRAM, QUADRATIC, assert_refused, content, forge

from simulator import InputError
from simulator.checks import at_least, fraction, nonnegative, positive, printable
from simulator.tables import READERS

pytestmark = pytest.mark.usefixtures("folder")


def claiming(shape, data=b"", packed=zipfile.ZIP_DEFLATED):
    """A file whose x claims to be of this shape."""
    header = {"descr": "<f8", "fortran_order": False, "shape": shape}
    with zipfile.ZipFile("made.npz", "w", packed) as archive:
        with archive.open("x.npy", "w") as file:
            np.lib.format.write_array_header_1_0(file, header)
            file.write(data)
        with archive.open("y.npy", "w") as file:
            np.lib.format.write_array(file, np.arange(40) % 2)
    return Path("made.npz")


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
    np.savez("negative.npz", x=x, y=y - 1)
    np.savez("words.npz", x=x.astype(str), y=y)
    np.savez("gaps.npz", x=np.ones((2000, 1)), y=np.arange(2000) + 998_000)
    np.savez("beyond.npz", x=1e39 * x, y=y)
    claiming((10**6, 10**6)).rename("claims.npz")
    claiming((40, 3), bytes(961)).rename("longer.npz")
    claiming((40, 3), bytes(960), zipfile.ZIP_LZMA).rename("lzma.npz")
    with Path("array.npz").open("wb") as file:
        np.save(file, x)
    Path("truncated.npz").write_bytes(Path("good.npz").read_bytes()[:-60])
    np.savez_compressed("damaged.npz", x=x, y=y)
    damaged = bytearray(Path("damaged.npz").read_bytes())
    damaged[60:120] = bytes(60)
    Path("damaged.npz").write_bytes(damaged)
    for name, text in TOMLS.items():
        Path(name).write_text(text)
    Path("latin.toml").write_bytes(b'model = "\xe9"')
    Path("folder.csv").mkdir()
    for name, table in TABLES.items():
        Path(name).write_bytes(table)
    return content(folder)


@pytest.mark.parametrize(
    ("line", "option", "value"), BAD, ids=[ascii(line)[1:60] for line, *_ in BAD]
)
def test_bad_input_is_refused_in_one_line_and_nothing_is_made(
    run, clutter, folder, monkeypatch, line, option, value
):
    # Whether or not kernels are to be compiled, the refusal is all that is said.
    for command in ("run", "sweep", "critical", "theory", "study", "explain"):
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
        f"run --width {10**18}",
        f"run --depth {10**18}",
        f"run {QUADRATIC} --t-wrm 1 --steps {2**60}",
        f"run {QUADRATIC} --t-wrm 1 --top-k {10**15}",
        "run --model uv --var-w 1e308",
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
    assert done.stderr == "warmup: Invalid value for '--eta-trgt': 'nan' is not finite\n"
    assert not content(folder)


def test_a_name_that_is_nearly_right_is_suggested(run):
    assert "did you mean quadratic?" in run("run --model quadratc").err
    assert "--width" in run("run --widht 8").err


@pytest.mark.parametrize(("name", "size"), [("a.toml", 50_000_000), ("a.csv", 3 * 10**9)])
def test_a_file_too_large_to_be_one_is_refused_unread(run, folder, name, size):
    with Path(name).open("wb") as file:
        file.truncate(size)  # sparse: it takes no disk
    line = f"run --config {name}" if name.endswith("toml") else f"explain {name}"
    result = run(line)
    assert_refused(result, "--config" if name.endswith("toml") else "source", name)
    assert "larger than" in result.err
    assert [path.name for path in folder.iterdir()] == [name]


def test_a_value_of_any_length_makes_a_short_line(run):
    for line in (f"run --model {'m' * 100_000}", f"run --steps {'m' * 100_000}"):
        assert len(run(line).err) < 3000


def test_a_negative_zero_is_zero(run):
    result = run(f"run {QUADRATIC} --t-wrm 1 --eta-init -0.0 --json")
    assert '"eta_init": 0.0' in result.out


def test_without_its_package_mnist1d_is_refused_with_the_extra_to_install(run, monkeypatch):
    monkeypatch.setitem(sys.modules, "mnist1d", None)
    monkeypatch.setitem(sys.modules, "mnist1d.data", None)
    result = run("run --data mnist1d")
    assert_refused(result, "--data", "mnist1d")
    assert "pip install 'warmup-simulator[mnist1d]'" in result.err


@pytest.mark.parametrize("line", ["--help", "info store.zarr", "info store.zarr --json"])
def test_a_reader_that_stops_reading_hears_no_traceback(store, line):
    ours, theirs = os.pipe()
    os.close(ours)  # as head does when it has its lines
    done = subprocess.run(
        [*PROGRAM, *line.split()], stdout=theirs, stderr=subprocess.PIPE, text=True, check=False
    )
    os.close(theirs)
    assert not done.stderr


@pytest.mark.parametrize("columns", ["0", "1", "20", "many"])
def test_a_narrow_terminal_wraps_what_is_told(run, folder, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", columns)
    Path("log.csv").write_text("step,loss\n0,1\n1,0.5\n2,3\n3,0.1\n")
    result = run("explain log.csv")
    assert result.code == 0
    assert result.out.split()[:3] == ["The", "learning", "rate"] or columns == "1"
    assert run("run --help").code == 0


@pytest.mark.parametrize(
    ("said", "option", "value"),
    [
        ({"name": "file", "path": "/etc/passwd", "samples": 4}, "--replay", "store.zarr"),
        ({"name": "/etc/passwd.npz", "samples": 4}, "--replay", "store.zarr"),
        ({"name": ["digits"], "samples": 4}, "--replay", "store.zarr"),
        ({"name": "digits", "samples": "many"}, "--replay", "store.zarr"),
        ({"name": "digits", "samples": 4, "data_seed": 0.5}, "--replay", "store.zarr"),
        ({"name": "teacher", "samples": 10**12}, "--samples", "1000000000000"),
        ({"name": "teacher", "samples": 4, "digest": "other"}, "--replay", "store.zarr"),
        ({}, "--replay", "store.zarr"),
    ],
)
def test_what_a_store_says_of_its_data_is_neither_followed_nor_believed(
    run, store, monkeypatch, said, option, value
):
    metadata = json.loads(Path("store.zarr/zarr.json").read_text())
    metadata["attributes"]["data"] = json.dumps(said)
    Path("store.zarr/zarr.json").write_text(json.dumps(metadata))
    forge(Path("store.zarr"))
    for ending in READERS:
        monkeypatch.setitem(READERS, ending, lambda *_: pytest.fail("a path was followed"))
    result = run("run --replay store.zarr --cell eta_trgt=0.5,t_wrm=1")
    assert_refused(result, option, value)


def test_a_message_shows_what_a_terminal_would_obey():
    nasty = "\x1b[31m\r\n\u202e\u2028\x85\udcff"
    error = InputError("data", nasty, f"its {nasty}")
    assert str(error) == r"data \x1b[31m\r\n\u202e\u2028\x85\udcff: its " + (
        r"\x1b[31m\r\n\u202e\u2028\x85\udcff"
    )
    assert printable("τ = 2 / λ, 数字 ✓") == "τ = 2 / λ, 数字 ✓"
    assert len(printable("a" * 10**6)) < 210
    assert printable(10**5000)


@pytest.mark.parametrize(
    "value", [True, np.True_, "1", None, 10**400, math.nan, math.inf, 1j, [1.0], np.ones(2)]
)
def test_what_is_no_number_is_refused_by_every_check(value):
    for check in (positive, nonnegative, fraction, lambda *option: at_least(*option, 0)):
        with pytest.raises(InputError, match=r"option .*: give a"):
            check("option", value)


def test_a_whole_number_fits_an_array():
    assert at_least("seed", np.uint64(2**63 - 1), 0) == 2**63 - 1
    with pytest.raises(InputError, match=r"from 0 to 2\^63 - 1"):
        at_least("seed", 2**63, 0)
