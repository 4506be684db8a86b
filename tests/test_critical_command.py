"""``warmup critical`` from the outside."""

import math
import re
import shlex
import signal
import subprocess
import sys

import pytest
from program import strict_json

import simulator as sim

pytestmark = pytest.mark.usefixtures("folder")

SMALL = "--width 16 --depth 2 --samples 64 --steps 64 --seeds 3"


def test_it_tells_each_seed_and_what_to_set(run, folder):
    result = run(f"critical {SMALL}")
    assert result.code == 0
    assert re.findall(r"^ +(\d|least|median|largest) ", result.out, re.M) == [
        "0", "1", "2", "least", "median", "largest",
    ]  # fmt: skip
    assert "\nSet eta_init to " in result.out
    assert not list(folder.iterdir())


@pytest.mark.slow
def test_its_document_is_the_library_s(run):
    result = run(f"critical {SMALL} --optimizer adam --json --workers 2")
    document = strict_json(result.out)
    assert document["command"] == "critical"
    model, data = sim.MLP(width=16, depth=2), sim.load_data("digits", 64)
    for seed, told in enumerate(document["seeds"]):
        ours = sim.critical_learning_rate(model, data, optimizer=sim.Adam(), seed=seed, steps=64)
        for name in ("eta_c", "eta_max", "eta_critical", "forward_passes", "updates", "usable"):
            assert told[name] == getattr(ours, name), name
    assert "plans" not in document
    again = strict_json(run(f"critical {SMALL} --optimizer adam --json --workers 1").out)
    assert again["seeds"] == document["seeds"]


def test_the_line_that_it_gives_runs_the_same_ramp(run):
    line = f"critical {SMALL} --eta-trgt 8 --t-wrm 32 --batch-size 32 --no-bias"
    told = run(line)
    assert " of 32" in told.out
    document = strict_json(run(f"{line} --json").out)
    plan = document["plans"][0]
    assert plan["command"] in told.out
    words = shlex.split(plan["command"])
    assert words[:2] == ["warmup", "run"]
    result = strict_json(run(shlex.join([*words[1:], "--json", "--curves"])).out)
    eta = result["curves"]["eta"]
    assert result["spec"]["model"]["width"] == 16
    assert (result["spec"]["steps"], result["spec"]["batch_size"]) == (64, 32)
    reached = plan["updates"]
    assert eta[reached - 1] == pytest.approx(plan["eta_trgt"], rel=1e-5)
    assert eta[reached - 2] < eta[reached - 1]
    assert eta[0] - plan["eta_init"] == pytest.approx(plan["eta_trgt"] / 32, rel=1e-4)


@pytest.mark.slow
def test_where_eta_c_does_not_help_it_says_so(run):
    result = run("critical --samples 64 --width 16 --loss xent --seeds 2 --eta-trgt 1 --t-wrm 8")
    assert result.code == 0
    assert "Set eta_init to eta_trgt / 10 instead of eta_c: one update raises" in result.out
    assert "It saves nothing" in result.out
    assert "From a start at eta_c training may fail: see above." in result.out


def test_an_absolute_target_is_taken_as_it_is(run):
    line = f"critical {SMALL} --eta-trgt 2 --t-wrm 8 --eta-unit absolute --json"
    assert {plan["eta_trgt"] for plan in strict_json(run(line).out)["plans"]} == {2.0}


def test_eta_max_need_not_be_looked_for(run):
    document = strict_json(run(f"critical {SMALL} --steps 0 --method paper --json").out)
    assert {one["eta_max"] for one in document["seeds"]} == {None}
    assert {one["usable"] for one in document["seeds"]} == {True}
    assert " - " in run(f"critical {SMALL} --steps 0").out


def test_a_model_without_a_critical_rate_is_told_too(run):
    line = "critical --model quadratic --eta-most 1 --steps 8 --eta-trgt 0.5 --t-wrm 8"
    told = run(line)
    advice = "There is no eta_c: no learning rate up to 1 raises the loss in one update. "
    assert f"\n{advice}Set eta_init to eta_trgt / 10.\n" in told.out
    assert "instead of eta_c" not in told.out
    assert "from a start at eta_c" not in told.out.lower()
    assert "none" in told.out
    assert strict_json(run(f"{line} --json").out)["seeds"][0]["eta_c"] is None


def test_seeds_with_and_without_a_critical_rate_are_advised_apart():
    from simulator.catapult_search import Bracket
    from simulator.commands.critical import _advice
    from simulator.critical import Critical

    def found(eta_c, eta_max, bracket):
        return Critical(eta_c, eta_max, 1.0, Bracket(*bracket), Bracket(1.0, 2.0), 1, 1, 1)

    usable, harmful = found(1.0, 2.0, (0.9, 1.0)), found(3.0, 2.0, (2.9, 3.0))
    without = found(math.inf, 2.0, (8.0, math.inf))
    assert _advice([usable, harmful, without]) == (
        "Set eta_init to eta_trgt / 10 in 1 of 3 seeds instead of eta_c: one update raises the "
        "loss only from eta_c = 3 on, but training fails above eta_max = 2. "
        "There is no eta_c in 1 of 3 seeds: no learning rate up to 8 raises the loss in one "
        "update. Set eta_init to eta_trgt / 10 there. In the other seeds set it to eta_c."
    )


def test_options_come_from_a_config_too(run, folder):
    (folder / "c.toml").write_text('model = "quadratic"\nseeds = 2\nsteps = 8\nmethod = "paper"')
    document = strict_json(run("critical --config c.toml --json").out)
    assert document["search"]["method"] == "paper"
    assert len(document["seeds"]) == 2


@pytest.mark.slow
def test_it_can_be_interrupted_in_the_middle_of_a_run():
    tell = """
import os
from simulator import critical
from simulator.commands import main
train = critical.train
# One write: the seeds train on threads, and two prints may meet in the middle of a line.
critical.train = lambda *given, **options: (os.write(1, b"begun\\n"), train(*given, **options))
main()
"""
    line = "critical --model quadratic --steps 10000000 --seeds 2"
    with subprocess.Popen(
        [sys.executable, "-c", tell, *line.split()],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as program:
        program.stdout.readline()
        program.send_signal(signal.SIGINT)
        out, err = program.communicate()
    assert (program.returncode, out.replace("begun\n", "")) == (130, "")
    assert err.endswith("warmup: Interrupted.\n")
