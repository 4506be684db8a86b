"""Any option is an axis: of a sweep, of its store, of its pictures, and of a handful of runs."""

import json
import shutil
from dataclasses import fields

import numpy as np
import pytest
from program import assert_same

import simulator as sim
from simulator import GD, MLP, UV, Adam, InputError, Momentum, Quadratic, figures
from simulator.commands import warmup
from simulator.commands.options import GroupedOption
from simulator.models import MODELS
from simulator.optimizers import OPTIMIZERS
from simulator.schedules import SCHEDULES
from simulator.sweeps import AXES, Destination, Spec, execute, open_store, selected
from simulator.sweeps.over import axes_of

GRID = {
    "eta_trgt": [0.5, 4.0], "t_wrm": [1, 4], "seeds": 2, "steps": 8, "eta_unit": "critical",
    "sharpness_every": 4,
}  # fmt: skip
OVER = {
    "width": [3, 5],
    "optimizer": [GD(), Adam(beta2=0.9)],
    "batch_size": [4, None],
    "parameterization": ["sp", "mup"],
}
NARROW = "--width 3 --depth 2 --samples 8 --steps 8 --eta-trgt 0.5,4 --t-wrm 1,4 --seeds 2"


@pytest.fixture(scope="module")
def data():
    return sim.load_data("digits", samples=8)


@pytest.fixture(scope="module")
def made(data, tmp_path_factory):
    """A store of eight dimensions, and what `simulator.sweep` said of it."""
    path = tmp_path_factory.mktemp("axes") / "made.zarr"
    return path, sim.sweep(MLP(3, 2), data, over=OVER, output=path, **GRID)


@pytest.fixture
def path(made, folder):
    return shutil.copytree(made[0], folder / "made.zarr")


def test_seeds_may_be_named_one_by_one(data):
    grid = {**GRID, "eta_unit": "critical"}
    named = sim.sweep(MLP(3, 2), data, **{**grid, "seeds": [1, 3]})
    assert_same(named, sim.sweep(MLP(3, 2), data, **{**grid, "seeds": range(4)}).sel(seed=[1, 3]))
    assert_same(
        sim.sweep(MLP(3, 2), data, **{**grid, "seeds": 2}).sel(seed=[1]), named.sel(seed=[1])
    )
    for wrong in ([3, 1], [-1, 2], "12", [], 0):
        with pytest.raises(sim.InputError, match="seeds"):
            sim.sweep(MLP(3, 2), data, **{**grid, "seeds": wrong})


@pytest.mark.parametrize("parameterization", ["sp", "mup"])
@pytest.mark.parametrize("batch_size", [4, None])
@pytest.mark.parametrize(("label", "optimizer"), [("gd", GD()), ("adam", Adam(beta2=0.9))])
def test_a_part_is_the_sweep_of_its_own(made, data, label, optimizer, batch_size, parameterization):
    model = MLP(5, 2, parameterization=parameterization)
    alone = sim.sweep(model, data, optimizer=optimizer, batch_size=batch_size, **GRID)
    at = {"width": 5, "optimizer": label, "batch_size": batch_size or 0}
    part = made[1].sel(parameterization=parameterization, **at)
    assert_same(alone, part)
    others = set(part) - set(alone)
    assert others == (set() if label == "adam" else {n for n in part if n.startswith("precond")})
    assert all(np.isnan(part[name].values).all() for name in others)


def test_a_store_says_how_it_was_made(made, path):
    dataset, spec, _ = open_store(path)
    assert Spec.from_dict(json.loads(dataset.attrs["spec"])) == spec
    assert spec.axes == ("width", "optimizer", "batch_size", "parameterization", *AXES)
    assert dict(dataset.sizes) == dict(zip(spec.axes, spec.shape, strict=True))
    assert list(dataset["optimizer"].values) == ["gd", "adam"]
    assert list(dataset["batch_size"].values) == [4, 0]
    assert_same(dataset.load(), made[1])
    for index in ((0,) * 8, (1, 1, 0, 1, 1, 0, 1, 0), tuple(n - 1 for n in spec.shape)):
        assert spec.locate(spec.coordinates_of(index)) == index


