"""The program from the outside: what it makes and what it says."""

import json
import os
import re
import signal
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from program import (
    GRID,
    NETWORK,
    QUADRATIC,
    assert_refused,
    await_a_chunk,
    content,
    forge,
    opened,
    own_words,
    strict_json,
)
from warm import MAIN, Warm

from simulator import load_data, simulate
from simulator.sweeps import Spec

pytestmark = pytest.mark.usefixtures("folder")

# --- run ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("line", [QUADRATIC, NETWORK])
def test_a_run_tells_its_outcome_and_draws_one_figure(run, folder, line):
    result = run(f"run {line} --t-wrm 4 --eta-trgt 0.5")
    assert result.code == 0
    assert re.search(r"^Outcome +\w+: ", result.out, re.M)
    assert [path.name for path in folder.iterdir()] == ["run.png"]


@pytest.mark.parametrize("line", [QUADRATIC, NETWORK, f"{NETWORK} --optimizer momentum --top-k 2"])
@pytest.mark.parametrize("eta_trgt", [0.5, 1e6])
def test_a_run_gives_one_json_document_and_nothing_else(run, line, eta_trgt):
    result = run(f"run {line} --t-wrm 4 --eta-trgt {eta_trgt} --curves --json")
    document = strict_json(result.out)
    assert result.code == 0
    assert document["command"] == "run"
    assert document["cell"] == {"seed": 0, "eta_init": 0, "eta_trgt": eta_trgt, "t_wrm": 4}
    assert Path(document["figure"]).is_file()
    assert {len(curve) for curve in document["curves"].values()} == {document["spec"]["steps"]}
    assert document["curves"]["loss"][0] == document["result"]["loss_init"]


def test_a_run_is_kept_with_its_curves_where_o_says(run, undrawn):
    for more in ("", " --overwrite"):
        assert run(f"run {QUADRATIC} --t-wrm 4 -o one.zarr{more}").code == 0
    dataset = opened("one.zarr")
    assert dict(dataset.sizes) == {"seed": 1, "eta_init": 1, "eta_trgt": 1, "t_wrm": 1, "step": 8}
    assert dataset["status"].item() == "done"
    assert dataset.attrs["complete"] is True


def test_a_run_in_other_words_is_the_library_s_run(run, undrawn):
    line = f"run {NETWORK} --t-wrm 4 --eta-trgt 0.1 --eta-unit absolute --seed 3 --json"
    found = strict_json(run(line).out)["result"]
    from simulator import MLP, Warmup

    ours = simulate(
        MLP(width=4, depth=2),
        load_data("digits", 16),
        schedule=Warmup(eta_trgt=0.1, t_wrm=4),
        steps=16,
        seed=3,
        sharpness_every=4,
    )
    assert (found["loss_final"], found["sharpness_final"]) == (
        ours.loss_final,
        ours.sharpness_final,
    )


@pytest.mark.parametrize("batch_size", ["full", "5"])
def test_a_minibatch_run_says_which_samples_a_sharpness_is_of(run, undrawn, batch_size):
    out = run(f"run {NETWORK} --t-wrm 4 --batch-size {batch_size}").out
    marks = ("(first batch)", "(all samples)", ", of all samples)")
    assert {mark in out for mark in marks} == {batch_size != "full"}


def test_a_run_says_where_its_seconds_went(run, undrawn):
    parts = ["compile", "step", "curvature"]
    told = strict_json(run(f"run {NETWORK} --t-wrm 4 --json").out)["seconds"]
    assert list(told) == parts
    assert min(told["step"], told["curvature"]) > 0
    result = run(f"run {NETWORK} --t-wrm 4 -o one.zarr")
    assert re.search(
        r"^Time  .*compile .* s, step .* s, curvature .* s, store .* s$", result.out, re.M
    )


def test_a_sweep_says_where_the_seconds_of_all_threads_went(run, undrawn):
    began = time.monotonic()
    told = strict_json(run(f"sweep {NETWORK} {GRID} --workers 2 --json").out)["seconds"]
    assert set(told) == {"compile", "step", "curvature", "store", "total"}
    assert min(told["step"], told["curvature"], told["store"]) > 0
    threads = told["compile"] + told["step"] + told["curvature"]
    assert threads + told["store"] < 3 * told["total"] < 3 * (time.monotonic() - began)


# --- sweep --------------------------------------------------------------------------------------


@pytest.mark.parametrize("line", [QUADRATIC, NETWORK, f"{NETWORK} --data teacher"])
def test_a_sweep_makes_a_complete_store_and_its_diagram(run, folder, line):
    result = run(f"sweep {line} {GRID}")
    assert result.code == 0
    assert "4 runs" in result.out
    assert sorted(path.name for path in folder.iterdir()) == ["sweep.png", "sweep.zarr"]
    dataset = opened("sweep.zarr")
    assert (dataset["status"] == "done").all()
    assert dataset.attrs["complete"] is True
    assert dataset["eta_trgt"].values.tolist() == [0.25, 0.5]
    assert dataset["t_wrm"].values.tolist() == [1, 4]


