"""Settings that every test shares."""

import os
import shlex
import shutil
import signal
import sys
from collections import namedtuple

import hypothesis
import pytest
from hypothesis import HealthCheck

# Each worker has a core. More threads than cores wait for each other, at ten times the price.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# Dask waits 30 s for an answer; on a busy machine one may take longer.
os.environ.setdefault("DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT", "600s")

# What a shell starts in the background ignores Ctrl-C, and so would the programs that tests stop.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# The first call of a kernel compiles: a deadline would time the compiler.
_SHARED = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
hypothesis.settings.register_profile("ci", max_examples=40, derandomize=True, **_SHARED)
hypothesis.settings.register_profile("thorough", max_examples=10_000, **_SHARED)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


def pytest_addoption(parser):
    parser.addoption("--kills", type=int, default=2, help="Sweeps that test_kills.py kills.")
    parser.addoption("--flips", type=int, default=1, help="Bits that test_kernel_cache.py flips.")
    parser.addoption("--seeds", type=int, default=2, help="Seeds on which each law is checked.")
    parser.addoption("--readings", type=int, default=40, help="Paragraphs of explain to check.")
    parser.addoption("--stores", type=int, default=6, help="Stores that are damaged.")


@pytest.fixture(scope="session", autouse=True)
def _double_precision():
    jax = pytest.importorskip("jax")
    jax.config.update("jax_enable_x64", True)


@pytest.fixture(scope="session", autouse=True)
def _compiled_kernels():
    """Compile before the first test: later ones may count what is printed and how long it takes."""
    import simulator as sim

    sim.simulate(sim.UV(4), sim.load_data("teacher", samples=4), steps=1)


@pytest.fixture(autouse=True)
def _figures_closed():
    """matplotlib keeps every figure that nobody closes, and warns of twenty."""
    yield
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")


@pytest.fixture(scope="session")
def digits():
    from simulator import load_data

    return load_data("digits", samples=128)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty working directory; with ``usefixtures`` for a whole file."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def run(capsys):
    """Run the program here: its exit code, stdout and stderr."""

    from simulator.commands import main

    def run(line):
        with pytest.raises(SystemExit) as leaving:
            main(shlex.split(line))
        return namedtuple("Result", "code out err")(leaving.value.code, *capsys.readouterr())

    return run


@pytest.fixture(scope="session")
def stored(tmp_path_factory):
    """A finished store of four runs with their curves."""
    from program import GRID, QUADRATIC

    from simulator.commands import main

    path = tmp_path_factory.mktemp("stored") / "store.zarr"
    line = f"sweep {QUADRATIC} {GRID} --curves --output {path}"
    with pytest.raises(SystemExit, match="0"):
        main(shlex.split(line))
    return path


@pytest.fixture
def store(stored, folder):
    return shutil.copytree(stored, folder / "store.zarr")
