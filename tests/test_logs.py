"""Logs of other programs: what is read of them, the account that is given of it, and refusals."""

import json
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from log_formats import FORMATS, kept, write

import simulator as sim
from simulator import logs
from simulator.logs import names as known_names
from simulator.logs import read_log
from simulator.logs import table as tables

LINES = [(step, 2.5 - 0.25 * step, 0.125 * step) for step in range(8)]
PLAIN = "step,loss,lr\n" + "".join(f"{s},{a},{b}\n" for s, a, b in LINES)


@pytest.fixture
def log(tmp_path):
    """Read what a file of this content says."""

    def read(content, name="log.csv", columns=None):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return read_log(path, columns)

    return read


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


# --- formats -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("start", "every"), [(0, 1), (1000, 1), (1000, 4), (10, 10)])
@pytest.mark.parametrize("form", FORMATS)
def test_a_run_is_read_back_from_every_format(form, start, every, ours, tmp_path):
    path = write(ours, form, tmp_path, start=start, every=every)
    found, expected = read_log(path), kept(ours, form, start=start, every=every)
    assert_kept(found, expected)
    unit = (expected.unit.capitalize(), expected.step[0], expected.step[-1])
    first, last = f"{unit[0]}s {unit[1]} to {unit[2]}", expected.step[-1]
    spaced = "every one" if every == 1 or form == "keras" else f"every {every}th"
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
         "Steps 0 to 64, every one. The log has no sharpness."),
        ("semicolons", "decimal commas"),
        ("savetxt", "learning rate from 'eta'"),
        ("wandb", "step from '_step', loss from 'train/loss', learning rate from 'lr'; skipped "
         "'_runtime', '_timestamp', 'val/loss'. Steps"),
        ("tensorboard", "step from 'Step', loss from 'Value'; skipped 'Wall time'. Steps 0 to 64, "
         "every one. The log has no learning rate and no sharpness."),
        ("keras", "epoch from 'epoch', loss from 'loss', learning rate from 'learning_rate'; "
         "skipped 'accuracy', 'val_loss'. Epochs 0 to 64, every one. An epoch is one row here"),
        ("lightning", "Read 134 rows: step from 'step', loss from 'train_loss', learning rate from "
         "'lr-SGD'; skipped 'epoch', 'val_loss'."),
        ("json_lines", "learning rate from 'lr'; skipped 'train'."),
        ("trainer_state", "'grad_norm', 'eval_loss', 'eval_runtime'. Steps 0 to 64, every one. The "
         "log has no sharpness. The summary of the run in log_history entry 70 is left out."),
        ("resumed", "Resumed at step 32 (line 46): 11 earlier rows replaced."),
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


# --- columns -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("column", "quantity"),
    [
        *((name, "step") for name in ("step", "_step", "Step", "global_step", "Iteration", "iter")),
        *((name, "step") for name in ("trainer/global_step", "train/global_step")),
        *((name, "loss") for name in ("loss", "Loss", "train/loss", "train_loss", "Training Loss")),
        *((name, "loss") for name in ("Loss/train", "train_loss_step", "a-sun-1 - train/loss")),
        *((name, "eta") for name in ("lr", "LR", "learning_rate", "eta", "train/learning_rate")),
        *((name, "eta") for name in ("lr-Adam", "lr-SGD/pg1", "Learning Rate", "lr/group0")),
        *((name, None) for name in ("val_loss", "eval_loss", "val/loss", "test_loss", "grad_norm")),
        *((name, None) for name in ("train/loss__MIN", "loss_scale", "accuracy", "valid loss")),
    ],
)  # fmt: skip
def test_names_that_are_known(column, quantity):
    found = known_names.quantity(column)
    assert (found and found[0]) == quantity


def test_names_on_the_page_of_logs_are_known():
    page = (Path(__file__).parents[1] / "docs" / "logs.md").read_text()
    rows = re.findall(rf"^\| ({'|'.join(known_names.QUANTITIES)}) \| (.*) \|$", page, re.M)
    assert {quantity for quantity, _ in rows} == set(known_names.QUANTITIES)
    for quantity, examples in rows:
        for name in re.findall(r"`([^`]+)`", examples):
            assert known_names.quantity(name)[0] == quantity


def test_validation_alone_is_no_training_loss(log):
    with pytest.raises(sim.InputError, match=r"no training loss \(columns: 'step', 'val_loss'\)"):
        log("step,val_loss\n0,1\n1,2\n")


