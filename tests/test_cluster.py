"""A Dask cluster does what threads do, to the last byte, whoever dies."""

import json
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import psutil
import pytest
import xarray as xr
from program import (
    GRID,
    QUADRATIC,
    ROOT,
    await_a_chunk,
    await_that,
    chunks,
    opened,
    own_words,
)  # fmt: skip
from warm import Warm, warmup

from simulator import GD, MLP, Custom, InputError, Momentum, load_data, sweep
from simulator.sweeps import Destination, Spec, execute

pytestmark = pytest.mark.usefixtures("folder", "undrawn")

distributed = pytest.importorskip("distributed")
LINE = (
    "sweep --width 8 --depth 2 --samples 32 --eta-trgt 0.5:8:10 --t-wrm 1,8 --seeds 4 --steps 400"
)
STORE = Path("store.zarr")
# Without the second, Dask's HTTP server listens to every machine, with its dashboard or without.
LOOPBACK = ["--host", "127.0.0.1", "--dashboard-address", "127.0.0.1:0"]


# A user is told after ten seconds that no scheduler answers; on a busy machine one may take longer.
PATIENCE = 600.0
PATIENT = f"""
import simulator.sweeps.cluster as cluster
cluster._SECONDS_TO_CONNECT = {PATIENCE}
from simulator.commands import main
main()
"""


@pytest.fixture(autouse=True)
def _patience(monkeypatch):
    monkeypatch.setattr(sys.modules["simulator.sweeps.cluster"], "_SECONDS_TO_CONNECT", PATIENCE)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    path = tmp_path_factory.mktemp("whole") / "store.zarr"
    warmup(f"{LINE} -o {path}")
    return chunks(path)


def begun(line):
    """The program, once its first chunk is written."""
    sweep = Warm(PATIENT, *line.split())
    await_a_chunk(sweep, STORE)
    return sweep


@pytest.mark.slow
def test_workers_elsewhere_make_the_same_bytes(run, cluster, whole):
    result = run(f"{LINE} -o store.zarr --scheduler {cluster.scheduler_address}")
    assert result.code == 0
    assert "80 runs in" in result.out
    assert chunks(STORE) == whole


def test_a_notebook_may_use_it_too(cluster):
    asked = {"eta_trgt": [0.5, 1.0], "t_wrm": [1, 4], "seeds": 2, "steps": 8}
    asked["over"] = {"width": [3, 4], "optimizer": {"plain": GD(), "heavy": Momentum()}}
    model, data = MLP(width=4, depth=2), load_data("digits", samples=16)
    there = sweep(model, data, **asked, scheduler=cluster.scheduler_address)
    here = sweep(model, data, **asked)
    assert there.drop_attrs().identical(here.drop_attrs())


@pytest.mark.slow
def test_a_worker_that_dies_is_replaced_and_nothing_is_lost(cluster, whole):
    sweep = begun(f"{LINE} -o store.zarr --scheduler {cluster.scheduler_address}")
    worker = next(iter(cluster.workers.values())).process.pid
    psutil.Process(worker).kill()
    _, err = sweep.communicate()
    assert sweep.returncode == 0, err
    assert chunks(STORE) == whole


@pytest.mark.slow
@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143)])
def test_a_client_that_is_stopped_keeps_what_it_has(run, cluster, whole, name, code):
    sweep = begun(f"{LINE} -o store.zarr --scheduler {cluster.scheduler_address}")
    sweep.send_signal(getattr(signal, name))
    out, err = sweep.communicate()
    assert (sweep.returncode, out) == (code, "")
    err = own_words(err)
    assert "Traceback" not in err
    status = opened("store.zarr")["status"]
    assert (status == "done").any()
    again = err.splitlines()[-1].strip()
    assert again == f"warmup {LINE} -o store.zarr --scheduler {cluster.scheduler_address} --resume"
    assert run(again.removeprefix("warmup ")).code == 0
    assert chunks(STORE) == whole


def heard_from(pid):
    """The addresses at which a process and its children listen."""
    family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    connections = [c for p in family if p.is_running() for c in p.net_connections()]
    return {c.laddr.ip for c in connections if c.status == psutil.CONN_LISTEN}


def test_lines_to_copy_listen_on_this_machine_only():
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    package = (ROOT / "simulator").rglob("*.py")
    text = "\n".join(page.read_text() for page in [*pages, *package]).replace('"\n', "")
    lines = re.findall(r"dask (?:scheduler|worker) .*", re.sub(r'" +"', "", text))
    lines = [line for line in lines if "--" in line]
    assert len(lines) >= 5
    for line in lines:
        assert "--host 127.0.0.1" in line, line
        assert "--dashboard-address 127.0.0.1:" in line, line


