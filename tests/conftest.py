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
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Dask waits 30 s for an answer; on a busy machine one may take longer.
os.environ.setdefault("DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT", "600s")

# What a shell starts in the background ignores Ctrl-C, and so would the programs that tests stop.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# The first call of a kernel compiles: a deadline would time the compiler.
_SHARED = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
for _name, _examples in (("quick", 15), ("usual", 40)):
    hypothesis.settings.register_profile(_name, max_examples=_examples, derandomize=True, **_SHARED)
hypothesis.settings.register_profile("thorough", max_examples=10_000, **_SHARED)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))


def pytest_addoption(parser):
    parser.addoption("--kills", type=int, default=2, help="Sweeps that test_kills.py kills.")
    parser.addoption("--flips", type=int, default=1, help="Bits that test_kernel_cache.py flips.")
    parser.addoption("--seeds", type=int, default=1, help="Seeds of laws, studies and findings.")
    parser.addoption("--readings", type=int, default=40, help="Paragraphs of explain to check.")
    parser.addoption("--cold", action="store_true", help="The kernel cache was empty at first.")
    parser.addoption("--pictures", action="store_true", help="Pages draw their pictures again.")
    parser.addoption("--stores", type=int, default=6, help="Stores that are damaged.")


# Seconds that a test may take on a busy machine, for each seed and each 15 examples.
PATIENCE = 600


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item):
    """A test that waits for ever fails, and the others go on."""
    if not hasattr(signal, "setitimer"):
        return (yield)
    seconds = PATIENCE * item.config.getoption("--seeds")
    seconds *= max(1.0, hypothesis.settings.default.max_examples / 15)

    def give_up(*_):
        pytest.fail(f"took longer than {seconds:.0f} s: it waits for what does not come")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        return (yield)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


# The files whose tests take longest, so that no worker is left with one at the end.
LONGEST = ("test_studying", "test_laws", "test_docs", "test_kills", "test_cluster", "test_startup")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items):
    """Begin with the longest files; within each the order stays."""
    last = len(LONGEST)
    items.sort(key=lambda item: LONGEST.index(n) if (n := item.path.stem) in LONGEST else last)


@pytest.fixture(scope="session", autouse=True)
def _double_precision():
    jax = pytest.importorskip("jax")
    jax.config.update("jax_enable_x64", True)
    # Each function is compiled for a few calls: XLA takes longer to make it fast.
    jax.config.update("jax_disable_most_optimizations", True)


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


@pytest.fixture
def log(tmp_path):
    """Read what a log of this content says."""
    from simulator.logs import read_log

    def read(content, name="log.csv", columns=None):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return read_log(path, columns)

    return read


@pytest.fixture(scope="session")
def seeds(request):
    return range(request.config.getoption("--seeds"))


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
def undrawn(monkeypatch):
    """No figures and pages: they take most of the time of a small run, and are tested elsewhere."""
    from simulator import figures, reporting

    def page(dataset, spec, data, chunks, **about):
        list(chunks or ())  # read from the store as they are drawn
        return ""

    for draw in ("compare", "phase_diagram", "trajectory"):
        monkeypatch.setattr(figures, draw, lambda *arguments, **options: None)
    monkeypatch.setattr(figures, "save", lambda axes, path, *rest: None)
    monkeypatch.setattr(reporting, "page", page)


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


@pytest.fixture(scope="session")
def cluster():
    """Dask with two workers, which are forks of the process that `warm.Warm` forks."""
    distributed, dask = pytest.importorskip("distributed"), pytest.importorskip("dask")
    from warm import forks

    forks()
    with (
        dask.config.set({"distributed.worker.multiprocessing-method": "forkserver"}),
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=":0", silence_logs=50
        ) as cluster,
    ):
        yield cluster


@pytest.fixture
def store(stored, folder):
    return shutil.copytree(stored, folder / "store.zarr")
