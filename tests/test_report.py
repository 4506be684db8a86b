"""A report is one page of a store: whole, true to it, small, and deaf to what a store tells it."""

import itertools
import json
import re
import shutil
import sys
import threading
from dataclasses import replace

import numpy as np
import pytest
import zarr
from program import content, forge, strict_json

import simulator as sim
from simulator.measures import CURVES
from simulator.reporting import again, cells, chunks_with_curves, page
from simulator.reporting.diagram import draw_diagram
from simulator.reporting.panel import draw_panel
from simulator.reporting.scales import DARK
from simulator.sweeps import load, open_store

pytest.importorskip("bokeh")
# Bokeh's own that are drawn when legends or boxes are selected, which the page does not allow; and
# the grey of a hatch.
UNSEEN, NEVER = {"BoxAnnotation", "ToolProxy"}, {"#f1f1f1", "lightgray", "#7a7a7a"}
pytestmark = pytest.mark.usefixtures("folder")

EVIL = "</script><script>window.struck = 1</script><img src=x onerror='window.struck = 1'>"


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    """A store of four runs without curves."""
    path = tmp_path_factory.mktemp("bare") / "store.zarr"
    sim.sweep(sim.Quadratic(), eta_trgt=(0.25, 2.5), t_wrm=(1, 4), steps=8, output=path)
    return path


def packed(path):
    dataset, spec, _ = open_store(path)
    chunks = chunks_with_curves(dataset, spec, None, path)
    whole = load(dataset.drop_dims("step", errors="ignore"), path)
    return dataset, cells.pack(whole, spec, None, chunks)


# The curves


def test_the_page_has_the_curves_of_the_store(store):
    dataset, found = packed(store)
    columns, first = found.curves.columns, found.curves.first
    assert found.runs == 4
    for flat, at in enumerate(np.ndindex(dataset["status"].shape)):
        rows = slice(first[flat], first[flat + 1])
        step = columns["step"][rows].astype(int)
        np.testing.assert_allclose(
            10.0 ** columns["loss"][rows], dataset["loss"].values[at][step], rtol=1e-5
        )
        np.testing.assert_allclose(columns["eta"][rows], dataset["eta"].values[at][step], rtol=1e-6)


def test_the_runs_of_a_store_without_curves_are_done_again(bare):
    dataset, found = packed(bare)
    assert (found.runs, found.other) == (4, 0)
    for flat, at in enumerate(np.ndindex(dataset["status"].shape)):
        _, _, trgt, wrm = at
        schedule = sim.Warmup(
            eta_trgt=float(dataset["eta_trgt"][trgt]), t_wrm=int(dataset["t_wrm"][wrm])
        )
        run = sim.simulate(sim.Quadratic(), schedule=schedule, steps=8, sharpness_every=16)
        hidden = run.natural_phase == "unknown"
        natural = sim.natural_phase(sim.Quadratic(), optimizer=sim.GD()) if hidden else None
        assert found.words[flat] == sim.explain(run, natural).paragraph


def test_runs_that_come_out_otherwise_are_counted(bare, folder, run):
    store = shutil.copytree(bare, folder / "other.zarr")
    zarr.open_group(store, mode="r+")["loss_final"][0, 0, 0, 0] = 0.125
    forge(store)
    assert packed(store)[1].other == 1
    assert run(f"report {store}").code == 0
    assert "1 of them do NOT match it" in store.with_suffix(".html").read_text()


def test_a_run_that_fails_when_it_is_done_again_is_said(bare, folder, run, monkeypatch):
    def fail(*arguments, **keywords):
        raise ArithmeticError

    monkeypatch.setattr("simulator.sweeps.work.run_cell", fail)
    assert run(f"report {bare} -o page.html").code == 0
    assert "failed when it was repeated" in (folder / "page.html").read_text()


NETWORK = "--width 4 --samples 16 --steps 64 --seeds 1 --eta-trgt 0.5,4,64 --t-wrm 1,16"