def test_a_store_grows_along_any_axis(data, folder):
    over = {**OVER, "batch_size": [4], "parameterization": ["mup"]}
    made = sim.sweep(MLP(3, 2), data, over=over, output=folder / "few.zarr", **GRID)
    wider = {**over, "width": [3, 4, 5], "optimizer": [GD(), Adam(beta2=0.9), Momentum()]}
    grown = sim.sweep(MLP(3, 2), data, over=wider, output=folder / "few.zarr", grow=True, **GRID)
    assert (grown["status"] == "done").all()
    assert_same(made, grown.sel(width=[3, 5], optimizer=["gd", "adam"]))
    whole = sim.sweep(MLP(3, 2), data, over=wider, **GRID)
    assert_same(whole, grown)


def test_a_chunk_that_was_lost_is_run_again(made, path, data):
    for file in (path / "status" / "c").rglob("*"):
        if file.is_file() and "1/1/0/1" in str(file):
            file.unlink()
    _, spec, _ = open_store(path)
    assert (open_store(path)[0]["status"] == "not_run").any()
    again = sim.sweep(MLP(3, 2), data, over=OVER, output=path, resume=True, **GRID)
    assert_same(made[1], again)
    assert spec.cells == again["status"].size


def test_shards_meet_in_one_store(made, path, data, folder):
    _, spec, _ = open_store(path)
    for share in (2, 3, 1):
        found = execute(spec, data, Destination(folder / "shards.zarr", share=(share, 3)))
    assert found.attrs["complete"]
    assert_same(made[1], found.load())


def test_small_uv_networks_of_every_width_go_side_by_side():
    data = sim.load_data("teacher", samples=1)
    over = {"width": [4, 64], "s": [0.0, 0.5]}
    together = sim.sweep(UV(8), data, over=over, **GRID)
    assert_same(sim.sweep(UV(64, s=0.5), data, **GRID), together.sel(width=64, s=0.5))
    assert np.isfinite(together["theory_eta_max"].values).all()


def test_closed_forms_are_there_for_the_parts_that_have_them():
    over = {"optimizer": {"plain": GD(), "heavy ball": Momentum(), "adam": Adam()}}
    found = sim.sweep(Quadratic([1.0, 3.0]), over=over, eta_trgt=[0.1], steps=4)
    eta_max = found["theory_eta_max"].isel(seed=0, eta_init=0, eta_trgt=0, t_wrm=0)
    assert eta_max.sel(optimizer="plain").item() == pytest.approx(2 / 3)
    assert eta_max.sel(optimizer="heavy ball").item() == pytest.approx(3.8 / 3)
    assert np.isnan(eta_max.sel(optimizer="adam").item())


@pytest.mark.parametrize(
    ("over", "message"),
    [
        (
            {"wdth": [1]},
            "wdth: no option of the model mlp, the optimizer gd, the schedule warmup or the run",
        ),
        ({"width": []}, "width without values: give one or more"),
        ({"width": [8, 8]}, "width=8: given twice"),
        ({"width": 4}, "width=4: give a list"),
        ({"parameterization": "sp"}, "give a list of values"),
        (
            {"optimizer": ["adam"]},
            "optimizer='adam': give optimizers, simulator.Adam() for example",
        ),
        ({"optimizer": [GD(), GD()]}, "optimizer=gd: given twice"),
        ({"optimizer": [GD(), Adam()], "beta2": [0.9, 0.99]}, "beta2: no option of the model mlp"),
        ({"steps": [3]}, "steps: no option"),
        ({"eta_trgt": [1.0]}, "eta_trgt: is an axis already"),
        ({"width": [8, -1]}, "width -1"),
        ({"batch_size": [4, 64]}, "batch_size 64"),
        ({"schedule": ["warmup", "threshold"]}, "t_wrm"),
        ({"width": range(1, 202), "depth": range(1, 52)}, "at most 10000 combinations"),
    ],
)
def test_what_is_no_axis_is_refused_before_anything_is_written(over, message, data, folder):
    with pytest.raises(InputError) as refused:
        sim.sweep(MLP(8, 2), data, over=over, output=folder / "no.zarr", **GRID)
    assert message in str(refused.value)
    assert not list(folder.iterdir())


