"""What ``warmup sweep`` concludes, takes for granted, and goes on with."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis.extra.numpy import array_shapes, arrays

from simulator.commands.findings import _sentence, shortest
from simulator.sweeps import open_store
from simulator.sweeps.boundary import boundary, median

pytestmark = pytest.mark.usefixtures("folder")

SMALL = "--model quadratic --curvatures 1,3 --eta-trgt 0.5,0.9,1.5 --t-wrm 1,4 --seeds 2 --steps 20"
AT_ITS_END = 256.0


def rows(*edges):
    return [
        {"t_wrm": 4**i, "eta_trgt_max": edge, "at_grid_end": edge == AT_ITS_END}
        for i, edge in enumerate(edges)
    ]


@pytest.mark.parametrize(
    ("edges", "sentence"),
    [
        ((4.0, 8.0), "From t_wrm 1 to 4 the boundary moves right by a factor 2."),
        ((4.0, 256.0), "From t_wrm 1 to 4 the boundary moves right by at least a factor 64."),
        (
            (256.0, 256.0),
            "From t_wrm 1 to 4 the boundary is not on this grid: give larger eta_trgt.",
        ),
        ((256.0, 4.0), "From t_wrm 1 to 4 the boundary moves left by at least a factor 64."),
        ((8.0, 4.0), "From t_wrm 1 to 4 the boundary moves left by a factor 2."),
        ((8.0, 8.0), "From t_wrm 1 to 4 the boundary stays within one step of the grid."),
        ((8.0, 64.0, 8.0), "The boundary at t_wrm 16 is that at 1; at 4 it is farther right."),
        (
            (8.0, 0.0),
            "The smallest eta_trgt does not train at t_wrm 4. Give smaller ones, or more steps if "
            "the loss falls too slowly.",
        ),
        (
            (0.0, 0.0, 8.0, np.nan, 0.0, 4.0),
            "The smallest eta_trgt does not train at t_wrm 1, 4 and 256. Give smaller ones, or "
            "more steps if the loss falls too slowly.",
        ),
        ((8.0, np.nan), "Some runs are missing: the boundary is not known."),
        ((8.0,), "One t_wrm only: give several to see what warmup does."),
    ],
)  # fmt: skip
def test_the_sentence_says_what_the_grid_shows(edges, sentence):
    assert _sentence(rows(*edges)) == sentence


def test_the_shortest_warmup_is_the_first_that_trains():
    assert shortest(rows(6.0, 16.0, 8.0, 64.0, 64.0)) == [(6.0, 1), (16.0, 4), (64.0, 64)]
    assert shortest(rows(0.0, 4.0)) == [(4.0, 4)]


@given(arrays(bool, array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=6)))
def test_the_boundary_ends_where_no_majority_of_seeds_survives_up_to_there(lived):
    """As a cell of the diagram: more than half of the seeds, even where their number is even."""
    seeds, cells = lived.shape
    dims = ("seed", "eta_trgt")
    dataset = xr.Dataset(
        {
            "trainable": (dims, lived),
            "outcome": (dims, np.full(lived.shape, "stable", dtype=object)),
            "status": (dims, np.full(lived.shape, "done", dtype=object)),
        },
        coords={"eta_trgt": np.arange(1.0, cells + 1)},
    )
    edge = int(median(boundary(dataset)))
    passed = np.cumprod(lived, axis=1).sum(axis=0) > seeds / 2
    assert passed[:edge].all()
    assert not passed[edge:].any()


def test_the_store_is_enough_to_resume(run):
    assert run(f"sweep {SMALL} --optimizer momentum --momentum 0.5,0.9 -o s.zarr").code == 0
    whole = open_store(Path("s.zarr"))[0].load()
    shutil.rmtree("s.zarr/loss_final/c/0")
    for line in ("", "--seeds 2 --momentum 0.5,0.9", "--workers 1"):
        assert run(f"sweep -o s.zarr --resume {line}").code == 0
    xr.testing.assert_identical(open_store(Path("s.zarr"))[0].load(), whole)
    for line, told in (
        ("--seeds 3", "was made with seeds 0, 1, not 0, 1, 2"),
        ("--momentum 0.5", "was made with beta 0.5, 0.9, not 0.5"),
        ("--schedule modified", "was made with schedule warmup, not modified"),
    ):
        refused = run(f"sweep -o s.zarr --resume {line}")
        assert (refused.code, told in refused.err) == (2, True), refused.err
    assert run("run --model quadratic --steps 8 --seed 3 -o run.zarr").code == 0
    refused = run("sweep -o run.zarr --resume")
    assert (refused.code, "was made by warmup run" in refused.err) == (2, True)
    x, y = np.random.default_rng(0).standard_normal((2, 8, 2))
    np.savez("mine.npz", x=x, y=y)
    line = "sweep --data mine.npz --width 2 --depth 2 --steps 4 --eta-trgt 0.1 --t-wrm 1 --seeds 1"
    assert run(f"{line} -o mine.zarr").code == 0
    refused = run("sweep -o mine.zarr --resume")
    assert (refused.code, "name it with --data" in refused.err) == (2, True)
    assert run("sweep -o mine.zarr --resume --data mine.npz").code == 0


def test_a_replay_that_differs_ends_with_one(run, monkeypatch):
    assert run(f"sweep {SMALL} -o s.zarr").code == 0
    line = "run --replay s.zarr --cell eta_trgt=0.9,t_wrm=4,seed=1"
    assert run(line).code == 0
    monkeypatch.setattr("simulator.sweeps.layout.same_value", lambda ours, stored: False)
    differs = run(line)
    assert differs.code == 1
    assert "NOT bit for bit" in differs.out


@pytest.mark.parametrize(
    "line",
    ["--model uv --samples 64 --width 64", "--model quadratic", "--steps 9 --samples 32 --width 4",
     "--optimizer adam --samples 32 --width 8", "--optimizer rmsprop --samples 32 --width 8"],
)  # fmt: skip
def test_no_default_diverges(run, line):
    done = run(f"run {line} --sharpness-every 0 --json")
    assert done.code == 0
    document = json.loads(done.out)
    assert not document["result"]["diverged"]
    assert (document["spec"]["eta_unit"] == "absolute") == ("--optimizer" in line)


def test_a_sweep_of_few_steps_leaves_out_longer_warmups(run):
    done = run("sweep --model quadratic --steps 20 --seeds 1 --eta-trgt 0.5 --json")
    assert json.loads(done.out)["spec"]["t_wrm"] == [1, 4, 16]
