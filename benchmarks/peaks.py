"""The limits of one core: fused multiply-adds, and BLAS multiplies of an MLP's shapes, in GFlop/s.

``fma``: every lane of every vector unit busy with independent chains in registers. ``square``: the
multiply that flatters a BLAS most. The rest: all multiplies of one gradient of a network, with the
shapes and transposes of `simulator.numerics.dense` and nothing in between, called from Numba, as
the product calls them. A gradient cannot be faster than its multiplies; `gradient.py` asks how
close it comes.
"""

from __future__ import annotations

import contest  # first: it sets the environment

# isort: split
from itertools import pairwise
from typing import Any

import numba
import numpy as np
from numba.core.extending import intrinsic

SHAPES = (
    (32, (16, 16, 16, 1)),
    (128, (64, 32, 32, 10)),
    (512, (64, 64, 64, 10)),
    (512, (64, 128, 128, 10)),
)
_CHAIN = 16


@intrinsic
def _fma(context: Any, a: Any, b: Any, c: Any) -> Any:
    """Like `simulator.numerics.fused.fma`, in the precision of its arguments."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.fma(*arguments)

    return a(a, a, a), generate


@numba.njit
def _chains(x: Any, factor: Any, term: Any, times: int) -> None:
    for _ in range(times):
        for i in range(x.size):
            value = x[i]
            for _ in range(_CHAIN):
                value = _fma(value, factor, term)
            x[i] = value


@numba.njit
def multiplies(theta: Any, x: Any, widths: Any, hidden: Any, error: Any, out: Any) -> None:
    """Every matrix multiply of `dense.gradient`; ``hidden`` and ``error`` as long as its tape.

    They end with the output layer's, so ``error`` stands for both error and delta.
    """
    samples, layers = x.shape[0], widths.size - 1
    h, at, tape = x, 0, 0
    for layer in range(layers):
        fan_in, fan_out = widths[layer], widths[layer + 1]
        w = theta[at : at + fan_in * fan_out].reshape(fan_in, fan_out)
        z = hidden[tape : tape + samples * fan_out].reshape(samples, fan_out)
        np.dot(h, w, z)
        h, at, tape = z, at + fan_in * fan_out, tape + samples * fan_out
    for layer in range(layers - 1, -1, -1):
        fan_in, fan_out = widths[layer], widths[layer + 1]
        at -= fan_in * fan_out
        gw = out[at : at + fan_in * fan_out].reshape(fan_in, fan_out)
        d = error[tape - samples * fan_out : tape].reshape(samples, fan_out)
        tape -= samples * fan_out
        if layer == 0:
            np.dot(x.T, d, gw)
        else:
            below = slice(tape - samples * fan_in, tape)
            np.dot(hidden[below].reshape(samples, fan_in).T, d, gw)
            w = theta[at : at + fan_in * fan_out].reshape(fan_in, fan_out)
            np.dot(d, w.T, error[below].reshape(samples, fan_in))


def flops(samples: int, widths: tuple[int, ...]) -> int:
    """Of all multiplies of a gradient: three a layer, but two for the first."""
    return 6 * samples * sum(a * b for a, b in pairwise(widths)) - 2 * samples * np.prod(widths[:2])


def multiplying(samples: int, widths: tuple[int, ...], dtype: str) -> Any:
    """A call that does those multiplies once."""
    rng = np.random.default_rng(0)
    size = sum(a * b for a, b in pairwise(widths))
    # Small weights: errors are multiplied by them again and again.
    theta, x = 1e-3 * rng.standard_normal(size), rng.standard_normal((samples, widths[0]))
    tapes = rng.standard_normal((2, samples * sum(widths[1:])))
    arrays = [np.ascontiguousarray(a, dtype) for a in (theta, x, *tapes)]
    out = np.empty_like(arrays[0])
    return lambda: multiplies(arrays[0], arrays[1], np.array(widths), *arrays[2:], out)


def limits(dtype: str) -> dict[str, tuple[int, Any]]:
    """Flops and call of each limit."""
    x = np.ones(512, dtype)  # stays in the first cache
    factor, term = np.asarray(0.999, dtype)[()], np.asarray(0.001, dtype)[()]
    a, b, c = np.random.default_rng(0).standard_normal((3, 768, 768)).astype(dtype)
    found: dict[str, tuple[int, Any]] = {
        "fma": (2 * _CHAIN * 512 * 200, lambda: _chains(x, factor, term, 200)),
        "square": (2 * 768**3, lambda: np.dot(a, b, out=c)),
    }
    for samples, widths in SHAPES:
        name = f"{samples}; {'-'.join(map(str, widths))}"
        found[name] = int(flops(samples, widths)), multiplying(samples, widths, dtype)
    return found


def main() -> None:
    arguments = contest.options(__doc__).parse_args()
    results, rows = {}, []
    for dtype in ("float64", "float32"):
        found = limits(dtype)
        times = contest.alternate({k: call for k, (_, call) in found.items()}, arguments.rounds)
        for name, (count, _) in found.items():
            rate = contest.spread(count / times[name] / 1e9)
            share = contest.spread(count / times[name] * times["fma"] / found["fma"][0])
            results[f"{name} {dtype}"] = rate | {"of fma": share["median"]}
            rows.append([name, dtype, contest.show(rate), f"{share['median']:.0%}"])
    contest.table(["limit", "precision", "GFlop/s", "of fma"], rows)
    contest.finish(arguments.json, results)


if __name__ == "__main__":
    main()
