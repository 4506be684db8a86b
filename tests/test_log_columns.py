"""Which column of a log is which quantity."""

import re
from pathlib import Path

import pytest

import simulator as sim
from simulator.logs import names as known_names


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
