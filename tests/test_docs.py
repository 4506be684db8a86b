"""What the documentation shows is what happens: every command and every snippet, typed in order."""

import contextlib
import importlib.util
import io
import re
import runpy
import shutil
import subprocess
import sys
from email.message import Message
from html.parser import HTMLParser
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

import simulator as sim
from simulator.laws import LAWS

ROOT = Path(__file__).parents[1]
PAGES = sorted(path for path in (ROOT / "docs").rglob("*.md") if "made" not in path.parts)
PICTURES = ROOT / "docs" / "pictures"
MADE_BY_SPHINX = ("search.html", "genindex.html", "py-modindex.html")
# Commands without output of ours: installing, and what runs elsewhere or until Ctrl-C.
SILENT = ("pip install", "marimo edit", "warmup lab")


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


def test_the_headings_of_troubleshooting_are_what_its_lines_print():
    """Ten errors; the one of pip names the Pythons that this package needs."""
    text = (ROOT / "docs" / "troubleshooting.md").read_text()
    requires = re.search(r'^requires-python = "(.*)"$', (ROOT / "pyproject.toml").read_text(), re.M)
    sections = re.split(r"^## `(.*)`$", text, flags=re.M)[1:]
    assert len(sections) == 2 * 10 == 2 * text.count("\n## ")
    for message, section in zip(sections[::2], sections[1::2], strict=True):
        shown = [
            line for _, text in BLOCK.findall(section) for _, out in typed(text) for line in out
        ]
        assert any(message in line for line in shown) or message.endswith(f"not in '{requires[1]}'")


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


class HtmlPage(HTMLParser):
    """Ids and links of a page, its entries in the side bar, its signatures, and its tables."""

    def __init__(self, path):
        super().__init__()
        self.ids, self.links, self.entries, self.signatures = set(), [], [], []
        self.names, self.tables, self.wrapped = set(), 0, 0
        self._into = None
        self.feed(path.read_text())

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        classes = (found.get("class") or "").split()
        self.ids.add(found.get("id"))
        self.names.add(found.get("name"))
        self.links += [link for key in ("href", "src") if (link := found.get(key))]
        self.tables += tag == "table"
        self.wrapped += "table-wrapper" in classes
        if tag == "a" and "reference" in classes and self._into == "tree":
            self.entries.append("")
            self._into = "entry"
        elif tag == "dt" and "sig" in classes:
            self.signatures.append("")
            self._into = "signature"
        elif "sidebar-tree" in classes:
            self._into = "tree"

    def handle_endtag(self, tag):
        if (self._into, tag) in (("tree", "div"), ("signature", "dt")):
            self._into = None
        elif (self._into, tag) == ("entry", "a"):
            self._into = "tree"

    def handle_data(self, data):
        if self._into == "entry":
            self.entries[-1] += data
        elif self._into == "signature":
            self.signatures[-1] += data


@pytest.mark.slow
def test_the_site_is_built_without_a_warning_and_its_links_lead_somewhere(tmp_path):
    """Links between pages, and to places in them; Sphinx itself follows those to names."""
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

    pages = {path: HtmlPage(path) for path in site.rglob("*.html")}
    assert len(pages) > 20
    for path, page in pages.items():
        for link in page.links:
            target, _, place = link.partition("#")
            if "://" in link or link.startswith("data:") or path.name in MADE_BY_SPHINX:
                continue
            found = (path.parent / target.partition("?")[0]).resolve() if target else path
            assert found.exists(), f"{path.name}: {link}"
            assert not place or place in pages[found].ids, f"{path.name}: {link}"
    # Nothing is fetched from elsewhere to show a page.
    for page in pages.values():
        assert not [link for link in page.links if "://" in link and link.endswith((".js", ".css"))]
    check_reading(site, pages)


def check_reading(site, pages):
    """What a reader meets: the version, one name a page, short types, code to copy, a phone."""
    index = (site / "index.html").read_text()
    assert f"warmup {sim.__version__}</" in index
    assert "<pre>pip install " in re.sub("<span.*?>|</span>", "", index)
    entries = pages[site / "index.html"].entries
    assert len(entries) == len(set(entries)) > 30
    for path, page in pages.items():
        assert "viewport" in page.names
        if path.name not in MADE_BY_SPHINX:
            assert page.tables == page.wrapped, f"{path.name}: a wide table must scroll by itself"
            assert any("copybutton.js" in link for link in page.links), path.name
    assert not list((site / "_static").rglob("*.py"))
    shown = [" ".join(text.split()) for page in pages.values() for text in page.signatures]
    (simulate,) = (text for text in shown if text.startswith("simulator.simulate("))
    for part in ("steps: int = 512", "theta0: ArrayLike | None = None", "→ Run"):
        assert part in simulate
    for text in shown:
        assert not re.search(r"\b_[A-Z]|ForwardRef|ndarray\[|numpy\.", text)


@pytest.mark.parametrize(
    "urls", [[], ["Source, https://example.org/a", "Issues, https://example.org/b, c"]]
)
def test_the_site_links_to_the_addresses_that_the_metadata_has(urls, monkeypatch):
    pytest.importorskip("sphinx", reason="needs Sphinx: pip install -e '.[docs]'")
    found = Message()
    for url in urls:
        found["Project-URL"] = url
    monkeypatch.setattr("importlib.metadata.metadata", lambda name: found)
    monkeypatch.setattr(sys, "path", list(sys.path))
    options = runpy.run_path(str(ROOT / "docs" / "conf.py"))["html_theme_options"]
    links = [f"{icon['name']}, {icon['url']}" for icon in options["footer_icons"]]
    assert links == urls
