"""Steps, epochs and rows of a log; resumed runs; losses that are not finite."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from log_formats import steps

import simulator as sim
from simulator.logs import read_log


@pytest.mark.parametrize(
    ("numbers", "said"),
    [
        (range(1000, 1128, 4), "Steps 1000 to 1124, every 4th step."),
        (range(0, 63, 2), "Steps 0 to 62, every 2nd step."),
        (range(0, 63, 3), "Steps 0 to 60, every 3rd step."),
        (range(0, 63, 21), "Steps 0 to 42, every 21st step."),
        (range(0, 63, 11), "Steps 0 to 55, every 11th step."),
        ([1, 10, 20, 30, 34], "Steps 1 to 34, every 10th step."),
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
    said = "Rows 0 to 2, every row. No column holds the step, so rows are counted instead."
    assert said in str(found.account)
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
         "The run was resumed at step 2 (line 7), which replaces 2 earlier rows."),
        # a header again, and no step again
        (steps(0, 1) + "step,loss\n2,20\n", [0, 1, 2], [1, 2, 20],
         "The run was resumed at step 2 (line 5)."),
        # a step again without a header
        (steps(0, 1, 2, 3, 2, 3, 4), [0, 1, 2, 3, 4], [1, 2, 5, 6, 7],
         "The run was resumed at step 2 (line 6), which replaces 2 earlier rows."),
        # the last step again, as the first of what follows
        (steps(0, 1, 2, 2, 3), [0, 1, 2, 3], [1, 2, 4, 5],
         "The run was resumed at step 2 (line 5), which replaces 1 earlier row."),
        # further back each time
        (steps(0, 1, 2, 3, 4, 5, 4, 5, 6, 2, 3, 4), [0, 1, 2, 3, 4], [1, 2, 10, 11, 12],
         "The run was resumed at step 2 (line 11), which replaces 5 earlier rows."),
        # back, and forward over a hole
        (steps(0, 1, 2, 3, 1, 5, 6), [0, 1, 5, 6], [1, 5, 6, 7],
         "The run was resumed at step 1 (line 6), which replaces 3 earlier rows."),
        # epochs, as Keras appends them
        ("epoch,loss\n0,1\n1,2\n2,3\n1,4\n2,5\n3,6\n", [0, 1, 2, 3], [1, 4, 5, 6],
         "The run was resumed at epoch 1 (line 5), which replaces 2 earlier rows."),
        # as a comment, as np.savetxt would append it
        ("# step loss\n0 1\n1 2\n# step loss\n1 3\n", [0, 1], [1, 3],
         "The run was resumed at step 1 (line 5), which replaces 1 earlier row."),
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
    said = "Steps restart with each epoch in the file; here they are numbered consecutively."
    assert said in str(found.account)
    with pytest.raises(sim.InputError, match=r"line 5 has step 1 after step 4: .* number them"):
        log("epoch,step,loss\n0,1,1\n0,2,1\n0,4,2\n1,1,3\n1,2,3\n")


def test_a_learning_rate_logged_at_other_steps_is_not_guessed(log):
    found = log("step,loss,lr\n0,1,\n1,,0.5\n2,2,\n")
    assert np.isnan(found.eta).all()
    said = "The learning rate was logged at 0 of 2 steps. 1 step has no loss and is left out."
    assert said in str(found.account)


# --- losses that are not finite ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("losses", "left", "gaps", "said"),
    [
        ("1 nan 0.5", [1, 0.5], (1,), "1 loss is not finite, at step 1, but training continues."),
        ("nan 1 0.5", [1, 0.5], (0,), "1 loss is not finite, at step 0, but training continues."),
        ("1 inf nan 0.5", [1, 0.5], (1, 2), "2 losses are not finite, at steps 1, 2, but training"),
        ("1 nan 2 nan nan", [1, 2, np.nan, np.nan], (1,), "at step 1, but training continues."),
        ("1 2 1e301", [1, 2, np.inf], (), ""),
        ("1" + " nan 1" * 7, [1] * 8, tuple(range(1, 15, 2)), "steps 1, 3, 5, 7, 9, …, but"),
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
