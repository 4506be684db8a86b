"""Figures show what the data says; the pixels are looked at by people."""

import itertools
import re
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest

import simulator as sim
from simulator import figures
from simulator.figures.canvas import describe
from simulator.figures.style import in_style
from simulator.laws import LAWS
from simulator.studying.style import panels

mpl.use("Agg")


@pytest.fixture(scope="module")
def dataset():
    return sim.sweep(
        sim.Quadratic([1.03]),
        eta_trgt=[0.5, 1.0, 1.9, 4.0, 400.0],
        t_wrm=[1, 8],
        seeds=3,
        steps=300,
    )


def test_a_phase_diagram_has_a_cell_for_every_setting(dataset):
    ax = figures.phase_diagram(dataset)
    assert ax.collections[0].get_array().shape == (2, 5)
    assert ax.get_xscale() == ax.get_yscale() == "log"
    assert "trgt" in ax.get_xlabel()
    assert "wrm" in ax.get_ylabel()
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert "trainability boundary" in labels
    assert any(label.startswith("diverged") for label in labels)


def test_failed_cells_carry_no_colour(dataset):
    shown = np.ma.getmaskarray(figures.phase_diagram(dataset).collections[0].get_array())
    np.testing.assert_array_equal(~shown, dataset["trainable"].all("seed").values[0].T)


def test_diverged_and_stuck_cells_differ_without_colour(dataset):
    patches = figures.phase_diagram(dataset).patches
    assert len({(patch.get_hatch(), patch.get_facecolor()) for patch in patches}) <= 2
    assert all(patch.get_hatch() for patch in patches)


def test_the_boundary_line_stands_right_of_the_last_trainable_cell(dataset):
    ax = figures.phase_diagram(dataset)
    right = set(np.round(ax.lines[0].get_xdata(), 9))
    trainable = dataset["trainable"].all("seed").values[0]
    last = trainable[:, 0].sum() - 1
    grid = dataset["eta_trgt"].values
    assert right == {np.round(np.sqrt(grid[last] * grid[last + 1]), 9)}


def test_a_diagram_of_one_cell_can_be_drawn():
    one = sim.sweep(sim.Quadratic([1.0]), eta_trgt=[1.0], steps=3)
    assert figures.phase_diagram(one, color="sharpness_final").get_xlim()[0] > 0


def test_an_unknown_colour_is_refused(dataset):
    for color in ("nonsense", "diverged", "status", "eta_trgt"):
        with pytest.raises(sim.InputError, match="color"):
            figures.phase_diagram(dataset, color=color)


@pytest.mark.parametrize("every", [0, 1, 5])
@pytest.mark.parametrize("eta", [1.0, 2.5, 1e30])
def test_a_trajectory_can_be_drawn_of_any_run(every, eta):
    run = sim.simulate(
        sim.Quadratic([1.0]), schedule=sim.Warmup(eta_trgt=eta, t_wrm=4), steps=40,
        sharpness_every=every,
    )  # fmt: skip
    loss, sharpness, rate = figures.trajectory(run)
    assert loss.get_yscale() == "log"
    assert loss.get_ylabel() == "loss"
    assert "step" in rate.get_xlabel()
    drawn = {line.get_linestyle() for line in sharpness.lines} - {":", "None"}
    assert drawn == ({"-", "--"} if every else set())


@pytest.mark.parametrize("ending", [".png", ".svg", ".pdf"])
def test_the_same_results_make_the_same_file(ending, dataset, tmp_path):
    files = [tmp_path / f"{name}{ending}" for name in "ab"]
    for file in files:
        figures.save(figures.phase_diagram(dataset), file)
    assert files[0].read_bytes() == files[1].read_bytes()


def test_runs_with_only_a_full_sharpness_are_compared_by_it():
    run = sim.simulate(
        sim.MLP(8, 3, "tanh"), sim.load_data("digits", samples=32), steps=20, batch_size=8,
        schedule=sim.Warmup(eta_trgt=0.1), measure=("full",), batch_every=5,
    )  # fmt: skip
    _, sharpness, _ = figures.compare([run])
    drawn = [line.get_ydata() for line in sharpness.lines]
    assert any(np.array_equal(y, run.full_sharpness[::5]) for y in drawn)


