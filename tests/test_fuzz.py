"""Readers of what may be anybody's: a value, or a refusal in one line; soon, and in little memory.

``HYPOTHESIS_PROFILE=thorough`` gives each of them 10,000 inputs.
"""

import io
import math
import struct
import time
import zipfile
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from functools import cache
from pathlib import Path

import click
import hypothesis
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from simulator import GD, Data, InputError, Quadratic, load_data
from simulator.commands import main, warmup
from simulator.commands.grids import Grid
from simulator.commands.replay import _coordinates
from simulator.events import explain, read_curves
from simulator.laws import LAWS
from simulator.studying import find_studies, load_study
from simulator.sweeps import Spec

# Inputs are cheap: more of them than of runs.
often = hypothesis.settings(max_examples=max(300, hypothesis.settings.default.max_examples))
seldom = hypothesis.settings(max_examples=max(10, hypothesis.settings.default.max_examples // 20))

NASTY = (
    "", " ", "nan", "-inf", "1e400", "-0.0", "9" * 400, "1" + "0" * 5000, "1e-320", "0x10", "1_0",
    "True", "\x1b[31m", "\x1b]0;title\x07", "\r\n", "\u202e", "\u2028", "\udcff", "\x85", "é", "١",
    "'", '"', "=", ",", ":", "#", "[", "{", "%s", "{0}", "../..", "~", "/dev/zero", "a" * 70_000,
)  # fmt: skip
words = st.one_of(st.text(max_size=20), st.sampled_from(NASTY))
numbers = st.one_of(st.integers(), st.floats(), st.sampled_from([2**63, 10**400, 5e-324, 1e308]))


@pytest.fixture(scope="module", autouse=True)
def a_gigabyte():
    """What is read here must fit into one."""
    explain(read_curves(written(b"loss\n1\n0.5\n"), GD().limit))  # imports take their memory first
    told("info", str(written(b"")), seconds=20)
    taken = Path("/proc/self/statm")
    if not taken.exists():
        yield
        return
    import resource

    before = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(taken.read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + 2**30, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


@cache
def folder():
    import tempfile

    made = tempfile.TemporaryDirectory(prefix="fuzz")
    folder.kept = made  # removed when the process ends
    return Path(made.name)


def written(content, name="input"):
    path = folder() / name
    path.write_bytes(content)
    return path


@contextmanager
def soon(seconds=1):
    # No measurement: the guard against what never ends. Time of this thread, whoever else works.
    began = time.thread_time()
    yield
    assert time.thread_time() - began < seconds


def one_line(text):
    assert text.isprintable(), text
    assert text.strip()
    assert len(text) < 4000


def read(reader, *arguments):
    """What the reader makes of it; None if it refuses."""
    with soon():
        try:
            return reader(*arguments)
        except InputError as refusal:
            one_line(str(refusal))
        except click.ClickException as refusal:
            one_line(refusal.format_message())


def told(*line, seconds=1):
    """The exit code of the program, which has at most one line to say."""
    out, err = io.StringIO(), io.StringIO()
    with (
        soon(seconds), redirect_stdout(out), redirect_stderr(err),
        pytest.raises(SystemExit) as leaving,
    ):  # fmt: skip
        main(line)
    code = leaving.value.code
    assert code in (0, 2), err.getvalue()
    if code:
        assert not out.getvalue()
        assert err.getvalue().endswith("\n")
        one_line(err.getvalue()[:-1])
        assert "memory" not in err.getvalue() or "too much memory" in err.getvalue()
    return code


@st.composite
def damaged(draw, whole):
    """A whole input with pieces of it cut out, copied, or written over."""
    content = draw(whole)
    for _ in range(draw(st.integers(0, 4))):
        start = draw(st.integers(0, len(content)))
        stop = min(len(content), start + draw(st.integers(0, 16)))
        piece = draw(
            st.one_of(
                st.binary(max_size=16),
                st.sampled_from(NASTY).map(lambda text: text.encode("utf-8", "surrogatepass")),
                st.just(content[start:stop] * 2),
            )
        )
        content = content[:start] + piece + content[stop:]
    return content


# --- config -------------------------------------------------------------------------------------

OPTIONS = sorted(
    {o.lstrip("-").replace("-", "_") for p in warmup.commands["run"].params for o in p.opts}
)


def toml_text(text):
    safe = text.encode("utf-8", "replace").decode()
    return '"' + "".join(c if c.isalnum() else f"\\U{ord(c):08x}" for c in safe) + '"'


plain = st.one_of(
    words.map(toml_text),
    numbers.filter(lambda n: abs(n) < 10**4000 if isinstance(n, int) else True).map(str),
    st.booleans().map(lambda truth: str(truth).lower()),
    st.sampled_from(["1979-05-27", "07:32:00", "0xffff", "1e400", "-0.0", "0o7", "'uv'", '"adam"']),
)
values = st.one_of(
    plain,
    st.lists(plain, max_size=4).map(lambda entries: f"[{','.join(entries)}]"),
    plain.map(lambda entry: f"{{a = {entry}}}"),
    st.integers(1, 3000).map(lambda depth: "[" * depth + "]" * depth),
)
keys = st.one_of(st.sampled_from(OPTIONS), words.map(toml_text), st.just("a.b"))
configs = st.lists(st.tuples(keys, values).map(" = ".join), max_size=5).map(
    lambda lines: "\n".join(lines).encode()
)
VALID = b'model = "quadratic"\neta_trgt = 0.5\nt_wrm = 4\nsteps = 8\nfigure = "a.png"\n'


@pytest.fixture(scope="module")
def _reads_only():
    """The program stops where it would begin to train; digits are read once."""
    from simulator import data, sweeps

    def stop(*arguments, **options):
        raise click.exceptions.Exit(0)  # all was read

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder())
        patch.setattr(sweeps, "rehearse", stop)
        patch.setattr(sweeps, "check", stop)
        patch.setitem(data.LOADERS, "digits", cache(data.load_digits))
        patch.setitem(data.LOADERS, "mnist1d", lambda *_: load_data("digits"))
        yield


@pytest.mark.usefixtures("_reads_only")
@often
@given(content=st.one_of(configs, damaged(st.one_of(st.just(VALID), configs)), st.binary()))
@example(b"steps = 1" + b"0" * 400)
@example(b"steps = 1" + b"0" * 5000)
@example(b"steps = 0x" + b"f" * 5000)
@example(b"steps = " + b"[" * 900 + b"]" * 900)
@example(b"steps = " + b"{a=" * 5000)
@example(b".".join([b"a"] * 15_000) + b" = 1")
@example(b".".join([b'"="'] * 7_900) + b" = 1")
@example(b'model = "\\u001b[31m\\n\\u202e"')
@example(b'"\\u001b[31m" = 1')
@example(b'figure = "\\u0000.png"')
@example(b'model = "' + b"m" * 30_000 + b'"')
@example(b"#" * 50_000_000)
def test_any_config_is_read_or_refused(content):
    told("run", "--config", str(written(content)))


# --- npz ----------------------------------------------------------------------------------------

lengths = st.one_of(st.integers(-1, 5), st.sampled_from([2**31, 2**63, 10**12, 10**30, True]))
DTYPES = ("<f8", ">f4", "<i8", "|u1", "|b1", "|O", "<U9", "<c16", "|V1000000000", "<M8[s]", "f2,i4",
          "<f16", "\x1b[31m", "<f", "")  # fmt: skip
headers = st.one_of(
    st.fixed_dictionaries(
        {
            "descr": st.one_of(
                st.sampled_from(DTYPES), st.just([("a", "<f8"), ("b", "|O")]), words
            ),
            "fortran_order": st.booleans(),
            "shape": st.lists(lengths, max_size=3).map(tuple),
        }
    ).map(repr),
    st.sampled_from(["", "{}", "{'descr': '<f8'}", "[" * 900, "-" * 9000 + "1", "(" * 9000, "\\d"]),
    words,
)


@st.composite
def members(draw):
    """An .npy file, its header perhaps not of its data."""
    if draw(st.booleans()):
        content = io.BytesIO()
        shape = draw(st.sampled_from([(4, 2), (4,), (3, 2), (0, 2), (4, 2, 1)]))
        array = np.arange(math.prod(shape)).reshape(shape) % draw(st.integers(1, 3))
        array = array.astype(draw(st.sampled_from(["f8", "i8", "u1", "f4", "?", "U3"])))
        if array.size and array.dtype.kind == "f":
            array.flat[0] = draw(st.floats(width=32))
        np.save(content, array)
        return content.getvalue()
    header = draw(headers).encode("utf-8", "surrogatepass")
    version = draw(st.sampled_from([b"\1\0", b"\2\0", b"\3\0", b"\0\0"]))
    length = struct.pack("<H" if version == b"\1\0" else "<I", len(header) % 2**16)
    return b"\x93NUMPY" + version + length + header + draw(st.binary(max_size=64))


@st.composite
def archives(draw):
    content = io.BytesIO()
    packed = draw(st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA]))
    with zipfile.ZipFile(content, "w", packed) as archive:
        for name in ("x", "y", *draw(st.lists(st.sampled_from(["x_test", "y_test", "../z"])))):
            if f"{name}.npy" not in archive.namelist():
                archive.writestr(f"{name}.npy", draw(members()))
    return content.getvalue()