@pytest.mark.slow
def test_a_scheduler_that_dies_is_named_and_threads_go_on(run, whole):
    with subprocess.Popen(
        [sys.executable, "-m", "distributed.cli.dask_scheduler", "--port", "0", *LOOPBACK,
         "--scheduler-file", "scheduler.json"], stderr=subprocess.DEVNULL,
    ) as scheduler:  # fmt: skip
        told = Path("scheduler.json")
        await_that(lambda: told.exists() and told.read_text())
        where = json.loads(Path("scheduler.json").read_text())["address"]
        with subprocess.Popen(
            [sys.executable, "-m", "distributed.cli.dask_worker", where, "--nthreads", "1",
             *LOOPBACK], stderr=subprocess.DEVNULL,
        ) as worker:  # fmt: skip
            sweep = begun(f"{LINE} -o store.zarr --scheduler {where}")
            assert heard_from(scheduler.pid) == heard_from(worker.pid) == {"127.0.0.1"}
            scheduler.kill()
            _, err = sweep.communicate()
            worker.kill()
    assert sweep.returncode == 1, err
    err = own_words(err)
    assert "Traceback" not in err
    assert "--resume" in err.splitlines()[-1]
    assert run(f"{LINE} -o store.zarr --resume").code == 0
    assert chunks(STORE) == whole


def test_an_address_without_a_scheduler_is_refused(run, monkeypatch):
    monkeypatch.setattr(sys.modules["simulator.sweeps.cluster"], "_SECONDS_TO_CONNECT", 0.5)
    for address in ("tcp://127.0.0.1:9", "nowhere.invalid:8786", "", "tcp://"):
        result = run(f"sweep {QUADRATIC} {GRID} -o store.zarr --scheduler '{address}'")
        assert (result.code, result.out, result.err.count("\n")) == (2, "", 1)
        assert "--scheduler" in result.err
        assert "dask scheduler" in result.err
    assert list(Path().iterdir()) == []


def test_tls_without_certificates_is_refused(run):
    result = run(f"sweep {QUADRATIC} {GRID} -o store.zarr --scheduler tls://127.0.0.1:9")
    assert (result.code, result.out, result.err.count("\n")) == (2, "", 1)
    assert "--scheduler tls://127.0.0.1:9: needs certificates" in result.err


def test_a_worker_with_other_numerics_is_refused(cluster, monkeypatch):
    module = sys.modules["simulator.sweeps.cluster"]
    theirs = {**module.numerics(), "numba": "0.0"}
    monkeypatch.setattr(module, "numerics", lambda: theirs)
    spec = Spec(MLP(width=4, depth=2), GD(), eta_trgt=(0.5,), steps=8)
    data = load_data("digits", samples=16)
    with pytest.raises(InputError, match=r"worker tcp.* has numba .*, not 0.0; install the same"):
        execute(spec, data, Destination(STORE), scheduler=cluster.scheduler_address)
    assert not STORE.exists()


def own_model(strength, more=None):
    """As a notebook has it, whose functions no worker can import."""
    space = {"__name__": "notebook", "strength": strength, "more": more}
    code = "def loss(theta): return strength * theta @ theta / 2\n"
    code += "def gradient(theta): return strength * theta\ndef hvp(theta, v): return strength * v\n"
    exec(code + "def init(rng): more; return rng.standard_normal(2)", space)
    return Custom("own", **{name: space[name] for name in ("loss", "gradient", "hvp", "init")})


def test_a_model_of_one_s_own_travels_with_its_functions(cluster):
    there, here = (
        sweep(own_model(2.0), eta_trgt=(0.1, 0.5), seeds=2, steps=8, scheduler=address)
        for address in (cluster.scheduler_address, None)
    )
    xr.testing.assert_identical(there, here)


def test_one_that_is_another_there_or_cannot_travel_is_refused(cluster, monkeypatch):
    address = cluster.scheduler_address
    with pytest.raises(InputError, match=r"the model own cannot be sent there: .*lock"):
        sweep(own_model(2.0, threading.Lock()), eta_trgt=(0.1,), steps=8, scheduler=address)
    monkeypatch.setattr(Spec, "sources", lambda spec: {"source of own": "py3.11-0"})
    with pytest.raises(InputError, match=r"it has source of own py3\.\S+, not py3.11-0"):
        sweep(own_model(2.0), eta_trgt=(0.1,), steps=8, scheduler=address)


def test_without_the_extra_it_is_named(run, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    result = run(f"sweep {QUADRATIC} {GRID} -o store.zarr --scheduler tcp://127.0.0.1:8786")
    assert (result.code, result.out, result.err.count("\n")) == (2, "", 1)
    assert "pip install distributed" in result.err


def test_threads_here_import_no_dask():
    look = (
        "import sys; from simulator.commands import main\n"
        f"try: main('sweep {QUADRATIC} --eta-trgt 0.5 --seeds 1'.split())\n"
        "finally: print(sorted(m for m in sys.modules if m in ('distributed', 'tornado')))"
    )
    done = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=False)
    assert done.stdout.splitlines()[-1] == "[]", done.stdout