# --- one style for all ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def run():
    return sim.simulate(sim.Quadratic([1.0, 0.2]), schedule=sim.Warmup(eta_trgt=1.0), steps=40)


@pytest.fixture(scope="module")
def diverged():
    """The loss falls, rises from step 33 on, and overflows."""
    schedule = sim.Warmup(eta_trgt=3.5, t_wrm=60)
    return sim.simulate(sim.Quadratic([1.0, 0.3]), schedule=schedule, steps=2000)


def wide(dataset):
    """Two diagrams."""
    return dataset.expand_dims(width=[16, 64]).transpose("width", ...)


def law(style):
    with in_style(style):
        axes = figures.new_axes()
        LAWS["warmup-decay"].picture(axes, LAWS["warmup-decay"].generator(0))
        describe(axes, {"law": "warmup-decay"})
        return axes


def study(style):
    with in_style(style):
        axes = panels(3)
        for ax in axes:
            ax.set(xlabel="learning rate over the largest one that trains", title="title")
            ax.set(ylabel=r"sharpness of the run $\lambda_t / \lambda_0$ in the mean")
        describe(axes, {"study": "one"})
        return axes


@pytest.fixture(scope="module")
def kinds(run, diverged, dataset):
    """Every kind of figure, as a function of its style."""
    experiment = {"schedule": sim.Warmup(eta_trgt=1.5, t_wrm=8), "steps": 20}
    flow = sim.central_flow(sim.Quadratic([1.0]), **experiment)
    along = sim.spectra(sim.simulate(sim.Quadratic([1.0, 0.5]), **experiment), 10)
    return {
        "run": lambda style: run.plot(style=style),
        "diverged": lambda style: diverged.plot(style=style),
        "runs": lambda style: figures.compare([run, diverged], style=style),
        "diagram": lambda style: figures.phase_diagram(dataset, style=style),
        "diagrams": lambda style: figures.phase_diagram(wide(dataset), style=style),
        "outcomes": lambda style: figures.phase_diagram(dataset, color="outcome", style=style),
        "flow": lambda style: figures.flow(flow, style=style),
        "spectra": lambda style: figures.spectra(along, style=style),
        "run with spectra": lambda style: figures.with_spectra(along, style=style),
        "law": law,
        "study": study,
    }


def figure_of(axes):
    return np.atleast_1d(axes)[0].figure


def texts(figure):
    """What can be read in a figure, with its place."""
    figure.canvas.draw()
    renderer, hidden = figure.canvas.get_renderer(), _hidden_labels(figure)
    for text in figure.findobj(mpl.text.Text):
        if text.get_visible() and text.get_text().strip() and text not in hidden:
            box = text.get_window_extent(renderer)
            if box.width > 0:
                yield text, box


def _hidden_labels(figure):
    """Ticks beyond the ends of an axis keep labels that are not drawn."""
    hidden = set()
    for axis in itertools.chain(*((ax.xaxis, ax.yaxis) for ax in figure.axes)):
        drawn = axis._update_ticks() if axis.get_visible() else []
        for tick in {*axis.majorTicks, *axis.minorTicks} - {*drawn}:
            hidden |= {tick.label1, tick.label2}
    return hidden


def assert_legible(figure):
    """No text lies over another, or outside the figure."""
    found, frame = list(texts(figure)), figure.bbox.padded(2)
    for text, box in found:
        inside = frame.x0 <= box.x0 and box.x1 <= frame.x1
        inside &= frame.y0 <= box.y0 and box.y1 <= frame.y1
        assert inside, f"{text.get_text()!r} is cut"
        for ax in figure.axes:
            own = text.axes is None or np.allclose(ax.bbox.bounds, text.axes.bbox.bounds)
            over = mpl.transforms.Bbox.intersection(box.shrunk(0.9, 0.75), ax.bbox)
            assert own or over is None or not over.width * over.height, (
                f"{text.get_text()!r} is hid"
            )
    for (a, box), (b, other) in itertools.combinations(found, 2):
        # Boxes have some room around the letters.
        over = mpl.transforms.Bbox.intersection(box.shrunk(0.9, 0.75), other.shrunk(0.9, 0.75))
        assert over is None or not over.width * over.height, f"{a.get_text()!r}, {b.get_text()!r}"


