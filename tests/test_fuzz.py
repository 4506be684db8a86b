"""Readers of files that may be anybody's: a value, or a refusal in one line, soon, in a gigabyte.

``HYPOTHESIS_PROFILE=thorough`` gives each of these and of `test_fuzz_typed` 10,000 inputs.
"""

import io
import json
import math
import struct
import zipfile

import numpy as np
import pytest
from fuzzing import (  # noqa: F401
    damaged,
    folder,
    imported,
    numbers,
    often,
    read,
    reads_only,
    seldom,
    told,
    words,
    written,
)  # fmt: skip
from hypothesis import example, given
from hypothesis import strategies as st

from simulator import GD, Data, load_data
from simulator.commands import warmup
from simulator.events import explain, read_curves

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


@pytest.mark.usefixtures("reads_only")
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
@example(archive_of(raw(b"(" * 900)))
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
@pytest.mark.filterwarnings("ignore:of the classes:UserWarning")
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


keys = st.sampled_from(
    ["step", "_step", "epoch", "loss", "train/loss", "lr", "lr-Adam", "val_loss"]
)
plain = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), words)
records = st.dictionaries(keys, st.one_of(plain, st.integers(0, 9), st.lists(plain, max_size=2)))


@st.composite
def json_logs(draw):
    """JSON lines, a list, or a state of a trainer, of records that may make sense."""
    entries = draw(st.lists(records, max_size=8))
    form = draw(st.sampled_from(["lines", "list", "state"]))
    if form == "lines":
        text = "".join(json.dumps(entry) + "\n" for entry in entries)
    else:
        text = json.dumps(entries if form == "list" else {"log_history": entries}, indent=1)
    return text.encode("utf-8", "surrogatepass")


@often
@given(
    content=st.one_of(tables(), damaged(tables()), json_logs(), damaged(json_logs()), st.binary()),
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
@example(b"[" * 100_000, None)
@example(b"[" + b"[]," * 3_000_000 + b"[]]", None)
@example(b'{"loss": ' + b"9" * 5000 + b"}\n", None)
@example(b'{"step": 0, "loss": 1}\n' * 3, None)
@example(b"step,loss\n" + b"".join(b"%d,1\n" % (step % 7) for step in range(4000)), None)
@example(b"step,loss\n" + b"0,1\nstep,loss\n" * 20_000, None)
@example("loss\n1\n".encode("utf-16")[:-1], None)
@example(b"loss,sharpness,eta,preconditioned_sharpness\n" + b"0,63,0,3e-307\n" * 4, None)
def test_any_table_is_told_or_refused(content, columns):
    curves = read(read_curves, written(content, "input.csv"), GD().limit, columns)
    if curves is not None:
        with np.errstate(all="ignore"):  # as the command does
            story = explain(curves)
        assert story.paragraph
        assert story.paragraph.isprintable()


@seldom
@given(content=st.one_of(tables(), damaged(tables()), json_logs()))
@example(b"loss\n0.0")
@example(b"loss\ninf")
@example(b"loss\n1e283\n1e-300")
@example(b"loss,sharpness,eta,preconditioned_sharpness\n1,1,1,1e290\n1,1,1,1e-290")
@example(b"loss,sharpness,eta\n1e308,1e308,1e308\n1e308,-1e308,-1e308")
def test_any_table_is_explained_by_the_program_or_refused(content):
    path = written(content, "input.csv")
    code = told("explain", str(path), "--figure", str(folder() / "told.png"), seconds=20)
    assert code == 2 or (folder() / "told.png").stat().st_size