def archive_of(x, y=(0, 1, 0, 1), packed=zipfile.ZIP_DEFLATED):
    """An archive whose x is these bytes."""
    content, labels = io.BytesIO(), io.BytesIO()
    np.save(labels, np.array(y))
    with zipfile.ZipFile(content, "w", packed) as archive:
        archive.writestr("x.npy", x)
        archive.writestr("y.npy", labels.getvalue())
    return content.getvalue()


def claiming(shape, dtype="<f8", data=b""):
    """An .npy file whose header says so."""
    content = io.BytesIO()
    header = {"descr": dtype, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(content, header)
    return content.getvalue() + data


def raw(header):
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(header)) + header


@often
@given(content=st.one_of(archives(), damaged(archives()), st.binary()))
@example(archive_of(claiming((10**6, 10**6))))
@example(archive_of(claiming((10**4, 10**4))))
@example(archive_of(claiming((10**12, 1), "|O")))
@example(archive_of(claiming((4, 10**30))))
@example(archive_of(claiming((0, 10**30))))
@example(archive_of(claiming((4, 1), "|V1000000000")))
@example(archive_of(claiming((4, 1), data=bytes(32)), packed=zipfile.ZIP_LZMA))
@example(archive_of(claiming((4, 1), data=bytes(32)), packed=zipfile.ZIP_BZIP2))
@example(archive_of(claiming((4, 1), data=bytes(33))))
@example(archive_of(claiming((2000, 1), data=bytes(16_000)), y=range(997_000, 999_000)))
@example(archive_of(raw(b"-" * 9000 + b"1")))
@example(archive_of(raw(b"(" * 9000)))
@example(archive_of(raw(b"{'descr': '<f8', 'fortran_order': False, 'shape': (4L, 1")))
def test_any_npz_is_read_or_refused(content):
    path = written(content, "input.npz")
    data = read(load_data, str(path))
    if data is not None:
        assert np.isfinite(data.x).all()
        assert len(data.targets) == data.samples