def test_columns_that_agree_are_one(log):
    found = log("step,loss,train_loss\n0,1,\n1,2,2\n")
    assert found.loss.tolist() == [1, 2]
    assert found.account.skipped == ("train_loss",)


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ("step,loss,train_loss\n0,1,1\n1,2,3\n", "line 3 has 2 in 'loss' and 3 in 'train_loss'"),
        ("step,loss,train_loss\n0,1,\n1,,3\n", "line 3 has nothing in 'loss' and 3 in"),
        ('{"step":0,"loss":1}\n{"step":1,"loss":2,"train_loss":3}', "line 2 has 2 in 'loss'"),
        ("step,iter,loss\n0,0,1\n1,2,3\n", "line 3 has 1 in 'step' and 2 in 'iter'"),
        ("step,a - loss,b - loss\n0,1,2\n1,2,3\n", "line 2 has 1 in 'a - loss' and 2 in"),
        ("step,loss,lr-A,lr-B\n0,1,2,2\n1,2,3,4\n", "line 3 has 3 in 'lr-A' and 4 in 'lr-B'"),
    ],
)
def test_columns_that_differ_are_refused_with_the_line_and_the_remedy(content, line, log):
    with pytest.raises(sim.InputError) as refused:
        log(content)
    assert line in str(refused.value)
    assert "--columns" in str(refused.value)


def test_a_choice_settles_it(log):
    content = "step,loss,train_loss,v\n0,1,1,7\n1,2,3,8\n"
    assert log(content, columns=["loss=Train_Loss"]).loss.tolist() == [1, 3]
    found = log(content, columns=["loss=v", "eta=loss"])
    assert (found.loss.tolist(), found.eta.tolist()) == ([7, 8], [1, 2])
    assert found.account.columns == {"step": "step", "loss": "v", "eta": "loss"}
    found = log(content.partition("\n")[2], columns=["step", "-", "-", "loss"])
    assert (found.step.tolist(), found.loss.tolist()) == ([0, 1], [7, 8])
    record = '{"at": 3, "value of it": 0.5}\n'
    assert log(record, columns=["step=at", "loss=value of it"]).step.tolist() == [3]


def test_the_trainers_counter_is_taken_before_that_of_calls(log):
    """W&B has both: ``_step`` counts calls of log."""
    found = log("_step,train/global_step,train/loss\n0,10,1\n1,20,2\n")
    assert found.step.tolist() == [10, 20]
    assert "_step" in found.account.skipped


def test_the_scalar_of_tensorboard_is_named_by_its_file(log):
    content = "Wall time,Step,Value\n1.5,0,1\n2.5,1,2\n"
    assert log(content, name="run-a-tag-train_loss.csv").account.columns["loss"] == "train_loss"
    with pytest.raises(sim.InputError, match="no training loss"):
        log(content, name="run-a-tag-val_loss.csv")


# --- steps -------------------------------------------------------------------------------------


def steps(*numbers):
    return "step,loss\n" + "".join(f"{step},{1 + at}\n" for at, step in enumerate(numbers))


@pytest.mark.parametrize(
    ("numbers", "said"),
    [
        (range(1000, 1128, 4), "Steps 1000 to 1124, every 4th."),
        (range(0, 63, 2), "Steps 0 to 62, every 2nd."),
        (range(0, 63, 3), "Steps 0 to 60, every 3rd."),
        (range(0, 63, 21), "Steps 0 to 42, every 21st."),
        (range(0, 63, 11), "Steps 0 to 55, every 11th."),
        ([1, 10, 20, 30, 34], "Steps 1 to 34, every 10th."),
        ([1, 2, 4, 8, 16], "Steps 1 to 16, 5 of them, unevenly spaced."),
        ([7], "Step 7 only."),
    ],
)
def test_how_steps_are_counted_is_said(numbers, said, log):
    found = log(steps(*numbers))
    assert found.step.tolist() == list(numbers)
    assert said in str(found.account)