STYLES = {
    "screen": figures.Style(),
    "paper": figures.Style(width=3.25, font_size=8, title=False, caption=True),
}


@pytest.mark.parametrize("style", STYLES.values(), ids=STYLES)
def test_every_kind_of_figure_obeys_its_style_and_can_be_read(kinds, style):
    settings = dict(mpl.rcParams)
    for name, draw in kinds.items():
        figure = figure_of(draw(style))
        assert style.width is None or figure.get_size_inches()[0] == style.width, name
        sizes = [text.get_fontsize() for text, _ in texts(figure)]
        assert max(sizes) <= (style.font_size or 12) * 1.001, name
        assert (figure._supxlabel is not None) == style.caption, name
        try:
            assert_legible(figure)
        except AssertionError as error:
            raise AssertionError(f"{name}: {error}") from None
        plt.close(figure)
    assert dict(mpl.rcParams) == settings


def test_the_styles_of_a_paper_have_the_widths_of_its_columns(run):
    widths = [figure_of(run.plot(style=style)).get_size_inches()[0] for style in figures.STYLES]
    assert widths == [7.0, 3.25, 6.75]
    assert run.plot()[0].get_title()
    assert not run.plot(style="paper")[0].get_title()


@pytest.mark.parametrize(
    ("color", "layout"), [("loss_final", None), ("n_catapults", "constrained"), ("outcome", None)]
)
def test_a_diagram_in_a_small_panel_does_not_collide(dataset, color, layout):
    figure, axes = plt.subplots(1, 2, figsize=(5.0, 2.6), layout=layout)
    if layout is None:
        figure.subplots_adjust(left=0.12, right=0.93, wspace=0.35)
    for ax in axes:
        figures.phase_diagram(dataset, color=color, ax=ax, style=figures.Style(font_size=7))
    assert figure.get_size_inches()[0] == 5.0
    assert_legible(figure)


@pytest.mark.parametrize("wrong", [{"width": 0.5}, {"font_size": np.nan}, {"cmap": "virids"}])
def test_a_style_that_cannot_be_drawn_is_refused(wrong):
    with pytest.raises(sim.InputError, match=next(iter(wrong))):
        figures.Style(**wrong)


def test_an_unknown_style_is_refused(run):
    with pytest.raises(sim.InputError, match="style poster"):
        run.plot(style="poster")


# --- axes -----------------------------------------------------------------------------------------


def sharpened(top):
    """Curves whose sharpness goes from 1 to ``top`` below the threshold."""
    import dataclasses

    run = sim.simulate(sim.Quadratic([1.0]), schedule=sim.Warmup(eta_trgt=0.01), steps=30)
    curve = np.geomspace(1.0, top, 30)[:, None]
    return dataclasses.replace(run, eigenvalues=curve)


@pytest.mark.parametrize(("top", "scale"), [(9.0, "linear"), (11.0, "log")])
def test_the_sharpness_has_a_logarithmic_axis_where_it_spans_more_than_ten(top, scale):
    run = sharpened(top)
    assert figures.compare([run])[1].get_yscale() == scale
    assert run.plot(curvature_axis="absolute")[1].get_yscale() == scale


def test_a_figure_ends_soon_after_a_divergence(diverged):
    end = diverged.diverged_step
    assert end < 500
    for axes in (diverged.plot(), figures.compare([diverged])):
        assert end < axes[-1].get_xlim()[1] < 1.1 * end
        assert axes[0].get_ylim()[1] < 1e4 * diverged.loss[0]