def test_an_axis_with_the_name_of_a_curve_is_refused(data):
    with pytest.raises(InputError, match="loss: is also the name of a curve"):
        sim.sweep(MLP(8, 2), data, over={"loss": ["mse", "xent"]}, curves=True, **GRID)
    assert sim.sweep(MLP(3, 2), data, over={"loss": ["mse", "xent"]}, **GRID).sizes["loss"] == 2


@pytest.mark.parametrize(
    ("over", "message"),
    [
        ({**OVER, "width": [3]}, "has width 5, which the larger grid lacks"),
        ({**OVER, "optimizer": [GD(), Adam()]}, "was made with optimizer=adam"),
        ({"width": [3, 5]}, "was made with"),
    ],
)
def test_what_is_not_the_same_sweep_does_not_grow_it(path, data, over, message):
    with pytest.raises(InputError) as refused:
        sim.sweep(MLP(3, 2), data, over=over, output=path, grow=True, **GRID)
    assert message in str(refused.value)


class Slow(GD):
    """A subclass of a person's own, of half the rate."""

    name = "slow"

    def direction(self, theta, gradient, state, t, out):
        out[:] = 0.5 * gradient


def bowl(curvature):
    return sim.Custom(
        "bowl", options={"curvature": curvature},
        loss=lambda theta, curvature: 0.5 * curvature * float(theta @ theta),
        gradient=lambda theta, curvature: curvature * theta,
        hvp=lambda theta, v, curvature: curvature * v,
        init=lambda rng, curvature: rng.standard_normal(3),
    )  # fmt: skip


def test_models_and_optimizers_of_ones_own_are_axes(folder):
    over = {"curvature": [1.0, 4.0], "optimizer": [GD(), Slow()]}
    kept = {"eta_trgt": [0.6], "steps": 20, "output": folder / "own.zarr"}
    found = sim.sweep(bowl(1.0), over=over, **kept)
    rises = (found["loss_final"] > found["loss_init"]).squeeze(drop=True)
    # 2 / curvature, and twice that.
    assert rises.values.tolist() == [[False, False], [True, False]]
    assert_same(found, sim.sweep(bowl(9.0), over=over, resume=True, **kept))
    more = over | {"curvature": [1.0, 2.0, 4.0]}
    grown = sim.sweep(bowl(1.0), over=more, grow=True, **kept)
    assert_same(found, grown.sel(curvature=[1.0, 4.0]))


def _options_that_vary():
    return {
        p.argument
        for command in warmup.commands.values()
        for p in command.params
        if isinstance(p, GroupedOption) and p.varies
    }


def test_options_of_a_line_are_fields_of_what_they_describe():
    """Of each option that a line may vary, under the name that Python has for it."""
    kinds = {"model": MODELS, "optimizer": OPTIMIZERS, "schedule": SCHEDULES}
    known = {
        field.name for kind in kinds.values() for one in kind.values() for field in fields(one)
    }
    run = {field.name for field in fields(Spec)}
    varying = _options_that_vary()
    assert varying <= known | run
    # Everything but flags, curvatures (a list is one model) and what the grid, or a run, has once.
    once = {
        "bias",
        "residual",
        "affine",
        "ema",
        "layer_rates",
        "curvatures",
        "steps",
        "eta_unit",
        "seeds",
        "top_k",
    }
    once |= {"curves", "over", *AXES, "measure", "batches", "batch_accuracy", "batch_every"}
    assert varying == (known | run) - once
    for name in varying & run - kinds.keys():
        value = getattr(Spec(MLP(3), GD(), eta_trgt=(1.0,)), name)
        assert axes_of({name: [value]})[0].values == (value,)


def test_a_line_makes_the_same_store_as_python(run, undrawn, made, folder):
    line = (
        "sweep --width 3,5 --depth 2 --samples 8 --steps 8 --eta-trgt 0.5 --t-wrm 1,4 --seeds 1 "
        "--param sp,mup --optimizer gd,adam --beta2 0.9 --batch-size 4,full --sharpness-every 4"
    )
    assert run(f"{line} -o line.zarr").code == 0
    dataset, spec, _ = open_store(folder / "line.zarr")
    assert spec.axes[:4] == ("width", "parameterization", "optimizer", "batch_size")
    assert_same(made[1].isel(eta_trgt=[0], seed=[0]), dataset.load())
    again = run("info line.zarr --command").out
    assert run(again.removeprefix("warmup ")).code == 0
    assert open_store(folder / "again.zarr")[1] == spec


