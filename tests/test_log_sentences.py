"""What is said of a log is true: of its steps, its gaps, its epochs, and of five rows."""

import re

import numpy as np
import pytest
from log_formats import FORMATS, write

import simulator as sim


class Trained:
    """A warmup of 16 updates, and a loss that falls all the way."""

    loss = 2.3 * np.exp(-np.arange(65) / 24)
    eta = 0.1 * np.minimum(np.arange(1, 66) / 16, 1)


def explained(folder, losses, columns="step,loss", name="log.csv"):
    path = folder / name
    path.write_text(f"{columns}\n" + "".join(f"{at},{loss}\n" for at, loss in enumerate(losses)))
    return sim.explain(path)


@pytest.mark.parametrize(("start", "every"), [(0, 1), (1000, 1), (0, 4), (1000, 4)])
@pytest.mark.parametrize("form", ["csv", "savetxt", "wandb", "lightning", "json_lines"])
def test_updates_are_counted_from_the_first_step(form, start, every, tmp_path):
    story = sim.explain(write(Trained, form, tmp_path, start=start, every=every))
    (updates,) = re.findall(r"in (\d+) updates", story.paragraph)
    # The 16th update is the first of the full learning rate.
    assert abs(int(updates) - 16) <= every


def test_epochs_are_not_updates(tmp_path):
    story = sim.explain(write(Trained, "keras", tmp_path))
    assert story.source.unit == "epoch"
    assert "update" not in story.paragraph
    assert "step" not in story.paragraph


@pytest.mark.parametrize("form", FORMATS)
def test_a_log_of_a_run_that_trains_is_not_one_that_failed(form, tmp_path):
    story = sim.explain(write(Trained, form, tmp_path))
    for false in ("no better than", "diverge", "not recover", "nan", "failed", "stuck"):
        assert false not in story.paragraph
    unknown = "The learning rate is unknown." in story.paragraph
    assert unknown == (form == "tensorboard")


@pytest.mark.parametrize("gaps", [[0], [12], [12, 13, 40], [0, 1, 2, 63]])
def test_a_nan_that_is_survived_is_no_divergence(gaps, tmp_path):
    losses = Trained.loss.copy()
    losses[gaps] = np.nan
    story = explained(tmp_path, losses)
    assert story.curves.outcome != "diverged"
    for false in ("diverge", "not recover", "nan"):
        assert false not in str(story)
    assert "training continues" in str(story.source)


def test_a_nan_that_stays_is_a_divergence(tmp_path):
    losses = [*Trained.loss[:20], 5, 90, "inf", *["nan"] * 10]
    story = explained(tmp_path, losses)
    assert story.curves.outcome == "diverged"
    assert "diverges" in story.paragraph
    assert not story.source.gaps


@pytest.mark.parametrize(
    "losses",
    [
        [2.3, 2.2, 2.1, 1.0, 0.5],
        [2.3, 2.25, 2.3, 2.28, 0.5],
        [2.3, 1.8, 1.2, 0.8, 0.5],
        [*np.linspace(2.3, 2.1, 40), *np.linspace(2.1, 0.5, 10)],
    ],
)
def test_from_230_to_05_is_never_said_not_to_have_trained(losses, tmp_path):
    """The loss of the best constant output is not known of a log."""
    story = explained(tmp_path, losses)
    assert "stuck" not in story.paragraph
    assert "failed" not in story.paragraph
    assert story.curves.outcome != "stuck"


@pytest.mark.parametrize("losses", [[2.3], [2.3, 2.3], [2.3, 2.31, 2.29, 2.3, 2.3]])
def test_five_rows_say_nothing_of_what_training_came_to(losses, tmp_path):
    story = explained(tmp_path, losses)
    assert "stuck" not in story.paragraph
    assert "dead" not in story.paragraph
    assert story.curves.outcome == "unknown"


@pytest.mark.parametrize(("ratio", "said"), [(1.3, "caused by"), (0.3, "not caused by")])
def test_a_spike_is_instability_where_the_curvature_of_the_step_says_so(ratio, said, tmp_path):
    loss = Trained.loss.copy()
    loss[40:44] *= [1.2, 1.6, 1.5, 1.1]
    curvature = np.full(65, 0.2)
    curvature[36:41] = ratio
    rows = zip(range(65), loss, Trained.eta, 2 * curvature / Trained.eta, strict=True)
    path = tmp_path / "probe.csv"
    header = "step,loss,eta,directional_sharpness"
    path.write_text("\n".join([header, *(",".join(map(repr, map(float, row))) for row in rows)]))
    story = sim.explain(path)
    assert f"has 1 spike, {said} instability (step 41)" in story.paragraph
    assert "not measured" not in story.paragraph
    assert [row.event for row in story.rows] == ["spike"]