def test_without_steps_rows_are_counted(log):
    found = log("loss\n3\n2\n1\n")
    assert found.step.tolist() == [0, 1, 2]
    assert "Rows 0 to 2, every one. No column is a step, so rows are counted." in str(found.account)
    # Epochs that repeat, or are fractions, number no rows.
    for epochs in ("0 0 1 1 2 2", "0 0.5 1 1.5 2 2.5"):
        rows = zip(epochs.split(), range(6), strict=True)
        found = log("epoch,loss\n" + "".join(f"{epoch},{loss}\n" for epoch, loss in rows))
        assert (found.step.tolist(), found.account.unit) == (list(range(6)), "row")
        assert found.account.skipped == ("epoch",)


@pytest.mark.parametrize(
    ("content", "step", "loss", "said"),
    [
        # a header again, and steps again
        (steps(0, 1, 2, 3) + "step,loss\n2,20\n3,30\n4,40\n", [0, 1, 2, 3, 4], [1, 2, 20, 30, 40],
         "Resumed at step 2 (line 7): 2 earlier rows replaced."),
        # a header again, and no step again
        (steps(0, 1) + "step,loss\n2,20\n", [0, 1, 2], [1, 2, 20], "Resumed at step 2 (line 5)."),
        # a step again without a header
        (steps(0, 1, 2, 3, 2, 3, 4), [0, 1, 2, 3, 4], [1, 2, 5, 6, 7],
         "Resumed at step 2 (line 6): 2 earlier rows replaced."),
        # the last step again, as the first of what follows
        (steps(0, 1, 2, 2, 3), [0, 1, 2, 3], [1, 2, 4, 5],
         "Resumed at step 2 (line 5): 1 earlier row replaced."),
        # further back each time
        (steps(0, 1, 2, 3, 4, 5, 4, 5, 6, 2, 3, 4), [0, 1, 2, 3, 4], [1, 2, 10, 11, 12],
         "Resumed at step 2 (line 11): 5 earlier rows replaced."),
        # back, and forward over a hole
        (steps(0, 1, 2, 3, 1, 5, 6), [0, 1, 5, 6], [1, 5, 6, 7],
         "Resumed at step 1 (line 6): 3 earlier rows replaced."),
        # epochs, as Keras appends them
        ("epoch,loss\n0,1\n1,2\n2,3\n1,4\n2,5\n3,6\n", [0, 1, 2, 3], [1, 4, 5, 6],
         "Resumed at epoch 1 (line 5): 2 earlier rows replaced."),
        # as a comment, as np.savetxt would append it
        ("# step loss\n0 1\n1 2\n# step loss\n1 3\n", [0, 1], [1, 3],
         "Resumed at step 1 (line 5): 1 earlier row replaced."),
    ],
)  # fmt: skip
def test_a_later_piece_of_a_resumed_run_replaces_the_earlier(content, step, loss, said, log):
    found = log(content)
    assert (found.step.tolist(), found.loss.tolist()) == (step, loss)
    assert said in str(found.account)


@given(st.data())
def test_resumed_runs_are_put_together_as_by_hand(data):
    """The last value logged of each step, of those that no later piece has undone."""
    content, values, at = "", {}, 0
    for piece in range(data.draw(st.integers(1, 5))):
        at = data.draw(st.integers(0, at))
        values = {step: value for step, value in values.items() if step < at}
        content += "step,loss\n"
        for _ in range(data.draw(st.integers(1, 6))):
            values[at] = piece + at / 1024
            content += f"{at},{values[at]}\n"
            at += data.draw(st.integers(1, 3))
    found = tables_read(content)
    assert dict(zip(found.step.tolist(), found.loss.tolist(), strict=True)) == values
    assert found.step.tolist() == sorted(values)


def tables_read(content):
    from fuzzing import written

    return read_log(written(content.encode(), "log.csv"))


def test_rows_of_one_step_are_one(log):
    found = log("step,lr,loss,acc\n0,0.5,,\n0,,2,\n0,,,9\n1,0.25,,\n1,,1,\n1,,1,\n")
    assert (found.step.tolist(), found.loss.tolist()) == ([0, 1], [2, 1])
    assert found.eta.tolist() == [0.5, 0.25]
    assert "Read 6 rows" in str(found.account)
    assert not found.account.resumed


def test_a_piece_that_begins_with_the_last_step_is_one_piece(log):
    rows = "0,0.5,\n0,,5\n1,0.25,\n1,,4\n", "1,0.125,\n1,,3\n2,0.125,\n2,,2\n"
    found = log("".join("step,lr,loss\n" + piece for piece in rows))
    assert (found.loss.tolist(), found.eta.tolist()) == ([5, 3, 2], [0.5, 0.125, 0.125])
    assert [place for place, _, _ in found.account.resumed] == ["line 7"]