def test_the_table_and_the_document_speak_of_each_combination(run, undrawn, folder):
    line = f"sweep {NARROW} --param sp,mup -o one.zarr"
    text = run(line).out
    assert text.count("Largest trainable eta_trgt with parameterization ") == 2
    rows = json.loads(run(f"{line} --overwrite --json").out)["boundary"]
    assert [(row["parameterization"], row["t_wrm"]) for row in rows] == [
        ("sp", 1), ("sp", 4), ("mup", 1), ("mup", 4),
    ]  # fmt: skip


def test_lists_in_a_config_are_axes_too(run, undrawn, folder):
    (folder / "my.toml").write_text('width = [3, 4]\nparam = ["sp", "mup"]\nsamples = 8\n')
    grid = "--depth 2 --steps 4 --eta-trgt 1,2 --t-wrm 1 --seeds 1"
    assert run(f"sweep --config my.toml {grid} -o config.zarr").code == 0
    assert open_store(folder / "config.zarr")[1].shape == (2, 2, 1, 1, 2, 1)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("sweep --param sp,mpu", "--param mpu: unknown; did you mean mup?"),
        ("sweep --width 3,x", "'x' is not a number"),
        ("sweep --width 4,4", "give each value once"),
        ("sweep --optimizer gd,adam --beta2 0.9,0.99", "beta2"),
        ("sweep --optimizer gd,momentum --beta2 0.9", "--beta2 0.9: the optimizer gd, momentum"),
        ("run --seed 0 --width 3,4 -o many.zarr", "use warmup sweep --curves"),
        ("run --t-wrm 1:13:13", "give at most 12"),
        ("explain --width 3,4", "--width 3,4: warmup explain takes one value."),
    ],
)
def test_a_list_that_is_none_is_one_sentence(run, folder, line, message):
    found = run(line)
    assert found.code == 2
    assert message in found.err
    assert len(found.err.strip().splitlines()) == 1
    assert not list(folder.glob("*.zarr"))


def test_a_run_of_a_part_is_done_again_bit_for_bit(run, path):
    cell = "width=5,param=mup,optimizer=adam,batch-size=4,eta_trgt=4,t_wrm=4,seed=1"
    found = json.loads(run(f"run --replay {path} --cell {cell} --json").out)
    assert found["result"]["identical"]
    assert found["spec"]["model"]["width"] == 5
    missing = run(f"run --replay {path} --cell width=5,eta_trgt=4,t_wrm=4,seed=1")
    assert missing.code == 2
    assert "--cell without optimizer: give optimizer=…, one of gd, adam" in missing.err
    wrong = run(f"run --replay {path} --cell {cell.replace('=mup', '=ntp')}")
    assert "parameterization=ntp: not on the grid sp, mup" in wrong.err


def test_small_multiples_share_a_scale_and_a_legend(made):
    dataset = made[1].sel(batch_size=0)
    axes = figures.phase_diagram(dataset.sel(optimizer="gd"), color="loss_final")
    assert len(axes) == 4
    assert len({(m.norm.vmin, m.norm.vmax) for ax in axes for m in ax.collections}) == 1
    titles = [ax.get_title() for ax in axes]
    assert titles[0] == "parameterization sp, width 3"
    assert len(set(titles)) == 4
    figure = axes[0].figure
    assert len(figure.legends) == 1
    assert not any(ax.get_legend() for ax in axes)
    with pytest.raises(InputError, match="where"):
        figures.phase_diagram(made[1])


@pytest.mark.parametrize(("x", "y"), [("width", "eta_trgt"), ("eta_trgt", "optimizer")])
def test_any_two_dimensions_are_a_diagram(made, x, y):
    part = made[1].sel(batch_size=0, parameterization="sp", t_wrm=4)
    other = "optimizer" if x == "width" else "width"
    ax = figures.phase_diagram(part.isel({other: [0]}).expand_dims("t_wrm"), x=x, y=y)
    shape = part.sizes[y], part.sizes[x]
    assert ax.collections[0].get_array().shape == shape
    (line,) = ax.lines
    along = line.get_ydata() if y == "eta_trgt" else line.get_xdata()
    lived = part.isel({other: 0})["trainable"].all("seed")
    first = float(np.asarray(along)[0])
    assert (first > 0.5 * 0.5) == bool(lived.isel({x if y == "eta_trgt" else y: 0}).values.any())


