"""Laws of permanent edge of stability: one example at 1 < mu = eta kappa y < 2, and chaos."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from simulator.arrays import Array
from simulator.data import Data
from simulator.laws.law import Reading, equal, law, match
from simulator.laws.one_example import Example, random_example
from simulator.laws.pictures import edge as pictures
from simulator.theory import edge


def _at(
    mu: float, rng: np.random.Generator, width: int | None = None, representation: str | None = None
) -> tuple[Example, float]:
    """Any example, y > 0, and the eta that makes eta kappa y this mu."""
    example = random_example(rng, width, rng.uniform(0.2, 3.0), representation)
    return example, mu / (example.kappa * example.y)


@law(1e-9)
def cubic_map(rng: np.random.Generator) -> Iterator[Reading]:
    """Once the layers' difference vanishes, r = sqrt(eta lam) maps to (1 + mu) r - r^3 / 2.

    mu = eta kappa y. One simulated update; the sign of r' is that of the sum of the layers.
    """
    for _ in range(24):
        mu, r = rng.uniform(0.0, 2.0), rng.uniform(0.0, 3.5)
        example, eta = _at(mu, rng)
        theta = example.weights([r**2 / eta, 0.0], rng)
        after = example.train(theta, eta, 1).theta
        rows = len(theta) // (example.data.inputs + 1)
        sign = np.sign(theta[-rows:] @ after[-rows:])
        yield equal(edge.cubic(r, mu), sign * np.sqrt(eta * example.state(after)[1]), scale=1.0)


def _settled(
    mu: float, rng: np.random.Generator, steps: int = 3000
) -> tuple[Example, float, Array]:
    """Any example, its eta, and its weights after so many updates from both modes alive."""
    example, eta = _at(mu, rng)
    start = rng.uniform(0.2, 1.0, 2) / eta
    return example, eta, example.train(example.weights(start, rng), eta, steps).theta


@law(1e-6)
def alternation_of_two_traces(rng: np.random.Generator) -> Iterator[Reading]:
    """For 1 < mu < sqrt(5) - 1, eta lam ends in a cycle of R -+ sqrt(R^2 - 4), R = 1 + mu.

    From both modes alive: the difference of the layers dies out by itself.
    """
    for mu in rng.uniform(1.03, 1.22, 12):
        example, eta, theta = _settled(mu, rng)
        traces = [eta * example.state(at)[1] for at in example.descend(theta, eta, 1)]
        yield equal(edge.cycle_traces(mu), sorted(traces))


@law(1e-6)
def alternation_means(rng: np.random.Generator) -> Iterator[Reading]:
    """Over this cycle the geometric mean trace is 2 / eta, the mean sharpness (3 + mu) / (2 eta).

    And the mean trace (1 + mu) / eta; mu = eta kappa y from 1 to sqrt(5) - 1. The sharpness is the
    one that the simulator follows.
    """
    for mu in rng.uniform(1.03, 1.22, 12):
        example, eta, theta = _settled(mu, rng)
        low, high = (eta * example.state(at)[1] for at in example.descend(theta, eta, 1))
        tops = eta * example.train(theta, eta, 2, sharpness_every=1, sharpness_tol=1e-9).sharpness
        yield equal(edge.cycle_means(mu), [np.sqrt(low * high), 0.5 * (low + high), tops.mean()])


@law(1e-8)
def cycle_of_dead_difference(rng: np.random.Generator) -> Iterator[Reading]:
    """That cycle multiplies perturbations by 9 - 2 (1 + mu)^2 along it and 3 - 2 mu across it.

    The second n times at width n. Eigenvalues of the product of I - eta Hessian, dense, over one
    cycle; the rest are 1: rotations of the sum of the layers, and inputs across the example's.
    """
    for mu in rng.uniform(1.03, 1.22, 6):
        n = int(rng.integers(1, 5))
        example, eta = _at(mu, rng, n, "parameters")
        theta = example.weights([edge.cycle_traces(mu)[0] / eta, 0.0], rng)
        product = np.eye(theta.size)
        for at in list(example.descend(theta, eta, 1)):
            product -= eta * example.model.hessian(at, example.data) @ product
        along, across = edge.cycle_multiplier(mu), edge.cycle_transverse_multiplier(mu)
        yield equal(
            sorted([along] + n * [across] + (theta.size - n - 1) * [1.0]),
            sorted(np.linalg.eigvals(product).real),
            scale=1.0,
        )


@law(0.0, picture=pictures.bifurcations)
def period_doubling(rng: np.random.Generator) -> Iterator[Reading]:
    """Cycles double at eta kappa y = 1, sqrt(5) - 1, 1.288032, 1.299228, 1.301629, 1.302143, ...

    Periods of simulated losses between 10 % and 90 % of the way from one doubling to the next.
    """
    borders = edge.period_doublings(6)
    for doubling in range(5):
        for share in rng.uniform(0.1, 0.9, 4):
            mu = (1.0 - share) * borders[doubling] + share * borders[doubling + 1]
            example, eta = _at(mu, rng)
            start = example.weights(rng.uniform(0.2, 1.0, 2) / eta, rng)
            loss = example.train(start, eta, 6000).loss[-128:] * (eta * example.kappa) ** 2
            yield match(2 ** (doubling + 1), _period(loss))


def _period(curve: Array) -> int:
    """The least shift that leaves a curve as it is, up to half its length; 0 if there is none."""
    for shift in range(1, len(curve) // 2):
        if np.allclose(curve[shift:], curve[:-shift], rtol=0.0, atol=1e-7):
            return shift
    return 0


def _exponent(mu: float, rng: np.random.Generator, updates: int) -> float:
    """Mean log growth, by I - eta Hessian, of a perturbation along the weights of a simulated run.

    Where the difference of the layers is dead the map keeps that direction.
    """
    example, _ = _at(mu, rng)
    example = Example(example.model, Data(example.data.x[:, :1], example.data.y))
    eta = mu / (example.kappa * example.y)
    theta = example.weights([rng.uniform(0.3, 4.0) / eta, 0.0], rng)
    theta = example.train(theta, eta, 200).theta
    growth = [
        np.linalg.norm(at - eta * example.model.hvp(at, at, example.data)) / np.linalg.norm(at)
        for at in example.descend(theta, eta, updates)
    ]
    return float(np.mean(np.log(growth)))


@law(0.1)
def lyapunov_exponent(rng: np.random.Generator) -> Iterator[Reading]:
    """Beyond the edge perturbations of the weights grow as exp(t mean ln |1 + mu - 3 r^2 / 2|).

    Negative in cycles, ln |9 - 2 (1 + mu)^2| / 2 in that of period 2; positive in chaos. By 2,500
    Hessian-vector products along each run.
    """
    mu = np.concatenate([rng.uniform(1.05, 1.2, 3), [1.45, 1.5, 1.6, 1.8]])
    measured = [_exponent(m, rng, 2500) for m in mu]
    yield equal(edge.lyapunov(mu, 30_000), measured, scale=1.0)


@law(0.05)
def full_chaos(rng: np.random.Generator) -> Iterator[Reading]:
    """At mu = 2, the boundary of divergence, the Lyapunov exponent is ln 3 per update.

    The map is then minus the Chebyshev polynomial T_3. Measured as before, just below, and averaged
    over 4 runs.
    """
    exponents = [_exponent(2.0 - 1e-9, rng, 2500) for _ in range(4)]
    yield equal(edge.CHAOS_EXPONENT, np.mean(exponents))


def _quartic(rng: np.random.Generator, sign: float) -> tuple[float, float, float]:
    """L'' and two derivatives more, with 3 L'''^2 - L'' L'''' of this sign and not small."""
    while True:
        second, third, fourth = rng.uniform(0.5, 2.0), *rng.uniform(-2.0, 2.0, 2)
        if sign * (3.0 * third**2 - second * fourth) > 0.5:
            return second, third, fourth


