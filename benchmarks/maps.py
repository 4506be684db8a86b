"""The UV map with its summaries, as one writes them in Numba, NumPy and JAX: the peers of `uv.py`.

Each is a function (delta0, lam0, kappa, y, eta_init, eta_trgt, t_wrm, steps) -> {name: (runs,)},
where delta0, lam0 and eta_trgt are (runs,) and the others numbers. Float64 throughout.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
import numpy as np

Contestant = Callable[..., dict[str, Any]]


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


def numba_peer(delta0: Any, *rest: Any) -> dict[str, Any]:
    tops, marks = np.empty((2, delta0.size)), np.empty((3, delta0.size), np.int64)
    _numba_summaries(delta0, *rest, tops, marks)
    names = "loss_max", "sharpness_max", "first_crossing", "diverged_step", "n_catapults"
    return dict(zip(names, (*tops, *marks), strict=True))


def first_state(xp: Any, delta: Any, lam: Any) -> tuple[Any, ...]:
    """What `advance` carries from step to step, for arrays of NumPy or JAX."""
    zero = xp.zeros_like(delta)
    none, never = xp.full(delta.shape, -1, xp.int32), xp.zeros(delta.shape, xp.int32)
    least, above = xp.full(delta.shape, xp.inf), xp.zeros(delta.shape, bool)
    return delta, lam, zero, zero, none, never, never, least, -least, above, none


def advance(
    xp: Any, state: tuple[Any, ...], t: Any, kappa: Any, y: Any, eta: Any
) -> tuple[Any, ...]:
    """Step t = 0 ... steps - 1 with everything that it adds to the summaries.

    As little of it as can be: for XLA each array more to carry costs as much as the map. Where
    numbers have overflowed, comparisons with NaN are false and all stays as it was.
    """
    delta, lam, most, sharpest, crossed, finite_steps, count, least, peak, above, ended = state
    loss = 0.5 * delta * delta
    inside = lam * lam + 4.0 * kappa * kappa * delta * (3.0 * delta + 2.0 * y)
    sharp = 0.5 * (lam + xp.sqrt(xp.maximum(inside, 0.0)))
    finite = loss < xp.inf
    unstable = finite & (sharp * eta > 2.0)
    above = above | unstable
    back = loss <= least
    found = back & above & (peak > 1.1 * least)
    return (
        *move(delta, lam, kappa, y, eta),
        xp.where(finite & (loss > most), loss, most),
        xp.where(finite & (sharp > sharpest), sharp, sharpest),
        xp.where(unstable & (crossed < 0), t, crossed),
        finite_steps + finite,
        count + found,
        xp.where(back, loss, least),
        xp.where(back | (loss > peak), loss, peak),
        xp.where(back, unstable, above),
        # The end of the last catapult, while the loss has not changed since.
        xp.where(found, t, xp.where(loss == least, ended, -1)),
    )


def last_state(xp: Any, state: tuple[Any, ...], steps: int) -> dict[str, Any]:
    """The summaries."""
    delta, _, most, sharpest, crossed, finite_steps, count, _, _, _, ended = state
    survived = (finite_steps == steps) & xp.isfinite(0.5 * delta * delta)
    # A loss that stood still from there to the last step is the death of a network.
    dead = (finite_steps == steps) & (ended >= 0) & (ended < steps - 1)
    return {
        "loss_max": most, "sharpness_max": sharpest, "first_crossing": crossed,
        "diverged_step": xp.where(survived, -1, finite_steps), "n_catapults": count - dead,
    }  # fmt: skip


def numpy_peer(delta0, lam0, kappa, y, eta_init, eta_trgt, t_wrm, steps):  # type: ignore[no-untyped-def]
    with np.errstate(all="ignore"):
        state = first_state(np, delta0, lam0)
        for t in range(steps):
            eta = ramp(eta_init, eta_trgt, t_wrm, t + 1)
            state = advance(np, state, np.int32(t), kappa, y, eta)
        return last_state(np, state, steps)


def jax_peer(jax: Any, block: int, unroll: int) -> Contestant:
    jnp = jax.numpy

    def of_block(arrays: Any, numbers: Any, steps: int) -> Any:
        (delta, lam, eta_trgt), (kappa, y, eta_init, t_wrm) = arrays, numbers
        t = jnp.arange(steps, dtype=jnp.int32)
        shares = jnp.minimum((t + 1) / t_wrm, 1.0)

        def step(state: Any, at: Any) -> Any:
            eta = eta_init + (eta_trgt - eta_init) * at[1]
            return advance(jnp, state, at[0], kappa, y, eta), None

        state = first_state(jnp, delta, lam)
        state = jax.lax.scan(step, state, (t, shares), unroll=unroll)[0]
        return last_state(jnp, state, steps)

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
