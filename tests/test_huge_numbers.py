"""Numbers near the largest that a computer has: one sentence or a result, and no warning."""

import re
import warnings

import numpy as np
import pytest

import simulator as sim

UV = "--model uv --width 4 --data teacher --samples 4"
MLP = "--model mlp --width 4 --depth 2 --data teacher --samples 8"
QUADRATIC = "--model quadratic"
HUGE = (2**63 - 1, 2**63 - 2, 2**62, 2**53 + 1, 10**30)


@pytest.mark.usefixtures("folder", "undrawn")
@pytest.mark.parametrize("value", HUGE)
@pytest.mark.parametrize(
    "option",
    ["steps", "t-wrm", "top-k", "width", "samples", "batch-size", "sharpness-every", "data-seed"],
)
@pytest.mark.parametrize("command", ["run", "sweep --large", "critical"])
def test_a_huge_count_is_refused_in_one_sentence(run, command, option, value):
    if (option == "data-seed" and value < 2**63) or (option == "top-k" and command != "run"):
        return
    trains = option in ("width", "sharpness-every") and value < 2**63
    if trains and command != "run":
        return  # as `run` shows, and a whole grid is slow without the JIT
    result = run(f"{command} {UV} --{option} {value}")
    if option in ("width", "sharpness-every") and result.code == 0:
        return  # trained as Gram matrices, and measured once
    assert result.code == 2
    assert result.err.startswith("warmup: ")
    assert result.err.count("\n") == 1


@pytest.mark.parametrize("schedule", [sim.Warmup, sim.ModifiedWarmup])
def test_a_ramp_of_more_steps_than_can_be_counted_is_refused(schedule):
    for steps in (2**63 - 1, 2**63, 2**53 + 1):
        with pytest.raises(
            sim.InputError, match=r"^steps \d+: give a whole number from 0 to 2\^53 - 1$"
        ):
            schedule(t_wrm=4).values(steps)


@pytest.mark.usefixtures("folder", "undrawn")
@pytest.mark.parametrize("model", [UV, MLP, QUADRATIC])
@pytest.mark.parametrize(
    "schedule",
    [
        "--t-wrm 2", "--t-wrm 4 --decay cosine --eta-init 1e308",
        "--t-wrm 2 --schedule modified --eta-init 1e308",
        "--schedule threshold --factor 1e308", "--t-wrm 2 --optimizer nesterov",
    ],
)  # fmt: skip
def test_a_learning_rate_near_the_largest_float_diverges_at_a_step(run, model, schedule):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = run(
            f"run {model} {schedule} --steps 6 --eta-trgt 1.7e308 --eta-unit absolute --json"
        )
    assert result.code == 0, result.err
    assert "NaN" not in result.out
    assert re.search(r"\"outcome\": \"(diverged|stuck)\"", result.out)


@pytest.mark.usefixtures("folder", "undrawn")
@pytest.mark.parametrize("model", [UV, MLP, QUADRATIC])
def test_a_sweep_and_a_search_near_the_largest_float_warn_of_nothing(run, model):
    grid = "--steps 8 --t-wrm 1,4 --eta-trgt 1,1.7e308 --eta-unit absolute --seeds 1"
    assert run(f"sweep {model} {grid}").code == 0
    result = run(f"critical {model} --steps 8 --t-wrm 4 --eta-trgt 1.7e308")
    assert result.code in (0, 2)
    assert "Warning" not in result.err


def test_a_ramp_to_the_largest_float_is_finite():
    most = np.finfo(float).max
    for schedule in (
        sim.Warmup(most, most, 3), sim.ModifiedWarmup(most, most, 3),
        sim.Warmup(0.0, most, 3, 1e308),
    ):  # fmt: skip
        assert np.isfinite(schedule.values(5)).all()