def test_a_catapult_before_a_divergence_is_seen(diverged):
    import dataclasses

    loss = diverged.loss.copy()
    loss[10] = 1e9
    high = dataclasses.replace(diverged, loss=loss).plot()[0].get_ylim()[1]
    assert 1e9 < high < 1e10


# --- colours --------------------------------------------------------------------------------------


def with_values(dataset, color, values):
    """The colours of the six cells that train; ``values`` one for each, of all seeds."""
    changed = dataset.copy(deep=True)
    trained = dataset["trainable"].values
    flat = np.array(changed[color].values)
    where = np.argwhere(trained[0, 0])
    for (x, y), value in zip(where, itertools.cycle(values), strict=False):
        flat[:, 0, x, y] = value
    changed[color] = (changed[color].dims, flat)
    return changed


def bar_of(ax):
    return next(other for other in ax.figure.axes if other is not ax)


@pytest.mark.parametrize(
    ("values", "low", "high"),
    [
        ([1.0, 2.0, 3.0, 4.0, 5.0, 6.0], 1.0, 6.0),
        ([1.0, 2.0, 3.0, 4.0, 5.0, 1e6], 1.0, 5.0),
        ([1e-9, 2.0, 3.0, 4.0, 5.0, 6.0], 2.0, 6.0),
        ([0.0, 2.0, 3.0, 4.0, 5.0, 6.0], 2.0, 6.0),
    ],
)
def test_one_cell_does_not_wash_out_the_scale(dataset, values, low, high):
    ax = figures.phase_diagram(with_values(dataset, "loss_final", values))
    mesh = ax.collections[0]
    assert (mesh.norm.vmin, mesh.norm.vmax) == (low, high)
    assert mesh.colorbar.extend == {(1.0, 6.0): "neither", (1.0, 5.0): "max", (2.0, 6.0): "min"}[
        low, high
    ]  # fmt: skip


def test_counts_have_a_colour_and_a_tick_each(dataset):
    counted = with_values(dataset, "n_catapults", [0, 3, 1])
    ax = figures.phase_diagram(counted, color="n_catapults")
    labels = [text.get_text() for text in bar_of(ax).get_yticklabels()]
    assert labels == ["0", "1", "2", "3"]
    assert len({tuple(color) for color in ax.collections[0].to_rgba([0, 1, 2, 3])}) == 4


def test_of_seeds_that_differ_a_count_is_whole(dataset):
    counted = dataset.copy(deep=True)
    values = np.array(counted["n_catapults"].values)
    values[:] = np.array([0, 5, 2])[:, None, None, None]
    counted["n_catapults"] = (counted["n_catapults"].dims, values)
    shown = figures.phase_diagram(counted, color="n_catapults").collections[0].get_array()
    assert set(shown.compressed()) == {2.0}


def test_outcomes_and_phases_are_words(dataset):
    ax = figures.phase_diagram(dataset, color="outcome")
    labels = {text.get_text() for text in bar_of(ax).get_yticklabels()}
    trained = dataset["outcome"].values[dataset["trainable"].values]
    assert labels == {str(word).replace("_", " ") for word in trained}
    legend = [text.get_text() for text in ax.get_legend().get_texts()]
    assert any(label.startswith("diverged") for label in legend)
    assert figures.phase_diagram(dataset, color="natural_phase")


def test_where_it_diverged_is_the_colour_of_cells_that_did(dataset):
    shown = figures.phase_diagram(dataset, color="diverged_step").collections[0].get_array()
    drawn = ~np.ma.getmaskarray(shown)
    np.testing.assert_array_equal(drawn, dataset["diverged"].all("seed").values[0].T)


# --- symbols --------------------------------------------------------------------------------------


def test_symbols_stand_in_one_place():
    """T_wrm, eta_trgt and so on look alike in every figure."""
    package = Path(sim.__file__).parent
    files = [*package.rglob("*.py"), *(package.parent / "studies").glob("*.py")]
    spelt = re.compile(r"_(?:\\mathrm)?\{+(?:\\mathrm\{+)?(?:wrm|trgt|init|critical)\}")
    found = [path.name for path in files if spelt.search(path.read_text())]
    assert found == ["symbols.py"]
