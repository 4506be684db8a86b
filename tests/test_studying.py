"""Studies: what a claim is, what is measured once, what is written; and that each holds."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

import simulator as sim
from simulator import files
from simulator.studying import Lab, claim, find_studies, in_median, load_study
from simulator.studying.pages import BEGIN, END, write_page
from simulator.sweeps.origin import numerics

values = st.lists(st.floats(-10, 10), min_size=2, max_size=9)


@given(values, st.floats(-10, 10), st.floats(-10, 10))
def test_a_claim_holds_if_every_seed_lies_within(measured, least, most):
    assert claim("", measured, least, most).holds == all(least <= v <= most for v in measured)


@given(values, st.floats(-10, 10), st.floats(-10, 10))
def test_or_if_the_median_does(measured, least, most):
    assert in_median("", measured, least, most).holds == (least <= np.median(measured) <= most)


@pytest.mark.parametrize("make", [claim, in_median])
def test_a_seed_without_a_number_fails_a_claim(make):
    assert not make("", [1.0, np.nan], most=2).holds
    assert make("", [1.0, np.nan], most=2).spread == (1, 1, 1)


@pytest.mark.parametrize("make", [claim, in_median])
def test_a_claim_about_no_seed_fails(make):
    """Such as those of the networks that train, where none does."""
    assert not make("", [], most=2).holds


SOURCE = '''"""Nothing is measured twice.

By a test.
"""

import xarray as xr

from simulator.figures import new_axes
from simulator.studying import claim


def measure(lab):
    COUNTER.append(1)
    return xr.Dataset({"x": ("seed", [1.0] * lab.count)}, {"seed": list(lab.seeds)})


def claims(found):
    return [claim("one is one", found["x"], 1, 1)]


def draw(found):
    return new_axes()
'''


@pytest.fixture
def study(tmp_path, monkeypatch):
    """A study in a folder of its own, which counts its measurements."""
    numerics()  # of this package, before it seems to be elsewhere
    folder = tmp_path / "package" / "studies"
    folder.mkdir(parents=True)
    monkeypatch.setattr(files, "__file__", str(folder.parent / "simulator" / "files.py"))
    counter = []

    def load(source=SOURCE):
        (folder / "one_thing.py").write_text(source)
        import builtins

        monkeypatch.setattr(builtins, "COUNTER", counter, raising=False)
        return load_study("one-thing")

    return load, counter


def test_what_was_measured_is_kept(study, tmp_path):
    load, counter = study
    lab = Lab(count=2, stores=tmp_path / "stores")
    first, again = load().found(lab), load().found(lab)
    xr.testing.assert_identical(first, again)
    assert len(counter) == 1
    assert first.attrs["seconds"] >= 0


@pytest.mark.parametrize(
    ("old", "new", "measured"),
    [("By a test", "By another", 1), ("one is one", "1 is 1", 1), ("new_axes()", "None", 1),
     ("[1.0]", "[2.0]", 2), ("import xarray", "import numpy\nimport xarray", 2)],
)  # fmt: skip
def test_only_what_could_change_it_measures_again(study, tmp_path, old, new, measured):
    load, counter = study
    lab = Lab(count=2, stores=tmp_path / "stores")
    load().found(lab)
    load(SOURCE.replace(old, new)).found(lab)
    assert len(counter) == measured


@pytest.mark.parametrize("name", ["source", "numpy", "numba"])
def test_other_numerics_measure_again(study, tmp_path, monkeypatch, name):
    """The package's own version stays while its formulas change."""
    load, counter = study
    lab = Lab(count=2, stores=tmp_path / "stores")
    load().found(lab)
    monkeypatch.setattr("simulator.studying.lab.numerics", lambda: numerics() | {name: "other"})
    load().found(lab)
    load().found(lab)
    assert len(counter) == 2


def test_other_seeds_and_data_are_measured_apart(study, tmp_path):
    load, counter = study
    for lab in (Lab(2), Lab(3), Lab(2, quick=True), Lab(2, slice=1), Lab(2, dataset="teacher"),
                Lab(2, first=2)):  # fmt: skip
        load().found(Lab(**{**lab.__dict__, "stores": tmp_path / "stores"}))
    assert len(counter) == 6


def test_a_study_says_what_it_is(study):
    one = study[0]()
    assert (one.name, one.title, one.text) == (
        "one-thing", "Nothing is measured twice", "By a test."
    )  # fmt: skip


def test_a_page_is_written_whole_or_between_its_marks(study, tmp_path):
    one, lab = study[0](), Lab(2)
    results = [(one, one.claims(one.found(lab)), 1.0, tmp_path / "pictures" / "one-thing.png")]
    page = tmp_path / "README.md"
    write_page(page, results, lab)
    assert "## Nothing is measured twice" in page.read_text()
    assert "(pictures/one-thing.png)" in page.read_text()
    write_page(page, results, lab)
    page.write_text(f"before\n{BEGIN}\noutdated\n{END}\nafter\n")
    write_page(page, results, lab)
    text = page.read_text()
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "| [Nothing is measured twice](studies/README.md#one-thing) | 1 of 1 |" in text
    assert "outdated" not in text
    page.write_text("something else")
    with pytest.raises(sim.InputError, match="has no place for the text"):
        write_page(page, results, lab)


