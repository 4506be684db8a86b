"""``warmup flow`` and its figure."""

import re

import numpy as np
import pytest
from program import strict_json

import simulator as sim
from simulator import figures

SMALL = "flow --model uv --width 8 --data teacher --samples 8 --steps 60 --t-wrm 40 --eta-trgt 2"


@pytest.mark.usefixtures("folder")
def test_the_flow_is_told_with_its_doubts_and_drawn(run, folder):
    result = run(SMALL)
    assert result.code == 0
    assert re.search(r"First contact  step \d+, kappa_1 0\.\d+", result.out)
    assert "Doubt          " in result.out
    assert re.search(
        r"Rank  .* at most (1 oscillating direction|\d+ oscillating directions)$", result.out, re.M
    )
    assert 'start="after"' not in result.out  # as Python spells it
    assert [path.name for path in folder.iterdir()] == ["flow.png"]


@pytest.mark.usefixtures("folder")
def test_a_program_reads_the_flow_that_python_gives(run):
    document = strict_json(run(f"{SMALL} --json --curves --seed 1").out)
    teacher = sim.load_data("teacher", samples=8)
    model = sim.UV(width=8)
    unit = sim.eta_critical(model, teacher, sim.GD(), 1)
    flow = sim.central_flow(
        model, teacher, schedule=sim.Warmup(eta_trgt=2 * unit, t_wrm=40), steps=60, seed=1
    )
    assert document["command"] == "flow"
    assert document["doubts"] == list(flow.doubts)
    assert document["result"]["first_contact"] == flow.first_contact
    assert document["result"]["distance_final"] == flow.distance[-1]
    assert document["curves"]["predicted_loss"] == flow.predicted_loss.tolist()
    assert document["curves"]["run_loss"] == flow.run.loss.tolist()


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("more", "option"),
    [
        ("--optimizer momentum", "--optimizer"),
        ("--optimizer adam --eta-unit absolute", "--optimizer"),
        ("--batch-size 4", "--batch-size"),
        ("--weight-decay 0.1", "--weight-decay"),
        ("--start behind", "--start"),
        ("--start 60", "--start"),
        ("--start=-1", "--start"),
        ("--figure flow.txt", "--figure"),
    ],
)
def test_what_has_no_flow_is_refused_in_one_line(run, folder, more, option):
    result = run(f"{SMALL} {more}")
    assert result.code == 2
    assert result.err.startswith(f"warmup: {option} ")
    assert result.err.count("\n") == 1
    assert not list(folder.iterdir())


def test_the_run_is_thin_and_light_and_the_flow_heavy():
    teacher = sim.load_data("teacher", samples=8)
    flow = sim.central_flow(
        sim.UV(width=8), teacher, schedule=np.linspace(0.01, 0.3, 60), steps=60, optimizer=sim.GD()
    )
    axes = figures.flow(flow)
    for panel in axes[:2]:
        run, heavy = panel.lines[:2]
        assert run.get_linewidth() < 0.5 * heavy.get_linewidth()
        assert run.get_label() == "run"
        assert heavy.get_label().startswith("central flow")
    assert [panel.get_ylabel() for panel in axes] == [
        "loss", r"sharpness $\lambda(H)$", r"$\eta_t$", "distance / path",
    ]  # fmt: skip
    np.testing.assert_array_equal(axes[0].lines[1].get_ydata(), flow.predicted_loss)
    with pytest.raises(sim.InputError, match="beside"):
        figures.flow(
            sim.central_flow(sim.UV(width=8), teacher, schedule=[0.01] * 3, steps=3, beside=False)
        )


@pytest.mark.usefixtures("folder")
def test_a_schedule_that_depends_on_the_run_is_refused(run):
    result = run("flow --model uv --width 8 --data teacher --schedule persistent-catapult")
    assert result.code == 2
    assert result.err.startswith("warmup: --schedule persistent-catapult: its rates depend on")


def test_a_callback_sees_each_update_of_the_flow():
    teacher, seen = sim.load_data("teacher", samples=8), []
    sim.central_flow(
        sim.UV(width=8), teacher, schedule=sim.Warmup(eta_trgt=0.1), steps=9, start=4,
        callback=seen.append,
    )  # fmt: skip
    assert seen == [4, 5, 6, 7, 8]