@pytest.mark.parametrize(
    "options",
    [
        NETWORK, f"{NETWORK} --curves", f"{NETWORK} --optimizer gd,adam --eta-unit absolute",
        f"{NETWORK} --batch-size 8 --measure sharpness,directional,batch",
        "--model uv --data teacher --samples 1 --steps 64 --seeds 2 --eta-trgt 0.5,3 --t-wrm 1,16",
        "--model quadratic --steps 16 --schedule threshold --eta-trgt 0.5,3 --seeds 1 --t-wrm 1",
    ],
    ids=["mlp", "curves", "optimizers", "batches", "uv", "schedule"],
)  # fmt: skip
def test_a_run_is_described_as_explain_does(run, folder, undrawn, monkeypatch, options):
    """Each cell, by the line that the page shows for it; so with steps and causes of events."""
    seen = {}

    def spy(dataset, spec, data, chunks, explain, **about):
        seen.update(words=cells.pack(dataset, spec, data, chunks).words, explain=explain, spec=spec)
        return ""

    monkeypatch.setattr("simulator.reporting.page", spy)
    assert run(f"sweep {options} -o 's 1.zarr'").code == 0
    assert run("report 's 1.zarr'").code == 0
    axes = seen["spec"].coordinates()
    places = list(itertools.product(*axes.values()))
    assert len(places) == len(seen["words"]) > 1
    for place, words in zip(places, seen["words"], strict=True):
        cell = ",".join(f"{name}={value}" for name, value in zip(axes, place, strict=True))
        line = seen["explain"].replace("CELL", f" --cell '{cell}'").removeprefix("warmup ")
        assert words == strict_json(run(f"{line} --json").out)["paragraph"], cell


# The command


def test_a_report_is_one_file_beside_its_store(run, store):
    result = run(f"report {store}")
    assert result.code == 0
    assert result.out.startswith("Report  ")
    page = store.with_suffix(".html").read_text()
    for text in ('<html lang="en">', "<title>", 'name="viewport"', "trainability boundary",
                 "warmup sweep --model quadratic", "loss_final", "2 / eta"):  # fmt: skip
        assert text in page
    markup = re.sub(r"<script.*?</script>", "", page, flags=re.S)
    assert not re.findall(r"""(?:src|href)\s*=\s*["']?(?!["']?data:)|url\(|@import""", markup)
    assert not re.findall(r"<script[^>]*\ssrc", page)


def test_its_document_names_the_file_and_its_size(run, store):
    document = strict_json(run(f"report {store} -o page.html --json").out)
    assert document["report"] == "page.html"
    assert document["bytes"] == len((store.parent / "page.html").read_bytes())
    assert (document["runs"], document["missing"], document["failed"]) == (4, 0, 0)


@pytest.mark.parametrize("color", ["sharpness_final", "loss_max", "loss_init"])
def test_it_is_coloured_by_any_number(run, store, color):
    assert run(f"report {store} --color {color}").code == 0
    assert f"coloured by {color}" in store.with_suffix(".html").read_text()


def test_without_curves_it_tells_outcomes(run, store):
    assert run(f"report {store} --no-curves").code == 0
    page = store.with_suffix(".html").read_text()
    assert "made without the curves" in page
    assert "Outcome: stable" in page


def test_what_is_missing_of_a_store_is_said(run, store):
    zarr.open_group(store, mode="r+")["status"][0, 0] = np.array(
        [["not_run", "failed"], ["done", "done"]], dtype=object
    )
    forge(store)
    document = strict_json(run(f"report {store} --json").out)
    assert (document["missing"], document["failed"]) == (1, 1)
    page = store.with_suffix(".html").read_text()
    for text in ("1 of 4 runs are missing", "1 of 4 runs failed", "not run, or failed",
                 "This run has not been done yet", "This run failed"):  # fmt: skip
        assert text in page


@pytest.mark.parametrize("every", [0, 1])
def test_any_sharpness_will_do(run, folder, every):
    sim.sweep(
        sim.Quadratic(), optimizer=sim.Adam(), eta_trgt=(0.1, 50.0), steps=6,
        sharpness_every=every, output=folder / "s.zarr",
    )  # fmt: skip
    assert run("report s.zarr").code == 0
    page = (folder / "s.zarr").with_suffix(".html").read_text()
    assert "38 / eta" in page
    assert "the top eigenvalue of P⁻¹H" in page
    assert ("The sharpness was not measured" in page) == (not every)


