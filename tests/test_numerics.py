"""How kernels are compiled and kept, and what they leave alone."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import simulator
from simulator.numerics.jit import kernel

PACKAGE = Path(simulator.__file__).parent


def _python(code, tmp_path, **environment):
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(tmp_path), **environment},
        cwd=tmp_path, capture_output=True, text=True, check=True,
    ).stdout.strip()  # fmt: skip


SLOPE = """
import numpy as np
from simulator.numerics.updates import descend
theta = np.zeros(1)
descend(theta, np.ones(1), 1.0)
print(theta[0])
"""


@pytest.mark.slow
def test_an_edited_kernel_is_never_served_from_the_cache(tmp_path):
    """Numba itself would: it does not look at callees in other files."""
    shutil.copytree(PACKAGE, tmp_path / "simulator")
    cache = {"NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    assert _python(SLOPE, tmp_path, **cache) == "-1.0"
    first = set((tmp_path / "cache").iterdir())
    assert len(first) == 1
    assert _python(SLOPE, tmp_path, **cache) == "-1.0"
    assert set((tmp_path / "cache").iterdir()) == first
    source = tmp_path / "simulator" / "numerics" / "updates.py"
    source.write_text(source.read_text().replace("theta[i] -= eta *", "theta[i] -= 3.0 * eta *"))
    assert _python(SLOPE, tmp_path, **cache) == "-3.0"
    assert len(set((tmp_path / "cache").iterdir())) == 2


TWO_KERNELS = """
import os, shutil
from pathlib import Path
import numpy as np
from simulator.numerics import updates
cache = Path(os.environ["NUMBA_CACHE_DIR"])
theta = np.zeros(1)
updates.descend(theta, np.ones(1), 1.0)
{between}
updates.accumulate(theta, np.ones(1), 1.0, 2.0)
updates.accumulate_squares(theta, np.ones(1), 1.0, 2.0)
print(theta[0], len(list(cache.rglob("*.nbc"))))
"""


def _in_a_cache(path, between=""):
    """What is printed, how many files are kept, and what is complained of."""
    done = subprocess.run(
        [sys.executable, "-c", TWO_KERNELS.format(between=between)],
        env={**os.environ, "NUMBA_CACHE_DIR": str(path)},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    theta, kept = done.stdout.split()
    return float(theta), int(kept), done.stderr


@pytest.mark.slow
def test_without_a_place_to_write_kernels_work_and_one_line_says_so(tmp_path):
    (tmp_path / "file").write_text("")
    theta, kept, complaint = _in_a_cache(tmp_path / "file" / "cache")
    assert (theta, kept) == (3.0, 0)
    assert complaint.count("\n") == 1
    assert "compiled anew by every process" in complaint


@pytest.mark.slow
@pytest.mark.skipif(getattr(os, "geteuid", int)() == 0, reason="root may write anywhere")
def test_a_cache_that_may_only_be_read_is_read(tmp_path):
    full, empty = tmp_path / "full", tmp_path / "empty"
    empty.mkdir()
    assert _in_a_cache(full) == (3.0, 3, "")
    for folder in (empty, full, *full.iterdir()):
        folder.chmod(0o500)
    assert _in_a_cache(full) == (3.0, 3, "")
    theta, kept, complaint = _in_a_cache(empty)
    assert (theta, kept, complaint.count("\n")) == (3.0, 0, 1)
    full.chmod(0o700)


@pytest.mark.slow
def test_a_cache_may_vanish_while_a_program_runs(tmp_path):
    assert _in_a_cache(tmp_path / "a", "shutil.rmtree(cache)") == (3.0, 2, "")
    theta, kept, complaint = _in_a_cache(
        tmp_path / "b", "shutil.rmtree(cache); cache.write_text('')"
    )
    assert (theta, kept, complaint.count("\n")) == (3.0, 0, 1)


@pytest.mark.slow
def test_a_damaged_file_of_the_cache_is_made_again(tmp_path):
    _in_a_cache(tmp_path)
    for file, content in zip(sorted(tmp_path.rglob("*.nbc")), (b"", b"\x80", b"no"), strict=True):
        file.write_bytes(content)
    assert _in_a_cache(tmp_path) == (3.0, 3, "")
    assert all(file.stat().st_size > 100 for file in tmp_path.rglob("*.nbc"))


@pytest.mark.slow
def test_our_cache_directory_is_not_forced_on_other_peoples_kernels(tmp_path):
    shutil.copytree(PACKAGE, tmp_path / "simulator")
    code = f"{SLOPE}\nfrom numba.core import config; print(repr(config.CACHE_DIR))"
    home = {"XDG_CACHE_HOME": str(tmp_path / "home"), "NUMBA_CACHE_DIR": ""}
    assert _python(code, tmp_path, **home) == "-1.0\n''"
    assert list((tmp_path / "home").rglob("kernels-*/*.nbc"))


def test_the_decorator_keeps_nan_and_infinity():
    @kernel
    def quotient(a, b):
        return a / b

    with np.errstate(all="ignore"):
        assert np.isinf(quotient(np.float64(1.0), np.float64(0.0)))
        assert np.isnan(quotient(np.float64(0.0), np.float64(0.0)))


def test_a_nan_passes_through_every_activation():
    from simulator.numerics.activations import CODES, activate

    for code in CODES.values():
        h, slope, bend = np.array([[np.nan, 1.0]] * 3)
        activate(code, h, slope, bend)
        assert np.isnan(h[0])
        assert np.isfinite(h[1])