def test_a_sweep_gives_one_json_document_and_nothing_else(run):
    result = run(f"sweep {NETWORK} {GRID} --json")
    document = strict_json(result.out)
    assert result.code == 0
    assert (document["store"], document["figure"]) == ("sweep.zarr", "sweep.png")
    assert document["runs"] == 4 == sum(document["outcomes"].values())
    assert Spec.from_dict(document["spec"]).t_wrm == (1, 4)
    assert [row["t_wrm"] for row in document["boundary"]] == [1, 4]


def test_a_sweep_on_which_nothing_trains_is_told_without_a_warning(run, undrawn):
    result = run(f"sweep {QUADRATIC} --eta-trgt 100,1000 --t-wrm 1,4 --seeds 2 --json")
    assert (result.code, result.err) == (0, "")
    assert {row["eta_trgt_max"] for row in strict_json(result.out)["boundary"]} == {0.0}


def test_a_sweep_without_a_name_replaces_nothing(run, folder):
    for _ in range(3):
        assert run(f"sweep {QUADRATIC} {GRID}").code == 0
    names = {
        "sweep.zarr",
        "sweep-2.zarr",
        "sweep-3.zarr",
        "sweep.png",
        "sweep-2.png",
        "sweep-3.png",
    }
    assert {path.name for path in folder.iterdir()} == names


def test_a_store_is_replaced_when_that_is_asked(run, undrawn, store):
    assert run(f"sweep {QUADRATIC} {GRID} --steps 9 -o store.zarr --overwrite").code == 0
    assert json.loads(opened("store.zarr").attrs["spec"])["steps"] == 9


def test_a_complete_store_is_resumed_to_itself(run, undrawn, store):
    before = content(store / "loss_final")
    assert run(f"sweep {QUADRATIC} {GRID} --curves -o store.zarr --resume").code == 0
    assert content(store / "loss_final") == before


def test_workers_change_no_value(run, undrawn):
    for workers in (1, 3):
        run(f"sweep {NETWORK} {GRID} -o {workers}.zarr --workers {workers}")
    xr.testing.assert_identical(opened("1.zarr"), opened("3.zarr"))


def test_a_run_that_fails_makes_the_exit_code_1_and_says_how_to_go_on(run, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(sys.modules["simulator.sweeps.work"], "run_cell", None)
        result = run(f"sweep {QUADRATIC} {GRID} -o store.zarr")
    assert result.code == 1
    assert "--resume tries them again" in result.err
    assert run(f"sweep {QUADRATIC} {GRID} -o store.zarr --resume").code == 0


# --- config -------------------------------------------------------------------------------------


def test_the_command_line_wins_over_the_config(run, undrawn):
    Path("mine.toml").write_text(
        'model = "quadratic"\nsteps = 8\neta_trgt = [0.25, 0.5]\nt_wrm = "1:4:2"\nseeds = 2\n'
        'curvatures = [1, 2.5]\njson = true\noutput = "mine.zarr"\n'
    )
    spec = strict_json(run("sweep --config mine.toml --seeds 1 --eta-trgt 0.125").out)["spec"]
    assert (spec["steps"], spec["t_wrm"], spec["eta_trgt"]) == (8, [1, 4], [0.125])
    assert spec["seeds"] == [0]
    assert spec["model"] == {"name": "quadratic", "curvatures": [1, 2.5]}
    assert Path("mine.zarr").is_dir()


def test_the_place_of_the_config_on_the_line_does_not_matter(run, undrawn):
    Path("mine.toml").write_text("steps = 9\nt_wrm = 2\nbias = true\nwidth = 4\nsamples = 16")
    for line in ("--config mine.toml --steps 8", "--steps 8 --config mine.toml"):
        spec = strict_json(run(f"run {line} --json").out)["spec"]
        assert (spec["steps"], spec["t_wrm"], spec["model"]["bias"]) == (8, [2], True)


# --- replay -------------------------------------------------------------------------------------


@pytest.mark.parametrize("line", [QUADRATIC, f"{NETWORK} --loss xent", f"{NETWORK} --batch-size 5"])
def test_a_cell_is_replayed_bit_for_bit(run, undrawn, line):
    run(f"sweep {line} {GRID} --seeds 2 -o store.zarr")
    result = run("run --replay store.zarr --cell eta_trgt=0.5,t_wrm=4,seed=1 --json")
    document = strict_json(result.out)
    assert (result.code, document["result"]["identical"]) == (0, True)
    assert document["cell"] == {"seed": 1, "eta_init": 0, "eta_trgt": 0.5, "t_wrm": 4}
    stored = opened("store.zarr").sel(document["cell"])
    assert document["result"]["loss_final"] == stored["loss_final"].item()


def test_a_replay_may_measure_more_often(run, undrawn):
    run(f"sweep {NETWORK} {GRID} -o store.zarr")
    line = "run --replay store.zarr --cell eta_trgt=0.5,t_wrm=4 --sharpness-every 1 --curves --json"
    document = strict_json(run(line).out)
    assert document["result"]["identical"] is True
    assert None not in document["curves"]["sharpness"]


def test_a_replay_that_does_not_agree_says_so(run, undrawn, store):
    import zarr

    zarr.open_group(store)["loss_final"][0, 0, 1, 1] = 0.125
    forge(store)
    result = run("run --replay store.zarr --cell eta_trgt=0.5,t_wrm=4")
    assert "NOT bit for bit" in result.out


def test_a_replay_on_a_file_needs_the_file_again_and_unchanged(run, folder):
    x = np.random.default_rng(0).standard_normal((20, 3))
    np.savez("mine.npz", x=x, y=np.arange(20) % 2)
    tiny = "--width 4 --depth 2 --steps 8"
    assert run(f"sweep {tiny} {GRID} --data mine.npz --samples 12 -o store.zarr").code == 0
    replay = "run --replay store.zarr --cell eta_trgt=0.5,t_wrm=4 --json"
    assert_refused(run(replay), "--replay", "store.zarr")
    assert strict_json(run(f"{replay} --data mine.npz").out)["result"]["identical"] is True
    Path("mine.npz").rename("moved.npz")
    assert strict_json(run(f"{replay} --data moved.npz").out)["result"]["identical"] is True
    x[3, 1] += 1e-15
    np.savez("moved.npz", x=x, y=np.arange(20) % 2)
    Path("run.png").unlink()
    assert_refused(run(f"{replay} --data moved.npz"), "--data", "moved.npz")
    assert not Path("run.png").exists()


def test_a_cell_that_was_not_run_is_not_replayed(run, undrawn, store):
    (store / "status/c/0/0/1/0").unlink()
    assert_refused(
        run("run --replay store.zarr --cell eta_trgt=0.5,t_wrm=1"), "--cell", "eta_trgt=0.5,t_wrm=1"
    )


# --- plot and info ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "start"),
    [("a.png", b"\x89PNG"), ("a.svg", b"<?xml"), ("a.pdf", b"%PDF"), ("A.PNG", b"\x89PNG")],
)
def test_a_figure_has_the_format_of_its_name_and_the_same_bytes_again(run, store, name, start):
    assert run(f"plot store.zarr --figure {name}").code == 0
    first = Path(name).read_bytes()
    assert first.startswith(start)
    run(f"plot store.zarr --figure {name}")
    assert Path(name).read_bytes() == first


