"""``warmup run --live`` at a real terminal, of the system's own making."""

import os
import re
import signal
import subprocess

import click
import pytest
from program import PROGRAM
from warm import MAIN
from warm import run as run_warm

fcntl, pty, termios = (pytest.importorskip(name) for name in ("fcntl", "pty", "termios"))

pytestmark = [pytest.mark.usefixtures("folder"), pytest.mark.slow]

NETWORK = "run --live --width 8 --depth 2 --samples 64 --t-wrm 8 --steps"
ENTER, LEAVE, CURSOR = "\x1b[?1049h", "\x1b[?1049l", "\x1b[?25h"


class AtATerminal:
    """The program, with a terminal of 24 lines as its standard streams."""

    def __init__(self, line):
        self.ours, theirs = pty.openpty()
        self.resize(24, 80)
        self.before = termios.tcgetattr(self.ours)
        environment = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "LINES")}
        self.process = subprocess.Popen(
            [*PROGRAM, *line.split()], stdin=theirs, stdout=theirs, stderr=theirs,
            env={**environment, "TERM": "xterm-256color", "PYTHONUTF8": "1"},
        )  # fmt: skip
        os.close(theirs)
        self.seen = ""

    def resize(self, lines, columns):
        size = lines.to_bytes(2, "little") + columns.to_bytes(2, "little") + bytes(4)
        fcntl.ioctl(self.ours, termios.TIOCSWINSZ, size)

    def read(self):
        """What it wrote since; None once it is gone."""
        try:
            more = os.read(self.ours, 65536).decode(errors="replace")
        except OSError:
            return None
        self.seen += more
        return more or None

    def read_until(self, pattern):
        while not re.search(pattern, self.seen):
            assert self.read() is not None, self.seen
        self.seen = ""

    def end(self):
        while self.read() is not None:
            pass
        code, after = self.process.wait(), termios.tcgetattr(self.ours)
        os.close(self.ours)
        return code, after


def test_it_ends_with_the_last_picture_and_the_usual_words():
    at = AtATerminal(f"{NETWORK} 64")
    code, after = at.end()
    assert (code, after) == (0, at.before)
    assert at.seen.count(ENTER) == at.seen.count(LEAVE) == 1
    left = click.unstyle(at.seen.split(LEAVE)[1])
    assert left.index("step 64 of 64") < left.index("mlp, gd") < left.index("Outcome  ")


@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143)])
def test_it_follows_the_terminal_s_size_and_gives_it_back_when_stopped(name, code):
    at = AtATerminal(f"{NETWORK} 1000000")
    at.read_until(r"1000000 updates")
    at.resize(10, 100)
    at.read_until(r"H[^\n]*step \d+ of 1000000 [^\n]*eta \S+ *\r?\n")  # the numbers alone
    at.resize(30, 120)
    at.read_until(r"1000000 updates")
    at.process.send_signal(getattr(signal, name))
    assert at.end() == (code, at.before)
    assert at.seen.count(LEAVE) == 1
    assert at.seen.rindex(CURSOR) < at.seen.rindex("warmup: Interrupted.")


def test_into_a_file_nothing_is_drawn(tmp_path):
    done = run_warm(MAIN, *f"{NETWORK} 16".split())
    assert done.returncode == 0
    assert "\x1b" not in done.stdout + done.stderr
    assert done.stderr.endswith("--live draws nothing: this is no terminal.\n")
