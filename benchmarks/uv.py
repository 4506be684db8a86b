"""The UV model on one example: 4096 runs of 2000 steps at different eta_trgt, ns a run-step.

``map``: the exact map of (delta, lambda), `sim.theory.uv.step`, under linear warmup, and the
largest loss. ``summaries``: also the exact sharpness of every step and, in one pass, its maximum,
the first crossing of 2 / eta, the step of divergence, and the catapults as
`simulator.regimes.catapults` defines them.

``numba``: run after run. ``numpy``: all runs at once, a step at a time. ``jax``: a jitted
``lax.scan`` over the steps, all runs at once or in blocks by ``lax.map``, unrolled or not; the
fastest of those tried here. Everything is float64. A ratio is its time over ours, or over JAX's
where ours is left out: above 1, it is slower. ``FMAs``: its time in those of one fused
multiply-add at the measured peak of `peaks.py`; the map alone has ten additions, multiplications
or fused pairs of them.

All contestants must agree: over the first steps in every run, over all steps in nearly all, as
rounding decides what a chaotic run does.
"""

from __future__ import annotations

import contest  # first: it sets the environment

# isort: split
import time
from collections.abc import Callable
from itertools import product
from typing import Any

import numba
import numpy as np
import peaks

from simulator.regimes import catapults

# A run that starts at f = 0.1 with target 1, width 64 in NTP.
KAPPA, Y, LAM0, T_WRM = 0.125, 1.0, 2.0, 200
FEW_STEPS = 64
BLOCKS, UNROLLS = (256, 1024, 4096), (1, 4, 16)

# (delta0, lam0, kappa, y, eta_init, eta_trgt, t_wrm, steps) -> name: (runs,); delta0, lam0 and
# eta_trgt are (runs,), the others numbers.
Contestant = Callable[..., dict[str, Any]]

# ------ HERE OURS IS PLUGGED IN: the product's engine, by contest; with None it is left out ------
OURS: dict[str, Contestant | None] = {"map": None, "summaries": None}


def move(delta: Any, lam: Any, kappa: Any, y: Any, eta: Any) -> Any:
    """One update, for numbers and arrays of any library."""
    f = delta + y
    g = eta * delta
    h = kappa * kappa * g
    return delta + g * (h * f - lam), lam + h * (g * lam - 4.0 * f)


def ramp(eta_init: Any, eta_trgt: Any, t_wrm: Any, t: Any) -> Any:
    """eta of update t = 1 ... steps."""
    return eta_init + (eta_trgt - eta_init) * min(t / t_wrm, 1.0)


_move, _ramp = numba.njit(move), numba.njit(ramp)


@numba.njit(error_model="numpy")
def _numba_map(delta0, lam0, kappa, y, eta_init, eta_trgt, t_wrm, steps, top):
    for run in range(delta0.size):
        delta, lam, most = delta0[run], lam0[run], 0.0
        for t in range(1, steps + 1):
            square = delta * delta
            if square > most:
                most = square
            eta = _ramp(eta_init, eta_trgt[run], t_wrm, t)
            delta, lam = _move(delta, lam, kappa, y, eta)
        top[run] = 0.5 * most


@numba.njit(error_model="numpy")
def _numba_summaries(delta0, lam0, kappa, y, eta_init, eta_trgt, t_wrm, steps, tops, marks):
    for run in range(delta0.size):
        delta, lam = delta0[run], lam0[run]
        most, sharpest, crossed, diverged, count = 0.0, 0.0, -1, steps, 0
        least = peak = np.inf
        above = still = found = False
        for t in range(steps):
            loss = 0.5 * delta * delta
            if not np.isfinite(loss):
                diverged = t
                break
            eta = _ramp(eta_init, eta_trgt[run], t_wrm, t + 1)
            inside = lam * lam + 4.0 * kappa * kappa * delta * (3.0 * delta + 2.0 * y)
            sharp = 0.5 * (lam + np.sqrt(max(inside, 0.0)))
            unstable = sharp * eta > 2.0
            most, sharpest = max(most, loss), max(sharpest, sharp)
            if unstable and crossed < 0:
                crossed = t
            above = above or unstable
            if loss > least:
                peak, still, found = max(peak, loss), False, False
            else:
                found = above and t > 0 and peak > 1.1 * least
                still = found or (still and loss == least)
                count += found
                least, peak, above = loss, loss, unstable
            delta, lam = _move(delta, lam, kappa, y, eta)
        if diverged == steps and np.isfinite(0.5 * delta * delta):
            diverged = -1
        tops[0, run], tops[1, run] = most, sharpest
        marks[0, run], marks[1, run] = crossed, diverged
        # What stood still from its end to the last step was the death of a network.
        marks[2, run] = count - (still and not found and diverged != t)


def numba_map(delta0: Any, *rest: Any) -> dict[str, Any]:
    top = np.empty_like(delta0)
    _numba_map(delta0, *rest, top)
    return {"loss_max": top}