def _descend_quartic(derivatives: tuple[float, float, float], eta: float, x: float) -> Array:
    """20,000 updates on L'' x^2/2 + L''' x^3/6 + L'''' x^4/24, or until |x| exceeds 1."""
    second, third, fourth = derivatives
    path = [x]
    while abs(x) < 1.0 and len(path) <= 20_000:
        x -= eta * (second * x + third * x**2 / 2.0 + fourth * x**3 / 6.0)
        path.append(x)
    return np.array(path)


@law(0.0)
def flip_criterion(rng: np.random.Generator) -> Iterator[Reading]:
    """Above eta L'' = 2 descent settles in a small oscillation iff 3 L'''^2 > L'' L''''.

    In one dimension, at a minimum with these derivatives: Chen and Bruna 2206.04172. Random
    quartics at eta L'' = 2 + 10^-3, 20,000 updates from 10^-3.
    """
    for instance in range(20):
        derivatives = _quartic(rng, (-1.0) ** instance)
        path = _descend_quartic(derivatives, (2.0 + 1e-3) / derivatives[0], 1e-3)
        yield match(bool(edge.flip_is_stable(*derivatives)), bool(np.abs(path).max() < 0.3))


@law(0.02)
def flip_amplitude(rng: np.random.Generator) -> Iterator[Reading]:
    """That oscillation has the amplitude sqrt(3 L''^2 (eta L'' - 2) / (3 L'''^2 - L'' L'''')).

    Of networks along the sum of the layers, where the denominator is 24 kappa^4 |p|^2, simulated
    close above mu = 1, and of random quartics.
    """
    for mu in 1.0 + rng.uniform(5e-4, 2e-3, 4):
        example, eta = _at(mu, rng)
        k, squared = example.kappa, 2.0 * mu / (eta * example.kappa**2)
        theta = example.train(example.weights([2.1 * mu / eta, 0.0], rng), eta, 20_000).theta
        traces = [example.state(at)[1] for at in example.descend(theta, eta, 1)]
        derivatives = k**2 * squared, 3.0 * k**2 * np.sqrt(squared), 3.0 * k**2
        swing = 0.5 * abs(np.subtract(*np.sqrt(traces))) / k
        yield equal(edge.flip_amplitude(eta, *derivatives), swing)
    for _ in range(6):
        derivatives = _quartic(rng, 1.0)
        eta = (2.0 + 3e-4) / derivatives[0]
        path = _descend_quartic(derivatives, eta, 1e-2)
        yield equal(edge.flip_amplitude(eta, *derivatives), 0.5 * abs(path[-1] - path[-2]))
