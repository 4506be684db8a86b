"""Every law holds, on instances it has not seen; and one that is wrong is found out."""

import os
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.pyplot import close
from program import strict_json

from simulator import theory
from simulator.figures import new_axes
from simulator.laws import LAWS, TOPICS
from simulator.laws.law import Law, at_most, equal, law, match


@pytest.fixture(scope="session")
def counted(tmp_path_factory):
    """A folder that all workers share: one file a law, with its instances at seed 1."""
    own = tmp_path_factory.getbasetemp()
    folder = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "instances"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("name", LAWS, ids=lambda name: f"{LAWS[name].topic}-{name}")
def test_every_law_holds(name, seeds, counted):
    """Also that README's number of instances is theirs, in the test that ends last."""
    for seed in seeds:
        finding = LAWS[name].check(1 + seed)
        assert finding.holds, (1 + seed, finding)
        if seed == 0:
            (counted / name).write_text(str(finding.instances))
    texts = [path.read_text() for path in counted.iterdir()]
    if len(texts) == len(LAWS) and all(texts):
        assert _readme_counts() == (len(LAWS), sum(map(int, texts)))


def _readme_counts():
    """Closed forms and instances, of README's row for `warmup theory --seed 1`."""
    text = (Path(__file__).parent.parent / "README.md").read_text()
    row = next(line for line in text.splitlines() if "`warmup theory --seed 1`" in line)
    laws, instances = re.search(r"(\d+) closed forms.* on ([\d,]+) random instances", row).groups()
    return int(laws), int(instances.replace(",", ""))


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in LAWS if LAWS[name].picture])
def test_every_picture_says_what_its_axes_are(name):
    axes = new_axes()
    LAWS[name].picture(axes, LAWS[name].generator(0))
    panels = axes.figure.axes
    assert all(panel.get_ylabel() for panel in panels)
    assert any(panel.get_xlabel() for panel in panels)
    assert any(panel.lines or panel.collections or panel.images for panel in panels)
    close(axes.figure)


@pytest.mark.parametrize("name", LAWS)
def test_every_law_says_what_it_means_in_one_line(name):
    stated = LAWS[name]
    assert stated.name == name
    assert re.fullmatch(r"[a-z0-9-]{4,34}", name)
    assert stated.statement.endswith(".")
    assert len(stated.statement) <= 240
    assert 0 <= stated.tolerance <= 0.5


def test_there_are_laws_of_every_topic_of_theory():
    assert {stated.topic for stated in LAWS.values()} == set(TOPICS) == set(theory.__all__)
    assert len(LAWS) >= 45


def test_instances_are_the_seed_s_and_the_law_s_own():
    numbers = {
        (name, seed): LAWS[name].generator(seed).standard_normal()
        for name in list(LAWS)[:2]
        for seed in (0, 1)
    }
    assert len(set(numbers.values())) == 4
    name = next(iter(LAWS))
    assert LAWS[name].generator(0).standard_normal() == numbers[name, 0]


def _law(reading, tolerance=0.1):
    return Law("made-up", "here", "It is so.", "", tolerance, lambda rng: iter([reading]))


@pytest.mark.parametrize(
    ("reading", "holds", "difference", "agreeing"),
    [
        (equal([1.0, 2.0], [1.05, 2.0]), True, 0.05, 2),
        (equal([1.0, 2.0], [1.2, 2.0]), False, 0.2, 1),
        (equal([0.0], [0.05], scale=1.0), True, 0.05, 1),
        (equal([1.0, 1.0], [1.0, np.nan]), False, np.nan, 1),
        (match([True, False], [True, False]), True, 0.0, 2),
        (match([True, False], [True, True]), False, 1.0, 1),
        (match([3], [4]), False, 1.0, 0),
        (at_most(2.0, [1.0, 2.1]), True, 0.05, 2),
        (at_most(2.0, [1.0, 3.0]), False, 0.5, 1),
        (at_most(2.0, np.nan), False, np.nan, 0),
    ],
)
def test_the_worst_instance_decides(reading, holds, difference, agreeing):
    finding = _law(reading).check()
    assert finding.holds is holds
    assert finding.difference == pytest.approx(difference, nan_ok=True)
    assert finding.agreeing == agreeing
    assert finding.instances == reading.difference.size


def test_a_name_is_taken_once():
    def warmup_decay(rng):
        """It is so."""

    with pytest.raises(ValueError, match="warmup-decay"):
        law(0.1)(warmup_decay)


# --- the command ----------------------------------------------------------------------------------


@pytest.fixture
def two_laws(monkeypatch):
    """Only two laws, one of them false."""
    true = replace(LAWS["warmup-decay"], picture=lambda ax, rng: ax.plot([rng.uniform()]))
    false = replace(_law(equal(2.0, 1.0)), name="nonsense")
    monkeypatch.setattr("simulator.laws.LAWS", {"warmup-decay": true, "nonsense": false})


@pytest.mark.usefixtures("two_laws", "folder")
def test_the_table_names_what_fails_and_the_exit_code_says_so(run):
    result = run("theory")
    assert result.code == 1
    assert re.search(r"nonsense +1 += +2 +5.0e-01 +1e-01 +FAILS", result.out)
    assert re.search(r"warmup-decay .*holds", result.out)
    assert "1 fail: nonsense." in result.out


@pytest.mark.usefixtures("two_laws")
def test_one_law_is_stated_measured_and_drawn(run, folder):
    result = run("theory --law warmup-decay")
    assert result.code == 0
    assert LAWS["warmup-decay"].statement in result.out
    assert "Verdict     holds" in result.out
    assert [path.name for path in folder.iterdir()] == ["warmup-decay.png"]
    assert run("theory --law nonsense").code == 1
    assert len(list(folder.iterdir())) == 1


@pytest.mark.usefixtures("two_laws", "folder")
def test_a_program_reads_the_same_as_json(run):
    document = strict_json(run("theory --json --seed 3").out)
    assert (document["command"], document["seed"], document["holding"]) == ("theory", 3, 1)
    assert document["failing"] == ["nonsense"]
    first = document["laws"][0]
    assert {"name", "topic", "statement", "predicted", "measured", "difference"} <= set(first)
    assert first["holds"] is True
    assert first["difference"] <= first["tolerance"]