def numba_summaries(delta0: Any, *rest: Any) -> dict[str, Any]:
    tops, marks = np.empty((2, delta0.size)), np.empty((3, delta0.size), np.int64)
    _numba_summaries(delta0, *rest, tops, marks)
    names = "loss_max", "sharpness_max", "first_crossing", "diverged_step", "n_catapults"
    return dict(zip(names, (*tops, *marks), strict=True))


def first_state(xp: Any, kind: str, delta: Any, lam: Any) -> tuple[Any, ...]:
    """What `advance` carries from step to step, for arrays of NumPy or JAX."""
    zero, none = xp.zeros_like(delta), xp.full(delta.shape, -1)
    if kind == "map":
        return delta, lam, zero
    no, infinity = xp.zeros(delta.shape, bool), xp.full(delta.shape, xp.inf)
    return delta, lam, zero, zero, none, none, none + 1, infinity, infinity, no, no, no


def advance(
    xp: Any, kind: str, state: tuple[Any, ...], t: Any, kappa: Any, y: Any, eta: Any
) -> tuple[Any, ...]:
    """Step t = 0 ... steps - 1 with everything that it adds to the summaries."""
    delta, lam, most, *rest = state
    moved = move(delta, lam, kappa, y, eta)
    if kind == "map":
        square = delta * delta
        return *moved, xp.where(square > most, square, most)
    sharpest, crossed, diverged, count, least, peak, above, still, found = rest
    loss = 0.5 * delta * delta
    inside = lam * lam + 4.0 * kappa * kappa * delta * (3.0 * delta + 2.0 * y)
    sharp = 0.5 * (lam + xp.sqrt(xp.maximum(inside, 0.0)))
    alive = (diverged < 0) & xp.isfinite(loss)
    unstable = alive & (sharp * eta > 2.0)
    diverged = xp.where(alive | (diverged >= 0), diverged, t)
    most = xp.where(alive & (loss > most), loss, most)
    sharpest = xp.where(alive & (sharp > sharpest), sharp, sharpest)
    crossed = xp.where(unstable & (crossed < 0), t, crossed)
    above = above | unstable
    back = alive & (loss <= least)
    found = xp.where(alive, back & above & (peak > 1.1 * least) & (t > 0), found)
    still = xp.where(alive, found | (still & (loss == least)), still)
    peak = xp.where(back, loss, xp.where(alive & (loss > peak), loss, peak))
    above = xp.where(back, unstable, above)
    least = xp.where(back, loss, least)
    return (
        *moved,
        most,
        sharpest,
        crossed,
        diverged,
        count + found,
        least,
        peak,
        above,
        still,
        found,
    )


def last_state(xp: Any, kind: str, state: tuple[Any, ...], steps: int) -> dict[str, Any]:
    """The summaries."""
    delta, _, most, *rest = state
    if kind == "map":
        return {"loss_max": 0.5 * most}
    sharpest, crossed, diverged, count, _, _, _, still, found = rest
    late = (diverged < 0) & ~xp.isfinite(0.5 * delta * delta)
    return {
        "loss_max": most, "sharpness_max": sharpest, "first_crossing": crossed,
        "diverged_step": xp.where(late, steps, diverged),
        "n_catapults": count - (still & ~found & (diverged < 0)),
    }  # fmt: skip


def numpy_peer(kind: str) -> Contestant:
    def run(delta0, lam0, kappa, y, eta_init, eta_trgt, t_wrm, steps):
        with np.errstate(all="ignore"):
            state = first_state(np, kind, delta0, lam0)
            for t in range(steps):
                eta = ramp(eta_init, eta_trgt, t_wrm, t + 1)
                state = advance(np, kind, state, t, kappa, y, eta)
            return last_state(np, kind, state, steps)

    return run


def jax_peer(jax: Any, kind: str, block: int, unroll: int) -> Contestant:
    jnp = jax.numpy

    def of_block(arrays: Any, numbers: Any, steps: int) -> Any:
        (delta, lam, eta_trgt), (kappa, y, eta_init, t_wrm) = arrays, numbers
        t = jnp.arange(steps)
        shares = jnp.minimum((t + 1) / t_wrm, 1.0)

        def step(state: Any, at: Any) -> Any:
            eta = eta_init + (eta_trgt - eta_init) * at[1]
            return advance(jnp, kind, state, at[0], kappa, y, eta), None

        state = first_state(jnp, kind, delta, lam)
        state = jax.lax.scan(step, state, (t, shares), unroll=unroll)[0]
        return last_state(jnp, kind, state, steps)

    def of_all(arrays: Any, numbers: Any, steps: int) -> Any:
        if arrays[0].size <= block:
            return of_block(arrays, numbers, steps)
        blocks = [a.reshape(-1, block) for a in arrays]
        found = jax.lax.map(lambda a: of_block(a, numbers, steps), blocks)
        return {key: value.ravel() for key, value in found.items()}

    jitted = jax.jit(of_all, static_argnums=2)

    def run(delta0, lam0, kappa, y, eta_init, eta_trgt, t_wrm, steps):
        numbers = (kappa, y, eta_init, float(t_wrm))
        return jax.block_until_ready(jitted((delta0, lam0, eta_trgt), numbers, steps))

    return run


