"""Figures show what the data says; the pixels are looked at by people."""

import matplotlib as mpl
import numpy as np
import pytest

import simulator as sim
from simulator import figures

mpl.use("Agg")


@pytest.fixture
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
    for color in ("nonsense", "outcome"):
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