def test_a_store_of_a_file_asks_for_it(run, folder):
    x, y = np.ones((3, 2)), np.ones((3, 1))
    np.savez(folder / "d.npz", x=x, y=y)
    grid = "--model uv --width 4 --steps 4 --eta-trgt 0.1 --t-wrm 1 --seeds 1"
    assert run(f"sweep {grid} --data d.npz -o s.zarr").code == 0
    refused = run("report s.zarr")
    assert refused.code == 2
    assert "name it with --data" in refused.err
    assert run("report s.zarr --data d.npz").code == 0
    assert run("report s.zarr --no-curves").code == 0


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("report missing.zarr", "missing.zarr"),
        ("report store.zarr -o page.png", "end the name in .html"),
        ("report store.zarr -o nowhere/page.html", "no folder"),
        ("report store.zarr --color outcome", "--color outcome"),
    ],
)
def test_what_cannot_be_reported_is_refused_in_a_sentence(run, store, line, named):
    before = content(store.parent)
    result = run(line)
    assert (result.code, result.out, result.err.count("\n")) == (2, "", 1)
    assert named in result.err
    assert content(store.parent) == before


def test_a_store_that_lacks_a_variable_is_refused(run, store):
    shutil.rmtree(store / "outcome")
    meta = json.loads((store / "zarr.json").read_text())
    del meta["consolidated_metadata"]["metadata"]["outcome"]
    (store / "zarr.json").write_text(json.dumps(meta))
    forge(store)
    result = run(f"report {store}")
    assert result.code == 2
    assert "has no outcome" in result.err


def test_without_bokeh_it_says_what_to_install(run, store, monkeypatch):
    monkeypatch.setitem(sys.modules, "bokeh", None)
    result = run(f"report {store}")
    assert result.code == 2
    assert "pip install 'warmup-simulator[report]'" in result.err
    assert not store.with_suffix(".html").exists()


def test_what_takes_long_is_not_done_again(run, bare, folder, monkeypatch):
    monkeypatch.setattr(again, "_LONGEST_SECONDS", 0.0)
    result = run(f"report {bare} -o page.html")
    assert result.code == 2
    assert "give --no-curves, or sweep with --curves" in result.err
    assert run(f"report {bare} -o page.html --no-curves").code == 0


def test_a_page_of_too_many_runs_is_refused(run, store, monkeypatch):
    monkeypatch.setattr("simulator.reporting.MOST_RUNS", 3)
    assert "has 4 runs, and a page holds 3" in run(f"report {store}").err