def test_plot_draws_what_it_is_told(run, path, folder):
    assert run(f"plot {path} --where batch_size=0,optimizer=gd --figure a.png").code == 0
    line = f"plot {path} --x width --y eta-trgt --rows param --columns optimizer"
    assert run(f"{line} --where t-wrm=4,batch-size=4 --figure b.png").code == 0
    assert {"a.png", "b.png"} <= {file.name for file in folder.iterdir()}
    for more, message in (
        ("", "--where without batch_size"),
        ("--x wdth", "--x wdth: unknown; did you mean width?"),
        ("--x t_wrm", "give each dimension one place"),
        ("--where width=4", "not on the grid 3, 5"),
    ):
        found = run(f"plot {path} {more} --figure c.png")
        assert found.code == 2
        assert message in found.err
    assert not (folder / "c.png").exists()


def test_a_report_has_a_menu_for_every_dimension(run, path):
    pytest.importorskip("bokeh")
    assert run(f"report {path} -o page.html").code == 0
    page = (path.parent / "page.html").read_text()
    assert "Its 128 runs were repeated for this page: they match the store bit" in page
    assert "Also varied: width 3, 5; optimizer gd, adam; batch_size 4, 0" in page
    assert "2 / eta or 38 / eta" in page
    for name in ("width", "optimizer", "batch_size", "parameterization", "eta_trgt"):
        assert f'"title":"{name}' in page
    assert run(f"report {path} --where width=5,optimizer=gd --no-curves -o part.html").code == 0
    part = (path.parent / "part.html").read_text()
    assert "Also varied: batch_size 4, 0; parameterization sp, mup." in part
    assert "32 runs" in part
    assert run(f"report {path} --where t_wrm=4").code == 2


def test_a_selection_is_a_store_of_its_own_spec(path, data):
    dataset, spec, _ = open_store(path)
    part, its = selected(dataset, spec, {"width": 5, "optimizer": "adam"})
    assert its.shape == tuple(part.sizes[name] for name in its.axes)
    assert its.part((0, 0, 1, 1)) == spec.part((1, 1, 1, 1))
    over = {**OVER, "width": [5], "optimizer": {"adam": Adam(beta2=0.9)}}
    assert_same(sim.sweep(MLP(3, 2), data, over=over, **GRID), part.load())


def test_a_handful_of_runs_is_drawn_over_one_another(run, folder):
    line = "run --width 3 --depth 2 --samples 8 --steps 8 --eta-trgt 1 --figure few.png"
    text = run(f"{line} --t-wrm 1,4 --optimizer gd,adam").out
    assert "optimizer gd, t_wrm 1" in text
    assert (folder / "few.png").exists()
    runs = json.loads(run(f"{line} --overwrite --t-wrm 1,4 --json").out)["runs"]
    alone = json.loads(run(f"{line} --overwrite --t-wrm 4 --json").out)["result"]
    assert runs[1]["at"] == {"t_wrm": 4}
    assert runs[1]["result"]["loss_final"] == alone["loss_final"]


def test_compare_draws_each_run_with_its_name(data):
    model = MLP(3, 2)
    runs = [sim.simulate(model, data, optimizer=o, steps=9) for o in (GD(), Adam())]
    loss, sharpness, eta = figures.compare(runs, ["gd", "adam"])
    assert [text.get_text() for text in loss.get_legend().get_texts()] == ["gd", "adam"]
    np.testing.assert_array_equal(loss.lines[1].get_ydata(), runs[1].loss)
    assert len(sharpness.lines) == 5  # two curves, two thresholds, and one for the legend
    assert len(eta.lines) == 2
    for wrong in ({"runs": []}, {"runs": runs, "labels": ["one"]}):
        with pytest.raises(InputError):
            figures.compare(**wrong)
