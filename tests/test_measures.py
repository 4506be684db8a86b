"""Measures in stores, on the command line, in figures and in stories."""

import json
import shlex
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

import simulator as sim
from simulator import figures
from simulator.commands.remake import command_line
from simulator.limits import StabilityLimit
from simulator.sweeps import Spec, open_store
from simulator.sweeps.difference import difference
from simulator.trajectory import Trajectory

pytestmark = pytest.mark.usefixtures("folder")
MODEL = sim.MLP(width=6, depth=2, activation="tanh")
ALL = ("sharpness", "directional", "critical", "batch", "full", "interaction")
CURVES = (
    "directional_sharpness", "critical_sharpness", "batch_sharpness", "batch_sharpness_error",
    "full_sharpness", "gradient_noise_interaction",
)  # fmt: skip
LINE = (
    "sweep --width 4 --depth 2 --activation tanh --samples 16 --batch-size 4 --steps 24 --seeds 1"
    " --eta-trgt 1,4 --t-wrm 4 --sharpness-every 2 --workers 1 --curves --batches 3 --batch-every 5"
)


@pytest.fixture(scope="module")
def data():
    return sim.load_data("digits", samples=16)


def grid(data, **options):
    return sim.sweep(
        MODEL, data, eta_trgt=[0.5, 2.0], t_wrm=[4], steps=24, workers=1, curves=True, **options
    )


# --- stores ---------------------------------------------------------------------------------------


def test_a_sweep_keeps_the_curves_and_the_late_medians(data):
    dataset = grid(data, measure=ALL, batch_size=4, batch_every=3, sharpness_every=2)
    run = sim.simulate(
        MODEL, data, schedule=sim.Warmup(0.0, 2.0, 4), steps=24, measure=ALL, batch_size=4,
        batch_every=3, sharpness_every=2, sharpness_tol=1e-3,
    )  # fmt: skip
    cell = dataset.isel(seed=0, eta_init=0, eta_trgt=1, t_wrm=0)
    for name in (*CURVES, "step_threshold"):
        np.testing.assert_array_equal(cell[name].values, getattr(run, name))
    for name in CURVES:
        if name != "batch_sharpness_error":
            late = (getattr(run, name) * run.eta / 2)[18:]
            expected = np.median(late[~np.isnan(late)])
            assert cell[f"{name}_late"] == pytest.approx(expected, rel=1e-12)
    assert cell["rises"] == run.rises[~np.isnan(run.rises)].mean()
    assert (dataset["status"] == "done").all()


def test_what_is_not_measured_is_not_in_the_store(data):
    plain, some = grid(data), grid(data, measure=("sharpness", "full"), batch_every=4)
    assert not {*plain} & {*CURVES, "rises", "step_threshold"}
    assert {*some} & {*CURVES, "rises"} == {"full_sharpness"}
    assert "full_sharpness_late" in some
    np.testing.assert_array_equal(plain["loss"], some["loss"])


def test_optimizers_and_batch_sizes_as_axes_have_all_measures(data):
    dataset = grid(
        data, measure=ALL[1:4], batch_every=8,
        over={"optimizer": [sim.GD(), sim.Adam()], "batch_size": [4, None]},
    )  # fmt: skip
    for name in CURVES[:3]:
        assert np.isfinite(dataset[name]).any("step").all()


def test_a_spec_records_measures_only_where_they_are_not_the_default():
    plain = Spec(model=MODEL, optimizer=sim.GD(), eta_trgt=(0.5,), steps=8)
    assert not {*plain.as_dict()} & {"measure", "batches", "batch_accuracy", "batch_every"}
    spec = Spec(
        model=MODEL, optimizer=sim.GD(), eta_trgt=(0.5,), steps=8, measure="directional,batch",
        batches=5, batch_accuracy=0.1, batch_every=3,
    )  # fmt: skip
    again = Spec.from_dict(json.loads(json.dumps(spec.as_dict())))
    assert again == spec
    assert difference(plain, spec) == ("was made with measure sharpness, not directional, batch")


def test_small_models_that_train_as_one_batch_are_measured_too():
    """By the general loop."""
    data = sim.Data([[1.0]], [[0.5]])
    run = sim.simulate(
        sim.UV(width=8), data, schedule=sim.Warmup(0.0, 0.5, 4), steps=30,
        measure=("sharpness", "directional"),
    )  # fmt: skip
    plain = sim.simulate(sim.UV(width=8), data, schedule=sim.Warmup(0.0, 0.5, 4), steps=30)
    np.testing.assert_allclose(run.loss, plain.loss, rtol=1e-9, atol=1e-15)
    assert np.isfinite(run.directional_sharpness[:5]).all()


