"""A figure's file says what it shows; a command that draws loses no figure, whatever it shows."""

import re
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from PIL import Image
from program import GRID, QUADRATIC

import simulator as sim
from simulator import figures, files
from simulator.commands import warmup
from simulator.commands.study import run_studies

pytestmark = pytest.mark.usefixtures("folder")

RUN = f"run {QUADRATIC} --eta-trgt 1"
# A line for each command that draws, its default figure, and what makes it show something else.
LINES = {
    "run": (RUN, "run.png", "--eta-init 0.1"),
    "several runs": (f"{RUN} --t-wrm 1,4", "run.png", "--eta-init 0.1"),
    "a fork": (f"{RUN} --fork-at 4", "run.png", "--fork-eta 2"),
    "sweep": (f"sweep {QUADRATIC} {GRID} -o new.zarr --overwrite", "new.png", None),
    "plot": ("plot store.zarr", "store.png", None),
    "explain": (f"explain {QUADRATIC} --eta-trgt 1", "explain.png", "--seed 1"),
    "a log": ("explain log.csv", "explain.png", "--optimizer adam"),
    "flow": (f"flow {QUADRATIC} --eta-trgt 1", "flow.png", "--seed 1"),
    "theory": ("theory --law warmup-decay", "warmup-decay.png", "--seed 1"),
    "study": ("study run a-study --seeds 1", "studies-found/a-study.png", "--first-seed 1"),
}
STUDY = '''"""Something is drawn.

By a test.
"""

import xarray as xr

from simulator.studying import claim
from simulator.studying.style import panels


def measure(lab):
    return xr.Dataset({"x": ("seed", [1.0] * lab.count)}, {"seed": list(lab.seeds)})


def claims(found):
    return [claim("one is one", found["x"], 1, 1)]


def draw(found):
    return panels(2)
'''


@pytest.fixture
def prepared(run, folder, monkeypatch):
    """A store, a log and a study."""
    assert run(f"sweep {QUADRATIC} {GRID} --output store.zarr --figure first.png").code == 0
    Path("first.png").unlink()
    Path("log.csv").write_text("step,loss,eta\n" + "".join(f"{i},{9 - i},0.1\n" for i in range(9)))
    (folder / "studies").mkdir()
    (folder / "studies" / "a_study.py").write_text(STUDY)
    monkeypatch.setattr(files, "__file__", str(folder / "simulator" / "files.py"))


def test_every_command_that_draws_is_here():
    known = {name for name, command in warmup.commands.items() if _draws(command)}
    assert known <= {*LINES}
    assert _draws(run_studies)


def _draws(command):
    return any(parameter.name == "style" for parameter in command.params)


@pytest.mark.usefixtures("prepared")
@pytest.mark.parametrize("kind", LINES)
def test_no_figure_is_lost(run, kind):
    line, name, other = LINES[kind]
    figure = Path(name)
    figure.parent.mkdir(exist_ok=True)
    kept = line.replace(" --overwrite", "")

    # What is there under the default name stays.
    figure.write_bytes(b"mine")
    assert run(line if kind != "sweep" else kept).code == 0
    free = figure.with_stem(f"{figure.stem}-2")
    assert figure.read_bytes() == b"mine"
    assert _about(free)

    # The same thing again, in another style, replaces the figure of it, and says so.
    before = free.read_bytes()
    again = run(f"{kept} --resume --style paper" if kind == "sweep" else f"{line} --style paper")
    assert again.code == 0
    assert f"Replaced {free}." in again.err
    assert free.read_bytes() != before
    if other is not None:
        assert run(f"{line} {other}").code == 0
        assert figure.with_stem(f"{figure.stem}-3").exists()

    # --overwrite replaces whatever is there.
    done = run(line if kind == "sweep" else f"{line} --overwrite")
    assert done.code == 0
    assert f"Replaced {figure}." in done.err
    assert _about(figure) == _about(free)


@pytest.mark.usefixtures("prepared")
@pytest.mark.parametrize("kind", sorted({*LINES} - {"study", "sweep"}))
def test_a_name_that_was_typed_is_refused_if_something_else_is_there(run, folder, kind):
    Path("mine.png").write_bytes(b"mine")
    before = sorted(folder.rglob("*"))
    result = run(f"{LINES[kind][0]} --figure mine.png")
    assert result.code == 2
    assert result.err.startswith("warmup: --figure mine.png: exists")
    assert "--overwrite" in result.err
    assert Path("mine.png").read_bytes() == b"mine"
    assert sorted(folder.rglob("*")) == before


