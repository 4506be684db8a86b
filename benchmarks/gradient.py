"""One full-batch gradient of an MLP (loss and gradient): ours, JAX, PyTorch, and the bare BLAS.

``ours``: ``objective.gradient(theta, out)``. ``jax``: jitted ``value_and_grad`` on a list of
weights, one call a gradient. ``jax scan``: gradient descent in a jitted ``lax.scan``, a step of it,
which spares JAX its calls. ``torch``: autograd; ``compiled``: ``torch.compile`` of
``torch.func.grad_and_value``, with ``--compile 1``, as it takes a minute. A ratio is its time over
ours: above 1, ours is faster. ``of BLAS``: the time of the multiplies alone, `peaks.multiplies`,
over ours; what is missing to 100 % is everything between them. ``norm``: our gradient of the same
network with layer normalisation after each activation; ``affine``: with gains and shifts too.
"""

from __future__ import annotations

import contest  # first: it sets the environment

# isort: split
from collections.abc import Callable
from typing import Any

import numpy as np
import peaks
from peers import jax_loss, split, torch_loss

import simulator as sim

TOLERANCE = {"float64": 1e-12, "float32": 2e-5}
SCAN = 64

Call = Callable[[], Any]


def jax_contestants(jax: Any, model: sim.MLP, widths: Any, theta: Any, data: Any) -> dict[str, Any]:
    """Calls, each returning the gradient as one flat array at the end of its name's tuple."""
    loss = jax_loss(model, widths)
    x, y = (jax.device_put(a) for a in data)
    weights = [jax.device_put(np.ascontiguousarray(w)) for w in split(theta, widths)]
    both = jax.jit(jax.value_and_grad(loss))

    @jax.jit
    def descend(weights: list[Any], x: Any, y: Any) -> Any:
        def step(weights: list[Any], _: None) -> Any:
            value, gradient = jax.value_and_grad(loss)(weights, x, y)
            return [w - 1e-3 * g for w, g in zip(weights, gradient, strict=True)], value

        return jax.lax.scan(step, weights, None, SCAN)

    def gradient() -> Any:
        return np.concatenate([np.ravel(g) for g in both(weights, x, y)[1]])

    return {
        "check": gradient,
        "jax": lambda: jax.block_until_ready(both(weights, x, y)),
        "jax scan": lambda: jax.block_until_ready(descend(weights, x, y)),
    }


def torch_contestants(
    torch: Any, model: sim.MLP, widths: Any, theta: Any, data: Any, compiled: bool
) -> dict[str, Any]:
    """The same for PyTorch."""
    torch.set_num_threads(1)
    loss = torch_loss(model, widths)
    x, y = (torch.from_numpy(a) for a in data)
    leaves = [torch.from_numpy(w.copy()).requires_grad_() for w in split(theta, widths)]
    plain = [w.detach() for w in leaves]

    def both() -> Any:
        value = loss(leaves, x, y)
        return value, torch.autograd.grad(value, leaves)

    def gradient() -> Any:
        return np.concatenate([g.numpy().ravel() for g in both()[1]])

    calls = {"check": gradient, "torch": both}
    if compiled:
        torch._dynamo.reset()
        fused = torch.compile(torch.func.grad_and_value(loss), dynamic=False)
        calls["torch compiled"] = lambda: fused(plain, x, y)
    return calls


def _gradients(model: sim.MLP, data: sim.Data, dtype: str) -> Call:
    theta, objective = model.init(data, dtype=dtype), model.bind(data, dtype)
    out = np.empty_like(theta)
    return lambda: objective.gradient(theta, out)


def contestants(
    samples: int,
    widths: tuple[int, ...],
    activation: str,
    dtype: str,
    libraries: Any,
    compiled: int,
) -> tuple[dict[str, Call], dict[str, np.ndarray]]:
    """What to time, and the gradients to compare."""
    rng = np.random.default_rng(0)
    data = sim.Data(
        rng.standard_normal((samples, widths[0])), rng.standard_normal((samples, widths[-1]))
    )
    model = sim.MLP(widths[1], len(widths) - 1, activation)
    theta, objective = model.init(data, dtype=dtype), model.bind(data, dtype)
    out = np.empty_like(theta)
    calls: dict[str, Call] = {"ours": lambda: objective.gradient(theta, out)}
    calls["ours"]()
    checks = {"ours": out.copy()}
    for name, affine in (("norm", False), ("affine", True)):
        normed = model.with_options(norm="activation", affine=affine)
        calls[name] = _gradients(normed, data, dtype)
    arrays = tuple(np.ascontiguousarray(a, dtype) for a in (data.x, data.targets))
    jax, torch = libraries
    for name, library in (("jax", jax), ("torch", torch)):
        if library is not None:
            if name == "jax":
                found = jax_contestants(jax, model, widths, theta, arrays)
            else:
                found = torch_contestants(torch, model, widths, theta, arrays, bool(compiled))
            checks[name] = found.pop("check")()
            calls |= found
    return calls | {"blas": peaks.multiplying(samples, widths, dtype)}, checks


def main() -> None:
    arguments = contest.options(__doc__, compile=0).parse_args()
    libraries = [contest.optional(name) for name in ("jax", "torch")]
    if libraries[0] is not None:
        libraries[0].config.update("jax_enable_x64", True)
    results: dict[str, Any] = {}
    rows, head = [], ["gradient"]
    for samples, widths in peaks.SHAPES:
        for activation in ("relu", "tanh"):
            for dtype in ("float64", "float32"):
                title = f"{samples}; {'-'.join(map(str, widths))} {activation} {dtype}"
                calls, checks = contestants(
                    samples, widths, activation, dtype, libraries, arguments.compile
                )
                contest.agree(title, checks, TOLERANCE[dtype])
                times = contest.alternate(calls, arguments.rounds)
                if "jax scan" in times:
                    times["jax scan"] /= SCAN
                ours = times.pop("ours")
                share = contest.spread(times.pop("blas") / ours)
                ratios = {name: contest.spread(t / ours) for name, t in times.items()}
                microseconds = contest.spread(1e6 * ours)
                results[title] = {"us": microseconds, "of BLAS": share, "ratios": ratios}
                head = ["gradient", "ours, us", "of BLAS", *ratios]
                rows.append([
                    title, contest.show(microseconds), contest.show(share),
                    *map(contest.show, ratios.values()),
                ])  # fmt: skip
                print(".", end="", flush=True)
    print()
    contest.table(head, rows)
    contest.finish(arguments.json, results)


if __name__ == "__main__":
    main()
