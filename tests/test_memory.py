"""A sweep without an output: the Dataset of a store, without a store."""

import subprocess
import sys

import pytest
import xarray as xr

import simulator as sim
from simulator.sweeps import Spec, execute

DATA = sim.Data([[1.0]], [[1.0]])
GRID = {"eta_trgt": [0.5, 1.9, 4.0], "t_wrm": [1, 3, 9], "seeds": 2, "eta_unit": "critical"}
SWEEPS = {
    "UV": (sim.UV(width=8), {}),
    "with curves": (sim.UV(width=8), {"curves": True}),
    "over options": (
        sim.UV(), {"over": {"width": [4, 8], "optimizer": [sim.GD(), sim.Momentum()]}},
    ),
    "run by run": (sim.MLP(width=4, depth=2), {"sharpness_every": 0}),
}  # fmt: skip


@pytest.mark.parametrize("name", SWEEPS)
def test_a_dataset_is_that_of_a_store(name, tmp_path):
    """Values, bit for bit, types, order, units, and what the sweep says of itself."""
    model, options = SWEEPS[name]
    ours = sim.sweep(model, DATA, steps=20, **GRID, **options)
    path = tmp_path / "s.zarr"
    found = [
        sim.sweep(
            model, DATA, steps=20, output=tmp_path / "s.zarr", resume=again, **GRID, **options
        )
        for again in (False, True)
    ]
    stored = xr.open_zarr(path, chunks=None).load()
    for one in found:
        xr.testing.assert_identical(one, stored)
        assert list(one.variables) == list(stored.variables)
    xr.testing.assert_identical(ours, stored)
    assert list(ours.variables) == list(stored.variables)
    for variable, theirs in stored.variables.items():
        assert ours[variable].dtype == theirs.dtype
        assert (
            ours[variable].values.tobytes() == theirs.values.tobytes() or theirs.dtype.kind == "T"
        )


def test_a_dataset_can_be_written(tmp_path):
    ours = sim.sweep(SWEEPS["UV"][0], DATA, steps=20, **GRID)
    ours.to_zarr(tmp_path / "copy.zarr")
    xr.testing.assert_identical(xr.open_zarr(tmp_path / "copy.zarr", chunks=None).load(), ours)


def test_nothing_is_stored_where_no_output_is_asked_for():
    program = (
        "import sys, simulator as sim;"
        "sim.sweep(sim.Quadratic([1.0, 3.0]), eta_trgt=[0.1, 0.9], steps=4);"
        "print('zarr' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["False"]


def test_a_call_of_the_kernel_trains_all_seeds_and_schedules_of_a_chunk(monkeypatch):
    module, calls = sys.modules["simulator.sweeps.batched"], []
    original = module.train_batched

    def count(batched, begin, *arguments, **options):
        calls.append(begin.shape[1])
        return original(batched, begin, *arguments, **options)

    spec = Spec(
        model=sim.UV(width=8), optimizer=sim.GD(), eta_init=(0.0, 0.1), eta_trgt=(0.5, 4.0),
        t_wrm=(1, 3, 9), seeds=(0, 1), steps=20,
    )  # fmt: skip
    together = execute(spec, DATA, chunk_cells=12)
    monkeypatch.setattr(module, "train_batched", count)
    xr.testing.assert_equal(execute(spec, DATA, chunk_cells=spec.cells), together)
    assert calls == [spec.cells]
    # As many schedules as there is room for.
    calls.clear()
    monkeypatch.setattr(module, "_MOST_WEIGHTS", 2 * spec.steps)
    xr.testing.assert_equal(execute(spec, DATA, chunk_cells=spec.cells), together)
    assert calls == [16, 8]
