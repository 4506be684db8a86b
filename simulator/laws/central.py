"""Laws of the central flow: on losses of one oscillating direction, where all of it is known."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from simulator.arrays import Array
from simulator.data import Data
from simulator.flows import central_flow
from simulator.laws.law import Reading, equal, law
from simulator.laws.pictures import central as pictures
from simulator.laws.pictures.stabilization import descend
from simulator.models import UV, Custom
from simulator.theory import central


@law(1e-8, picture=pictures.variance)
def variance_under_a_ramp(rng: np.random.Generator) -> Iterator[Reading]:
    """The flow's variance is (2/beta) max(0, alpha + 2 ramp/(eta^2 (eta + ramp))), S = 2/eta.

    And its kappa is eta times the root of that drive. Derived here from Cohen et al. 2410.24206.
    The central flow of the toy (S_0 + g w) x^2/2 - h w under linear ramps of either direction of
    sharpening, by third derivatives from differences of its gradients.
    """
    for _ in range(6):
        g, alpha, eta = rng.uniform(0.5, 2.0), rng.uniform(-1.0, 2.0), rng.uniform(0.02, 0.1)
        ramp = 0.5 * eta**3 * (rng.uniform(0.2, 2.0) - min(alpha, 0.0))
        rates = eta + ramp * np.arange(40)
        model = _toy(2.0 / eta, g, alpha / g)
        flow = central_flow(
            model, schedule=rates, steps=40, beside=False, difference=1.0, theta0=np.zeros(2)
        )
        at = slice(1, 39)
        yield equal(central.variance(alpha, g**2, rates[at], ramp), flow.variance[at], scale=1.0)
        yield equal(central.kappa(alpha, rates[at], ramp), flow.kappa[at], scale=eta)
        yield equal(2.0 / rates[at], flow.sharpness[at])


@law(0.05, picture=pictures.overshoot)
def first_catapult(rng: np.random.Generator) -> Iterator[Reading]:
    """From a kick s, S overshoots 2/eta by kappa sqrt(ln(delta/s)/2), sqrt(2 ln(delta/s))/kappa on.

    Derived here, to leading order in kappa, here 0.005, and in 1/ln(delta/s). The toy from x = s at
    the threshold, s from 1e-14 to 1e-6 of delta, to the peak of its sharpness.
    """
    g, h, s = rng.uniform(0.5, 2.0, 8), rng.uniform(0.5, 2.0, 8), 10 ** rng.uniform(-14, -6, 8)
    eta = 0.005 / np.sqrt(g * h)
    delta = np.sqrt(2.0 * h / g)
    kappa = central.kappa(g * h, eta)
    _, y = descend(s * delta, 0.0, g, h, np.tile(eta, (2500, 1)))
    yield equal(central.overshoot(kappa, delta, s * delta), 0.5 * eta * y.max(axis=0))
    yield equal(central.delay(kappa, delta, s * delta), y.argmax(axis=0))


@law(1e-6)
def two_cycle_of_a_quartic(rng: np.random.Generator) -> Iterator[Reading]:
    """On S w^2/2 - Q w^4/4 descent ends in a 2-cycle of w^2 = S/Q - 2/(eta Q); the flow does not.

    It is the fixed point of rod flow (Regis & Chewi 2602.01480). The central flow rests where
    S - 3 Q w^2 = 2/eta, with sigma^2 = (S - Q w^2)/(3 Q). 4000 updates of descent; the flow from
    near its threshold.
    """
    eta, q = rng.uniform(0.5, 2.0, (2, 8))
    s = rng.uniform(2.1, 2.6, 8) / eta
    w = 0.3 / np.sqrt(eta * q)
    for _ in range(4000):
        w = w - eta * (s * w - q * w**3)
    yield equal(central.rod_fixed_point(s, q, eta), w**2)
    square, variance = np.array(central.quartic_centre(s, q, eta))
    for i in range(2):
        flow = central_flow(
            _quartic(s[i], q[i]), schedule=np.full(100, eta[i]), steps=100, beside=False,
            theta0=0.9 * np.sqrt(square[i : i + 1]),
        )  # fmt: skip
        found = [float(flow.theta[0] ** 2), flow.variance[-1]]
        yield equal([square[i], variance[i]], found)


@law(1e-6)
def two_cycle_of_one_example(rng: np.random.Generator) -> Iterator[Reading]:
    """On (u v - y)^2/2 the 2-cycle's loss is (y^2 - 1/eta^2)/4, and the central flow's 8/9 of it.

    Centres (y + 3/eta)/4 and (y + 2/eta)/3; tr Sigma (y - 1/eta)/2 and (4/9)(y - 1/eta). Derived
    here. 4000 updates of descent at 1.05 < eta y < 1.2; the flow of UV models of width 1.
    """
    y, start = rng.uniform(0.5, 2.0, 8), np.array([1.3, 0.9])
    eta = rng.uniform(1.05, 1.2, 8) / y
    u, v = np.sqrt(y) * start[:, None]
    for _ in range(4000):
        before = u
        u, v = u - eta * (u * v - y) * v, v - eta * (u * v - y) * u
    centre, half, loss = central.uv_cycle(y, eta)
    yield equal(centre, 0.25 * (u + before) ** 2)
    yield equal(half, 0.25 * (u - before) ** 2)
    yield equal(loss, 0.25 * ((u**2 - y) ** 2 + (before**2 - y) ** 2))
    model = UV(1, 1.0, 1.0, "parameters")
    for i in range(2):
        flow = central_flow(
            model, Data(np.ones((1, 1)), y[i : i + 1, None]), schedule=np.full(200, eta[i]),
            steps=200, theta0=np.sqrt(y[i]) * start, beside=False, difference=1.0,
        )  # fmt: skip
        found = [float(flow.theta[0] ** 2), flow.variance[-1], flow.predicted_loss[-1]]
        yield equal(np.array(central.uv_centre(y[i], eta[i])), found)


def _toy(curvature: float, g: float, h: float) -> Custom:
    """(S_0 + g w) x^2 / 2 - h w, theta = (x, w)."""
    return Custom(
        "toy",
        loss=lambda at: float(0.5 * (curvature + g * at[1]) * at[0] ** 2 - h * at[1]),
        gradient=lambda at: np.array([(curvature + g * at[1]) * at[0], 0.5 * g * at[0] ** 2 - h]),
        hvp=lambda at, v: np.array(
            [(curvature + g * at[1]) * v[0] + g * at[0] * v[1], g * at[0] * v[0]]
        ),
        init=lambda rng: np.zeros(2),
    )


def _quartic(s: float, q: float) -> Custom:
    """S w^2 / 2 - Q w^4 / 4."""

    def hvp(at: Array, v: Array) -> Array:
        return (s - 3.0 * q * at**2) * v

    return Custom(
        "quartic",
        loss=lambda at: float(0.5 * s * at[0] ** 2 - 0.25 * q * at[0] ** 4),
        gradient=lambda at: s * at - q * at**3,
        hvp=hvp,
        init=lambda rng: np.full(1, 0.1),
    )
