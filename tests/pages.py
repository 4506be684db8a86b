"""Pages that show code: what stands in their blocks, and what becomes of it when it is typed."""

import os
import re
import subprocess
import sys
from pathlib import Path

from warm import warmup

BLOCK = re.compile(r"^```(\S*)[^\n]*\n(.*?)^```$", re.S | re.M)
# What a page shows of its own: pictures of studies are drawn by those.
PICTURE = re.compile(r"(?<!studies/)pictures/([\w-]+\.png)\)")
WIDEST = 900  # pixels
NUMBER = re.compile(r"[-+]?\d+(?:\.\d*)?(?:e[-+]?\d+)?%?")
ELLIPSIS = "…"
PROMPT, MORE = "$ ", "> "
# A command of ours with nothing in it that only a shell understands: it needs no new process.
PLAIN = re.compile(r"warmup [\w ./,:=-]*")

# Pages show the numbers of one machine; another rounds otherwise, and training amplifies it.
FACTOR = 2.0


def blocks(page):
    """(language, text) of each fenced block of a page."""
    return BLOCK.findall(Path(page).read_text())


def shown(page):
    """The blocks of a page, and its pictures as ("picture", name of the file), in order."""
    text = Path(page).read_text()
    found = [(match.start(), match.groups()) for match in BLOCK.finditer(text)]
    found += [(m.start(), ("picture", m.group(1))) for m in PICTURE.finditer(text)]
    return [piece for _, piece in sorted(found)]


def show_figure(path):
    """What a notebook shows under a cell: its last figure, if no line has made this file."""
    import matplotlib.pyplot as plt

    if not path.exists():
        assert plt.get_fignums(), f"no line above draws {path.name}"
        plt.gcf().savefig(path, dpi=160)
    plt.close("all")


def keep_picture(path, folder):
    """Into the repository: as wide as a page, and of few colours."""
    from PIL import Image

    picture = Image.open(path).convert("RGB")
    width, height = picture.size
    if width > WIDEST:
        picture = picture.resize((WIDEST, round(height * WIDEST / width)), Image.Resampling.LANCZOS)
    picture.quantize(128, dither=Image.Dither.NONE).save(folder / path.name, optimize=True)


def typed(text):
    """(command, lines of output that the page shows) of a block of a terminal."""
    found = []
    for line in text.splitlines():
        if line.startswith(PROMPT):
            found.append((line.removeprefix(PROMPT), []))
        elif line.startswith(MORE) and not found[-1][1]:
            found[-1] = (f"{found[-1][0]}\n{line.removeprefix(MORE)}", [])
        else:
            found[-1][1].append(line)
    return found


def type_block(text, folder):
    """Type a block in one shell; what each command printed, in order. It must not fail."""
    commands = [command for command, _ in typed(text)]
    lines = [command.replace("\\\n", " ") for command in commands]
    if all(PLAIN.fullmatch(line) for line in lines):
        return [warmup(line.removeprefix("warmup "), folder) for line in lines]
    script = "trap 'kill $(jobs -p) 2> /dev/null || true' EXIT\nset -e\n"
    script += "".join(f"{command}\nprintf '\\n@@\\n'\n" for command in commands)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    ran = subprocess.run(
        ["bash", "-c", script], cwd=folder, env={**os.environ, "PATH": path},
        capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    assert ran.returncode == 0, f"{text}\n{ran.stdout}\n{ran.stderr}"
    return [part.removesuffix("\n") for part in ran.stdout.split("\n@@\n")[:-1]]


def first_difference(shown, printed):
    """The first line that a page shows and a command did not print; None if there is none.

    Words are the same, numbers within a factor. A line … stands for any lines, and at the end of a
    line for the rest of it. What is printed last must be shown, or left out by a last ….
    """
    lines, at, skips = [line.rstrip() for line in printed.splitlines()], 0, False
    for line in shown:
        if line == ELLIPSIS:
            skips = True
            continue
        while skips and at < len(lines) and not same(line, lines[at]):
            at += 1
        if at == len(lines) or not same(line, lines[at]):
            return line
        at, skips = at + 1, False
    return None if skips or at == len(lines) else lines[at]


def same(shown, printed):
    """Whether two lines say the same; the first may end in …."""
    ours, theirs = _pieces(shown.rstrip(ELLIPSIS)), _pieces(printed)
    if shown.endswith(ELLIPSIS):
        theirs = theirs[: len(ours)]
    return len(ours) == len(theirs) and all(map(_alike, ours, theirs))


def _pieces(line):
    """Words and numbers, however far apart."""
    return re.findall(rf"{NUMBER.pattern}|[^\s\d+-]+|[+-]", line)


def _alike(ours, theirs):
    if NUMBER.fullmatch(ours) and NUMBER.fullmatch(theirs):
        return close(float(ours.rstrip("%")), float(theirs.rstrip("%")))
    return ours == theirs


def close(a, b):
    """Within the factor, and of one sign."""
    return a == b or (a * b > 0 and 1 / FACTOR <= a / b <= FACTOR)