@pytest.mark.parametrize(
    ("lab", "line", "used"),
    [(Lab(), "all`", "some"),
     (Lab(first=10, slice=20), "all --first-seed 10 --data-seed 20`", "none"),
     (Lab(first=10), "all --first-seed 10`", "some"),
     (Lab(slice=20), "all --data-seed 20`", "some"),
     (Lab(9, True, "teacher", 20, first=4), "--seeds 9 --first-seed 4 --data teacher", "some")],
)  # fmt: skip
def test_a_page_says_what_was_run_and_whether_tolerances_were_set_on_it(
    study, tmp_path, lab, line, used
):
    one = study[0]()
    page = tmp_path / "README.md"
    write_page(page, [(one, one.claims(one.found(lab)), 1.0, tmp_path / "one-thing.png")], lab)
    text = page.read_text()
    assert line in text
    assert f"seeds {lab.first} to {lab.first + lab.count - 1} and slice {lab.slice}" in text
    assert f"this run uses {used} of them" in text
    assert (
        "tolerances were set on seeds 0 to 9 of slices 0, 1, 2, 3, 4, 5, 6, 7, 11 and on seeds 40"
        in text
    )


def test_the_pages_of_this_repository_use_seeds_and_data_that_no_tolerance_was_set_on():
    page = (Path(__file__).parent.parent / "studies" / "README.md").read_text()
    assert "this run uses none of them" in page.split("##")[0]


@given(st.integers(0, 20), st.integers(1, 9), st.integers(1, 40))
def test_other_seeds_have_other_networks(first, count, each):
    lab, after = Lab(count, first=first), Lab(count, first=first + count)
    assert list(lab.seeds) == list(range(first, first + count))
    assert len(lab.networks(each)) == count * each
    assert lab.networks(each)[-1] + 1 == after.networks(each)[0]


@pytest.mark.parametrize("name", find_studies())
def test_every_study_uses_the_seeds_of_its_lab(name):
    """None counts from 0, and none has a seed of its own."""
    source = load_study(name).source
    assert not re.search(r"range\((lab\.)?count|(?<!isel\()\bseeds?=((lab\.)?count|\d)", source)
    assert re.search(r"lab\.(seeds|networks|first)", source)


def test_parity_has_one_output_of_plus_and_minus_one():
    lab = Lab(slice=3)
    data = lab.parity(50)
    assert data.y.shape == (50, 1)
    np.testing.assert_array_equal(data.y[:, 0], np.where(lab.data(50).y % 2, 1, -1))


def test_every_study_is_listed_with_its_finding(run):
    result = run("study list --json")
    assert result.code == 0
    listed = json.loads(result.out)["studies"]
    assert [one["name"] for one in listed] == list(find_studies())
    assert all(one["title"] and one["text"] for one in listed)
    assert len(listed) >= 4


@pytest.mark.usefixtures("folder")
def test_an_unknown_study_is_refused(run, folder):
    result = run("study run natural-evolutions")
    assert result.code == 2
    assert "did you mean natural-evolution?" in result.err
    assert not list(folder.iterdir())


@pytest.mark.usefixtures("folder")
def test_a_study_of_classes_refuses_data_without(run):
    result = run("study run sgd-diagrams --data teacher --quick")
    assert result.code == 2
    assert result.err.startswith("warmup: --loss xent: needs labels")


# Studies with a claim about the median that one seed alone may miss.
OF_MEDIANS = (
    "adam-diagrams", "adam-spikes", "adam-trajectories", "adam-without-warmup",
    "batch-sharpness", "better-conditioned", "central-flow-under-warmup", "edge-of-stability",
    "edge-of-stability-flow", "greedy-or-edge", "minibatch-limits", "momentum-and-decay",
    "natural-evolution", "robust-tuning", "rounding-sets-the-first-catapult", "saving-maps",
    "warmup-enables-larger-eta", "warmup-stable-decay",
)  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", find_studies())
def test_each_study_holds_quickly(name, seeds):
    count = max(len(seeds), 3 if name in OF_MEDIANS else 1)
    study, lab = load_study(name), Lab(count=count, quick=True)
    found = study.found(lab)
    claims = study.claims(found)
    failed = [c for c in claims if not c.holds]
    assert not failed, [c.as_dict() for c in failed]
    if "seed" in found.dims:  # of one seed there is no spread, which is no reason to fail
        assert len(study.claims(found.isel(seed=[0]))) == len(claims)


PAGE = Path(sim.__file__).parents[1] / "docs" / "toy_and_paper.md"


def test_numbers_beside_the_paper_are_those_of_the_studies():
    """Each minimum, median and maximum stands on its study's page."""
    page = (PAGE.parents[1] / "studies" / "README.md").read_text()
    rows = [line for line in PAGE.read_text().splitlines() if re.search(r"\| [a-z-]+ \|$", line)]
    found = 0
    for row in rows:
        study = row.split("|")[-2].strip()
        section = (
            page.split(f'<a id="{study}"></a>')[-1].split("<a id=")[0] if study != "study" else page
        )
        for numbers in re.findall(r"\[[-+.e\d ]+\]", row):
            assert f"| {numbers} |" in section, row
            found += 1
    assert found > 25
