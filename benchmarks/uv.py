"""The UV model on one example: 4096 runs of 2000 steps at different eta_trgt, ns a run-step.

The exact map of (delta, lambda), `sim.theory.uv.step`, under linear warmup, with the exact
sharpness of every step and, in one pass, the largest loss and sharpness, the first crossing of
2 / eta, the step of divergence, and the catapults as `simulator.regimes.catapults` defines them.

``numba``: run after run. ``numpy``: all runs at once, a step at a time. ``jax``: a jitted
``lax.scan`` over the steps, all runs at once or in blocks by ``lax.map``, unrolled or not; the
fastest of those tried here. Everything is float64. A ratio is its time over ours: above 1, it is
slower. ``FMAs``: its time in those of one fused multiply-add at the measured peak of `peaks.py`.

All contestants must agree: over the first steps in every run, over all steps in nearly all, as
rounding decides what a chaotic run does.
"""

from __future__ import annotations

import contest  # first: it sets the environment

# isort: split
import time
from itertools import product
from typing import Any

import numpy as np
import peaks
from maps import Contestant, jax_peer, move, numba_peer, numpy_peer, ramp

import simulator as sim
from simulator.numerics.summaries import ROWS
from simulator.regimes import catapults
from simulator.theory import uv
from simulator.training import ensemble

# A run that starts at f = 0.1 with target 1, width 64 in NTP.
KAPPA, Y, LAM0, T_WRM = 0.125, 1.0, 2.0, 200
FEW_STEPS = 64
BLOCKS, UNROLLS = (256, 1024, 4096), (1, 4, 16)


def _in_lanes(delta: Any, lam: Any, kappa: float, y: float, eta_init: float, eta_trgt: Any) -> Any:
    """The problem as a UV model has it: lanes, their states, and eta_init and eta_trgt of each."""
    model, data = sim.UV(width=round(kappa**-2)), sim.Data([[1.0]], [[y]])
    batched = model.batched(data)
    first, second = uv.modes(delta, lam, kappa, y)
    lengths = np.sqrt(0.5 * first), np.sqrt(0.5 * second)
    states = np.stack([*lengths, kappa * delta, np.zeros_like(delta), np.zeros_like(delta)])
    return batched, states, np.stack([np.full_like(eta_trgt, eta_init), eta_trgt])


def ours(delta0, lam0, kappa, y, eta_init, eta_trgt, t_wrm, steps):  # type: ignore[no-untyped-def]
    """What a sweep keeps of a run."""
    batched, begin, ends = _in_lanes(delta0, lam0, kappa, y, eta_init, eta_trgt)
    weights = sim.Warmup(t_wrm=t_wrm).weights(steps)[None]
    schedule = np.zeros(begin.shape[1], dtype=np.intp)
    found = ensemble.train_batched(
        batched, begin, ends, weights, schedule, sim.GD(), measured=True, constant_loss=None
    )
    # Of the steps alone: the peers do not look at the state after the last update.
    kept = {name: found.summary[row] for name, row in ROWS.items()}
    return {
        "loss_max": kept["loss_max"],
        "sharpness_max": kept["sharpness_max"],
        "first_crossing": np.where(kept["ratio_max"] > 1, kept["below"], -1),
        "diverged_step": found.diverged_step,
        "n_catapults": found.n_catapults,
    }


def fastest(jax: Any, problem: tuple[Any, ...]) -> tuple[str, Contestant]:
    """The best of the blocks and unrolls, by the quickest of three calls each."""
    found = {}
    runs = problem[0].size
    blocks = sorted({min(block, runs) for block in BLOCKS if runs % min(block, runs) == 0})
    for block, unroll in product(blocks or [runs], UNROLLS):
        call = jax_peer(jax, block, unroll)
        call(*problem)
        seconds = []
        for _ in range(3):
            start = time.perf_counter()
            call(*problem)
            seconds.append(time.perf_counter() - start)
        found[min(seconds)] = f"blocks of {block}, unrolled {unroll}", call
    print(f"jax fastest with {found[min(found)][0]}, slowest with {found[max(found)][0]}:"
          f" {max(found) / min(found):.1f} times as long")  # fmt: skip
    return found[min(found)]


def check(calls: dict[str, Contestant], problem: tuple[Any, ...], least: float) -> None:
    """Exit unless that share of the runs is the same with all."""
    (first, reference), *others = ((name, call(*problem)) for name, call in calls.items())
    for name, found in others:
        same = np.ones(problem[0].size, bool)
        for key, value in reference.items():
            same &= np.isclose(found[key], value, rtol=1e-6, atol=0, equal_nan=True)
        print(f"over {problem[-1]} steps {name} and {first} agree in {same.mean():.2%}")
        if same.mean() < least:
            raise SystemExit("too few")


def check_catapults(problem: tuple[Any, ...]) -> None:
    """Exit unless the streaming count is `catapults`'s, on every 16th run."""
    delta, lam, kappa, y, eta_init, eta_trgt, t_wrm, steps = problem
    delta, lam, eta_trgt = delta[::16].copy(), lam[::16].copy(), eta_trgt[::16].copy()
    counts = numba_peer(delta, lam, kappa, y, eta_init, eta_trgt, t_wrm, steps)["n_catapults"]
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
    calls: dict[str, Contestant] = {"numba": numba_peer, "numpy": numpy_peer}
    if jax is not None:
        calls["jax"] = fastest(jax, problem)[1]
    calls["ours"] = ours
    check(calls, (*problem[:-1], FEW_STEPS), 1.0)
    check(calls, problem, 0.99)
    timed = {name: lambda c=call: c(*problem) for name, call in calls.items()}
    times = contest.alternate(timed | {"peak": peak_call}, arguments.rounds, least=0.1)
    fma = times.pop("peak") / (peak_flops / 2)
    results, rows = {}, []
    for name, seconds in times.items():
        step = seconds / (runs * arguments.steps)
        found = {
            "ns": contest.spread(1e9 * step), "ratio": contest.spread(seconds / times["ours"]),
            "fmas": contest.spread(step / fma),
        }  # fmt: skip
        results[name] = found
        rows.append([name, *(contest.show(found[key]) for key in ("ns", "ratio", "fmas"))])
    print()
    contest.table(["", "ns a run-step", "over ours", "FMAs"], rows)
    print()
    contest.finish(arguments.json, results)


if __name__ == "__main__":
    main()
