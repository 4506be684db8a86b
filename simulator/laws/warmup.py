"""Laws of warmup, on one example: how far it reaches, how long it must be, and what it does."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from simulator.arrays import Array
from simulator.laws.bisection import bisect
from simulator.laws.law import Reading, equal, law, match
from simulator.laws.noisy_example import example, flowed_trace, noise_of, survived, train
from simulator.laws.one_example import Example, random_example
from simulator.laws.pictures import warmup as pictures
from simulator.laws.pictures.warmup import half_survive, survival
from simulator.schedules import Warmup
from simulator.theory import uv, warmup


@law(0.0)
def survival_of_schedules(rng: np.random.Generator) -> Iterator[Reading]:
    """Runs survive a non-decreasing schedule iff each eta bounds its state: eta lam < 4 at y = 0.

    Derived here. Ramps of any curvature over up to 25 updates, then 1000 at the last eta. Runs that
    are within 0.1 % of a bound are left out, and those that have converged to 1e-9 by then: they
    would sit still at any eta.
    """
    found = 0
    while found < 24:
        one = random_example(rng, y=0.0 if rng.uniform() < 0.5 else None)
        theta = one.model.init(one.data, int(rng.integers(2**32)))
        target = rng.uniform(0.5, 8.0) / one.state(theta)[1]
        t_wrm = int(rng.integers(1, 26))
        etas = Warmup(0.0, target, t_wrm, rng.uniform(0.3, 3.0)).values(t_wrm)
        theta, states = _follow(one, theta, etas)
        (delta, lam), etas = states.T, etas[: len(states)]
        near = np.abs(etas / uv.eta_max(delta, lam, one.kappa, one.y) - 1.0).min()
        if min(near, abs(etas[-1] / uv.eta_ceiling(one.kappa, one.y) - 1.0)) < 1e-3:
            continue
        if abs(delta[-1]) < 1e-9:
            continue
        within = warmup.survives(delta, lam, one.kappa, one.y, etas)
        predicted = bool(np.all(etas * lam < 4.0) if one.y == 0.0 else within)
        yield match(predicted, not one.train(theta, target, 1000).diverged)
        found += 1


def _follow(one: Example, theta: Array, etas: Array) -> tuple[Array, Array]:
    """The weights after these rates, and (delta, lam) before each; shorter if they blow up."""
    states = []
    theta = theta.copy()
    for eta in etas:
        states.append(one.state(theta))
        theta -= eta * one.model.gradient(theta, one.data)
        if not abs(one.state(theta)[0]) < 1e6:
            break
    return theta, np.array(states)


@law(0.2)
def survival_of_warmup(rng: np.random.Generator) -> Iterator[Reading]:
    """Of noisy runs erfc(1 / (2 (pi tau)^(1/4) A)) survive warmup: A = floor exp((3 ln 3 - 2) tau).

    Derived here. tau = t_wrm / (eta_trgt lam), lam where the edge is met. Shares of 100 runs on one
    example whose noisy labels keep |eta kappa delta| at the floor; near the shortest warmup, where
    the share is neither 0 nor 1.
    """
    for floor in 10.0 ** rng.uniform(-8, -3, 5):
        reach, mu, s = rng.uniform(6, 14), rng.uniform(0, 0.3), float(rng.uniform())
        width = int(10 ** rng.uniform(1.3, 4))
        expected = float(warmup.shortest_warmup(reach, 1.0, floor))
        t_wrm = round(rng.uniform(0.92, 1.08) * expected)
        yield equal(
            warmup.survival_probability(t_wrm, reach, 1.0, floor),
            survival(width, s, mu, reach, floor, t_wrm, 100, rng),
            scale=1.0,
        )


@law(0.15, picture=pictures.smallest_surviving_warmup)
def shortest_warmup(rng: np.random.Generator) -> Iterator[Reading]:
    """Warmup from 0 diverges unless t_wrm > eta_trgt lam ln(1 / floor) / (3 ln 3 - 2).

    Derived here: from eta lam = 2 the residual regrows from the floor that noise keeps, by
    exp(tau (3 ln 3 - 2)) until 4, and must be of order one there. Simulated from noisy labels; the
    mean over seeds of the shortest t_wrm that survives.
    """
    for floor in 10.0 ** rng.uniform(-8, -3, 3):
        reach, mu, s = rng.uniform(6, 12), rng.uniform(0, 0.3), float(rng.uniform())
        width = int(10 ** rng.uniform(1.3, 4))
        yield equal(
            warmup.shortest_warmup(reach, 1.0, floor), half_survive(width, s, mu, reach, floor, rng)
        )


@law(0.15)
def warmup_from_the_edge(rng: np.random.Generator) -> Iterator[Reading]:
    """From 2/lam_0 the shortest t_wrm grows by (K - 2)/(2 (3 ln 3 - 2)) per e-fold of width.

    K = eta_trgt lam_0, y = 0 in the NTK parameterization: (K - 2) ln(1 / eps_0) / (3 ln 3 - 2) with
    eps_0 = 2 kappa |f_0| / lam_0 ~ n^(-1/2). Derived here, for the start that Kalra & Barkeshli
    2406.09405 advise. The mean of 24 seeds at widths 10^2 and 10^10: no noise, as eta lam >= 2.
    """
    for reach in rng.uniform(5, 9, 2):
        times = [_shortest_from_the_edge(width, reach, 24, rng) for width in (10**2, 10**10)]
        slope = float(warmup.shortest_warmup(reach, 1.0, np.exp(-0.5), eta_init=2.0))
        yield equal(slope, (times[1] - times[0]) / np.log(1e8))


def _shortest_from_the_edge(width: int, reach: float, runs: int, rng: np.random.Generator) -> float:
    """Mean over seeds of the smallest surviving t_wrm, by bisection."""
    one, found = example(width, 0.0, 0.0), []
    for seed in rng.integers(2**32, size=runs):
        theta = one.model.init(one.data, int(seed))
        lam = one.state(theta)[1]
        low, high = 0, 30 * round(reach)
        while high - low > 1:
            t_wrm = (low + high) // 2
            run = train(one, theta, Warmup(2.0 / lam, reach / lam, t_wrm), t_wrm, 0.0, rng)
            low, high = (low, t_wrm) if survived(one, run) else (t_wrm, high)
        found.append(high)
    return float(np.mean(found))


@law(0.0)
def ceiling_of_warmup(rng: np.random.Generator) -> Iterator[Reading]:
    """No warmup trains at eta_trgt > 2 / (kappa |y|); a slow one trains below.

    Derived here. Three times the shortest t_wrm for noisy labels, then 500 updates at eta_trgt;
    with targets for which the ceiling is 1 to 20 times 2 / lam.
    """
    for share in (*rng.uniform(0.3, 0.97, 8), *rng.uniform(1.03, 1.6, 4)):
        width, s, gain = int(10 ** rng.uniform(1, 4)), float(rng.uniform()), rng.uniform(1, 20)
        # The ceiling is 2 / (kappa y), the edge 2 / lam with lam = 2 on average.
        one = example(width, s, 2.0 / (gain * example(width, s, 0.0).kappa))
        theta = one.model.init(one.data, int(rng.integers(2**32)))
        lam, floor = flowed_trace(one, theta), 1e-4
        eta = share * float(uv.eta_ceiling(one.kappa, one.y))
        t_wrm = 10 + round(3.0 * float(warmup.shortest_warmup(eta, lam, floor)))
        steps, sigma = t_wrm + 500, noise_of(one, lam, floor)
        run = train(one, theta, Warmup(0.0, eta, t_wrm), steps, sigma, rng)
        yield match(share < 1.0, survived(one, run))


@law(0.02)
def gain_of_warmup(rng: np.random.Generator) -> Iterator[Reading]:
    """From f = 0 warmup gains at most (r + sqrt(r^2 + 16))/4 in eta_trgt, r = lam_0/(kappa |y|).

    Derived here. Bisections over eta_trgt of noisy runs with slow warmup and with none, each judged
    by simulating 500 updates at eta_trgt.
    """
    for _ in range(4):
        one = example(int(10 ** rng.uniform(0.5, 2.5)), float(rng.uniform()), rng.uniform(1, 3))
        # Balanced and orthogonal layers: f = 0.
        lam = rng.uniform(0.5, 8.0) * one.kappa * one.y
        theta = one.weights((0.5 * lam, 0.5 * lam), rng)
        yield equal(warmup.largest_gain(-one.y, lam, one.kappa, one.y), _gain(one, theta, rng))


@law(0.1)
def gain_of_wide_networks(rng: np.random.Generator) -> Iterator[Reading]:
    """Gaussian weights have r = 2 sigma^2 |x| n^((1-s)/2)/|y|: a gain ~ sqrt(n), or O(1) in muP.

    In the NTK parameterization, s = 0, and at s = 1: the flat start of muP that gains little of
    Kalra & Barkeshli 2406.09405, section 4.1. Derived here; by bisection as for ``gain-of-warmup``,
    of one draw at each of three widths up to 10^6, with targets large against its output.
    """
    for width, s in ((10**3, 0.0), (10**4, 0.0), (10**6, 1.0)):
        y = 0.2 * width ** (0.5 * (1.0 - s)) * rng.uniform(0.7, 1.5)
        one = example(width, s, float(y) if s == 0.0 else rng.uniform(0.3, 1.0))
        theta = one.model.init(one.data, int(rng.integers(2**32)))
        yield equal(warmup.typical_gain(width, s, 1.0, 1.0, one.y), _gain(one, theta, rng))


def _gain(one: Example, theta: Array, rng: np.random.Generator) -> float:
    """Largest eta_trgt with a slow warmup over that without any."""
    lam = flowed_trace(one, theta)
    longest = float(warmup.shortest_warmup(uv.eta_ceiling(one.kappa, one.y), lam, 1e-4))
    sigma = noise_of(one, lam, 1e-4)
    without, with_ = (
        _largest_eta(one, theta, t_wrm, sigma, rng) for t_wrm in (1, 10 + round(2.5 * longest))
    )
    return with_ / without


def _largest_eta(
    one: Example, theta: Array, t_wrm: int, sigma: float, rng: np.random.Generator
) -> float:
    """Largest eta_trgt of which no update overflows, by bisection to 1 %."""

    def fails(eta: float) -> bool:
        return train(one, theta, Warmup(0.0, eta, t_wrm), t_wrm + 500, sigma, rng).diverged

    return bisect(fails, 0.0, 3.0 / (one.kappa * one.y), 0.01)


@law(0.02, picture=pictures.meeting_the_edge)
def first_crossing(rng: np.random.Generator) -> Iterator[Reading]:
    """Slow warmup first reaches the edge at eta = 2/sqrt(lam_0^2 + 4 kappa^2 (y^2 - f_0^2)).

    Kalra & Barkeshli 2406.09405, section 4.1, see it later than 2 / lam_0 where the sharpness falls
    by itself, earlier where it rises; derived here. The measured sharpness times eta passes 2, at
    400 updates a unit of it.
    """
    found = 0
    while found < 8:
        one = random_example(rng, representation="gram")
        theta = one.model.init(one.data, int(rng.integers(2**32)))
        expected = float(warmup.first_crossing(*one.setting(theta)))
        # Far from a minimum steps of the early ramp, though small, end flatter than gradient flow.
        if abs(one.kappa * one.state(theta)[0] * expected) > 1.0:
            continue
        schedule = Warmup(0.0, 3.0 * expected, 2400)
        run = train(one, theta, schedule, 1000, 0.0, rng, sharpness_every=2)
        yield equal(expected, run.eta[np.argmax(run.sharpness * run.eta > 2.0)])
        found += 1


@law(0.02)
def edge_under_warmup(rng: np.random.Generator) -> Iterator[Reading]:
    """Slow warmup keeps one example at the edge: eta_t times the sharpness is 2 on average.

    Kalra & Barkeshli 2406.09405, section 4.1. From the first crossing on, while eta grows fivefold
    in 4000 updates; labels with a little noise.
    """
    for _ in range(3):
        one, theta, sigma = _flowed(rng)
        lam = one.state(theta)[1]
        schedule = Warmup(2.0 / lam, 10.0 / lam, 4000)
        run = train(one, theta, schedule, 4000, sigma, rng, sharpness_every=4)
        yield equal(2.0, np.nanmean((run.sharpness * run.eta)[400:]))


@law(0.1)
def loss_under_warmup(rng: np.random.Generator) -> Iterator[Reading]:
    """Slow warmup has a mean loss (d eta/dt)/(2 kappa^2 eta^3 (1 - mu^2)), mu = eta kappa y.

    Derived here: what flattens as fast as 2 / eta falls. 4000 updates beyond the first crossing;
    both weighted by eta^2 (1 - mu^2), so that all of the ramp counts.
    """
    for _ in range(4):
        one, theta, sigma = _flowed(rng)
        lam = one.state(theta)[1]
        run = train(one, theta, Warmup(2.0 / lam, 10.0 / lam, 4000), 4000, sigma, rng)
        eta, loss = run.eta[400:], run.loss[400:]
        expected = warmup.edge_loss(eta, eta[1] - eta[0], one.kappa, one.y)
        weight = eta**2 * (1.0 - (eta * one.kappa * one.y) ** 2)
        yield equal(np.sum(weight * expected), np.sum(weight * loss))


def _flowed(rng: np.random.Generator) -> tuple[Example, Array, float]:
    """An example at its minimum, with a target that makes mu 0 to 0.8 at eta = 10 / lam; noise."""
    width, s, mu = int(10 ** rng.uniform(1, 4)), float(rng.uniform()), rng.uniform(0.0, 0.8)
    one = example(width, s, 0.0)
    lam = rng.uniform(1.0, 3.0)
    one = example(width, s, 0.1 * mu * lam / one.kappa)
    turn = one.kappa * one.y
    theta = one.weights((0.5 * lam + turn, 0.5 * lam - turn), rng)
    return one, theta, noise_of(one, lam, 1e-4)


@law(1e-9)
def updates_saved(rng: np.random.Generator) -> Iterator[Reading]:
    """Starting at eta_c saves t_wrm eta_c / eta_trgt updates of the ramp, minus the search cost.

    Kalra & Barkeshli 2406.09405, section 6.1: t_wrm (1 - eta_c / eta_trgt) are left at the ramp
    eta_trgt / t_wrm, and a forward pass of the search counts half an update. Counted by stepping,
    from 0 and from eta_c.
    """
    for _ in range(8):
        t_wrm, passes = int(rng.integers(2, 500)), int(rng.integers(1, 30))
        eta_trgt = rng.uniform(0.1, 10.0)
        eta_c = int(rng.integers(1, 2 * t_wrm)) / t_wrm * eta_trgt
        left = max(_updates(eta_c, eta_trgt, t_wrm), 1)
        # A start at or beyond eta_trgt takes one update, and leaves nothing to warm up.
        saved = _updates(0.0, eta_trgt, t_wrm) - _updates(eta_c, eta_trgt, t_wrm)
        yield equal(warmup.t_reach(eta_c, eta_trgt, t_wrm), left, scale=1.0)
        expected = warmup.t_save(eta_c, eta_trgt, t_wrm, passes)
        yield equal(expected, saved - 0.5 * passes, scale=1.0)


def _updates(eta: float, eta_trgt: float, t_wrm: int) -> int:
    """Updates that the ramp eta_trgt / t_wrm takes from eta to eta_trgt."""
    updates = 0
    while eta < eta_trgt * (1.0 - 1e-9):
        eta += eta_trgt / t_wrm
        updates += 1
    return updates