def test_a_plot_goes_beside_the_store_and_says_so_in_json(run, store, folder):
    document = strict_json(run("plot store.zarr --color sharpness_final --json").out)
    assert document == {
        "command": "plot", "store": "store.zarr", "figure": "store.png", "color": "sharpness_final",
    }  # fmt: skip
    assert (folder / "store.png").is_file()


def test_a_store_that_is_not_complete_is_drawn_and_said_to_be_so(run, store):
    for file in (store / "status/c").rglob("*"):
        if file.is_file():
            file.unlink()
    assert run("plot store.zarr").code == 0
    assert "not_run                  4" in run("info store.zarr").out


def test_info_tells_a_person_what_a_store_holds(run, store):
    result = run("info store.zarr")
    assert (result.code, result.err) == (0, "")
    assert result.out.startswith("store.zarr: complete")
    for text in ("eta_trgt                 2", "done                     4", "quadratic", "numpy"):
        assert text in result.out


def test_info_tells_a_program_the_spec_that_made_it(run, store):
    document = strict_json(run("info store.zarr --json").out)
    assert document["complete"] is True
    assert document["status"] == {"done": 4}
    assert Spec.from_dict(document["spec"]).eta_trgt == (0.25, 0.5)
    assert document["data"] == {"name": "none"}
    assert set(document["variables"]) == set(opened("store.zarr").data_vars)


# --- interruption -------------------------------------------------------------------------------


@pytest.mark.skipif(os.name == "nt", reason="SIGINT cannot be sent to one process")
def test_a_sweep_that_was_interrupted_resumes_to_the_same_bytes(run, undrawn):
    line = (
        "sweep --data teacher --samples 16 --width 4 --depth 2 --steps 10000 --sharpness-every 0 "
        "--eta-trgt 0.1,0.2,0.3,0.4 --t-wrm 1,2,4,8 --seeds 1 --workers 2"
    )
    sweep = Warm(MAIN, *line.split())
    await_a_chunk(sweep, Path("sweep.zarr"))
    sweep.send_signal(signal.SIGINT)
    out, err = sweep.communicate()
    assert (sweep.returncode, out) == (130, "")
    err = own_words(err)
    assert "Traceback" not in err
    found = opened("sweep.zarr")["status"]
    assert 0 < (found == "done").sum() < found.size
    assert (found != "failed").all()

    assert run(err.splitlines()[-1].strip().removeprefix("warmup ")).code == 0
    assert run(f"{line} -o other.zarr").code == 0
    xr.testing.assert_identical(opened("sweep.zarr"), opened("other.zarr"))
