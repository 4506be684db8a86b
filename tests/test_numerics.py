"""How kernels are compiled and kept, and what they leave alone."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numba.core.errors import TypingError

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


def test_views_and_products_are_not_compiled_for_arrays_in_another_order():
    """They would read the wrong numbers, without a check."""
    from simulator.numerics.linalg import dot
    from simulator.numerics.views import matrix

    @kernel
    def first(array):
        return matrix(array, 0, 1, 1)[0, 0]

    @kernel
    def square(array):
        return dot(array, array)

    a = np.arange(6.0).reshape(2, 3)
    assert (first(a), square(a[1])) == (0.0, 50.0)
    for call, array in ((first, a.T), (square, a[:, 1])):
        with pytest.raises(TypingError, match="C order"):
            call(array)


def test_a_nan_passes_through_every_activation():
    from simulator.numerics.activations import CODES, activate

    @kernel
    def activated(code, h, slope, bend):
        activate(code, h, slope, bend, 1.0)

    for code in CODES.values():
        h, slope, bend = np.array([[np.nan, 1.0]] * 3)
        activated(code, h, slope, bend)
        assert np.isnan(h[0])
        assert np.isfinite(h[1])
