"""Kernels on disk: damage, other kernels' files, other users' folders, no place to write.

``pytest tests/test_kernel_cache.py --flips 300`` flips so many bits; without it, a few.
"""

import functools
import os
import pickle
import random
import shutil
import stat
import subprocess
import sys

import numpy as np
import pytest
from numba.core import config
from program import GRID, PROGRAM, QUADRATIC, strict_json

from simulator.checks import InputError
from simulator.numerics import cache, updates
from simulator.numerics.jit import kernel

pytestmark = pytest.mark.slow
posix = pytest.mark.skipif(os.name == "nt", reason="permissions are not in a file's mode there")


def pytest_generate_tests(metafunc):
    if "flip" in metafunc.fixturenames:
        metafunc.parametrize("flip", range(metafunc.config.getoption("--flips")))


# The files that a command loads; those of kernels inside others are read by the compiler only.
LOADED = """
import sys
from pathlib import Path
files = set()
sys.addaudithook(lambda event, of: files.add(str(of[0])) if event == "open" else None)
from simulator.commands import main
try:
    main(sys.argv[1:])
finally:
    print(*(Path(file).name for file in files if file.endswith(".nbc")), file=sys.stderr)
"""
RUNS = [
    "run --model quadratic --optimizer adam --steps 10 --t-wrm 4 --json",
    "run --model uv --data teacher --samples 1 --width 64 --steps 10 --t-wrm 4 --json",
    "run --width 4 --depth 2 --optimizer adam --batch-size 8 --steps 10 --t-wrm 4 --json",
]


def _result(text):
    result = strict_json(text)
    del result["seconds"]
    return result


def _run(program, path=None, **options):
    """Run it, with the user's kernels or with those of another folder."""
    chosen = {} if path is None else {"NUMBA_CACHE_DIR": str(path)}
    return subprocess.run(
        program, env={**os.environ, **chosen}, capture_output=True, text=True, **options
    )


@functools.cache
def _undamaged(line):
    """The result of a command, and the kernels that it loads from the user's cache."""
    program = [sys.executable, "-c", LOADED, *line.split()]
    done = _run(program)
    if "Compiling" in done.stderr:
        done = _run(program)
    return _result(done.stdout), sorted(done.stderr.split())


def test_a_flipped_bit_changes_no_result(tmp_path, flip):
    draw = random.Random(flip)
    line = RUNS[flip % len(RUNS)]
    expected, loaded = _undamaged(line)
    copy = tmp_path / cache.directory().name
    copy.mkdir(mode=0o700)
    for file in cache.directory().glob("*.nbc"):
        shutil.copy2(file, copy)
    file = copy / draw.choice(loaded)
    damaged = bytearray(file.read_bytes())
    damaged[draw.randrange(len(damaged))] ^= 1 << draw.randrange(8)
    file.write_bytes(damaged)
    done = _run([*PROGRAM, *line.split(), "--quiet"], tmp_path)
    assert (done.returncode, done.stderr, _result(done.stdout)) == (0, "", expected), file.name
    assert file.read_bytes() != damaged


THREE_KERNELS = """
import os
from pathlib import Path
import numpy as np
from simulator.numerics import updates
theta = np.zeros(1)
updates.descend(theta, np.ones(1), 1.0)
{between}
updates.accumulate(theta, 2.0 * np.ones(1), 3.0, 2.0)
updates.accumulate_squares(theta, 2.0 * np.ones(1), 1.0, 2.0)
print(theta[0], len(list(Path(os.environ["NUMBA_CACHE_DIR"]).rglob("*.nbc"))))
"""
# (0 - 1) 3 + 2 2 = 1, then 1 + 2 2^2.
VALUE = 9.0


def _by_a_process(path, between="", **options):
    """What is computed, how many files are kept, and what is complained of."""
    program = [sys.executable, "-c", THREE_KERNELS.format(between=between)]
    done = _run(program, path, check=True, **options)
    theta, kept = done.stdout.split()
    return float(theta), int(kept), done.stderr


