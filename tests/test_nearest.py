"""A name that is nearly right, or another program's, is answered with the nearest known one."""

import re

import click
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from test_help import COMMANDS

import simulator as sim
from simulator.commands import warmup
from simulator.laws import LAWS
from simulator.models import MODELS
from simulator.nearest import _SYNONYMS, did_you_mean, nearest
from simulator.studying import find_studies

pytestmark = pytest.mark.usefixtures("folder")

OPTIONS = {
    (name, typed)
    for name, command in COMMANDS.items()
    for parameter in command.params
    if isinstance(parameter, click.Option)
    for typed in (*parameter.opts[-1:], *parameter.secondary_opts)
}
SETS = {
    "options": [typed for name, typed in sorted(OPTIONS) if name == "sweep"],
    "public": sim.__all__,
    "laws": [*LAWS],
    "studies": [*find_studies()],
}


# --- the rule -----------------------------------------------------------------------------------


@pytest.mark.parametrize("names", SETS.values(), ids=SETS)
def test_a_known_name_is_the_nearest_to_itself_in_any_spelling(names):
    for name in names:
        for spelt in (name, name.upper(), name.replace("-", "_"), name.lstrip("-")):
            assert name in nearest(spelt, names)


@pytest.mark.parametrize("names", SETS.values(), ids=SETS)
@given(data=st.data())
def test_one_slip_of_the_fingers_is_put_right(names, data):
    name = data.draw(st.sampled_from([name for name in names if len(name.strip("-")) >= 6]))
    first = len(name) - len(name.lstrip("-"))
    at = data.draw(st.integers(first, len(name) - 2))
    slips = (
        name[:at] + name[at + 1 :],
        name[:at] + name[at + 1] + name[at] + name[at + 2 :],
        name[:at] + "z" + name[at:],
    )
    wrong = data.draw(st.sampled_from(slips))
    assume(wrong not in names)
    assert name in nearest(wrong, names), (wrong, nearest(wrong, names))


def test_every_synonym_stands_for_a_name_that_there_is():
    arguments = {p.argument for c in COMMANDS.values() for p in c.params if hasattr(p, "argument")}
    values = {
        value
        for command in COMMANDS.values()
        for parameter in command.params
        for value in (parameter.metavar or "").split("|")
    }
    known = {*arguments, *values, *warmup.commands, *(name.lower() for name in sim.__all__)}
    assert {*_SYNONYMS} <= known


@given(st.text(max_size=300))
def test_anything_may_be_asked_for(text):
    assert len(nearest(text, MODELS)) <= 3
    assert did_you_mean(text, ()) == ""


# --- where a name is asked for ------------------------------------------------------------------


@pytest.mark.parametrize("name", COMMANDS)
def test_an_option_that_is_misspelt_is_suggested(run, name):
    for typed in sorted(typed for of, typed in OPTIONS if of == name and len(typed) >= 6):
        refused = run(f"{name} {typed[:4]}{typed[5:]}x")
        assert (refused.code, refused.out, refused.err.count("\n")) == (2, "", 1)
        assert re.search(rf"did you mean [^?]*{typed}\b", refused.err), refused.err
        assert refused.err.endswith(f"warmup {name} --help-all lists every option.\n")


@pytest.mark.parametrize(
    ("line", "suggested"),
    [
        ("run --lr 1", "--eta-trgt"),
        ("run -lr 1", "--eta-trgt"),
        ("run --learning-rate=1", "--eta-trgt"),
        ("run --warmup 8", "--t-wrm"),
        ("run --warmup-steps 8", "--t-wrm"),
        ("run --epochs 8", "--steps"),
        ("run --n-steps 8", "--steps"),
        ("run --iterations 8", "--steps"),
        ("run --wd 0.1", "--weight-decay"),
        ("run --hidden 8", "--width"),
        ("run --parameterization mup", "--param"),
        ("run --beta 0.9", "--momentum"),
        ("run --acuracy 0.1", "--sharpness-tol"),
        ("run --dry", ""),
        ("swep", "sweep"),
        ("train", "run"),
        ("--hlp", "--help"),
        ("study lst", "list"),
        ("run --optimizer sgd", "gd with batch_size=…"),
        ("run --optimizer adma", "adam"),
        ("run --param sp,ntk", "ntp"),
        ("run --loss cross-entropy", "xent"),
        ("run --dtype float", "float32"),
        ("run --model quadratc", "quadratic"),
        ("run --activation tahn", "tanh"),
        ("run --schedule cosine", "warmup"),
        ("run --decay cosin", "cosine"),
        ("run --data mnist", "mnist1d"),
        ("run --measure directionl", "directional"),
        ("run --config a.toml", "steps"),
        ("critical --method to-way", "two-way"),
        ("theory --law perid", "period-doubling or cycle-period"),
        ("study run edge-of-stabilty", "edge-of-stability"),
        ("plot store.zarr --color loss_fnal", "loss_final"),
        ("plot store.zarr --x eta_target", "eta_trgt"),
        ("plot store.zarr --where t_warm=4", "t_wrm"),
        ("report store.zarr --color final_loss", "loss_final"),
        ("run --replay store.zarr --cell eta_target=1", "eta_trgt"),
    ],
)
def test_the_nearest_is_offered_in_the_same_words(run, store, folder, line, suggested):
    (folder / "a.toml").write_text("n_steps = 8")
    refused = run(line)
    assert (refused.code, refused.out, refused.err.count("\n")) == (2, "", 1)
    if suggested:
        assert re.search(rf"unknown; did you mean {suggested}[ ,?]", refused.err), refused.err
    else:
        assert "did you mean" not in refused.err
        assert "--help-all lists every option" in refused.err


@pytest.mark.parametrize(
    ("name", "suggested"),
    [
        ("SGD", "GD with batch_size=…"),
        ("sgd", "GD with batch_size=…"),
        ("Sgd", "GD with batch_size=…"),
        ("MLp", "MLP"),
        ("adam", "Adam"),
        ("RMSprop", "RMSProp"),
        ("SAM", "Optimizer"),
        ("simulat", "simulate"),
        ("load_dat", "load_data"),
        ("lr_finder", "Critical or critical_learning_rate"),
    ],
)
def test_a_public_name_that_is_misspelt_is_answered_with_the_nearest(name, suggested):
    with pytest.raises(AttributeError, match=rf"'{name}'; did you mean {suggested}\?"):
        getattr(sim, name)


def test_a_column_and_an_axis_are_suggested_too(run, folder):
    (folder / "log.csv").write_text("step,training_loss\n0,1\n1,2\n")
    refused = run("explain log.csv --columns loss=trainig_loss")
    assert "did you mean training_loss?" in refused.err
    with pytest.raises(sim.InputError, match=r"did you mean width\?"):
        sim.sweep(sim.MLP(4), sim.load_data("teacher", 4), over={"wdth": [8]}, eta_trgt=[1.0])


def test_where_nothing_is_near_python_says_what_it_always_does():
    for name in ("xyzzy", "_MLP", "__wrapped__"):
        with pytest.raises(
            AttributeError, match=rf"^module 'simulator' has no attribute '{name}'$"
        ):
            getattr(sim, name)


def test_a_long_list_of_names_is_cut():
    with pytest.raises(sim.InputError, match=r"give one of 40, such as 0, 1, 2$"):
        sim.checks.one_of("law", "x", map(str, range(40)))
