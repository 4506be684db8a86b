"""What the documentation shows is what happens: every command and every snippet, typed in order."""

import contextlib
import importlib.util
import io
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from pages import (
    BLOCK,
    MORE,
    PROMPT,
    blocks,
    close,
    first_difference,
    keep_picture,
    same,
    show_figure,
    shown,
    type_block,
    typed,
)

from simulator.laws import LAWS

ROOT = Path(__file__).parents[1]
PAGES = sorted(path for path in (ROOT / "docs").rglob("*.md") if "made" not in path.parts)
PICTURES = ROOT / "docs" / "pictures"
# A shell's lines that are no output of ours: how to install, what to submit elsewhere.
MADE_BY_SPHINX = ("search.html", "genindex.html", "py-modindex.html")
SILENT = ("pip install", "marimo run", "marimo edit")


def name(path):
    return path.relative_to(ROOT).as_posix()


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=name)
def test_a_page_is_true(page, tmp_path, monkeypatch, pytestconfig):
    """In one folder and one namespace, from top to bottom; its pictures are drawn by its lines."""
    if "import torch" in page.read_text():
        pytest.importorskip("torch", reason="needs PyTorch: pip install -e '.[torch]'")
    monkeypatch.chdir(tmp_path)
    space, before = {"__name__": "page"}, ""
    for language, text in shown(page):
        if language == "python":
            with contextlib.redirect_stdout(io.StringIO()) as printed:
                exec(compile(text, name(page), "exec"), space)
        elif (language, before) == ("text", "python"):  # what its lines have printed
            difference = first_difference(text.splitlines(), printed.getvalue())
            assert difference is None, f"shown: {difference}\n{printed.getvalue()}"
        elif language == "picture":
            show_figure(tmp_path / text)
            assert (PICTURES / text).exists() or pytestconfig.getoption("--pictures")
            if pytestconfig.getoption("--pictures"):
                keep_picture(tmp_path / text, PICTURES)
        elif language == "console":
            for (command, expected), printed in zip(
                typed(text), type_block(text, tmp_path), strict=True
            ):
                difference = first_difference(expected, printed)
                assert difference is None, f"$ {command}\nshown: {difference}\n{printed}"
        before = language


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_nothing_that_could_be_run_is_left_out(page):
    before = ""
    for language, text in blocks(page):
        if language == "":
            assert all(line.startswith(SILENT) for line in text.splitlines() if line), text
        else:
            assert language in ("python", "console", "text", "{eval-rst}", "{toctree}", "{include}")
            assert language != "text" or before == "python" or "warmup" not in text
        before = language


def test_each_example_takes_five_lines():
    """Of Python or of a shell; imports are not counted."""
    page = ROOT / "docs" / "gallery.md"
    _, *examples = re.split(r"^## ", page.read_text(), flags=re.M)
    assert [int(example.split(".")[0]) for example in examples] == [*range(1, 16)]
    for example in examples:
        for language, text in BLOCK.findall(example):
            starts = (PROMPT, MORE) if language == "console" else ("",)
            lines = [line for line in text.splitlines() if line.startswith(starts) and line]
            lines = [line for line in lines if not line.startswith(("import ", "from "))]
            assert language == "text" or 1 <= len(lines) <= 5, example
            assert all(len(line) <= 100 for line in lines)


# --- what makes a difference -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shown", "printed"),
    [
        ("Loss 0.5 at first", "Loss   0.51 at first"),
        ("eta 3 …", "eta 3, and more: 7"),
        ("Verdict holds", "Verdict holds  "),
        ("(1e-3)", "(0.0011)"),
        ("94.5%", "93%"),
    ],
)
def test_lines_that_say_the_same(shown, printed):
    assert same(shown, printed)


@pytest.mark.parametrize(
    ("shown", "printed"),
    [
        ("Loss 0.5 at first", "Loss 5 at first"),
        ("Loss 0.5 at first", "Loss 0.5 at last"),
        ("Loss -0.5", "Loss 0.5"),
        ("Outcome stuck …", "Outcome stable: trained"),
        ("a 1", "a 1 2"),
        ("a 1", "a"),
    ],
)
def test_lines_that_do_not(shown, printed):
    assert not same(shown, printed)


def test_what_a_page_may_leave_out_and_what_not():
    printed = "one\ntwo\nthree\n"
    assert first_difference(["one", "…", "three"], printed) is None
    assert first_difference(["…"], printed) is None
    assert first_difference(["one", "…", "four"], printed) == "four"
    assert first_difference(["one", "three"], printed) == "three"
    assert first_difference(["one", "two"], printed) == "three"
    assert first_difference([], "") is None
    assert close(0.0, 0.0)
    assert not close(0.0, 1.0)


def test_a_line_that_fails_fails_the_page(tmp_path):
    with pytest.raises(AssertionError, match="nonsense"):
        type_block("$ echo fine\nfine\n$ warmup nonsense\n", tmp_path)
    assert type_block("$ cat > x <<'END'\n> a\n> END\n$ cat x\na\n", tmp_path) == ["", "a"]


# A picture that takes no time; the laws' are drawn by `test_laws`.
PLACEHOLDER, DRAWN = PICTURES / "tour.png", "warmup-decay"


@pytest.mark.slow
def test_the_site_is_built_without_a_warning_and_its_links_lead_somewhere(tmp_path):
    """Links between pages, and to places in them; Sphinx itself follows those to names."""
    from html.parser import HTMLParser

    if importlib.util.find_spec("sphinx") is None:
        pytest.skip("needs Sphinx: pip install -e '.[docs]'")
    for part in ("docs", "studies"):
        leave = shutil.ignore_patterns("made", "__pycache__", "stores")
        shutil.copytree(ROOT / part, tmp_path / part, ignore=leave)
    shutil.copy(ROOT / "README.md", tmp_path)
    pictures = tmp_path / "docs" / "made" / "laws"
    pictures.mkdir(parents=True)
    for law in LAWS.values():
        if law.picture is not None and law.name != DRAWN:
            shutil.copy(PLACEHOLDER, pictures / f"{law.name}.png")
    site = tmp_path / "site"
    build = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-d", tmp_path / "trees"]
    ran = subprocess.run([*build, tmp_path / "docs", site], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert (pictures / f"{DRAWN}.png").read_bytes() != PLACEHOLDER.read_bytes()

    class Page(HTMLParser):
        def __init__(self, path):
            super().__init__()
            self.ids, self.links = set(), []
            self.feed(path.read_text())

        def handle_starttag(self, tag, attributes):
            found = dict(attributes)
            self.ids.add(found.get("id"))
            self.links += [link for key in ("href", "src") if (link := found.get(key))]

    pages = {path: Page(path) for path in site.rglob("*.html")}
    assert len(pages) > 20
    for path, page in pages.items():
        for link in page.links:
            target, _, place = link.partition("#")
            if (
                "://" in link
                or link.startswith("data:")
                or path.name in ("search.html", "genindex.html")
            ):
                continue
            found = (path.parent / target.partition("?")[0]).resolve() if target else path
            assert found.exists(), f"{path.name}: {link}"
            assert not place or place in pages[found].ids, f"{path.name}: {link}"
    # Nothing is fetched from elsewhere to show a page.
    for page in pages.values():
        assert not [link for link in page.links if "://" in link and link.endswith((".js", ".css"))]
