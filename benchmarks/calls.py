"""What a user's call costs: `sim.sweep` of UV models on one example, ns a run-step.

A grid of eta_trgt, t_wrm and seeds, 1000 updates of gradient descent, in memory, one worker.

``kernel``: the same runs in one call of the kernel, with all that verdicts need of a run, but no
verdicts and no Dataset. ``jax``: a jitted ``lax.scan`` over the steps that gives the largest loss
and the final sharpness of each run and no more; the fastest of all runs at once or in blocks by
``lax.map``, unrolled or not. ``jax all``: with the crossings, catapults and divergences that
`uv.py` compares, as fast as that is found to be. Everything is float64.

A ratio is a time over that of the call: above 1, the call is faster.
"""

from __future__ import annotations

import contest  # first: it sets the environment

# isort: split
import time
from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
from maps import advance, first_state, last_state, move

import simulator as sim
from simulator.training import ensemble

STEPS = 1000
# eta_trgt, t_wrm and seeds: 12,500 runs, and 50,000.
GRIDS = ((250, 50, 1), (500, 50, 2))
BLOCKS, UNROLLS = (250, 1250), (1, 4, 16)
MODEL, DATA = sim.UV(width=64), sim.Data([[1.0]], [[1.0]])

Call = Callable[[], Any]


def axes(grid: tuple[int, int, int]) -> tuple[Any, Any, Any]:
    """Half of the runs warm up for longer than 450 updates; some diverge."""
    trgt, wrm, seeds = grid
    return (
        np.linspace(0.1, 2.2, trgt),
        np.linspace(1, 0.9 * STEPS, wrm).astype(int),
        np.arange(seeds),
    )


def public_call(grid: tuple[int, int, int]) -> Call:
    eta_trgt, t_wrm, seeds = axes(grid)
    return lambda: sim.sweep(
        MODEL, DATA, eta_trgt=eta_trgt, t_wrm=t_wrm, seeds=len(seeds), steps=STEPS, workers=1
    )


def kernel_call(grid: tuple[int, int, int]) -> Call:
    eta_trgt, t_wrm, seeds = axes(grid)
    batched = MODEL.batched(DATA)
    schedule, seed, trgt = (i.ravel() for i in np.indices((len(t_wrm), len(seeds), len(eta_trgt))))
    thetas = [MODEL.init(DATA, int(s)) for s in seeds]
    begin = np.ascontiguousarray(batched.begin(np.array(thetas))[:, seed])
    ends = np.stack([np.zeros(trgt.size), eta_trgt[trgt]])
    weights = np.stack([sim.Warmup(t_wrm=int(t)).weights(STEPS) for t in t_wrm])
    return lambda: ensemble.train_batched(
        batched, begin, ends, weights, schedule, sim.GD(),
        measured=True, constant_loss=MODEL.constant_loss(DATA),
    )  # fmt: skip


