"""Laws of scale-invariant weights: each on functions of w / |w|, stepped by the optimizers."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from simulator.arrays import Array
from simulator.laws.law import Reading, equal, law
from simulator.laws.pictures import scale_invariance as pictures
from simulator.laws.pictures.scale_invariance import norms, path, rotations, torque
from simulator.optimizers import GD, AdamW, Momentum, Optimizer
from simulator.schedules import Warmup
from simulator.theory import scale_invariance as theory


def _batches(rng: np.random.Generator, size: int, steps: int) -> Callable[[Array, int], Array]:
    """Gradients of w.Aw / (2 |w|^2), with another random A (size, size) at each update."""
    forms = rng.standard_normal((steps, size, size))

    def gradient(w: Array, t: int) -> Array:
        pull = (forms[t] + forms[t].T) @ w
        return (pull - (w @ pull) / (w @ w) * w) / (w @ w)

    return gradient


def _white(rng: np.random.Generator) -> Callable[[Array, int], Array]:
    """A random tangent of a length that falls as 1 / |w|, drawn anew at each update."""

    def gradient(w: Array, t: int) -> Array:
        drawn = rng.standard_normal(w.size)
        return (drawn - (w @ drawn) / (w @ w) * w) / np.linalg.norm(w)

    return gradient


@law(1e-11)
def norm_and_rotation(rng: np.random.Generator) -> Iterator[Reading]:
    """An update takes |w|^2 to a^2 |w|^2 + eta^2 |g|^2, and turns w by arctan(eta |g| / (a |w|)).

    Derived here; exact. Stochastic descent with warmup and weight decay, 60 updates.
    """
    for decay in (0.0, rng.uniform(0.01, 0.5)):
        eta = Warmup(0.0, rng.uniform(0.1, 3.0), 20).values(60)
        gradient = _batches(rng, 5, 60)
        w = path(GD(weight_decay=decay), gradient, rng.standard_normal(5), eta)
        sizes = [np.linalg.norm(gradient(w[t], t)) * np.linalg.norm(w[t]) for t in range(60)]
        before, pulls = norms(w)[:-1], np.array(sizes)
        yield equal(theory.next_norm(before, pulls, eta, decay), norms(w)[1:])
        yield equal(theory.rotation(before, pulls, eta, decay), rotations(w), scale=1.0)


@law(1e-9)
def odometer_of_rotation(rng: np.random.Generator) -> Iterator[Reading]:
    """|w_T| / |w_0| is prod (1 - eta_t kappa) / cos theta_t: without decay it measures rotation.

    Derived here; exact for any run. Stochastic descent with warmup, 300 updates.
    """
    for decay in (0.0, *rng.uniform(0.0, 0.1, 3)):
        eta = Warmup(0.0, rng.uniform(0.1, 1.0), 100).values(300)
        w = path(GD(weight_decay=decay), _batches(rng, 6, 300), rng.standard_normal(6), eta)
        found = norms(w)[-1] / norms(w)[0]
        yield equal(theory.norm_from_rotations(rotations(w), eta, decay), found)


@law(1e-5)
def equilibrium_of_decay(rng: np.random.Generator) -> Iterator[Reading]:
    """At constant r|g| decay ends at r^4 = (r|g|)^2 eta/(kappa (2 - eta kappa)), as (2 a^2 - 1)^t.

    An update then turns w by arccos(1 - eta kappa). Derived here. Descent on the angle of w in the
    plane.
    """
    for share in rng.uniform(0.02, 0.25, 6):
        pull, eta = rng.uniform(0.3, 3.0), rng.uniform(0.05, 2.0)
        decay, steps = share / eta, round(12.0 / share)
        rest = float(theory.equilibrium_norm(pull, eta, decay))
        begin = np.array([1.2 * rest, 0.0])
        w = path(GD(weight_decay=decay), torque(pull), begin, np.full(steps, eta))
        yield equal(rest, norms(w)[-1])
        yield equal(theory.equilibrium_rotation(eta, decay), rotations(w)[-1])
        excess = norms(w) ** 2 / rest**2 - 1.0
        near = int(np.argmax(np.abs(excess) < 1e-6))
        # But for what is of second order in the excess.
        found = excess[near + 1] / excess[near]
        yield equal(theory.relaxation(eta, decay), found, scale=1.0)


@law(0.05, picture=pictures.ramp)
def largest_rotation_of_a_ramp(rng: np.random.Generator) -> Iterator[Reading]:
    """Warmup turns w by at most (s/(sqrt 3 |w_0|^2))^(1/3) per update, s = eta |w| |g| / t_wrm.

    Derived here, where that update is between 5 and t_wrm / 3. Descent on the angle of w in the
    plane, under linear warmup from 0.
    """
    for _ in range(8):
        pull, norm, t_wrm = rng.uniform(0.3, 3.0), rng.uniform(0.5, 2.0), int(rng.integers(60, 400))
        at = rng.uniform(5.0, t_wrm / 3.0)
        # The eta whose largest angle is at this update.
        eta = np.sqrt(3.0 / at**3) * norm**2 * t_wrm / pull
        w = path(GD(), torque(pull), np.array([norm, 0.0]), Warmup(0.0, eta, t_wrm).values(t_wrm))
        angle, update = theory.largest_rotation_of_a_ramp(norm, pull, eta, t_wrm)
        yield equal(angle, rotations(w).max())
        # To one update.
        yield equal(update, 1 + rotations(w).argmax(), scale=20.0)


@law(0.03)
def equilibrium_of_noise(rng: np.random.Generator) -> Iterator[Reading]:
    """White gradients turn w by sqrt((1 - beta)/(1 + beta)) arccos(1 - eta kappa) per update (rms).

    Descent, momentum and AdamW with decoupled decay; the norms of the first two are as predicted
    too. Derived here, for small eta kappa; AdamW's angle is that of Kosson et al. 2305.17212. 2000
    updates of 512 weights, after 1000.
    """
    cases: list[tuple[Optimizer, float, float, float]] = [
        (GD(weight_decay=0.05), 0.1, 0.05, 0.0),
        (Momentum(0.9, weight_decay=0.25), 0.02, 0.25, 0.9),
        (AdamW(weight_decay=0.5), 0.01, 0.5, 0.9),
    ]
    for optimizer, eta, decay, beta in cases:
        pull = np.sqrt(511.0)
        rest = theory.equilibrium_norm(pull, eta, decay, beta)
        # Adam divides by the size of an entry: |w|^2 is 512 eta / (2 kappa) to leading order.
        rest = np.sqrt(512.0 * eta / (2.0 * decay)) if optimizer.adaptive else rest
        begin = rest * np.eye(512)[0]
        w = path(optimizer, _white(rng), begin, np.full(3000, eta))[1000:]
        turned = np.sqrt(np.mean(rotations(w) ** 2))
        yield equal(theory.equilibrium_rotation(eta, decay, beta), turned)
        yield equal(rest, np.sqrt(np.mean(norms(w) ** 2)))
