"""Laws of self-stabilisation: on the toy on which it is exact, and in the UV model."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from simulator.arrays import Array
from simulator.curvature import sharpness
from simulator.data import Data
from simulator.laws.law import Reading, equal, law, match
from simulator.laws.one_example import Example
from simulator.laws.pictures import stabilization as pictures
from simulator.laws.pictures.stabilization import descend
from simulator.models import UV
from simulator.theory import stabilization


@law(1e-10)
def reduced_map(rng: np.random.Generator) -> Iterator[Reading]:
    """Descent on (S_0 + g w) x^2/2 - h w: x' = -(1 + eta y) x, y' = y + eta (alpha - beta x^2/2).

    Damian, Nichani & Lee 2209.15594, with y = S - 2 / eta, alpha = g h, beta = g^2: 500 updates.
    """
    g, h, eta = *rng.uniform(0.5, 2.0, (2, 8)), rng.uniform(5e-3, 1e-2, 8)
    x, y = descend(rng.uniform(0.1, 1.0, 8), 0.0, g, h, np.tile(eta, (500, 1)))
    state = x[0], y[0]
    for _ in range(500):
        state = stabilization.reduced_step(*state, g * h, g**2, eta)
    yield equal(np.array(state), np.array([x[-1], y[-1]]), scale=1.0)


@law(0.03, picture=pictures.cycle)
def catapult_cycle(rng: np.random.Generator) -> Iterator[Reading]:
    """A cycle conserves y^2 + alpha (q - ln q - 1), q = X^2 beta/(2 alpha): it gives its peaks.

    Damian, Nichani & Lee 2209.15594 as eta -> 0; here eta sqrt(alpha) = 0.005. The toy from (X_0,
    0) until X falls.
    """
    g, h = rng.uniform(0.5, 2.0, (2, 8))
    alpha, beta, eta = g * h, g**2, 0.005 / np.sqrt(g * h)
    x0 = 10 ** rng.uniform(-2.5, -0.3, 8) * stabilization.amplitude(alpha, beta)
    x, y = descend(x0, 0.0, g, h, np.tile(eta, (4000, 1)))
    peaks = 1 + np.argmax(np.diff(np.abs(x[1:]), axis=0) < 0, axis=0)
    highest = [np.abs(x[peak, i]) for i, peak in enumerate(peaks)]
    sharpest = [y[:peak, i].max() for i, peak in enumerate(peaks)]
    energy = stabilization.cycle_energy(x0, 0.0, alpha, beta)
    predicted = stabilization.x_peak(energy, alpha, beta), stabilization.y_peak(energy)
    yield equal(np.array(predicted), np.array([highest, sharpest]))


@law(0.01)
def cycle_period(rng: np.random.Generator) -> Iterator[Reading]:
    """A small cycle about the fixed point takes 2 pi / (eta sqrt(2 alpha)) updates.

    Between changes of sign of y on the toy, from 5 % off the fixed point.
    """
    g, h = rng.uniform(0.5, 2.0, (2, 8))
    alpha, eta = g * h, rng.uniform(2e-3, 8e-3, 8) / np.sqrt(g * h)
    period = np.array(stabilization.cycle_period(alpha, eta))
    rates = np.tile(eta, (round(2.1 * period.max()), 1))
    _, y = descend(1.05 * stabilization.amplitude(alpha, g**2), 0.0, g, h, rates)
    measured = []
    for column in y[1:].T:
        changes = np.flatnonzero(np.diff(np.sign(column)))
        measured.append(changes[2] - changes[0])
    yield equal(period, measured)


@law(0.03)
def outward_spiral(rng: np.random.Generator) -> Iterator[Reading]:
    """An update multiplies the distance from the fixed point by sqrt(1 + 2 eta^2 alpha).

    Why the reduced model alone blows up: logarithm of the growth over whole cycles of the toy, from
    3 % off the fixed point.
    """
    g, h = rng.uniform(0.5, 2.0, (2, 8))
    alpha, beta, eta = g * h, g**2, 0.01 / np.sqrt(g * h)
    updates = round(float(stabilization.cycle_period(1.0, 0.01)))
    x, y = descend(
        1.03 * stabilization.amplitude(alpha, beta), 0.0, g, h, np.tile(eta, (updates, 1))
    )
    away = np.abs(x) - stabilization.amplitude(alpha, beta)
    # In these units the cycle is a circle.
    distance = np.hypot(away * np.sqrt(beta), y)
    measured = np.log(distance[-1] / distance[0]) / updates
    yield equal(np.log(stabilization.outward_spiral(alpha, eta)), measured)


@law(0.0)
def damped_cycle(rng: np.random.Generator) -> Iterator[Reading]:
    """With damping a small cycle decays iff 2 eta alpha < damping < 2 / eta + eta alpha.

    Derived here. The toy with damping w^2 / 2 from 1 % off its fixed point, on both sides of both
    bounds: whether the last 400 of 4000 updates are nearer.
    """
    g, h = rng.uniform(0.5, 2.0, (2, 32))
    alpha, beta, eta = g * h, g**2, rng.uniform(0.05, 0.4, 32) / np.sqrt(g * h)
    sides = np.tile([0.75, 1.25, 0.98, 1.02], 8)
    upper = 2.0 / eta + eta * alpha
    damping = sides * np.where(np.abs(sides - 1.0) > 0.1, 2.0 * eta * alpha, upper)
    rest = stabilization.amplitude(alpha, beta)
    with np.errstate(over="ignore", invalid="ignore"):
        x, y = descend(1.01 * rest, 0.0, g, h, np.tile(eta, (4000, 1)), damping)
        away = np.hypot((np.abs(x) - rest) * np.sqrt(beta), y)
    decayed = away[-400:].max(axis=0) < away[0]
    yield match(stabilization.damped_cycle_decays(eta, alpha, damping), decayed)


@law(1e-10)
def mean_square_displacement(rng: np.random.Generator) -> Iterator[Reading]:
    """The mean of x^2 over T updates is 2 (alpha - (y_T - y_0)/(eta T))/beta -> 2 alpha/beta.

    Exact, of the toy: the variance at which the central flow of Cohen et al. 2410.24206 holds the
    sharpness at 2 / eta.
    """
    g, h, eta = *rng.uniform(0.5, 2.0, (2, 8)), rng.uniform(2e-3, 1e-2, 8)
    x, y = descend(rng.uniform(0.1, 1.0, 8), 0.0, g, h, np.tile(eta, (1000, 1)))
    predicted = stabilization.mean_square(g * h, g**2, eta, 1000, y[-1] - y[0])
    yield equal(predicted, np.mean(x[:-1] ** 2, axis=0))


@law(0.02)
def drive_of_warmup(rng: np.random.Generator) -> Iterator[Reading]:
    """Warmup drives like sharpening: the mean of x^2 is 2 (alpha + 2 (d eta/dt)/eta^3)/beta.

    Derived here. Whole cycles of the toy from its fixed point, for alpha of either sign; eta grows
    by a few per cent meanwhile.
    """
    g, alpha = rng.uniform(0.5, 2.0, 8), rng.uniform(-1.0, 1.0, 8)
    eta, drive = 0.002, rng.uniform(0.5, 2.0, 8)
    ramp = 0.5 * eta**3 * (drive - alpha)
    updates = round(2.0 * float(stabilization.cycle_period(drive.min(), eta)))
    etas = eta + ramp * np.arange(updates)[:, None]
    x0 = 1.05 * np.sqrt(2.0 * drive) / g
    x, _ = descend(x0, 0.0, g, alpha / g, etas)
    expected = stabilization.effective_drive(alpha, etas, ramp)
    cycles = stabilization.mean_square(expected, g**2, etas, 1)
    yield equal(np.mean(cycles, axis=0), np.mean(x[:-1] ** 2, axis=0))


@law(0.0, picture=pictures.regimes)
def regimes_of_warmup(rng: np.random.Generator) -> Iterator[Reading]:
    """Catapults iff alpha + 2 (d eta/dt)/eta^3 > 0: always, in fast warmup, or only in warmup.

    The regimes C1, C2 and C3 of Kalra & Barkeshli 2406.09405, section 4.1: alpha > 0, < 0 and = 0.
    The toy from the edge: X grows 50-fold or not. Drives nearer to 0 than 0.2 are left out.
    """
    eta, g = 0.002, rng.uniform(0.5, 2.0, 32)
    alpha = np.repeat([1.0, -1.0, -1.0, 0.0], 8) * rng.uniform(0.7, 2.0, 32)
    from_ramp = np.where(alpha > 0, 0.0, rng.uniform(0.5, 5.0, 32))
    alpha, from_ramp, g = (v[np.abs(alpha + from_ramp) > 0.2] for v in (alpha, from_ramp, g))
    ramp = 0.5 * eta**3 * from_ramp
    updates = round(4.0 / (eta * np.sqrt(0.2)))
    etas = eta + ramp * np.arange(updates)[:, None]
    x, _ = descend(np.full(alpha.size, 1e-3), 0.0, g, alpha / g, etas)
    grown = np.abs(x).max(axis=0) > 50.0 * np.abs(x[0])
    yield match(stabilization.catapults(alpha, eta, ramp), grown)


@law(0.05)
def catapult_in_the_uv_model(rng: np.random.Generator) -> Iterator[Reading]:
    """From a minimum with S = 2/eta + y_0, X peaks at y_0 sqrt(2/beta) and S ends at 2/eta - y_0.

    The reduced model with alpha = 0 (Damian, Nichani & Lee 2209.15594) on a network: UV models of
    width 4 on one example, beta = |grad S|^2 across the top eigenvector, by finite differences of
    the measured sharpness. To first order in eta y_0, here 0.02.
    """
    for mu in (0.0, *rng.uniform(0.1, 0.7, 5)):
        data = Data(rng.standard_normal((1, 1)) + 0.1, np.array([[1.0 if mu else 0.0]]))
        one = Example(UV(4, float(rng.uniform()), 1.0, "parameters"), data)
        eta = mu / one.kappa if mu else rng.uniform(0.1, 1.0)
        theta = one.weights(np.array([1.01 + mu, 1.01 - mu]) / eta, rng)
        curvature, top, beta = _sharpness_and_its_slope(one, theta)
        excess = curvature - 2.0 / eta
        start = 1e-3 * excess * np.sqrt(2.0 / beta)
        energy = stabilization.cycle_energy(start, excess, 0.0, beta)
        run = one.train(theta + start * top, eta, 1500)
        yield equal(
            stabilization.x_peak(energy, 0.0, beta), np.sqrt(2 * run.loss.max() / curvature)
        )
        end = sharpness(one.model, run.theta, one.data)
        yield equal(stabilization.y_peak(energy), 2.0 / eta - end)


def _sharpness_and_its_slope(one: Example, theta: Array) -> tuple[float, Array, float]:
    """S, its eigenvector u (P,), and |grad S|^2 across u, by central differences."""
    top = np.linalg.eigh(one.model.hessian(theta, one.data))[1][:, -1]
    small = 1e-4
    slope = np.array(
        [
            sharpness(one.model, theta + small * direction, one.data)
            - sharpness(one.model, theta - small * direction, one.data)
            for direction in np.eye(theta.size)
        ]
    ) / (2.0 * small)
    across = slope - top * (top @ slope)
    return sharpness(one.model, theta, one.data), top, float(across @ across)
