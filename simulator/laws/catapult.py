"""Laws of the catapult: one example at a constant eta between 2 / lam_0 and the boundary."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from simulator.arrays import Array
from simulator.laws.law import Reading, at_most, equal, law
from simulator.laws.one_example import Example, random_example
from simulator.laws.pictures import catapult as pictures
from simulator.theory import catapult, uv


@law(0.06, picture=pictures.peak_time_against_width)
def catapult_time_and_width(rng: np.random.Generator) -> Iterator[Reading]:
    """At y = 0 the loss peaks 1 / (2 ln(S - 1)) later per e-fold of width, S = eta lam_0 > 2.

    Lewkowycz et al. 2003.02218: after of order ln n updates. The slope of the peak's time against
    ln n from width 4^4 to 4^15, on Gaussian weights, averaged over 8 seeds.
    """
    widths = 4 ** np.arange(4, 16)
    overs = rng.uniform(2.2, 3.6, 5)
    slopes = []
    for over in overs:
        times = pictures.peak_times(over, widths, rng.integers(2**32, size=8))
        slopes.append(np.polyfit(np.log(widths), times, 1)[0])
    yield equal(catapult.peak_time_slope(overs), slopes)


def _near_threshold(rng: np.random.Generator) -> tuple[Example, Array, float, float, float, float]:
    """An example and weights close above the threshold; its eta, S_0, mu and |eps_0|."""
    mu, over = rng.choice([-1.0, 1.0]) * rng.uniform(0.0, 0.7), rng.uniform(0.01, 0.03)
    size = 10 ** rng.uniform(-7.0, -5.0)
    difference = 2.0 * (mu + rng.choice([-1.0, 1.0]) * size)
    example = random_example(rng, y=float(np.copysign(rng.uniform(0.2, 3.0), mu)))
    eta = mu / (example.kappa * example.y)
    modes = np.array([2.0 + over + difference, 2.0 + over - difference]) / (2.0 * eta)
    return example, example.weights(modes, rng), eta, 2.0 + over, mu, size


def _excursion(example: Example, theta: Array, eta: float, s0: float, size: float) -> Array:
    """|eps| before each update of a simulated run that is long enough to peak."""
    steps = 200 + round(2.0 * np.log(1.0 / size) / np.log(s0 - 1.0))
    return eta * example.kappa * np.sqrt(2.0 * example.train(theta, eta, steps).loss)


@law(0.005)
def catapult_peak_time(rng: np.random.Generator) -> Iterator[Reading]:
    """Near the threshold |eps| = eta kappa |delta| peaks after ln(2 eps_peak / eps_0) / ln(S - 1).

    S = 2.01 to 2.03 = eta lam_0, eps_0 down to 10^-7: some hundred updates, whatever eta kappa y
    below 0.7.
    """
    for _ in range(12):
        example, theta, eta, s0, mu, size = _near_threshold(rng)
        yield equal(
            catapult.peak_time(size, s0, mu),
            int(np.argmax(_excursion(example, theta, eta, s0, size))),
        )


@law(0.03)
def catapult_peak(rng: np.random.Generator) -> Iterator[Reading]:
    """Near the threshold |eps| = eta kappa |delta| peaks at (S - 2) / sqrt(2 (1 - mu^2)).

    mu = eta kappa y, S = eta lam_0 = 2.01 to 2.03.
    """
    for _ in range(12):
        example, theta, eta, s0, mu, size = _near_threshold(rng)
        yield equal(
            catapult.peak_excursion(s0, mu), _excursion(example, theta, eta, s0, size).max()
        )


@law(0.004)
def catapult_end(rng: np.random.Generator) -> Iterator[Reading]:
    """A catapult ends as far below eta lam = 2 as it starts above it, d, to leading order.

    At 2 - d - (2/3) d^2 (1 - 4 mu^2) / (1 - mu^2), mu = eta kappa y. The distance from 2 after
    training, over d.
    """
    for _ in range(12):
        example, theta, eta, s0, mu, size = _near_threshold(rng)
        steps = 200 + round(2.5 * np.log(1.0 / size) / np.log(s0 - 1.0))
        trace = eta * example.state(example.train(theta, eta, steps).theta)[1]
        yield equal(
            (2.0 - catapult.final_trace(s0, mu)) / (s0 - 2.0), (2.0 - trace) / (s0 - 2.0), scale=1.0
        )


@law(0.1, picture=pictures.half_ellipses)
def catapult_invariant(rng: np.random.Generator) -> Iterator[Reading]:
    """Near the threshold a catapult conserves (S - 2 - 2 mu eps)^2 / 2 + (1 - mu^2) eps^2.

    eps = eta kappa delta, S = eta lam, mu = eta kappa y. At every update down to the peak and back;
    the farthest from the start counts.
    """
    for _ in range(6):
        example, theta, eta, s0, mu, size = _near_threshold(rng)
        steps = round(1.5 * catapult.peak_time(size, s0, mu))
        states = np.array([example.state(at) for at in example.descend(theta, eta, steps)])
        values = catapult.conserved(eta * example.kappa * states[:, 0], eta * states[:, 1], mu)
        yield equal(
            values[0] / (s0 - 2.0) ** 2,
            values[np.argmax(np.abs(values - values[0]))] / (s0 - 2.0) ** 2,
        )


def _target_zero(rng: np.random.Generator) -> tuple[Example, Array, float, float]:
    """An example with y = 0, Gaussian weights, lam_0, and an eta of a catapult."""
    example = random_example(rng, y=0.0)
    theta = example.model.init(example.data, int(rng.integers(2**32)))
    lam = example.state(theta)[1]
    return example, theta, lam, rng.uniform(2.0, 3.99) / lam


@law(1e-9)
def trace_at_target_zero(rng: np.random.Generator) -> Iterator[Reading]:
    """At y = 0 the NTK trace never rises below eta lam_0 = 4: S' - S = eps^2 (S - 4).

    The largest ratio of the traces of successive updates, 100 of them, at eta lam_0 from 2 to 4.
    """
    for _ in range(24):
        example, theta, _, eta = _target_zero(rng)
        traces = np.array([example.state(at)[1] for at in example.descend(theta, eta, 100)])
        yield at_most(1.0, np.max(traces[1:] / traces[:-1]))


@law(1e-9)
def catapult_loss_cap(rng: np.random.Generator) -> Iterator[Reading]:
    """At y = 0 no loss of a bounded run exceeds lam_0^2 / (8 kappa^2), of the order of the width.

    The largest loss of 500 updates at eta lam_0 from 2 to 4.
    """
    for _ in range(40):
        example, theta, lam, eta = _target_zero(rng)
        yield at_most(
            uv.loss_cap(example.kappa, 4.0 / lam), example.train(theta, eta, 500).loss_max
        )