# --- the command line -----------------------------------------------------------------------------


@pytest.mark.usefixtures("undrawn")
def test_the_line_of_a_store_asks_for_its_measures(run):
    line = f"{LINE} --measure sharpness,directional,batch --batch-accuracy 0.5 -o a.zarr"
    assert run(line).code == 0
    first, spec, description = open_store(Path("a.zarr"), "store")
    assert spec.measure == ("sharpness", "directional", "batch")
    assert (spec.batches, spec.batch_accuracy, spec.batch_every) == (3, 0.5, 5)
    again = command_line(spec, description, Path("b.zarr"))
    assert "--measure sharpness,directional,batch" in again
    assert run(again.removeprefix("warmup ")).code == 0
    second, *_ = open_store(Path("b.zarr"), "store")
    for name in ("directional_sharpness", "batch_sharpness", "rises", "batch_sharpness_late"):
        np.testing.assert_array_equal(first[name].values, second[name].values)
    replayed = run("run --replay a.zarr --cell eta_trgt=4 --json --curves")
    document = json.loads(replayed.out)
    assert document["result"]["identical"]
    stored = first["directional_sharpness"].isel(eta_trgt=1).values.ravel()
    shown = [np.nan if v is None else v for v in document["curves"]["directional_sharpness"]]
    np.testing.assert_array_equal(shown, stored)


@pytest.mark.usefixtures("undrawn")
def test_a_plain_line_names_no_measures(run):
    assert run(f"{LINE.partition(' --batches')[0]} -o a.zarr").code == 0
    _, spec, description = open_store(Path("a.zarr"), "store")
    words = shlex.split(command_line(spec, description, Path("b.zarr")))
    assert not {"--measure", "--batches", "--batch-every"} & {*words}


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ("--measure directionl", "--measure directionl: unknown; did you mean directional?"),
        ("--measure batch --model quadratic", "--measure batch: this model has no samples"),
        ("--measure critical --sharpness-every 0", "--sharpness-every 0: critical is measured"),
        ("--batch-every 0", "--batch-every 0"), ("--batches -1", "--batches -1"),
        ("--batch-accuracy 0", "--batch-accuracy 0"),
        ("--curvature-axis log", "--curvature-axis log: unknown"),
        ("--curvature-axis ratio --width 2,4", "--curvature-axis ratio: several runs"),
    ],
)  # fmt: skip
@pytest.mark.usefixtures("undrawn")
def test_bad_measures_are_refused_in_one_sentence(run, options, sentence):
    result = run(f"run --steps 8 --eta-unit absolute --eta-trgt 0.1 {options}")
    assert result.code == 2
    assert sentence in result.err
    assert not [*Path().iterdir()]


# --- figures --------------------------------------------------------------------------------------


def drawn(run, **options):
    """The curvature panel, and its curves by their labels."""
    panel = figures.trajectory(run, **options)[1]
    lines = {line.get_label(): line for line in panel.lines}
    lines |= {bars.get_label(): bars.lines[0] for bars in panel.containers}
    return panel, lines


@pytest.mark.parametrize("optimizer", [sim.GD(), sim.Momentum(0.9), sim.Adam()])
def test_each_curve_is_over_its_own_threshold(data, optimizer):
    run = sim.simulate(
        MODEL, data, optimizer=optimizer, schedule=sim.Warmup(0.1, 0.1), steps=24, measure=ALL,
        batch_size=4, batch_every=3,
    )  # fmt: skip
    panel, lines = drawn(run)
    step = run.eta / 2
    directional = (run.directional_sharpness * step)[run.directional_sharpness > 0]
    np.testing.assert_allclose(
        lines[r"directional sharpness (2 / $\eta_t$)"].get_ydata(), directional, rtol=1e-12
    )
    np.testing.assert_allclose(
        lines[r"batch sharpness (2 / $\eta_t$)"].get_ydata(),
        (run.batch_sharpness * step)[::3], rtol=1e-12,
    )  # fmt: skip
    limit = f"({run.limit.over_eta:.3g} / $\\eta_t$)"
    name = f"{run.sharpness_name} of the batch {limit}"
    np.testing.assert_allclose(lines[name].get_ydata(), run.ratio, rtol=1e-12)
    full = f"full sharpness, all samples {limit}"
    assert (full in lines) == (not optimizer.adaptive)
    (level,) = [line for line in panel.lines if line.get_linestyle() == "--"]
    assert set(level.get_ydata()) == {1.0}


