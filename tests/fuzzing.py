"""What fuzz tests share: strategies of bad input, and what a reader may answer."""

import io
import tempfile
import time
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from functools import cache
from pathlib import Path

import click
import hypothesis
import pytest
from hypothesis import strategies as st

from simulator import GD, InputError, load_data
from simulator.commands import main
from simulator.events import explain, read_curves

# Inputs are cheap: more of them than of runs.
often = hypothesis.settings(max_examples=max(100, hypothesis.settings.default.max_examples))
seldom = hypothesis.settings(max_examples=max(5, hypothesis.settings.default.max_examples // 20))

NASTY = (
    "", " ", "nan", "-inf", "1e400", "-0.0", "9" * 400, "1" + "0" * 5000, "1e-320", "0x10", "1_0",
    "True", "\x1b[31m", "\x1b]0;title\x07", "\r\n", "\u202e", "\u2028", "\udcff", "\x85", "é", "١",
    "'", '"', "=", ",", ":", "#", "[", "{", "%s", "{0}", "../..", "~", "/dev/zero", "a" * 70_000,
)  # fmt: skip
words = st.one_of(st.text(max_size=20), st.sampled_from(NASTY))
numbers = st.one_of(st.integers(), st.floats(), st.sampled_from([2**63, 10**400, 5e-324, 1e308]))


@pytest.fixture(scope="module", autouse=True)
def imported():
    """What is imported late takes its time and memory before any reader is watched."""
    explain(read_curves(written(b"loss\n1\n0.5\n"), GD().limit))
    told("info", str(written(b"")), seconds=60)


@cache
def folder():
    made = tempfile.TemporaryDirectory(prefix="fuzz")
    folder.kept = made  # removed when the process ends
    return Path(made.name)


def written(content, name="input"):
    path = folder() / name
    path.write_bytes(content)
    return path


@contextmanager
def within_a_gigabyte():
    """More than that is a MemoryError, where the system can be asked for one."""
    taken = Path("/proc/self/statm")
    if not taken.exists():
        yield
        return
    import resource

    before = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(taken.read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + 2**30, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


@contextmanager
def soon(seconds=20):
    """No measurement, but a guard against what never ends: time of this thread, whoever works."""
    began = time.thread_time()
    with within_a_gigabyte():
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


def told(*line, seconds=20):
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
        assert "Not enough memory" not in err.getvalue()
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


@pytest.fixture(scope="module")
def reads_only():
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