@often
@given(
    x=st.lists(st.lists(numbers, max_size=2), max_size=3),
    y=st.one_of(st.lists(numbers, max_size=3), st.lists(st.lists(numbers, max_size=2), max_size=3)),
)
@example([[10**400]], [0])
@example([[1.0], [1.0, 2.0]], [0, 1])
@example([[1.0]], [2**63])
def test_any_lists_are_data_or_refused(x, y):
    data = read(Data, x, y)
    assert data is None or np.isfinite(data.targets).all()


# --- csv ----------------------------------------------------------------------------------------

cells = st.one_of(st.floats().map(repr), st.integers(-3, 9).map(str), words)
named = st.lists(
    st.sampled_from(["step", "loss", "sharpness", "preconditioned_sharpness", "eta", "-"]),
    min_size=1, max_size=5, unique=True,
)  # fmt: skip


@st.composite
def tables(draw):
    names = draw(named)
    rows = st.lists(cells, min_size=len(names), max_size=len(names))
    floats = st.lists(st.floats().map(repr), min_size=len(names), max_size=len(names))
    lines = draw(st.one_of(st.lists(floats, max_size=12), st.lists(rows, max_size=6)))
    if "step" in names and draw(st.booleans()):
        at = names.index("step")
        for step, line in enumerate(lines):
            line[at] = str(step)
    return "\n".join(",".join(line) for line in [names, *lines]).encode("utf-8", "surrogatepass")


@often
@given(
    content=st.one_of(tables(), damaged(tables()), st.binary()),
    columns=st.one_of(st.none(), st.none(), named, st.lists(words, max_size=3)),
)
@example(b"loss," * 199_999 + b"loss\n1", None)
@example(b"9" * 10_000_000, ["loss"])
@example(b"loss\n" + b'"' + b"1\n" * 100_000, None)
@example(b'loss\n"' + b"1" * 200_000 + b'"', None)
@example(b"step,loss\n-1e308,1\n1e308,2", None)
@example(b"step,loss\n0,1\n1e300,2", None)
@example("loss\n\x1b[31m\u202e".encode(), None)
@example(b"loss\n\0", None)
@example(b"loss,sharpness,eta,preconditioned_sharpness\n" + b"0,63,0,3e-307\n" * 4, None)
def test_any_table_is_told_or_refused(content, columns):
    curves = read(read_curves, written(content, "input.csv"), GD().limit, columns)
    if curves is not None:
        with np.errstate(all="ignore"):  # as the command does
            story = explain(curves)
        assert story.paragraph
        assert story.paragraph.isprintable()