def test_absolute_curves_stand_beside_both_thresholds(data):
    run = sim.simulate(
        MODEL, data, optimizer=sim.Momentum(0.9), schedule=sim.Warmup(0.1, 0.1), steps=24,
        measure=("sharpness", "directional"),
    )  # fmt: skip
    _, lines = drawn(run, curvature_axis="absolute")
    np.testing.assert_array_equal(lines["sharpness"].get_ydata(), run.sharpness)
    styles = {name: line.get_linestyle() for name, line in lines.items() if "threshold" in name}
    assert styles == {r"threshold 2 / $\eta_t$": "--", r"threshold 3.8 / $\eta_t$": ":"}


def curves(sharpness, **more):
    rows = len(sharpness)
    return Trajectory(
        np.arange(rows), np.linspace(1, 0.5, rows), np.ones(rows), np.array(sharpness), None,
        StabilityLimit(2.0), **more,
    )  # fmt: skip


def test_the_axis_is_logarithmic_beyond_a_factor_of_ten():
    near = curves(np.linspace(1.0, 2.0, 50))
    collapsed = curves(np.concatenate([np.full(30, 2.0), np.full(20, 1e-4)]))
    for axis in figures.CURVATURE_AXES:
        assert drawn(near, curvature_axis=axis)[0].get_yscale() == "linear"
        panel = drawn(collapsed, curvature_axis=axis)[0]
        assert panel.get_yscale() == "log"
        assert panel.get_ylim()[0] < 0.5e-4 * (2 if axis == "absolute" else 1)
    beside = curves(np.full(50, 2.0), directional_sharpness=np.full(50, 1e-3))
    assert drawn(beside)[0].get_yscale() == "log"


def test_where_the_learning_rate_is_unknown_curves_are_absolute():
    log = Trajectory(
        np.arange(9), np.ones(9), np.full(9, np.nan), np.ones(9), None, StabilityLimit(2.0)
    )
    panel, lines = drawn(log)
    assert set(lines["sharpness"].get_ydata()) == {1.0}
    assert "threshold" not in panel.get_ylabel()


def test_an_unknown_curvature_axis_is_refused():
    with pytest.raises(sim.InputError, match="curvature_axis log"):
        figures.trajectory(curves(np.ones(9)), curvature_axis="log")


# --- stories --------------------------------------------------------------------------------------


def test_a_story_says_where_the_step_meets_2_over_eta():
    rows = 40
    directional = np.full(rows, 0.1)
    directional[10:] = 2.2
    run = curves(np.linspace(1.0, 3.0, rows), directional_sharpness=directional)
    text = sim.explain(run).paragraph
    at_10 = run.sharpness[10] / 2
    assert (
        f"The directional sharpness first reaches 2 / eta at step 10, when the sharpness is "
        f"{at_10:.3g} times 2 / eta." in text
    )
    late = np.median(run.sharpness[30:]) / 2
    assert (
        "Over the last quarter of the run, the median directional sharpness is 1.1 times 2 / eta, "
        f"and the median sharpness is {late:.3g} times 2 / eta." in text
    )
    assert "batch" not in text
    below = curves(np.ones(rows), critical_sharpness=np.full(rows, 0.5))
    assert "The critical sharpness stays below 2 / eta (at most 0.25 times 2 / eta)." in (
        sim.explain(below).paragraph
    )


def test_thresholds_are_not_mixed_in_a_story():
    rows = 40
    run = Trajectory(
        np.arange(rows), np.linspace(1, 0.5, rows), np.full(rows, 0.1), np.ones(rows),
        np.full(rows, 190.0), StabilityLimit(38.0), directional_sharpness=np.full(rows, 30.0),
    )  # fmt: skip
    assert (
        "the median directional sharpness is 1.5 times 2 / eta, and the median preconditioned "
        "sharpness is 0.5 times 38 / eta." in sim.explain(run).paragraph
    )


def test_a_story_of_minibatches_says_which_hessian(data):
    shared = {"schedule": sim.Warmup(0.1, 0.1), "steps": 24}
    run = sim.simulate(
        MODEL, data, batch_size=4, measure=("sharpness", "batch", "full"), batch_every=2, **shared
    )
    text = sim.explain(run).paragraph
    assert "The sharpness is measured on the batch of each update, not on all samples." in text
    assert "Over the last quarter of the run, the median batch sharpness is" in text
    assert ", and the median full sharpness" in text
    whole = sim.explain(sim.simulate(MODEL, data, **shared)).paragraph
    assert "of the batch" not in whole