@pytest.fixture
def in_a_cache(monkeypatch, caplog, capfd):
    """The same of kernels that are new to this process."""

    def called(path, between=lambda: None):
        monkeypatch.setattr(config, "CACHE_DIR", str(path))
        caplog.clear()
        for known in (cache.directory, cache._complain):
            known.cache_clear()
        theta = np.zeros(1)
        descend, accumulate, square = (
            kernel(known.py_func)
            for known in (updates.descend, updates.accumulate, updates.accumulate_squares)
        )
        descend(theta, np.ones(1), 1.0)
        between()
        accumulate(theta, 2.0 * np.ones(1), 3.0, 2.0)
        square(theta, 2.0 * np.ones(1), 1.0, 2.0)
        assert capfd.readouterr() == ("", "")
        return theta[0], len(list(path.rglob("*.nbc"))), caplog.messages

    yield called
    monkeypatch.undo()
    for known in (cache.directory, cache._complain):
        known.cache_clear()


@pytest.fixture(scope="module")
def three(tmp_path_factory):
    """A cache of three kernels, made by a process that lets everybody write."""
    path = tmp_path_factory.mktemp("three") / "cache"
    options = {} if os.name == "nt" else {"umask": 0}
    assert _by_a_process(path, **options) == (VALUE, 3, "")
    return path


@posix
def test_files_and_folders_are_their_owners_whatever_the_umask(three):
    found = [three, *three.rglob("*")]
    assert {stat.S_IMODE(path.stat().st_mode) for path in found if path.is_dir()} == {0o700}
    assert {stat.S_IMODE(path.stat().st_mode) for path in found if path.is_file()} == {0o600}


def _swap(files):
    """Two of them compute different things of the same types."""
    contents = [file.read_bytes() for file in files]
    for file, content in zip(files, contents[1:] + contents[:1], strict=True):
        file.write_bytes(content)


def _run_unpickled(code):
    class Code:
        def __reduce__(self):
            return exec, (code,)

    return pickle.dumps(Code())


def _fill(*contents):
    def damage(files):
        for file, content in zip(files, contents, strict=True):
            file.write_bytes(content)

    return damage


def _truncate(files):
    for file, size in zip(files, (0, 1000, files[2].stat().st_size - 1), strict=True):
        os.truncate(file, size)


def _link(files):
    """To another kernel, to nothing, and to itself."""
    for file, target in zip(files, (files[2], "nothing", files[2]), strict=True):
        file.unlink()
        file.symlink_to(target)


