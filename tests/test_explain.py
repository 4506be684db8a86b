"""``warmup explain``: of a run, of a store's cell, of a log that another program wrote."""

import json

import numpy as np
import pytest

import simulator as sim
from simulator.events import explain, find_events, read_curves

pytestmark = pytest.mark.usefixtures("folder")
SMALL = "--width 8 --samples 32 --steps 40"


def test_a_run_is_told_with_its_table_and_figure(run, folder):
    result = run(f"explain {SMALL} --eta-trgt 3 --t-wrm 8")
    assert result.code == 0
    assert result.out.startswith("The learning rate warms up from")
    assert (folder / "explain.png").stat().st_size > 10_000


@pytest.mark.slow
def test_a_run_beyond_the_threshold_gets_a_gentle_one_beside_it(run):
    result = run(f"explain {SMALL} --eta-trgt 3 --t-wrm 1")
    text = " ".join(result.out.split())
    assert "In a separate stable run at a tenth of the critical learning rate, the" in text


def test_a_cell_is_told_as_the_run_that_made_it(run):
    run(f"sweep {SMALL} --eta-trgt 1,6 --t-wrm 1,8 --seeds 2 -o s.zarr")
    told = run("explain s.zarr --cell eta_trgt=6,t_wrm=8,seed=1 --json")
    alone = run(f"explain {SMALL} --eta-trgt 6 --t-wrm 8 --seed 1 --json")
    assert told.code == alone.code == 0
    # Each keeps its figure: they differ in how the run is said, by a cell or by options.
    documents = [json.loads(result.out) for result in (told, alone)]
    assert [document.pop("figure") for document in documents] == ["explain.png", "explain-2.png"]
    assert documents[0] == documents[1]


def test_the_document_has_the_paragraph_and_the_events(run):
    found = json.loads(run(f"explain {SMALL} --eta-trgt 3 --t-wrm 8 --json").out)
    assert found["command"] == "explain"
    assert found["paragraph"].startswith("The learning rate")
    assert {"crossings", "catapults", "edges", "diverged", "stuck"} <= set(found["events"])


def written(path, columns, header=True, steps=60):
    """A run's log as another program might write it."""
    model, data = sim.UV(width=64), sim.Data([[1.0]], [[0.0]])
    schedule = sim.Warmup(0.0, 1.6 * sim.eta_critical(model, data, sim.GD()), 8)
    run = sim.simulate(model, data, schedule=schedule, steps=steps)
    values = {"step": np.arange(steps), "loss": run.loss, "sharpness": run.sharpness,
              "eta": run.eta, "acc": np.zeros(steps)}  # fmt: skip
    lines = [",".join(columns)] if header else []
    lines += [",".join(repr(float(values[name][row])) for name in columns) for row in range(steps)]
    path.write_text("\n".join(lines))
    return run


def test_a_sharpness_is_not_compared_with_the_threshold_of_another(run, folder):
    """Adam's threshold is one of the preconditioned sharpness."""
    written(folder / "log.csv", ("step", "loss", "eta", "sharpness"))
    told = run("explain log.csv --optimizer adam")
    text = " ".join(told.out.split())
    assert "the threshold is for the preconditioned sharpness, which was not logged." in text
    assert "38 / eta" not in text


@pytest.mark.parametrize("header", [True, False])
def test_a_table_is_told_as_the_run_that_it_logs(run, folder, header):
    names = ["step", "loss", "sharpness", "eta"]
    ours = written(folder / "log.csv", names, header)
    columns = "" if header else " --columns step,loss,sharpness,eta"
    found = json.loads(run(f"explain log.csv --json{columns}").out)
    direct = find_events(ours)
    assert direct.catapults
    assert len(found["events"]["catapults"]) == len(direct.catapults)
    for theirs, catapult in zip(found["events"]["catapults"], direct.catapults, strict=True):
        assert (theirs["start"], theirs["peak"]) == (catapult.start, catapult.peak)


@pytest.mark.parametrize(
    "names", [["loss"], ["loss", "eta"], ["sharpness", "loss"], ["step", "acc", "loss"]]
)
def test_any_column_but_the_loss_may_be_missing(run, folder, names):
    written(folder / "log.csv", names)
    result = run("explain log.csv")
    assert result.code == 0
    assert "nan" not in result.out


def test_steps_are_those_of_the_table(folder):
    path = folder / "log.csv"
    path.write_text("step,loss\n0,1\n10,0.5\n20,4\n30,\n40,0.1\n50,0.09\n")
    story = explain(read_curves(path, sim.GD().limit))
    (row,) = story.rows
    assert (row.first, row.last) == (10, 40)


def test_a_logged_divergence_is_one(folder):
    path = folder / "log.csv"
    path.write_text("loss\n1\n2\n1e30\ninf\nnan\n")
    assert "diverges" in explain(read_curves(path, sim.GD().limit)).paragraph


def test_the_threshold_is_that_of_the_optimizer_named(run, folder):
    path = folder / "log.csv"
    path.write_text("loss,sharpness,eta\n" + "1,3,1\n" * 20)
    for options, threshold in (("", "2 / eta"), ("--optimizer momentum", "3.8 / eta")):
        assert threshold in " ".join(run(f"explain log.csv {options}").out.split())


@pytest.mark.parametrize(
    ("text", "line", "named"),
    [
        ("", "explain log.csv", "empty"),
        ("1,2\n3,4\n", "explain log.csv", "--columns"),
        ("step,acc\n0,1\n", "explain log.csv", "loss"),
        ("loss\nhello\n", "explain log.csv", "'hello'"),
        ("step,loss\n1,1\n1,2\n", "explain log.csv", "line 3 has step 1 again"),
        ("loss,eta\n1\n", "explain log.csv", "line 2 has 1 field, not 2"),
        ("loss\n1\n", "explain log.csv --columns loss,loss", "columns"),
        ("loss\n1\n", "explain log.csv --columns los", "did you mean loss?"),
        ("loss\n1\n", "explain log.csv --width 8", "comes from the log"),
        ("loss\n1\n", "explain log.csv --cell seed=1", "comes from the log"),
        ("loss\n1\n", "explain log.txt", "cannot be read"),
        ("loss\n1\n", "explain other.csv", "cannot be read"),
        ("loss\n1\n", "explain --columns loss", "belongs to a log"),
        ("loss\n1\n", "explain --cell seed=1", "belongs to a store"),
    ],
)
def test_what_cannot_be_told_is_refused_in_a_sentence(run, folder, text, line, named):
    (folder / "log.csv").write_text(text)
    result = run(line)
    assert result.code == 2
    assert named in result.err
    assert len(result.err.strip().splitlines()) == 1
    assert not (folder / "explain.png").exists()