def test_steps_within_epochs_are_counted_on(log):
    rows = [(epoch, step) for epoch in range(3) for step in (0, 10, 20)]
    found = log("epoch,step,loss\n" + "".join(f"{e},{s},{e + s}\n" for e, s in rows))
    assert found.step.tolist() == list(range(0, 90, 10))
    assert "Steps begin again with each epoch in the file; they are counted on." in str(
        found.account
    )
    with pytest.raises(sim.InputError, match=r"line 5 has step 1 after step 4: .* number them"):
        log("epoch,step,loss\n0,1,1\n0,2,1\n0,4,2\n1,1,3\n1,2,3\n")


def test_a_learning_rate_logged_at_other_steps_is_not_guessed(log):
    found = log("step,loss,lr\n0,1,\n1,,0.5\n2,2,\n")
    assert np.isnan(found.eta).all()
    said = "The learning rate is known at 0 of 2 steps. 1 step without a loss left out."
    assert said in str(found.account)


# --- losses that are not finite ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("losses", "left", "gaps", "said"),
    [
        ("1 nan 0.5", [1, 0.5], (1,), "1 loss is not finite, at step 1; training went on."),
        ("nan 1 0.5", [1, 0.5], (0,), "1 loss is not finite, at step 0; training went on."),
        ("1 inf nan 0.5", [1, 0.5], (1, 2), "2 losses are not finite, at steps 1, 2; training"),
        ("1 nan 2 nan nan", [1, 2, np.nan, np.nan], (1,), "at step 1; training went on."),
        ("1 2 1e301", [1, 2, np.inf], (), ""),
        ("1" + " nan 1" * 7, [1] * 8, tuple(range(1, 15, 2)), "steps 1, 3, 5, 7, 9, …; training"),
    ],
)  # fmt: skip
def test_a_loss_that_is_not_finite_and_survived_is_a_gap(losses, left, gaps, said, log):
    rows = "".join(f"{at},{loss}\n" for at, loss in enumerate(losses.split()))
    found = log("step,loss\n" + rows)
    np.testing.assert_array_equal(found.loss, left)
    assert found.account.gaps == gaps
    assert said in str(found.account)
    assert ("not finite" in str(found.account)) == bool(gaps)
    records = "".join(
        f'{{"step": {at}, "loss": {value}}}\n'
        for at, value in enumerate(losses.replace("nan", "NaN").replace("inf", "Infinity").split())
    )
    np.testing.assert_array_equal(log(records).loss, left)


