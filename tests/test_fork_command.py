"""``warmup run --fork-at``, and the picture of a run and its fork."""

import re

import numpy as np
import pytest
from forked import digits, run_to_fork
from program import strict_json

import simulator as sim
from simulator import figures


@pytest.fixture(scope="module")
def data():
    return digits()


@pytest.fixture(scope="module")
def parent(data):
    return run_to_fork(data)


def test_a_fork_is_drawn_from_where_it_begins(parent):
    forked = sim.fork(parent, at=15, eta=1.25)
    panels = figures.compare([parent, forked], ["run", "fork"])
    for panel in panels:
        lines = [line.get_xdata() for line in panel.lines if len(line.get_xdata()) > 2]
        assert {line[0] for line in lines} == {0, 15}
        marks = [line.get_xdata() for line in panel.lines if line.get_linestyle() == ":"]
        assert marks == [[15, 15]]


SMALL = "run --width 8 --activation tanh --samples 32 --steps 30 --eta-trgt 2 --t-wrm 4 --seed 1"


@pytest.mark.usefixtures("folder")
def test_the_command_does_both_runs(run):
    options = "--fork-at 12 --fork-eta 1.5 --fork-batch-size 8"
    document = strict_json(run(f"{SMALL} {options} --json --curves").out)
    plain = strict_json(run(f"{SMALL} --json --curves").out)
    first, second = document["runs"]
    assert first["at"] == {}
    assert second["at"] == {"fork_at": 12, "fork_eta": 1.5, "fork_batch_size": 8}
    assert first["result"].items() <= plain["result"].items()
    assert first["curves"] == plain["curves"]
    eta = np.array(first["curves"]["eta"])
    assert second["curves"]["eta"] == pytest.approx(np.where(np.arange(30) < 12, 1, 1.5) * eta)
    assert second["curves"]["loss"][:12] == first["curves"]["loss"][:12]
    assert second["curves"]["loss"][12:] != first["curves"]["loss"][12:]
    table = run(f"{SMALL} --fork-at 12 --fork-batch-size full").out
    assert re.search(r"^fork at 12: batch size 32  \w+", table, re.M)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ("--fork-eta 2", "--fork-eta 2.0: belongs to --fork-at"),
        ("--fork-batch-size full", "--fork-batch-size full: belongs to --fork-at"),
        ("--fork-at 30", "--fork-at 30: give a step from 0 to 29"),
        ("--fork-at 3 --fork-eta 0", "--fork-eta 0.0: "),
        ("--fork-at 3 --fork-batch-size 33", "--fork-batch-size 33: "),
        ("--fork-at 3 --seed 1,2", "--seed"),
        ("--fork-at 3 --width 4,8", "--fork-at 3: forks one run, not 2"),
        ("--fork-at 3 -o run.zarr", "--output run.zarr: "),
        ("--fork-at 3 --live", "--live"),
        ("--fork-at 20 --eta-unit absolute --eta-trgt 1e9 --t-wrm 1", "--fork-at 20: the run div"),
    ],
)
def test_a_fork_that_cannot_be_is_refused_and_leaves_nothing(options, says, run, folder):
    result = run(f"{SMALL} {options}")
    assert result.code == 2
    assert says in result.err
    assert not list(folder.iterdir())
