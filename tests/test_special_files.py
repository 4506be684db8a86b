"""Named pipes, sockets, devices and folders where a file belongs are refused in one line."""

import os
import socket
from pathlib import Path

import pytest
from program import GRID, QUADRATIC, assert_refused

pytestmark = [
    pytest.mark.usefixtures("folder"),
    pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no named pipes"),
]

SWEEP = f"sweep {QUADRATIC} {GRID}"
RUN = f"run {QUADRATIC} --t-wrm 1"
# Each line, the ending that its file needs, and the option that the refusal names.
READ = [
    ("run --data {}", ".npz", "--data"),
    ("sweep --data {} -o a.zarr", ".npz", "--data"),
    ("critical --data {}", ".npz", "--data"),
    ("study run momentum --data {}", ".npz", "--data"),
    ("run --config {}", ".toml", "--config"),
    ("plot store.zarr --config {}", ".toml", "--config"),
    ("explain {}", ".csv", "source"),
    ("explain {}", "", "source"),
    ("info {}", ".zarr", "store"),
    ("plot {}", ".zarr", "store"),
    ("report {}", ".zarr", "store"),
    ("run --replay {} --cell eta_trgt=0.5,t_wrm=1", ".zarr", "--replay"),
]
WRITTEN = [
    (RUN + " --figure {}", ".png", "--figure"),
    (SWEEP + " --figure {} -o a.zarr", ".svg", "--figure"),
    ("plot store.zarr --figure {}", ".pdf", "--figure"),
    ("explain --figure {}", ".png", "--figure"),
    ("theory --law warmup-decay --figure {}", ".png", "--figure"),
    ("report store.zarr -o {}", ".html", "--output"),
    ("study run momentum --page {}", ".md", "--page"),
    ("study run momentum -o {}", "", "--output"),
    ("study run momentum --figures {}", "", "--figures"),
    (SWEEP + " -o {}", ".zarr", "--output"),
    (SWEEP + " -o {} --resume", ".zarr", "--output"),
    (SWEEP + " -o {} --grow", ".zarr", "--output"),
    (SWEEP + " -o {} --overwrite", ".zarr", "--output"),
    (RUN + " -o {}", ".zarr", "--output"),
]


def special(name, kind):
    """Make something that is no file."""
    if kind == "pipe":
        os.mkfifo(name)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as endpoint:
            endpoint.bind(name)
    elif kind == "device":
        Path(name).symlink_to("/dev/null")
    else:
        Path(name).mkdir()


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize("kind", ["pipe", "socket", "device", "folder"])
@pytest.mark.parametrize(("line", "ending", "option"), READ + WRITTEN)
def test_what_is_no_file_is_refused_in_one_line(run, folder, kind, line, ending, option):
    if kind == "folder" and line.startswith("study") and not ending:
        pytest.skip("a folder is what belongs there")
    name = f"special{ending}"
    special(name, kind)
    before = sorted(folder.rglob("*"))
    assert_refused(run(line.format(name)), option, name)
    assert sorted(folder.rglob("*")) == before