@seldom
@given(content=st.one_of(tables(), damaged(tables())))
@example(b"loss\n0.0")
@example(b"loss\ninf")
@example(b"loss\n1e283\n1e-300")
@example(b"loss,sharpness,eta,preconditioned_sharpness\n1,1,1,1e290\n1,1,1,1e-290")
@example(b"loss,sharpness,eta\n1e308,1e308,1e308\n1e308,-1e308,-1e308")
def test_any_table_is_explained_by_the_program_or_refused(content):
    path = written(content, "input.csv")
    code = told("explain", str(path), "--figure", str(folder() / "told.png"), seconds=20)
    assert code == 2 or (folder() / "told.png").stat().st_size


# --- what is typed ------------------------------------------------------------------------------

grammar = st.sampled_from([":", ",", "log", "=", "1", "2", "-", "e", ".", "1e308", "1e-308", "nan"])
typed = st.one_of(words, st.lists(st.one_of(grammar, words), max_size=8).map("".join))


@often
@given(text=typed, whole=st.booleans())
@example("1:2:1000000", False)
@example("1e308", True)
@example("1:1e300:1000", True)
@example("1:2:" + "9" * 5000, False)
def test_any_grid_is_read_or_refused(text, whole):
    grid = read(Grid(whole=whole).convert, text, None, None)
    if grid is not None:
        assert all(map(math.isfinite, grid))
        read(lambda: Spec(model=Quadratic(), optimizer=GD(), eta_trgt=grid, steps=9))


names = st.one_of(st.sampled_from(["eta_trgt", "eta_init", "t_wrm", "seed"]), words)
SPEC = Spec(model=Quadratic(), optimizer=GD(), eta_trgt=(0.5, 8.0), t_wrm=(1, 4), steps=9)


@often
@given(text=st.one_of(typed, st.lists(st.tuples(names, typed).map("=".join)).map(",".join)))
@example("eta_trgt=8,eta_trgt=0.5,t_wrm=1")
@example("eta_trgt=8,t_wrm=4")
@example("eta_trgt=-1e308,t_wrm=4")
@example("\x1b[31m=1")
def test_any_cell_is_found_or_refused(text):
    found = read(lambda: SPEC.locate(_coordinates(text)))
    assert found is None or len(found) == 4


@often
@given(name=typed.filter(lambda name: name not in {*LAWS, *find_studies()}))
@example("a" * 100_000)
@example("warmup-deca\x1b[0m")
def test_no_name_but_a_study_s_is_one(name):
    assert read(load_study, name) is None


@often
@given(name=typed.filter(lambda name: name and name not in LAWS and "\0" not in name))
def test_no_name_but_a_law_s_is_one(name):
    assert told("theory", f"--law={name}") == 2


CHOICES = (
    "mlp", "uv", "quadratic", "digits", "teacher", "adam", "momentum", "mup", "cosine", "xent",
    "tanh", "absolute", "persistent-catapult", "threshold", "float32", "0.5", "8", "64",
)  # fmt: skip
OPTION_NAMES = {
    name: sorted({o for p in warmup.commands[name].params for o in p.opts if o != "--figure"})
    for name in ("run", "sweep", "explain", "critical", "plot", "info")
}


@st.composite
def lines(draw):
    command = draw(st.sampled_from(list(OPTION_NAMES)))
    known = {p.opts[0]: p for p in warmup.commands[command].params}
    line = [command, *draw(st.lists(typed, max_size=1))]
    for _ in range(draw(st.integers(0, 5))):
        name = draw(st.sampled_from([*OPTION_NAMES[command], "--nonsense"]))
        line.append(name)
        if not getattr(known.get(name), "is_flag", False):
            line.append(draw(st.one_of(typed, numbers.map(str), st.sampled_from(CHOICES))))
    return line


@pytest.mark.usefixtures("_reads_only")
@often
@given(line=lines().filter(lambda line: not any("\0" in word for word in line)))
def test_any_line_is_understood_or_refused(line):
    told(*line)
