"""Laws of Adam and its variants: the first update, its stability, and the effect of v_0."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

from simulator.arrays import Array
from simulator.data import Data
from simulator.laws.bisection import bisect, first_update_raises
from simulator.laws.law import Reading, at_most, equal, law, match
from simulator.laws.pictures import adaptive as pictures
from simulator.laws.pictures.adaptive import steps_of
from simulator.models import MLP, UV, Quadratic
from simulator.optimizers import Adam, GIAdam
from simulator.schedules import Warmup
from simulator.theory import adaptive
from simulator.training import simulate


def _network(rng: np.random.Generator) -> tuple[MLP, Data, int]:
    """A small tanh network in any parameterization, its Gaussian data, and a seed."""
    model = MLP(
        width=int(rng.integers(4, 12)),
        depth=3,
        activation="tanh",
        parameterization=str(rng.choice(["sp", "ntp", "mup"])),
    )
    data = Data(rng.standard_normal((8, 4)), rng.standard_normal((8, 2)))
    return model, data, int(rng.integers(2**32))


def _one_example(width: int, s: float, rng: np.random.Generator) -> tuple[UV, Data, Array]:
    """A UV model on one example, and its weights."""
    model = UV(width, s, representation="parameters")
    data = Data(rng.standard_normal((1, int(rng.integers(1, 4)))), rng.standard_normal((1, 1)))
    return model, data, model.init(data, int(rng.integers(2**32)))


def _residual(model: UV, data: Data, theta: Array) -> float:
    """|delta| of one example, from its loss."""
    return float(np.sqrt(2.0 * model.loss(theta, data)))


def _first_sharpness(model: UV, data: Data, theta: Array, beta1: float) -> tuple[float, float]:
    """Of Adam at eps = 0 on one example: predicted, and simulated."""
    gradient, delta = model.gradient(theta, data), _residual(model, data, theta)
    run = simulate(model, data, optimizer=Adam(beta1, eps=0.0), theta0=theta, steps=1)
    expected = adaptive.first_sharpness(gradient, delta, beta1)
    return float(expected), run.preconditioned_sharpness_init


@law(1e-12)
def adam_first_update(rng: np.random.Generator) -> Iterator[Reading]:
    """Adam's first update is eta g / (|g| + eps) in every parameter, whatever the betas.

    One simulated update of small networks.
    """
    for eps in 10.0 ** rng.uniform(-8, -1, 6):
        model, data, seed = _network(rng)
        theta = model.init(data, seed)
        optimizer = Adam(rng.uniform(0, 0.95), rng.uniform(0.5, 0.99), eps)
        eta = float(rng.uniform(0.01, 1.0))
        run = simulate(
            model, data, optimizer=optimizer, schedule=Warmup(eta_trgt=eta), steps=1, seed=seed,
            sharpness_every=0,
        )  # fmt: skip
        expected = adaptive.first_update(model.gradient(theta, data), eta, eps)
        # The largest error, and the size of the update as a whole.
        yield equal(
            [0.0, float(np.linalg.norm(expected)) / eta],
            [
                np.abs(run.theta - theta - expected).max(),
                np.linalg.norm(run.theta - theta) / eta,
            ],
            scale=1.0,
        )


@law(0.005)
def adam_first_sharpness(rng: np.random.Generator) -> Iterator[Reading]:
    """Adam's first preconditioned sharpness on one example is |g|_1 / delta^2 / (1 - beta1).

    Its Gauss-Newton part, derived here: it grows as sqrt(P), so it is high even from a flat start.
    As simulated for UV models with a target near their output, where nothing else counts.
    """
    for _ in range(8):
        model, data, theta = _one_example(int(rng.integers(2, 300)), float(rng.uniform()), rng)
        n, d = model.width, data.inputs
        output = model.c * data.x[0] @ theta[: d * n].reshape(d, n) @ theta[d * n :]
        near = Data(data.x, np.array([[output + 1e-4]]))
        expected, found = _first_sharpness(model, near, theta, rng.uniform(0.0, 0.95))
        yield equal(expected, found)


@law(0.0)
def adam_first_sharpness_range(rng: np.random.Generator) -> Iterator[Reading]:
    """Adam's first sharpness is within max_i sqrt(|x|_1/|v_i h_i|) of |g|_1/delta^2.

    Both over 1 - beta1, and h = U x: by Weyl's inequality, derived here. The distance in units
    of the bound, as simulated for UV models with any target.
    """
    for _ in range(16):
        model, data, theta = _one_example(int(rng.integers(2, 40)), float(rng.uniform()), rng)
        n, d, beta1 = model.width, data.inputs, rng.uniform(0.0, 0.95)
        expected, found = _first_sharpness(model, data, theta, beta1)
        hidden = data.x[0] @ theta[: d * n].reshape(d, n)
        margin = adaptive.first_sharpness_margin(data.x[0], hidden, theta[d * n :])
        yield at_most(1.0, abs(found - expected) * (1.0 - beta1) / margin)


@law(0.01)
def adam_first_critical_eta(rng: np.random.Generator) -> Iterator[Reading]:
    """On one example Adam's first update raises the loss iff eta > 2 delta^2 / |g|_1.

    Derived here, for a model linear in its parameters: UV models of width 20,000 and s up to 1/2,
    by bisection of simulated single updates. Gradient descent has 2 delta^2 / |g|_2^2.
    """
    for _ in range(6):
        model, data, theta = _one_example(20_000, rng.uniform(0.0, 0.5), rng)
        gradient, delta = model.gradient(theta, data), _residual(model, data, theta)
        expected = float(adaptive.first_critical_eta(gradient, delta))
        raises = partial(first_update_raises, model, data, Adam(eps=0.0), theta)
        yield equal(expected, bisect(raises, 0.0, 4.0 * expected, 1e-3))


@law(0.0)
def adam_first_overshoot(rng: np.random.Generator) -> Iterator[Reading]:
    """On a quadratic Adam's first update overshoots iff eta lambda(P^-1 H) > 2 / (1 - beta1).

    In some coordinate; as simulated, with the first preconditioned sharpness as measured. The
    limit of an empty momentum: 20 at beta1 = 0.9, where later ones may reach 38. Derived here.
    """
    for _ in range(24):
        theta, beta1 = rng.standard_normal(6), rng.uniform(0.0, 0.95)
        eta = rng.uniform(0.3, 3.0) * 2.0 * np.abs(theta).min()
        run = simulate(
            Quadratic(rng.uniform(0.1, 10.0, 6).tolist()), theta0=theta, steps=1,
            optimizer=Adam(beta1, eps=0.0), schedule=Warmup(eta_trgt=eta),
        )  # fmt: skip
        yield match(
            eta * run.preconditioned_sharpness_init > adaptive.first_limit(beta1),
            (np.abs(run.theta) > np.abs(theta)).any(),
        )


@law(1e-8)
def adam_quadratic_sharpness(rng: np.random.Generator) -> Iterator[Reading]:
    """On a quadratic Adam's first preconditioned sharpness is max_i 1/|theta_i| / (1 - beta1).

    Derived here: P = (1 - beta1) c_i |theta_i|, so no curvature is left. As simulated.
    """
    for beta1 in rng.uniform(0.0, 0.95, 8):
        theta = rng.standard_normal(6)
        run = simulate(
            Quadratic(rng.uniform(0.1, 10.0, 6).tolist()), theta0=theta, steps=1,
            optimizer=Adam(beta1, eps=0.0),
        )  # fmt: skip
        yield equal(
            adaptive.first_quadratic_sharpness(theta, beta1), run.preconditioned_sharpness_init
        )


@law(0.0)
def adam_late_limit(rng: np.random.Generator) -> Iterator[Reading]:
    """With P fixed, Adam is stable iff eta lambda_max(P^-1 H) < (2 + 2 beta1) / (1 - beta1).

    38 at beta1 = 0.9 (Cohen et al. 2207.14484); its first update is stable up to 2 / (1 - beta1)
    only. Adam's averages and corrections, 3000 updates on random quadratics, within 3 % of the
    limit.
    """
    for _ in range(12):
        beta1, share = rng.uniform(0.0, 0.95), rng.choice([0.97, 1.03])
        a, d = rng.standard_normal((4, 4)), rng.uniform(0.3, 3.0, 4)
        hessian = a @ a.T + 0.1 * np.eye(4)
        top = np.linalg.eigvalsh(hessian / np.sqrt(np.outer(d, d)))[-1]
        eta = share * adaptive.late_limit(beta1) / top
        theta, m, early = rng.standard_normal(4), np.zeros(4), 0.0
        for t in range(1, 3001):
            m = beta1 * m + (1.0 - beta1) * (hessian @ theta)
            theta = theta - eta * m / (1.0 - beta1**t) / d
            size = float(np.linalg.norm(theta))
            early = size if t == 1000 else early
            if size > 1e100:
                break
        yield match(share < 1.0, size < early)


def _first_measured(model: MLP, data: Data, rule: Adam | GIAdam, seed: int) -> float:
    run = simulate(model, data, optimizer=rule, steps=1, seed=seed, sharpness_tol=1e-12)
    return run.preconditioned_sharpness_init


@law(1e-10)
def gi_adam_first_sharpness(rng: np.random.Generator) -> Iterator[Reading]:
    """GI-Adam's first preconditioned sharpness is Adam's times sqrt(1 - beta2): 1/31.6 at 0.999.

    Kalra & Barkeshli 2406.09405, section 6.2. Both as simulated on small networks, eps = 0.
    """
    for beta2 in (0.999, *(1.0 - 10.0 ** rng.uniform(-4, -0.5, 5))):
        model, data, seed = _network(rng)
        first = [
            _first_measured(model, data, rule, seed)
            for rule in (GIAdam(beta2=beta2, eps=0.0), Adam(beta2=beta2, eps=0.0))
        ]
        yield equal(adaptive.primed_factor(1, beta2), first[0] / first[1])


@law(1e-10)
def gi_adam_near_eps(rng: np.random.Generator) -> Iterator[Reading]:
    """With v_0 = a g^2 Adam first divides by |g| sqrt((1 - beta2 + a beta2)/(1 - beta2)) + eps.

    GI-Adam is a = 1; so where |g| is not far above eps its first sharpness falls by less. Adam's P
    from that v_0 on random gradients of every size.
    """
    predicted: list[Any] = []
    measured: list[Any] = []
    for a in (1.0, *(10.0 ** rng.uniform(-2, 2, 5))):
        beta2, eps = rng.uniform(0.5, 0.999), 10.0 ** rng.uniform(-6, 0)
        gradient = 10.0 ** rng.uniform(-6, 2, 20)
        optimizer = Adam(0.0, beta2, eps)
        state = np.stack([np.zeros(20), a * gradient**2])
        predicted.append(adaptive.primed_denominator(gradient, beta2, eps, a))
        measured.append(optimizer.preconditioner(gradient, state, 1))
    yield equal(np.array(predicted), np.array(measured))


@law(1e-9, picture=pictures.hidden_warmup)
def gi_adam_hidden_warmup(rng: np.random.Generator) -> Iterator[Reading]:
    """GI-Adam at eta is Adam with v_0 = g_0^2, v uncorrected, at eta sqrt(1 - beta2^t): a warmup.

    Kalra & Barkeshli 2406.09405, appendix I.2, in expectation; an identity at eps = 0. 100
    simulated updates of small networks against the other form stepped plainly: the loss at the end.
    """
    for _ in range(4):
        model, data, seed = _network(rng)
        beta1, beta2, eta = rng.uniform(0.5, 0.95), rng.uniform(0.9, 0.999), rng.uniform(1e-3, 1e-2)
        theta = model.init(data, seed)
        m, v = np.zeros_like(theta), model.gradient(theta, data) ** 2
        for t in range(1, 101):
            gradient = model.gradient(theta, data)
            m = beta1 * m + (1.0 - beta1) * gradient
            v = beta2 * v + (1.0 - beta2) * gradient**2
            scheduled = eta * adaptive.hidden_warmup(t, beta2)
            theta = theta - scheduled * m / (1.0 - beta1**t) / np.sqrt(v)
        run = simulate(
            model, data, optimizer=GIAdam(beta1, beta2, 0.0), schedule=Warmup(eta_trgt=eta),
            steps=100, seed=seed, sharpness_every=0,
        )  # fmt: skip
        yield equal(model.loss(theta, data), run.loss_final)


@law(1e-9)
def uncorrected_adam(rng: np.random.Generator) -> Iterator[Reading]:
    """Without bias correction Adam's steps are (1 - beta1^t)/sqrt(1 - beta2^t) times as long.

    At t = 12 for (0.9, 0.999). The averages stepped plainly against Adam's directions on random
    gradients, eps = 0; the longest of 5000 updates, and where it is.
    """
    stream = rng.standard_normal((5000, 1))
    corrected, m, v, ratio = steps_of(Adam(eps=0.0), stream), 0.0, 0.0, np.empty(5000)
    for t, (gradient, step) in enumerate(zip(stream[:, 0], corrected[:, 0], strict=True)):
        m, v = 0.9 * m + 0.1 * gradient, 0.999 * v + 0.001 * gradient**2
        ratio[t] = m / np.sqrt(v) / step
    expected = np.array(adaptive.uncorrected_factor(np.arange(1, 5001), 0.9, 0.999))
    shown = [0, 11, 99, 999, 4999]
    predicted = [*expected[shown], expected.max(), round(float(adaptive.uncorrected_peak(0.9)))]
    yield equal(predicted, [*ratio[shown], ratio.max(), 1 + np.argmax(ratio)])


@law(1e-9)
def adam_step_bound(rng: np.random.Generator) -> Iterator[Reading]:
    """No gradients make Adam step more than eta R_t, 7.27 eta for (0.9, 0.999); some reach it.

    R_t = (1-beta1)/(1-beta1^t) sqrt((1-beta2^t)/(1-beta2) (1-q^t)/(1-q)), q = beta1^2 / beta2: the
    Cauchy-Schwarz inequality, derived here; why Adam fails without diverging (Kalra & Barkeshli
    2406.09405, section 5.2). The longest of random gradients of every size, and of the worst,
    g_t ~ (beta2 / beta1)^t, for which it is equal.
    """
    for _ in range(6):
        beta1, beta2 = rng.uniform(0.3, 0.95), rng.uniform(0.9, 0.9999)
        updates = int(rng.integers(2, 60))
        random = rng.standard_normal((updates, 200)) * 10.0 ** rng.uniform(-3, 3, (updates, 200))
        worst = np.outer((beta2 / beta1) ** np.arange(updates), np.ones(1))
        steps = steps_of(Adam(beta1, beta2, 0.0), np.hstack([random, worst]))
        yield equal(adaptive.step_bound(updates, beta1, beta2), np.abs(steps[-1]).max())