def jax_calls(jax: Any, grid: tuple[int, int, int], *, everything: bool) -> dict[str, Call]:
    """By their layout, each compiled. The first state is ready: only the scan is timed."""
    jnp = jax.numpy
    eta_trgt, t_wrm, seeds = axes(grid)
    wrm, seed, trgt = (i.ravel() for i in np.indices((len(t_wrm), len(seeds), len(eta_trgt))))
    starts = np.array([MODEL.one_example(MODEL.init(DATA, int(s)), DATA) for s in seeds])
    kappa, y = float(starts[0, 2]), float(starts[0, 3])
    runs = (*starts[seed, :2].T, eta_trgt[trgt], t_wrm[wrm].astype(float))

    def sharpness(delta: Any, lam: Any) -> Any:
        inside = lam * lam + 4.0 * kappa * kappa * delta * (3.0 * delta + 2.0 * y)
        return 0.5 * (lam + jnp.sqrt(jnp.maximum(inside, 0.0)))

    def eta(t: Any, target: Any, length: Any) -> Any:
        return target * jnp.minimum((t + 1) / length, 1.0)

    def train(problem: Any, unroll: int) -> Any:
        delta, lam, target, length = problem

        def few(state: Any, t: Any) -> Any:
            delta, lam, most = state
            loss = 0.5 * delta * delta
            most = jnp.where(loss > most, loss, most)
            return (*move(delta, lam, kappa, y, eta(t, target, length)), most), None

        def all_of_it(state: Any, t: Any) -> Any:
            return advance(jnp, state, t, kappa, y, eta(t, target, length)), None

        first = first_state(jnp, delta, lam) if everything else (delta, lam, 0.0 * delta)
        steps = jnp.arange(STEPS, dtype=jnp.int32)
        last, _ = jax.lax.scan(all_of_it if everything else few, first, steps, unroll=unroll)
        found = last_state(jnp, last, STEPS) if everything else {"loss_max": last[2]}
        return found | {"sharpness_final": sharpness(last[0], last[1])}

    def call(block: int, unroll: int) -> Call:
        def whole(problem: Any) -> Any:
            parts = jax.tree.map(lambda one: one.reshape(-1, block), problem)
            found = jax.lax.map(lambda part: train(part, unroll), parts)
            return jax.tree.map(jnp.ravel, found)

        problem = jax.tree.map(jnp.asarray, runs)
        compiled = jax.jit(whole).lower(problem).compile()
        return lambda: jax.tree.map(np.asarray, compiled(problem))

    blocks = (*BLOCKS, trgt.size)
    return {f"blocks of {b}, unrolled {u}": call(b, u) for b, u in product(blocks, UNROLLS)}


def fastest(calls: dict[str, Call]) -> Call:
    """By the quickest of three calls each."""
    seconds = {}
    for name, call in calls.items():
        call()
        for _ in range(3):
            start = time.perf_counter()
            call()
            seconds[name] = min(seconds.get(name, np.inf), time.perf_counter() - start)
    best = min(seconds, key=seconds.__getitem__)
    print(f"jax fastest with {best}")
    return calls[best]


def check(public: Call, jax: Call) -> None:
    """Exit unless nearly all runs are the same: rounding decides what a chaotic run does."""
    cells, found = public().transpose("t_wrm", "seed", "eta_init", "eta_trgt"), jax()
    finite = ~cells["diverged"].values.ravel()
    for name in ("loss_max", "sharpness_final"):
        same = np.isclose(found[name][finite], cells[name].values.ravel()[finite], rtol=1e-6)
        print(f"{name} agrees in {same.mean():.2%} of the runs that do not diverge")
        if same.mean() < 0.99:
            raise SystemExit("too few")


def main() -> None:
    arguments = contest.options(__doc__).parse_args()
    jax = contest.optional("jax")
    if jax is not None:
        jax.config.update("jax_enable_x64", True)
    results, rows = {}, []
    for grid in GRIDS:
        runs = int(np.prod(grid))
        calls = {"sim.sweep": public_call(grid), "kernel": kernel_call(grid)}
        if jax is not None:
            calls["jax"] = fastest(jax_calls(jax, grid, everything=False))
            calls["jax all"] = fastest(jax_calls(jax, grid, everything=True))
            check(calls["sim.sweep"], calls["jax"])
        times = contest.alternate(calls, arguments.rounds, least=0.1)
        for name, seconds in times.items():
            found = {
                "ns": contest.spread(1e9 * seconds / (runs * STEPS)),
                "ratio": contest.spread(seconds / times["sim.sweep"]),
            }
            results[f"{runs} {name}"] = found
            rows.append(
                [f"{runs} runs, {name}", contest.show(found["ns"]), contest.show(found["ratio"])]
            )
    print()
    contest.table(["", "ns a run-step", "over sim.sweep"], rows)
    contest.finish(arguments.json, results)


if __name__ == "__main__":
    main()
