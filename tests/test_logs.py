"""Logs of other programs: every format is read back, and the account of it is right."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from log_formats import FORMATS, LINES, PLAIN, kept, write

import simulator as sim
from simulator.logs import read_log


@pytest.fixture(scope="module")
def ours():
    model, data = sim.UV(width=64), sim.Data([[1.0]], [[0.0]])
    schedule = sim.Warmup(0.0, 1.6 * sim.eta_critical(model, data, sim.GD()), 8)
    return sim.simulate(model, data, schedule=schedule, steps=65)


def assert_kept(found, expected):
    assert found.account.unit == expected.unit
    np.testing.assert_array_equal(found.step, expected.step)
    np.testing.assert_array_equal(found.loss, expected.loss)
    eta = np.full(len(found.step), np.nan) if expected.eta is None else expected.eta
    np.testing.assert_array_equal(found.eta, eta)


@pytest.mark.parametrize(("start", "every"), [(0, 1), (1000, 1), (1000, 4), (10, 10)])
@pytest.mark.parametrize("form", FORMATS)
def test_a_run_is_read_back_from_every_format(form, start, every, ours, tmp_path):
    path = write(ours, form, tmp_path, start=start, every=every)
    found, expected = read_log(path), kept(ours, form, start=start, every=every)
    assert_kept(found, expected)
    unit = (expected.unit.capitalize(), expected.step[0], expected.step[-1])
    first, last = f"{unit[0]}s {unit[1]} to {unit[2]}", expected.step[-1]
    dense = every == 1 or form == "keras"
    spaced = f"every {expected.unit}" if dense else f"every {every}th {expected.unit}"
    assert f"{first}, {spaced}." in str(found.account)
    assert (found.account.first, found.account.last) == (expected.step[0], last)


CURVES = st.lists(st.tuples(st.floats(0, 1e6), st.floats(0, 10)), min_size=6, max_size=40)


@pytest.mark.parametrize("form", FORMATS)
@given(values=CURVES, start=st.integers(0, 10**6), every=st.integers(1, 3))
def test_any_curves_are_read_back_from_every_format(form, values, start, every, tmp_path_factory):
    loss, eta = np.array(values).T
    run = SimpleNamespace(loss=loss, eta=eta)
    path = write(run, form, tmp_path_factory.mktemp("logs"), start=start, every=every)
    assert_kept(read_log(path), kept(run, form, start=start, every=every))


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ("csv", "Read 65 rows: step from 'step', loss from 'loss', learning rate from 'lr'. "
         "Steps 0 to 64, every step. The log has no sharpness."),
        ("semicolons", "decimal commas"),
        ("savetxt", "learning rate from 'eta'"),
        ("wandb", "step from '_step', loss from 'train/loss', learning rate from 'lr'; skipped "
         "'_runtime', '_timestamp', 'val/loss'. Steps"),
        ("tensorboard", "step from 'Step', loss from 'Value'; skipped 'Wall time'. Steps 0 to 64, "
         "every step. The log has no learning rate and no sharpness."),
        ("keras", "epoch from 'epoch', loss from 'loss', learning rate from 'learning_rate'; "
         "skipped 'accuracy', 'val_loss'. Epochs 0 to 64, every epoch. The log has one row "
         "per epoch"),
        ("lightning", "Read 134 rows: step from 'step', loss from 'train_loss', learning rate from "
         "'lr-SGD'; skipped 'epoch', 'val_loss'."),
        ("json_lines", "learning rate from 'lr'; skipped 'train'."),
        ("trainer_state", "'grad_norm', 'eval_loss', 'eval_runtime'. Steps 0 to 64, every step. "
         "The log has no sharpness. The summary of the run in log_history entry 70 is left out."),
        ("resumed", "The run was resumed at step 32 (line 46), which replaces 11 earlier rows."),
    ],
)  # fmt: skip
def test_the_account_says_what_was_taken_for_what(form, said, ours, tmp_path):
    assert said in str(read_log(write(ours, form, tmp_path)).account)


@pytest.mark.parametrize(
    "content",
    [
        PLAIN,
        PLAIN.removesuffix("\n"),
        PLAIN.replace("\n", "\r\n"),
        PLAIN.replace("\n", "\r"),
        PLAIN.replace("\n", "\n\n"),
        PLAIN.replace(",", " , "),
        PLAIN.replace(",", "\t"),
        PLAIN.replace(",", ";"),
        PLAIN.replace(",", "|"),
        PLAIN.replace(",", "  "),
        PLAIN.replace(",", ";").replace(".", ","),
        PLAIN.replace(",", " ").replace(".", ","),
        PLAIN.replace("step", "# step").replace(",", " "),
        "# of a run\n# step,loss,lr\n" + PLAIN.partition("\n")[2].replace(",", " "),
        "# made yesterday\n" + PLAIN + "# the end\n",
        PLAIN.replace("step", '"step"').replace("loss", "LOSS").replace("lr", "Learning Rate"),
        "\n".join(",".join(f'"{cell}"' for cell in line.split(",")) for line in PLAIN.split()),
        "\n".join(",".join(f'"{cell}"' for cell in line.split(",")) for line in PLAIN.split())
        .replace(".", ","),
        "\n".join(line + "," for line in PLAIN.split()),
        "".join(json.dumps({"step": s, "loss": str(a), "lr": b}) + "\n" for s, a, b in LINES),
        json.dumps([{"step": s, "loss": a, "lr": b} for s, a, b in LINES]),
        json.dumps([{"step": s, "loss": a, "lr": b} for s, a, b in LINES], indent=1),
        json.dumps({"log_history": [{"step": s, "loss": a, "lr": b} for s, a, b in LINES]}),
    ],
)  # fmt: skip
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_one_log_in_every_dress(content, encoding, log):
    found = log(content.encode(encoding), name="a file")
    assert_kept(found, SimpleNamespace(step=range(8), loss=[a for _, a, _ in LINES], unit="step",
                                       eta=[b for _, _, b in LINES]))  # fmt: skip


# --- the program and Python ------------------------------------------------------------------


def test_the_program_notes_what_it_read(run, folder):
    (folder / "log.csv").write_text(PLAIN)
    said = "Read 8 rows: step from 'step', loss from 'loss', learning rate from 'lr'. Steps 0 to 7"
    result = run("explain log.csv")
    assert result.code == 0
    assert result.err.startswith(said)
    assert said not in result.out
    assert run("explain log.csv --quiet").err == ""
    source = json.loads(run("explain log.csv --json").out)["source"]
    assert source["text"].startswith(said)
    assert source["columns"] == {"step": "step", "loss": "loss", "eta": "lr"}
    assert (source["unit"], source["first"], source["last"], source["every"]) == ("step", 0, 7, 1)


def test_python_reads_a_path(folder):
    (folder / "log.tsv").write_text(
        "step\tobjective\tsharpness\teta\n" + "0\t1\t3\t1\n1\t0.5\t3\t1\n"
    )
    story = sim.explain("log.tsv", optimizer=sim.Momentum(0.9), columns=["loss=objective"])
    assert "3.8 / eta" in story.paragraph
    assert story.source.columns["loss"] == "objective"
    assert str(story).startswith(f"{story.source}\n\n{story.paragraph}")
    assert "2 / eta" in sim.explain(folder / "log.tsv", columns=["loss=objective"]).paragraph


def test_the_figure_counts_what_the_log_counts(folder):
    (folder / "log.csv").write_text(
        "epoch,loss\n" + "".join(f"{e},{1 / (1 + e)}\n" for e in range(9))
    )
    *_, eta = sim.figures.trajectory(sim.explain("log.csv"))
    assert eta.get_xlabel() == "epoch"