# --- reports --------------------------------------------------------------------------------------


def packed(data, **options):
    """A sweep of minibatches, its spec, and its runs as a page packs them."""
    pytest.importorskip("bokeh")
    from simulator.reporting.cells import pack

    grid(data, batch_size=4, output="s.zarr", **options)
    dataset, spec, _ = open_store(Path("s.zarr"), "store")
    chunk = {name: dataset[name].values for name in ("loss", "eta", "sharpness", *CURVES)
             if name in dataset}  # fmt: skip
    regions = [(tuple(slice(0, n) for n in spec.shape), chunk)]
    return spec, pack(dataset.drop_dims("step").load(), spec, data, regions)


def test_a_page_has_every_curve_and_the_story_of_a_run(data):
    cells = packed(data, measure=ALL, batch_every=3)[-1]
    columns, first = cells.curves.columns, cells.curves.first
    for place in (0, 1):
        run = sim.simulate(
            MODEL, data, schedule=sim.Warmup(0.0, (0.5, 2.0)[place], 4), steps=24, measure=ALL,
            batch_size=4, batch_every=3, sharpness_every=16, sharpness_tol=1e-3,
        )  # fmt: skip
        rows = slice(first[place], first[place + 1])
        step = columns["step"][rows].astype(int)
        for name in CURVES:
            if name != "batch_sharpness_error":
                shown = columns[name][rows]
                np.testing.assert_allclose(shown, getattr(run, name)[step], rtol=1e-6)
                assert np.isfinite(shown).any()
        hidden = run.natural_phase == "unknown"
        natural = sim.natural_phase(MODEL, data, optimizer=sim.GD()) if hidden else None
        assert cells.words[place] == sim.explain(run, natural).paragraph
        assert "The sharpness is measured on the batch" in cells.words[place]


def test_the_script_of_a_page_shows_the_curves_of_the_chosen_run(data):
    node = shutil.which("node")
    if node is None:
        pytest.skip("needs node")
    spec, cells = packed(data, measure=("sharpness", "directional", "batch"), batch_every=3)
    from simulator import reporting

    columns, first = cells.curves.columns, cells.curves.first
    names = ("directional_sharpness", "batch_sharpness")
    known = {
        "menus": [{"value": v, "options": [[v, v]], "name": "n"} for v in "0010"],
        "of": {"value": "all"}, "shape": list(spec.shape), "sheets": 1, "shown": {}, "every": {},
        "x_edges": [0, 1, 2], "y_edges": [0, 1], "outline": {},
        "words": [[0]] * len(cells.words), "sentences": ["It trains."], "explain": "",
        "cells": {"data": {"row": first.tolist(), "span": cells.spans.first.tolist(),
                           **{k: v.tolist() for k, v in cells.frame.items()}}},
        "curves": {"data": {k: v.astype(float).tolist() for k, v in columns.items()}},
        "all_spans": {"data": {k: v.tolist() for k, v in cells.spans.columns.items()}},
        "colors": ["a", "b"], "numbers": {"data": {}}, "curve": {}, "measured": {}, "spans": {},
        "beside": {name: {} for name in names}, "over_eta": [2], "decay": [0],
        "ranges": {name: {} for name in ("step", "loss", "sharpness", "eta")},
    }  # fmt: skip
    script = Path(reporting.__file__).with_name("choose.js").read_text()
    program = (
        "const document = { getElementById: () => ({}), querySelectorAll: () => [] }\n"
        f"const given = {json.dumps(known)}\n"
        f"new Function('document', ...Object.keys(given), {json.dumps(script)})"
        "(document, ...Object.values(given))\n"
        "console.log(JSON.stringify({ beside: given.beside, curve: given.curve.data }))"
    ).replace("NaN", "null")
    Path("page.js").write_text(program)
    shown = json.loads(subprocess.check_output([node, "page.js"], text=True))
    rows = slice(first[1], first[2])
    for name in names:
        values = columns[name][rows]
        positive = np.isfinite(values) & (values > 0)
        found = shown["beside"][name]["data"]
        np.testing.assert_allclose(found[name], values[positive], rtol=1e-6)
        np.testing.assert_allclose(found["step"], columns["step"][rows][positive])
    limits = [value for value in shown["curve"]["step_threshold"] if value is not None]
    assert limits[-1] == pytest.approx(2 / 2.0, rel=1e-6)