def test_an_interrupted_report_leaves_nothing(run, bare, folder, monkeypatch):
    def interrupt(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(cells, "explain", interrupt)
    assert run(f"report {bare} -o page.html").code == 130
    assert list(folder.iterdir()) == []
    for thread in threading.enumerate():
        if thread.name.startswith("warmup"):
            thread.join(5)
            assert not thread.is_alive()


def test_the_text_of_a_store_is_never_markup(run, store):
    group = zarr.open_group(store, mode="r+")
    clean = run(f"report {store} --no-curves -o clean.html")
    assert clean.code == 0
    group.attrs["command"] = EVIL
    group.attrs["data"] = json.dumps({"name": EVIL, "path": EVIL, "samples": 3})
    group["outcome"][...] = np.full(group["outcome"].shape, EVIL, dtype=object)
    group["natural_phase"][...] = np.full(group["outcome"].shape, EVIL, dtype=object)
    forge(store)
    assert run(f"report {store} --no-curves -o evil.html").code == 0
    evil, clean = ((store.parent / f"{name}.html").read_text() for name in ("evil", "clean"))
    assert evil.count("<script") == clean.count("<script")
    assert evil.count("<img") == clean.count("<img")
    assert "&lt;/script&gt;&lt;script&gt;" in evil


# Colours and numbers


@pytest.fixture
def figures(store):
    """All models of Bokeh that the page draws of a store."""
    dataset, spec, _ = open_store(store)
    dataset = load(dataset.drop_dims("step", errors="ignore"), store)
    drawn = draw_diagram(dataset, spec, None, np.full(spec.cells, 2.0), "loss_final").figure
    spec = replace(spec, measure=("sharpness", *CURVES), sharpness_every=2, optimizer=sim.Adam())
    return [*drawn.references(), *draw_panel(spec).layout.references()]


def luminance(color):
    """Of sRGB, as WCAG 2 defines it."""
    parts = np.array([int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return linear @ [0.2126, 0.7152, 0.0722]


def test_every_colour_of_the_figures_has_one_on_a_dark_page(figures):
    """One that stands out from it; but for what is seen through, and grey on any page."""
    used = set()
    for model in figures:
        for name, value in model.properties_with_values().items():
            ink = value.get("value") if isinstance(value, dict) else getattr(value, "value", value)
            if (
                name.endswith("color")
                and isinstance(ink, str)
                and type(model).__name__ not in UNSEEN
            ):
                used.add(ink)
    assert len(used) > 10
    assert used - {*DARK} - NEVER <= {ink for ink in used if ink.startswith("rgba")}
    ground = luminance(DARK["#ffffff"])
    for light, dark in DARK.items():
        if light not in ("#ffffff", "white", "#e5e5e5", "#eeeeee"):
            assert (luminance(dark) + 0.05) / (ground + 0.05) > 4.5, light


def test_what_the_pointer_shows_is_written_plainly(figures):
    """By the function that writes the table's numbers, with the labels of the axes."""
    tools = [model for model in figures if type(model).__name__ == "HoverTool"]
    assert len(tools) == 4
    for tool in tools:
        (formatter,) = tool.formatters.values()
        assert "plain(source.data[format][value])" in formatter.code
        for _, field in tool.tooltips:
            assert field.removeprefix("$index{").removesuffix("}") in formatter.args["source"].data
    labels = [label for tool in tools for label, _ in tool.tooltips]
    assert {"eta_trgt / eta_critical", "t_wrm (updates)"} <= set(labels)


# Size


@pytest.mark.slow
def test_a_page_of_2200_runs_is_below_5_megabytes(run, folder):
    grid = "--eta-trgt 0.5:16:25:log --t-wrm 1:512:11:log --seeds 8 --eta-init 1"
    line = f"sweep --model uv --data teacher --samples 1 {grid} --sharpness-every 1 -o uv.zarr"
    assert run(line).code == 0
    document = strict_json(run("report uv.zarr --json").out)
    assert document["runs"] == 25 * 11 * 8
    assert document["bytes"] < 5e6


@pytest.mark.slow
def test_so_is_one_of_2200_runs_that_never_rest():
    """Every run to its end, each loss a new peak or valley."""
    grid = {
        "eta_trgt": tuple(np.geomspace(0.5, 16, 25)), "t_wrm": tuple(range(1, 12)),
        "sharpness_every": 1,
    }  # fmt: skip
    found = sim.sweep(sim.Quadratic(), seeds=8, steps=11, **grid)
    spec = sim.sweeps.Spec(
        sim.Quadratic(), sim.GD(), seeds=tuple(range(8)), steps=512, curves=True, **grid
    )
    rng, shape = np.random.default_rng(0), (1, 1, 25, 11, 512)

    def chunks():
        for seed in range(8):
            region = (slice(seed, seed + 1), slice(0, 1), slice(0, 25), slice(0, 11))
            loss = np.exp(-np.arange(512) / 100 + 0.5 * rng.normal(size=shape))
            eta = np.broadcast_to(1 + np.arange(512) / 512, shape)
            yield region, {"loss": loss, "sharpness": 2 + 0.3 * rng.normal(size=shape), "eta": eta}

    html = page(found, spec, None, chunks(), title="", command="", description={"name": "none"})
    assert len(html.encode()) < 5e6
