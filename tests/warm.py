"""Programs that start at once: forks of a process that has imported everything, with its kernels.

A fork has its own pid, folder, environment and output, and can be killed. Tests of what happens
while a process starts (imports, NUMBA_CACHE_DIR, the number of threads) need a real one.
"""

import multiprocessing
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import weakref
from functools import cache
from multiprocessing import forkserver
from pathlib import Path

import pytest

__all__ = ["MAIN", "Warm", "forks", "run", "warmup"]

OUTPUTS = ("stdout", "stderr")
MAIN = "from simulator.commands import main; main()"


class Warm:
    """``python -c code *arguments`` in a fork, with the methods of `subprocess.Popen`."""

    def __init__(self, code, *arguments, cwd=None):
        self.args = ["-c", code, *arguments]
        self._output = Path(tempfile.mkdtemp())
        weakref.finalize(self, shutil.rmtree, self._output, ignore_errors=True)
        given = (self.args, str(cwd or Path.cwd()), dict(os.environ), self._output)
        self._process = forks().Process(target=_program, args=given, daemon=True)
        self._process.start()
        self.pid = self._process.pid

    @property
    def returncode(self):
        """That of a signal is below zero; None as long as it runs."""
        return self._process.exitcode

    def poll(self):
        return self._process.exitcode

    def wait(self, timeout=None):
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired(self.args, timeout)
        return self._process.exitcode

    def communicate(self, timeout=None):
        """What it has written to stdout and stderr, at its end."""
        self.wait(timeout)
        return tuple((self._output / name).read_text() for name in OUTPUTS)

    def send_signal(self, number):
        os.kill(self.pid, number)

    def kill(self):
        self.send_signal(signal.SIGKILL)


@cache
def forks():
    """The context of `multiprocessing` whose processes are such forks."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["warmed"])
    # The server looks nowhere else for what it imports.
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(filter(None, sys.path)))
        forkserver.ensure_running()
    return context


def run(code, *arguments, cwd=None):
    """A program at its end, with its ``returncode``, ``stdout`` and ``stderr``."""
    program = Warm(code, *arguments, cwd=cwd)
    out, err = program.communicate()
    return subprocess.CompletedProcess(program.args, program.returncode, out, err)


def warmup(line, cwd=None):
    """What ``warmup`` prints of a line that is to succeed."""
    done = run(MAIN, *shlex.split(line), cwd=cwd)
    assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def _program(args, folder, environment, output):
    """In the fork: what Python does with such a line."""
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    for number, name in enumerate(OUTPUTS, start=1):
        os.dup2(os.open(output / name, os.O_WRONLY | os.O_CREAT), number)
    _, code, *arguments = args
    sys.argv = ["-c", *arguments]
    exec(compile(code, "<string>", "exec"), {"__name__": "__main__"})