def test_a_figure_of_a_store_that_grows_is_replaced(run):
    assert run(f"sweep {QUADRATIC} {GRID} -o a.zarr").code == 0
    grown = run(f"sweep {QUADRATIC} {GRID.replace('0.5', '0.5,0.75')} -o a.zarr --grow")
    assert grown.code == 0
    assert "Replaced a.png." in grown.err
    assert not Path("a-2.png").exists()


def _about(path):
    """Title and description, as a reader of this format finds them."""
    if path.suffix == ".png":
        text = Image.open(path).text
        return text["Title"], text["Description"].replace(" --overwrite", "").split("\ncommand")[0]
    text = path.read_bytes().decode("latin-1")
    if path.suffix == ".svg":
        found = (
            re.search(f"<dc:{name}>(.*?)<", text, re.S)[1] for name in ("title", "description")
        )
    else:
        found = (
            re.search(rf"/{name} \((.*?)(?<!\\)\)", text, re.S)[1] for name in ("Title", "Subject")
        )
    return tuple(re.sub(r"\\([()])", r"\1", one).replace("\\n", "\n") for one in found)


@pytest.mark.parametrize("ending", [".png", ".svg", ".pdf"])
def test_the_file_names_model_optimizer_seed_and_command_but_no_folder(run, folder, ending):
    path = folder / f"a{ending}"
    assert run(f"{RUN} --optimizer momentum --seed 7 --figure {path}").code == 0
    title, text = _about(path)
    assert title == "Quadratic(), Momentum(), seed 7"
    for line in ("model: Quadratic", "optimizer: Momentum()", "seed: 7", "steps: 8", "eta_trgt: 1"):
        assert line in text
    assert str(folder).encode() not in path.read_bytes()
    if ending != ".png":
        assert f"command: warmup {RUN} --optimizer momentum --seed 7 --figure a{ending}" in text
    else:
        said = Image.open(path).text["Description"]
        assert said.endswith(f"command: warmup {RUN} --optimizer momentum --seed 7 --figure a.png")


def test_python_says_the_same_of_a_run_and_of_a_sweep(folder):
    run = sim.simulate(sim.Quadratic([2.0]), optimizer=sim.Adam(beta1=0.5), steps=4, seed=3)
    figures.save(run.plot(), "run.png")
    assert _about(folder / "run.png")[0] == "Quadratic(curvatures=(2.0,)), Adam(beta1=0.5), seed 3"
    dataset = sim.sweep(sim.Quadratic([1.0]), eta_trgt=[0.5, 1.0], seeds=2, steps=4)
    figures.save(figures.phase_diagram(dataset), "sweep.svg")
    title, text = _about(folder / "sweep.svg")
    assert title == "Quadratic(), GD(), seed 0,1"
    assert "eta_trgt: 0.5,1" in text


def test_fonts_of_a_pdf_are_no_type_3_and_text_of_an_svg_is_text(folder):
    run = sim.simulate(sim.Quadratic([1.0]), steps=4)
    for name in ("a.pdf", "a.svg"):
        figures.save(run.plot(), name)
    pdf, svg = Path("a.pdf").read_bytes(), Path("a.svg").read_text()
    assert b"/Type3" not in pdf
    assert b"/CIDFontType2" in pdf
    assert re.search("<text[^>]*>loss</text>", svg)
    assert mpl.rcParams["pdf.fonttype"] == mpl.rcParamsDefault["pdf.fonttype"]
    assert mpl.rcParams["svg.hashsalt"] is None


@pytest.mark.parametrize(
    ("typed", "option"),
    [
        ("--style poster", "--style"), ("--fig-width 0.1", "--fig-width"),
        ("--fig-width nan", "--fig-width"), ("--font-size 0", "--font-size"),
        ("--cmap virids", "--cmap"),
    ],
)  # fmt: skip
def test_a_look_that_cannot_be_is_refused_before_the_work(run, folder, typed, option):
    result = run(f"{RUN} {typed}")
    assert result.code == 2
    assert result.err.startswith(f"warmup: {option} {typed.split()[1]}")
    assert not list(folder.iterdir())


def test_options_of_the_look_reach_the_file(run):
    line = f"{RUN} --style paper --fig-width 4 --font-size 6 --title --caption --figure a.svg"
    assert run(line).code == 0
    text = Path("a.svg").read_text()
    assert 'width="288pt"' in text
    assert ">no catapult<" in text
    assert text.count("Quadratic(), GD(), seed 0") == 3  # metadata, title, corner
    sizes = {float(size) for size in re.findall(r"font(?:-size)?: (?:\w+ )*([\d.]+)px", text)}
    assert np.isclose(max(sizes), 6)