DAMAGES = {
    "swapped": _swap,
    "truncated": _truncate,
    "no kernels": _fill(b"no pickle", pickle.dumps("no kernel"), _run_unpickled("print('run')")),
    "links": _link,
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_made_again(in_a_cache, three, tmp_path, damage):
    copy = shutil.copytree(three, tmp_path / "cache")
    files = sorted(copy.rglob("*.nbc"))
    DAMAGES[damage](files)
    assert in_a_cache(copy) == (VALUE, 3, [])
    assert not any(file.is_symlink() for file in files)
    assert min(file.stat().st_size for file in files) > 10_000


@posix
def test_a_file_that_others_can_write_to_is_made_again(in_a_cache, three, tmp_path):
    copy = shutil.copytree(three, tmp_path / "cache")
    files = sorted(copy.rglob("*.nbc"))
    before = [file.read_bytes() for file in files]
    files[0].chmod(0o666)
    files[1].chmod(0o620)
    assert in_a_cache(copy) == (VALUE, 3, [])
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    assert files[2].read_bytes() == before[2]


def _chosen(folder, monkeypatch):
    monkeypatch.setattr(config, "CACHE_DIR", str(folder))
    return cache.directory.__wrapped__()


def _make_anothers(folder, monkeypatch):
    """Root is trusted: it gives the folder away. Anybody else is taken for somebody else."""
    if os.geteuid() == 0:
        os.chown(folder, 12345, -1)
    else:
        user = os.geteuid()
        monkeypatch.setattr(os, "geteuid", lambda: user + 1)


@posix
@pytest.mark.parametrize("inner", [False, True], ids=["given", "made"])
@pytest.mark.parametrize("mode", [0o777, 0o770, 0o702, "another's"])
def test_a_folder_that_is_not_the_users_own_is_refused(tmp_path, monkeypatch, inner, mode):
    given = tmp_path / "given"
    made = _chosen(given, monkeypatch)
    made.mkdir(parents=True)
    assert _chosen(given, monkeypatch) == made
    folder = made if inner else given
    if mode == "another's":
        _make_anothers(folder, monkeypatch)
        folder = given if os.geteuid() else folder
    else:
        folder.chmod(mode)
    with pytest.raises(InputError) as refused:
        _chosen(given, monkeypatch)
    assert (refused.value.option, refused.value.value) == ("NUMBA_CACHE_DIR", folder)
    assert "chmod" in refused.value.remedy


@posix
def test_where_others_cannot_replace_the_users_files_they_may_write(tmp_path, monkeypatch):
    tmp_path.chmod(0o1777)
    assert _chosen(tmp_path, monkeypatch).parent == tmp_path


@pytest.mark.skipif(sys.platform != "linux", reason="caches have another place there")
@pytest.mark.parametrize("variable", ["NUMBA_CACHE_DIR", "XDG_CACHE_HOME"])
def test_a_command_says_so_in_one_sentence_and_makes_nothing(tmp_path, monkeypatch, variable):
    open_to_all = tmp_path / "warmup-simulator"
    open_to_all.mkdir()
    open_to_all.chmod(0o777)
    is_given = variable == "NUMBA_CACHE_DIR"
    monkeypatch.setenv("NUMBA_CACHE_DIR", "")
    monkeypatch.setenv(variable, str(open_to_all if is_given else tmp_path))
    done = _run(
        [*PROGRAM, "sweep", *QUADRATIC.split(), *GRID.split(), "-o", "store.zarr"], cwd=tmp_path
    )
    option = "NUMBA_CACHE_DIR" if is_given else "kernel cache"
    assert done.returncode == 2, done
    assert (done.stdout, done.stderr.count("\n")) == ("", 1), done
    assert done.stderr.startswith(f"warmup: {option} {open_to_all}: "), done
    assert list(tmp_path.rglob("*")) == [open_to_all]


def test_without_a_place_to_write_kernels_work_and_one_line_says_so(in_a_cache, tmp_path):
    (tmp_path / "file").write_text("")
    theta, kept, (complaint,) = in_a_cache(tmp_path / "file" / "cache")
    assert (theta, kept) == (VALUE, 0)
    assert "compiled anew by every process" in complaint


@pytest.mark.skipif(getattr(os, "geteuid", int)() == 0, reason="root may write anywhere")
def test_a_cache_that_may_only_be_read_is_read(in_a_cache, three, tmp_path):
    full, empty = shutil.copytree(three, tmp_path / "full"), tmp_path / "empty"
    empty.mkdir()
    for folder in (empty, full, *full.iterdir()):
        folder.chmod(0o500)
    assert in_a_cache(full) == (VALUE, 3, [])
    theta, kept, complaints = in_a_cache(empty)
    assert (theta, kept, len(complaints)) == (VALUE, 0, 1)
    full.chmod(0o700)


def test_a_cache_may_vanish_while_a_program_runs(in_a_cache, tmp_path):
    path = tmp_path / "cache"

    def replace_by_a_file():
        shutil.rmtree(path)
        path.write_text("")

    assert in_a_cache(path, lambda: shutil.rmtree(path)) == (VALUE, 2, [])
    theta, kept, complaints = in_a_cache(path, replace_by_a_file)
    assert (theta, kept, len(complaints)) == (VALUE, 0, 1)


# A limit on the size of files ends a write midway, as a full disk does.
FULL = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))"


@posix
def test_on_a_full_disk_kernels_work_and_nothing_half_written_stays(tmp_path):
    theta, kept, complaint = _by_a_process(tmp_path, FULL)
    assert (theta, kept, complaint.count("\n")) == (VALUE, 1, 1)
    assert [path.suffix for path in tmp_path.rglob("*") if path.is_file()] == [".nbc"]