# --- refusals ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "is empty"),
        ("\n\n", "is empty"),
        ("1,2\n3,4\n", "has no header; name its columns with --columns"),
        ("# nothing\n1 2\n", "has no header"),
        ("step,loss\n", "has no row with a loss"),
        ("step,loss\n0,\n", "has no row with a loss"),
        ("step,loss\n0,nan\n1,inf\n", "has no finite loss"),
        ("step,acc\n0,1\n", "has no training loss (columns: 'step', 'acc'); name it with"),
        ("step,loss\n0,1\n1,hello\n", "line 3 has 'hello' in column 'loss'; give numbers"),
        ("step,loss\n\n# a\n0,1\n1,1_000\n", "line 5 has '1_000' in column 'loss'"),
        ("step,loss\n0,1\n1,٣\n", "line 3 has '٣'"),
        ("step,loss\n0,1\n1\n", "line 3 has 1 field, not 2"),
        ("step,loss\n0,1\n1,2,3\n", "line 3 has 3 fields, not 2; separate fields by semicolons"),
        ("loss\n2,30\n1,9\n", "line 2 has 2 fields, not 1; separate fields by semicolons"),
        ("step;loss\n0;1,5\n1;1.5\n", "line 3 has '1.5' after numbers with decimal commas"),
        ("step;loss\n0;1.234,5\n", "line 2 has '1.234,5', with a comma and a point"),
        ('step,loss\n"1,000","2.5"\n', "line 2 has '2.5' after numbers with decimal commas"),
        (PLAIN + "step,loss\n8,1\n", "line 10 has 2 fields, not 3; a header of other columns"),
        ('step,loss\n0,1\n1,"2\n', "line 3 cannot be split into fields"),
        ('step,loss\n0,1\n1,"2"3\n', "line 3 cannot be split into fields"),
        ("step,loss\n0,1\n,2\n", "line 3 has no step"),
        ("step,loss\n0,1\n1.5,2\n", "line 3 has step 1.5; steps are whole numbers"),
        ("step,loss\n0,1\n1e16,2\n", "line 3 has step 10000000000000000; steps are whole numbers"),
        ("step,loss\n1,1\n1,2\n", "line 3 has step 1 again, with another value"),
        (steps(3, 2, 1), "line 3 has step 2 after step 3; steps must rise"),
        (steps(0, 0, 1, 1, 2, 2, 3, 3), "line 3 has step 0 again, with another value"),
        (steps(0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3), "line 10 has step 0 for the third time"),
        ("loss,loss\n1,2\n", "has 'loss' twice"),
        (b"step,loss\n0,1\n1,\xe9\n", "line 3 is not text in UTF-8; save it as UTF-8"),
        (b"\x89PNG\r\n\x1a\n\0\0\0", "line 1 is not text in UTF-8"),
        ('{"step": 0, "loss": 1}\n{"step": 1, "loss": "x"}\n', "line 2 has x under 'loss'"),
        ('{"step": 0, "loss": 1}\n{"step": 1, "loss": true}\n', "line 2 has True under 'loss'"),
        ('{"step": 0, "loss": 1}\n{"step": 1, "loss": {"a": 1}}\n', "line 2 has {'a': 1} under"),
        ('{"step": 0, "loss": 1}\n[1]\n', "line 2 is not a JSON object"),
        ('{"step": 0, "loss": 1}\n{"step": 1,\n{}\n', "line 2 is not JSON"),
        ('{"step": 0, "loss": 1}\n' + '{"a":' * 5000 + "\n", "line 2 is"),
        ("[" * 100_000, "is nested too deeply"),
        ('[{"step": 0},\n 1,]', "line 2 is not JSON"),
        ('[{"step": 0, "loss": 1}, 1]', "entry 2 is not a JSON object"),
        ("{\n}", "has no list log_history"),
        ('{\n"log_history": [{"step": 1, "loss": []}]}', "log_history entry 1 has [] under 'loss'"),
        ("[]", "has no training loss (columns: none)"),
        ('[{"step": ' + "1" * 5000 + "}]", "has a number that is too long"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_refused_with_its_line(content, said, log):
    with pytest.raises(sim.InputError) as refused:
        log(content)
    assert (refused.value.option, said in str(refused.value)) == ("source", True), refused.value
    assert len(str(refused.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        (["los"], "did you mean loss?"),
        (["loss", "loss"], "is there twice"),
        (["loss=a", "loss=b"], "is there twice"),
        (["step"], "name one of them loss"),
        (["step", "loss", "eta"], "has 2 columns"),
        (["loss=x"], "has no such column; it has 'step', 'loss'"),
        (["lose=x"], "did you mean loss?"),
    ],
)
def test_columns_that_make_no_sense_are_refused(columns, said, log):
    with pytest.raises(sim.InputError) as refused:
        log("step,loss\n0,1\n", columns=columns)
    assert refused.value.option == "columns"
    assert said in str(refused.value)


def test_columns_of_json_have_no_order(log):
    with pytest.raises(sim.InputError, match="give QUANTITY=COLUMN"):
        log('{"loss": 1}', columns=["loss"])


def test_decimal_marks_are_one_in_the_whole_file(log, monkeypatch):
    for module in (logs, logs.text):
        monkeypatch.setattr(module, "BLOCK", 8)
    assert log("step;loss\n" + "0;1,5\n" * 9).loss.tolist() == [1.5]
    with pytest.raises(
        sim.InputError, match=r"line 12 has '1\.5' after numbers with decimal commas"
    ):
        log("step;loss\n" + "0;1,5\n" * 10 + "0;1.5\n" * 9)


def test_a_last_line_that_was_cut_is_left_out_and_said(log):
    for content in (PLAIN + "8,0.", PLAIN + '8,"0.'):
        found = log(content)
        assert found.step.tolist() == list(range(8))
        assert "Line 10, the last, is incomplete and left out." in str(found.account)
    found = log('{"step": 0, "loss": 1}\n{"step": 1, "lo')
    assert found.step.tolist() == [0]
    assert "Line 2, the last, is incomplete and left out." in str(found.account)


def test_sizes_are_bounded(log, monkeypatch):
    with pytest.raises(sim.InputError, match="line 2 is longer than 1000000 characters"):
        log("loss\n" + "9" * 3_000_000)
    with pytest.raises(sim.InputError, match="too many columns of known names"):
        log(",".join(["loss"] * 20) + "\n" + ",".join("1" * 20) + "\n")
    with pytest.raises(sim.InputError, match="too many keys of known names"):
        log(json.dumps({f"lr-{number}": 1 for number in range(20)}) + "\n")
    monkeypatch.setattr(logs.rows, "MOST_ROWS", 5)
    for content in (PLAIN, json.dumps([{"loss": 1}] * 7)):
        with pytest.raises(sim.InputError, match="more than 5 rows"):
            log(content)
    monkeypatch.setattr(logs.json_document, "_MOST_CHARACTERS", 10)
    with pytest.raises(sim.InputError, match="give JSON lines"):
        log(json.dumps([{"loss": 1}] * 7))


# --- the fast way and the careful one ------------------------------------------------------

CELLS = st.one_of(
    st.floats().map(repr), st.integers(-5, 5).map(str), st.floats(0, 1).map(repr),
    st.sampled_from(["", " ", "nan", "NaN", "NA", "inf", "-Infinity", "1e400", "+1.", ".5", "1_0"]),
    st.sampled_from(['"1"', '""', '"1"2', '"1,5"', "x", "0x1", "1,5", "2.5", "#", "'1'", "--1"]),
)  # fmt: skip


@given(
    cells=st.lists(st.lists(CELLS, min_size=3, max_size=3), min_size=1, max_size=6),
    plain=st.lists(st.lists(st.floats(0, 1).map(repr), min_size=3, max_size=3), max_size=4),
    separator=st.sampled_from([",", ";", "\t", " "]), end=st.sampled_from(["", "\n", "\n\n"]),
    columns=st.sampled_from([["loss", "eta", "sharpness"], ["-", "loss"], ["eta", "-", "loss"]]),
)  # fmt: skip
@example([["nan", "1", ""], ["1", "", "2"]], [], ",", "\n", ["loss", "eta", "sharpness"])
@example([["1", "", ""], ["", "", "2"]], [], ",", "", ["eta", "-", "loss"])
def test_numpy_reads_what_the_careful_way_reads(cells, plain, separator, end, columns):
    names = dict(zip("abc", columns, strict=False))
    content = "\n".join(separator.join(row) for row in (*plain, *cells)) + end
    content = separator.join("abc") + "\n" + content
    chosen = [f"{name}={column}" for column, name in names.items() if name != "-"]
    fast = outcome(content, chosen)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tables, "numbers", lambda *_: None)
        careful = outcome(content, chosen)
        patch.setattr(logs, "BLOCK", 7)
        patch.setattr(logs.text, "BLOCK", 7)
        pieces = outcome(content, chosen)
    assert fast == careful == pieces