def fastest(jax: Any, kind: str, problem: tuple[Any, ...]) -> tuple[str, Contestant]:
    """The best of the blocks and unrolls, by the quickest of three calls each."""
    found = {}
    for block, unroll in product(BLOCKS, UNROLLS):
        call = jax_peer(jax, kind, block, unroll)
        call(*problem)
        seconds = []
        for _ in range(3):
            start = time.perf_counter()
            call(*problem)
            seconds.append(time.perf_counter() - start)
        found[min(seconds)] = f"blocks of {block}, unrolled {unroll}", call
    print(f"{kind}: jax fastest with {found[min(found)][0]}, slowest with {found[max(found)][0]}:"
          f" {max(found) / min(found):.1f} times as long")  # fmt: skip
    return found[min(found)]


def check(kind: str, calls: dict[str, Contestant], problem: tuple[Any, ...], least: float) -> None:
    """Exit unless that share of the runs is the same with all."""
    (first, reference), *others = ((name, call(*problem)) for name, call in calls.items())
    for name, found in others:
        same = np.ones(problem[0].size, bool)
        for key, value in reference.items():
            same &= np.isclose(found[key], value, rtol=1e-6, atol=0, equal_nan=True)
        print(f"{kind}: over {problem[-1]} steps {name} and {first} agree in {same.mean():.2%}")
        if same.mean() < least:
            raise SystemExit("too few")


def check_catapults(problem: tuple[Any, ...]) -> None:
    """Exit unless the streaming count is `catapults`'s, on every 16th run."""
    delta, lam, kappa, y, eta_init, eta_trgt, t_wrm, steps = problem
    delta, lam, eta_trgt = delta[::16].copy(), lam[::16].copy(), eta_trgt[::16].copy()
    counts = numba_summaries(delta, lam, kappa, y, eta_init, eta_trgt, t_wrm, steps)["n_catapults"]
    losses, ratios = np.empty((2, steps, delta.size))
    with np.errstate(all="ignore"):
        for t in range(steps):
            eta = ramp(eta_init, eta_trgt, t_wrm, t + 1)
            inside = lam * lam + 4.0 * kappa * kappa * delta * (3.0 * delta + 2.0 * y)
            losses[t] = 0.5 * delta * delta
            ratios[t] = 0.25 * eta * (lam + np.sqrt(np.maximum(inside, 0.0)))
            delta, lam = move(delta, lam, kappa, y, eta)
    wanted = [len(catapults(a, b)) for a, b in zip(losses.T, ratios.T, strict=True)]
    print(f"catapults as simulator.regimes counts them: {np.mean(wanted == counts):.2%} of runs")
    if np.mean(wanted == counts) < 0.99:
        raise SystemExit("too few")


def main() -> None:
    arguments = contest.options(__doc__, runs=4096, steps=2000).parse_args()
    jax = contest.optional("jax")
    if jax is not None:
        jax.config.update("jax_enable_x64", True)
    runs = arguments.runs
    start = np.full(runs, 0.1 - Y), np.full(runs, LAM0)
    problem = (*start, KAPPA, Y, 0.0, np.linspace(0.5, 4.4, runs) / LAM0, T_WRM, arguments.steps)
    check_catapults(problem)
    peak_flops, peak_call = peaks.limits("float64")["fma"]
    results: dict[str, Any] = {}
    for kind, by_run in (("map", numba_map), ("summaries", numba_summaries)):
        calls: dict[str, Contestant] = {"numba": by_run, "numpy": numpy_peer(kind)}
        if jax is not None:
            calls["jax"] = fastest(jax, kind, problem)[1]
        if OURS[kind] is not None:
            calls["ours"] = OURS[kind]
        check(kind, calls, (*problem[:-1], FEW_STEPS), 1.0)
        check(kind, calls, problem, 0.99)
        timed = {name: lambda c=call: c(*problem) for name, call in calls.items()}
        times = contest.alternate(timed | {"peak": peak_call}, arguments.rounds, least=0.1)
        fma = times.pop("peak") / (peak_flops / 2)
        base = next(name for name in ("ours", "jax", "numba") if name in times)
        rows = []
        for name, seconds in times.items():
            step = seconds / (runs * arguments.steps)
            found = {
                "ns": contest.spread(1e9 * step), "ratio": contest.spread(seconds / times[base]),
                "fmas": contest.spread(step / fma),
            }  # fmt: skip
            results[f"{kind} {name}"] = found
            rows.append([name, *(contest.show(found[key]) for key in ("ns", "ratio", "fmas"))])
        print()
        contest.table([kind, "ns a run-step", f"over {base}", "FMAs"], rows)
        print()
    contest.finish(arguments.json, results)


if __name__ == "__main__":
    main()
