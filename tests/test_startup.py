"""What the first run on a machine waits for, and what no later one does."""

import os
import subprocess
import sys
from collections import Counter

import pytest

pytestmark = pytest.mark.slow

# What a process compiled, by name; a kernel found in the cache is not among them.
COUNTING = """
import hashlib, sys
from numba.core import event
import simulator as sim

recorder = event.RecordingListener()
event.register("numba:compile", recorder)

def compiled():
    functions = [e.data["dispatcher"].py_func for _, e in recorder.buffer if e.is_start]
    return [f.__name__ for f in functions if f.__module__.startswith("simulator")]

digest = hashlib.sha256()

def train(model, data, **more):
    digest.update(sim.simulate(model, data, steps=20, **more).theta.tobytes())
"""
SMALL_RUNS = """
data = sim.load_data("teacher", 16)
for dtype in sys.argv[1:]:
    train(sim.MLP(width=4, depth=2), data, sharpness_every=0, dtype=dtype)
    train(sim.UV(64), data, sharpness_every=0, dtype=dtype)
print(digest.hexdigest(), len(compiled()))
"""
BATTERY = """
digits, few = sim.load_data("digits", 32), sim.load_data("teacher", 4)
for optimizer in (sim.GD(), sim.Momentum(), sim.Adam()):
    for batch_size in (None, 5):
        train(sim.MLP(width=4, depth=2), digits, optimizer=optimizer, batch_size=batch_size)
    sim.eta_critical(sim.MLP(width=4, depth=2), digits, optimizer)
train(sim.MLP(width=4, depth=3, activation="tanh", bias=True, loss="xent"), digits, top_k=2)
for data in (digits, few, sim.load_data("teacher", 1)):
    for optimizer in (sim.GD(), sim.Momentum()):
        train(sim.UV(2), data, optimizer=optimizer)
    sim.sweep(sim.UV(2), data, eta_trgt=(0.1, 0.2), steps=20)
train(sim.Quadratic((1.0, 2.0)), None)
print(digest.hexdigest(), len(compiled()))
"""


IN_BOTH_PRECISIONS = {
    "dense", "eigen", "losses", "products", "activations", "precision", "elementary",
    "elementary32", "fused",
}  # fmt: skip


def start(program, cache, *arguments):
    return subprocess.Popen(
        [sys.executable, "-c", COUNTING + program, *arguments],
        env={**os.environ, "NUMBA_CACHE_DIR": str(cache)}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def end(process):
    """The digest of its results, and how many kernels it compiled."""
    out, err = process.communicate()
    assert (process.returncode, err) == (0, "")
    digest, count = out.split()
    return digest, int(count)


def specialisations(cache):
    names = [path.name.split("-")[0].removeprefix("simulator.") for path in cache.rglob("*.nbc")]
    return Counter(names)


def test_eight_processes_compile_at_once_and_a_ninth_not_at_all(tmp_path):
    """In two precisions: with one index for all, some would lose theirs."""
    dtypes = ["float64", "float32"] * 4
    found = [end(process) for process in [start(SMALL_RUNS, tmp_path, dtype) for dtype in dtypes]]
    assert len({digest for digest, _ in found[::2]}) == len({d for d, _ in found[1::2]}) == 1
    assert end(start(SMALL_RUNS, tmp_path, "float64", "float32"))[1] == 0
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and path.suffix != ".nbc"]
    assert {n for name, n in specialisations(tmp_path).items() if "dense" in name} == {2}


def test_every_kernel_is_compiled_for_one_set_of_types_and_never_again(tmp_path):
    first, second = (end(start(BATTERY, tmp_path)) for _ in range(2))
    assert first[0] == second[0]
    assert second[1] == 0
    # Sharpness is followed in single precision and checked in double.
    both = {name for name, count in specialisations(tmp_path).items() if count == 2}
    assert max(specialisations(tmp_path).values()) == 2
    assert {name.split(".")[1] for name in both} <= IN_BOTH_PRECISIONS


NOTE = "Compiling kernels: "
PROGRAM = """
import resource, sys
from simulator.commands import main
try:
    main(sys.argv[1:])
finally:
    print("peak", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)
"""


def program(line, folder, **environment):
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, *line.split()], cwd=folder,
        env={**os.environ, **environment}, capture_output=True, text=True, check=True,
    )  # fmt: skip


def test_the_note_is_there_once_when_something_is_compiled_and_only_then(tmp_path):
    cache = {"NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    quadratic = "run --model quadratic --steps 4 --t-wrm 2"
    seen = [
        program(line, tmp_path, **cache).stderr.count(NOTE)
        for line in (quadratic, quadratic, f"{quadratic} --optimizer momentum")
    ]
    assert seen == [1, 0, 1]


def test_memory_does_not_grow_with_the_number_of_runs(tmp_path):
    line = (
        "sweep --model uv --data teacher --samples 1 --sharpness-every 1 --steps 16 --t-wrm 1:16:10"
        " --eta-unit absolute --eta-trgt 0.01:4:100 --overwrite -o store.zarr --seeds "
    )
    few, many = (int(program(line + seeds, tmp_path).stderr.split()[-1]) for seeds in ("10", "300"))
    assert many - few < 60_000  # kB