def outcome(content, columns):
    from fuzzing import written

    try:
        found = read_log(written(content.encode(), "log.csv"), columns)
    except sim.InputError as refusal:
        return str(refusal)
    curves = (found.step, found.loss, found.eta, found.sharpness)
    return [curve.tobytes() for curve in curves], str(found.account)


@pytest.mark.parametrize(
    "change",
    [
        lambda line: line,
        lambda line: line + ",2024-01-01T00:00:00",
        lambda line: line + ",",
        lambda line: "," + line,
        lambda line: line.replace(",", ",,,"),
        lambda line: ",".join(f'"{cell}"' for cell in line.split(",")),
        lambda line: line.replace(",", ";").replace(".", ","),
        lambda line: line.replace(",", "   "),
    ],
)
def test_long_tables_of_the_usual_kinds_are_left_to_numpy(change, log, monkeypatch):
    """Ten million rows take seconds so, and minutes field by field."""
    header = change("step,loss,lr").replace("2024-01-01T00:00:00", "time")
    rows = [change(f"{step},{0.5 + step},0.25") for step in range(50)]
    monkeypatch.setattr(tables._Reader, "_read_cells", lambda *_: pytest.fail("field by field"))
    found = log("\n".join([header, *rows]) + "\n")
    assert found.loss.tolist() == [0.5 + step for step in range(50)]
    assert (found.eta == 0.25).all()


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
