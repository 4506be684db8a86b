"""What the first run on a machine waits for, and what no later one does."""

import json
import os
import subprocess
import sys
from collections import Counter

import pytest

from simulator.numerics.cache import directory

pytestmark = pytest.mark.slow

# What a process computed, which kernels it compiled, and the files of those that it found.
COUNTING = """
import hashlib, json, sys
from pathlib import Path
from numba.core import event
import simulator as sim

recorder, files, digest = event.RecordingListener(), set(), hashlib.sha256()
event.register("numba:compile", recorder)
sys.addaudithook(lambda event, of: files.add(str(of[0])) if event == "open" else None)

def found():
    functions = [e.data["dispatcher"].py_func for _, e in recorder.buffer if e.is_start]
    compiled = [f.__name__ for f in functions if f.__module__.startswith("simulator")]
    kept = [Path(file).name for file in files if file.endswith(".nbc")]
    print(json.dumps([digest.hexdigest(), compiled, kept]))

def train(model, data, **more):
    digest.update(sim.simulate(model, data, steps=20, **more).theta.tobytes())
"""
SMALL_KERNELS = """
import numpy as np
from simulator.numerics import updates

theta, ones = np.zeros(3, sys.argv[1]), np.ones(3, sys.argv[1])
updates.descend(theta, ones, 1.5)
updates.accumulate(theta, ones, 3.0, 2.0)
digest.update(theta.tobytes())
found()
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
found()
"""


IN_BOTH_PRECISIONS = {
    "dense", "eigen", "losses", "products", "activations", "precision", "elementary",
    "elementary32", "fused",
}  # fmt: skip


def start(program, *arguments, **environment):
    return subprocess.Popen(
        [sys.executable, "-c", COUNTING + program, *arguments],
        env={**os.environ, **environment}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def end(process):
    """The digest of its results, the kernels that it compiled, the files of those it found."""
    out, err = process.communicate()
    assert process.returncode == 0, err
    return json.loads(out)


def specialisations(files):
    """How many files each kernel has: one for each set of types."""
    return Counter(name.split("-")[0].removeprefix("simulator.") for name in files)


def test_four_processes_compile_at_once_and_a_fifth_not_at_all(tmp_path):
    """In two precisions: with one index for all, some would lose theirs."""
    cache, dtypes = {"NUMBA_CACHE_DIR": str(tmp_path)}, ["float64", "float32"] * 2
    began = [start(SMALL_KERNELS, dtype, **cache) for dtype in dtypes]
    first = [end(process) for process in began]
    for at, dtype in enumerate(dtypes[:2]):
        digest, compiled, kept = end(start(SMALL_KERNELS, dtype, **cache))
        assert {found[0] for found in first[at::2]} == {digest}
        assert (compiled, len(kept)) == ([], 2)
    files = [path.name for path in tmp_path.rglob("*") if path.is_file()]
    assert all(name.endswith(".nbc") for name in files)
    assert set(specialisations(files).values()) == {2}


def test_every_kernel_is_compiled_for_one_set_of_types_and_never_again(request):
    """Every kernel that Python calls; with ``--cold`` and an empty cache, those that they call too.

    Without it the first process finds what others have compiled.
    """
    first, second = (end(start(BATTERY)) for _ in range(2))
    assert first[0] == second[0]
    assert second[1] == []
    cold = request.config.getoption("--cold")
    files = [path.name for path in directory().glob("*.nbc")] if cold else second[2]
    # Sharpness is followed in single precision and checked in double.
    counted = specialisations(files)
    assert len(counted) > 10
    assert max(counted.values()) <= 2
    assert {name.split(".")[1] for name, n in counted.items() if n == 2} <= IN_BOTH_PRECISIONS


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
    few, many = (int(program(line + seeds, tmp_path).stderr.split()[-1]) for seeds in ("10", "100"))
    assert many - few < 18_000  # kB
