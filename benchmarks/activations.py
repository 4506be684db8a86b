"""Activations: ns an element, and ours as a ratio to what one would call instead.

``taskset -c 0 python benchmarks/activations.py``. Contestants alternate in one process; a ratio is
the median over rounds, in brackets its lower and upper quartile. Below 1: ours is faster.
"""

import os
import sys

if "OPENBLAS_CORETYPE" in os.environ or os.environ.get("OPENBLAS_NUM_THREADS") != "1":
    environment = {k: v for k, v in os.environ.items() if k != "OPENBLAS_CORETYPE"}
    os.execve(sys.executable, [sys.executable, *sys.argv],
              environment | {"OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"})  # fmt: skip

import math
import time

import numba
import numpy as np
import scipy
from scipy import special
from threadpoolctl import threadpool_info

import simulator as sim
from simulator.numerics import elementary, precision
from simulator.numerics.activations import CODES, activate
from simulator.numerics.jit import kernel

ROUNDS = 31


@kernel
def ours_exp(x, out):
    for i in range(x.size):
        out[i] = precision.exp(x[i])


@kernel
def ours_tanh(x, out):
    for i in range(x.size):
        out[i] = precision.tanh(x[i])[0]


@kernel
def ours_erf(x, out):
    for i in range(x.size):
        out[i] = elementary.erf(x[i])[0]


@kernel
def ours_gelu(x, out):
    for i in range(x.size):
        out[i] = elementary.normal(x[i])[0]


@kernel
def numba_exp(x, out):
    for i in range(x.size):
        out[i] = math.exp(x[i])


@kernel
def numba_tanh(x, out):
    for i in range(x.size):
        out[i] = math.tanh(x[i])


@kernel
def numba_erf(x, out):
    for i in range(x.size):
        out[i] = math.erf(x[i])


@kernel
def numba_gelu(x, out):
    for i in range(x.size):
        out[i] = 0.5 * x[i] * math.erfc(-x[i] * 0.7071067811865476)


@kernel
def scalar_gelu_with_derivatives(h, slope, bend):
    for i in range(h.size):
        z = h[i]
        below = 0.5 * math.erfc(-z * 0.7071067811865476)
        density = 0.3989422804014327 * math.exp(-0.5 * z * z)
        h[i], slope[i], bend[i] = z * below, below + z * density, (2.0 - z * z) * density


def seconds(call, repeat):
    start = time.perf_counter()
    for _ in range(repeat):
        call()
    return (time.perf_counter() - start) / repeat


def compare(title, ours, peers, elements=None, repeat=20):
    """Alternate ``ours`` with each peer; print medians and ratios."""
    for call in (ours, *peers.values()):
        call()
    times = np.array([[seconds(call, repeat) for call in (ours, *peers.values())]
                      for _ in range(ROUNDS)])  # fmt: skip
    scale, unit = (1e9 / elements, "ns") if elements else (1e6, "us")
    medians = np.median(times, axis=0) * scale
    print(f"{title:32s} ours {medians[0]:8.2f} {unit}")
    for name, median, column in zip(peers, medians[1:], times.T[1:], strict=True):
        low, middle, high = np.quantile(times[:, 0] / column, [0.25, 0.5, 0.75])
        print(f"  {name:30s} {median:13.2f} {unit}   ratio {middle:.3f} [{low:.3f}, {high:.3f}]")


def elementwise(size, dtype):
    x = np.random.default_rng(0).normal(0.0, 1.5, size).astype(dtype)
    out = np.empty_like(x)
    compare(
        f"exp {size} {dtype}",
        lambda: ours_exp(x, out),
        {"numpy": lambda: np.exp(x, out=out), "numba": lambda: numba_exp(x, out)},
        size,
    )
    compare(
        f"tanh {size} {dtype}",
        lambda: ours_tanh(x, out),
        {"numpy": lambda: np.tanh(x, out=out), "numba": lambda: numba_tanh(x, out)},
        size,
    )
    compare(
        f"erf {size} {dtype}",
        lambda: ours_erf(x, out),
        {"scipy": lambda: special.erf(x, out=out), "numba": lambda: numba_erf(x, out)},
        size,
    )
    compare(
        f"gelu {size} {dtype}",
        lambda: ours_gelu(x, out),
        {
            "scipy x ndtr": lambda: np.multiply(x, special.ndtr(x, out=out), out=out),
            "numba": lambda: numba_gelu(x, out),
        },
        size,
    )
    h, slope, bend = np.empty((3, size), dtype)

    def ours():
        h[:] = x
        activate(CODES["gelu"], h, slope, bend)

    def scalar():
        h[:] = x
        scalar_gelu_with_derivatives(h, slope, bend)

    compare(f"gelu, slope, bend {size} {dtype}", ours, {"numba": scalar}, size)


def gradients():
    rng = np.random.default_rng(0)
    data = sim.Data(rng.standard_normal((512, 64)), rng.standard_normal((512, 10)))
    calls = {}
    for name in ("tanh", "gelu", "relu"):
        model = sim.MLP(64, 3, name)
        objective, theta = model.bind(data), model.init(data)
        calls[name] = lambda o=objective, t=theta: o.gradient(t, np.empty_like(t))
    relu = {"relu": calls["relu"]}
    compare("gradient, tanh", calls["tanh"], relu, repeat=5)
    compare("gradient, gelu", calls["gelu"], relu, repeat=5)


if __name__ == "__main__":
    blas = {(i["internal_api"], i.get("architecture"), i["num_threads"]) for i in threadpool_info()}
    print(f"numpy {np.__version__}, scipy {scipy.__version__}, numba {numba.__version__}, {blas}")
    for count in (4096, 512 * 64):
        for dtype in ("float64", "float32"):
            elementwise(count, dtype)
    gradients()
