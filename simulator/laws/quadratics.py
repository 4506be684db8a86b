"""Laws of quadratics: thresholds of every optimizer, and what warmup does and does not do there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np

from simulator.arrays import Array
from simulator.catapult_search import paper_search
from simulator.laws.bisection import (
    cycle_repels,
    first_update_raises,
    late_growth,
    measured_threshold,
    threshold_by_bisection,
)
from simulator.laws.law import Reading, at_most, equal, law
from simulator.laws.pictures import quadratics as pictures
from simulator.models import Quadratic
from simulator.optimizers import (
    GD,
    Adam,
    AdamW,
    GIAdam,
    Momentum,
    Nesterov,
    Optimizer,
    RAdam,
    RIAdam,
    RMSProp,
)
from simulator.schedules import Warmup
from simulator.theory import quadratics
from simulator.training import simulate


def _hessian(rng: np.random.Generator, p: Array) -> Array:
    """H (3, 3) such that P^-1 H has well separated eigenvalues: no slow transient hides a root."""
    frame = np.linalg.qr(rng.standard_normal((3, 3)))[0] * np.sqrt(p)[:, None]
    return frame * (rng.uniform(0.5, 5.0) * np.array([1.0, 0.6, 0.2])) @ frame.T


def _thresholds(
    rng: np.random.Generator, cases: Sequence[tuple[Optimizer, float]]
) -> Iterator[Reading]:
    """Critical eta of each optimizer, whose limit on eta lambda at no decay comes with it."""
    for optimizer, limit in cases:
        p = rng.uniform(0.3, 3.0, 3) if optimizer.adaptive else np.ones(3)
        hessian = _hessian(rng, p)
        yield equal(
            limit / quadratics.preconditioned_sharpness(hessian, p),
            measured_threshold(optimizer, hessian, p),
        )


@law(1e-6)
def threshold_of_descent(rng: np.random.Generator) -> Iterator[Reading]:
    """Gradient descent is stable on a quadratic iff eta lambda < 2.

    By bisection on whether 3-dimensional iterates grow.
    """
    return _thresholds(rng, [(GD(), 2.0)] * 4)


@law(1e-6, picture=pictures.thresholds)
def threshold_of_momentum(rng: np.random.Generator) -> Iterator[Reading]:
    """Momentum is stable iff eta lambda < (2 + 2 beta) / (1 - dampening).

    PyTorch's form, plain and dampened, and the moving average, whose dampening is beta. By
    bisection on whether 3-dimensional iterates grow.
    """
    cases: list[tuple[Optimizer, float]] = []
    for beta in rng.uniform(0.0, 0.95, 3):
        dampening = rng.uniform(0.0, 0.9)
        cases += [
            (Momentum(beta), float(quadratics.heavy_ball_limit(beta))),
            (Momentum(beta, dampening), float(quadratics.heavy_ball_limit(beta, dampening))),
            (Momentum(beta, ema=True), float(quadratics.heavy_ball_limit(beta, beta))),
        ]
    return _thresholds(rng, cases)


@law(1e-6)
def threshold_of_nesterov(rng: np.random.Generator) -> Iterator[Reading]:
    """Nesterov's method is stable iff eta lambda < (2 + 2 beta) / (1 + 2 beta), less than 2.

    By bisection on whether 3-dimensional iterates grow (Cohen et al. 2103.00065, appendix B).
    """
    betas = rng.uniform(0.0, 0.95, 5)
    return _thresholds(rng, [(Nesterov(b), float(quadratics.nesterov_limit(b))) for b in betas])


@law(1e-6)
def threshold_of_rmsprop(rng: np.random.Generator) -> Iterator[Reading]:
    """With P fixed, RMSProp is stable iff eta times the top eigenvalue of P^-1 H is below 2.

    By bisection on whether 3-dimensional iterates grow, in the limit of a long memory of squares.
    """
    return _thresholds(rng, [(RMSProp(), 2.0)] * 4)


@law(1e-6)
def threshold_of_adam(rng: np.random.Generator) -> Iterator[Reading]:
    """Adam and variants, P fixed: stable iff eta lambda(P^-1 H) < (2 + 2 beta1) / (1 - beta1).

    Cohen et al. 2207.14484; GI-Adam, RI-Adam and RAdam have the same late limit. By bisection on
    whether 3-dimensional iterates grow, in the limit of a long memory of squares.
    """
    cases: list[tuple[Optimizer, float]] = []
    for make in (Adam, GIAdam, RIAdam, RAdam):
        beta1 = rng.uniform(0.0, 0.95)
        cases.append((make(beta1=beta1), float(quadratics.heavy_ball_limit(beta1, beta1))))
    return _thresholds(rng, cases)


@law(1e-6)
def threshold_under_weight_decay(rng: np.random.Generator) -> Iterator[Reading]:
    """Decoupled decay kappa: eta_c = 2 (1 + beta) / ((1 - dampening) lambda + (1 + beta) kappa).

    Gradient descent, momentum, and AdamW with P held and lambda the top of P^-1 H; Nesterov's
    method with 1 + 2 beta for 1 - dampening. By bisection on whether 3-dimensional iterates grow.
    """
    for _ in range(2):
        beta, tau = rng.uniform(0.0, 0.95), rng.uniform(0.0, 0.9)
        for make, gain in (
            (GD, None),
            (partial(Momentum, beta, tau), 1.0 - tau),
            (partial(Nesterov, beta), 1.0 + 2.0 * beta),
            (partial(AdamW, beta1=beta), 1.0 - beta),
        ):
            p = rng.uniform(0.3, 3.0, 3) if make().adaptive else np.ones(3)
            hessian, b = _hessian(rng, p), 0.0 if gain is None else beta
            top = (gain or 1.0) * quadratics.preconditioned_sharpness(hessian, p)
            # Of the size of its rival: far beyond it all eigenvalues would be at their limits.
            decay = rng.uniform(0.0, 0.5) * top / (1.0 + b)
            measured = measured_threshold(make(weight_decay=decay), hessian, p)
            yield equal(quadratics.eta_critical(top, decay, b), measured)


@law(1e-6)
def rates_of_parameters(rng: np.random.Generator) -> Iterator[Reading]:
    """With learning rates e_i per parameter, lambda is the top eigenvalue of E^1/2 H E^1/2.

    Gradient descent and momentum, by bisection on whether 3-dimensional iterates grow.
    """
    for optimizer in (GD(), Momentum(0.8), Nesterov(0.6)):
        rates = rng.uniform(0.1, 3.0, 3)
        hessian = _hessian(rng, 1.0 / rates)
        top = quadratics.preconditioned_sharpness(hessian, 1.0 / rates)
        yield equal(
            optimizer.eta_critical(top), measured_threshold(optimizer, hessian, rates=rates)
        )


@law(1e-7)
def first_updates(rng: np.random.Generator) -> Iterator[Reading]:
    """The first update raises the loss iff eta lambda > 2 / share, with share its factor on g.

    1 for momentum (so at 2, long before it is unstable: Kalra & Barkeshli 2406.09405, section 4.2),
    1 + beta for Nesterov, 1 - beta for a moving average, 1 for Adam's D^-1 H. By bisection on
    simulated first updates.
    """
    beta, curvature = rng.uniform(0.1, 0.95), rng.uniform(0.5, 5.0)
    theta0 = np.array([rng.uniform(0.2, 2.0)])
    d = curvature * abs(theta0[0])
    # Each with its share and the top eigenvalue of D^-1 H.
    cases = [
        (GD(), 1.0, curvature), (Momentum(beta), 1.0, curvature),
        (Momentum(beta, ema=True), 1.0 - beta, curvature), (Nesterov(beta), 1.0 + beta, curvature),
        (Adam(beta, eps=0.0), 1.0, curvature / d),
        (GIAdam(beta, eps=0.0), 1.0, curvature * np.sqrt(1e-3) / d),
    ]  # fmt: skip
    for optimizer, share, top in cases:
        raises = partial(first_update_raises, Quadratic([curvature]), None, optimizer, theta0)
        limit = float(quadratics.first_update_limit(share))
        yield equal(limit / top, threshold_by_bisection(raises, 1e-3))


@law(5e-3, picture=pictures.growth)
def heavy_ball_decay(rng: np.random.Generator) -> Iterator[Reading]:
    """For eta lambda within (1 -+ sqrt beta)^2, heavy ball shrinks by sqrt(beta) per update.

    Outside by the larger root of its companion matrix. ln of the factor, from late iterates.
    """
    for _ in range(8):
        beta = rng.uniform(0.5, 0.95)
        z = rng.uniform(0.1, 0.99) * (2.0 + 2.0 * beta)
        yield equal(
            float(np.log(quadratics.heavy_ball_growth(z, beta))),
            late_growth(Momentum(beta), np.eye(1), z, np.ones(1), 1.0, transients=40),
            scale=1.0,
        )


@law(1e-9)
def moving_average_momentum(rng: np.random.Generator) -> Iterator[Reading]:
    """A moving average of gradients at eta has the trajectory of heavy ball at (1 - beta) eta.

    Any schedule, any loss; here 60 updates of warmup on quadratics.
    """
    predicted: list[float] = []
    measured: list[float] = []
    for _ in range(6):
        beta, eta = rng.uniform(0.0, 0.95), rng.uniform(0.05, 0.5)
        model, theta0 = Quadratic(tuple(rng.uniform(0.1, 2.0, 3))), rng.standard_normal(3)
        rate = float(quadratics.heavy_ball_eta(eta, beta))
        for optimizer, trgt, ends in (
            (Momentum(beta), rate, predicted),
            (Momentum(beta, ema=True), eta, measured),
        ):
            schedule = Warmup(eta_trgt=trgt, t_wrm=30)
            run = simulate(
                model, optimizer=optimizer, schedule=schedule, steps=60, theta0=theta0,
                sharpness_every=0,
            )  # fmt: skip
            ends += list(run.theta)
    yield equal(predicted, measured, scale=1.0)


@law(1e-9)
def product_of_a_schedule(rng: np.random.Generator) -> Iterator[Reading]:
    """Gradient descent on a quadratic ends at theta_0 prod_t (1 - eta_t lambda).

    Warmup to beyond 2 / lambda, then cosine decay.
    """
    for _ in range(6):
        curvatures = rng.uniform(0.1, 1.0, 3)
        schedule = Warmup(0.0, rng.uniform(0.5, 3.0), int(rng.integers(1, 30)), decay="cosine")
        run = simulate(
            Quadratic(tuple(curvatures)),
            schedule=schedule,
            steps=40,
            theta0=np.ones(3),
            sharpness_every=0,
        )
        product = quadratics.schedule_product(schedule.values(40), curvatures)
        yield equal([1.0] * 3, list(run.theta / product))


@law(2e-2, picture=pictures.warmup)
def warmup_decay(rng: np.random.Generator) -> Iterator[Reading]:
    """Linear warmup takes a quadratic to ln|theta/theta_0| = tau G(z), G = (z-1) ln|z-1| - z.

    The sum of ln|1 - eta_t lambda| as an integral; tau = t_wrm / (eta_trgt lambda), here about 600.
    """
    z = rng.uniform(0.3, 3.9, 8)
    curvatures = rng.uniform(0.1, 10.0, z.size)
    measured = np.empty(z.size)
    for i, curvature in enumerate(curvatures):
        # Up to 500 e-folds down from 10^100: beyond them lies underflow.
        t_wrm = round(min(600.0, 500.0 / -quadratics.warmup_decay(min(z[i], 2.0))) * z[i])
        run = simulate(
            Quadratic([curvature]), theta0=[1e100], sharpness_every=0, steps=t_wrm,
            schedule=Warmup(eta_trgt=z[i] / curvature, t_wrm=t_wrm),
        )  # fmt: skip
        measured[i] = np.log(abs(run.theta[0]) / 1e100) * z[i] / t_wrm
    yield equal(quadratics.warmup_decay(z), measured, scale=1.0)


@law(1e-4)
def no_gain_on_quadratics(rng: np.random.Generator) -> Iterator[Reading]:
    """Warmup does not change the largest eta_trgt of a quadratic, 2 / lambda: negative control.

    By bisection on whether iterates grow after warmups of 1 to 300 updates.
    """
    for t_wrm in (1, 10, 100, 300):
        # No round number: where some eta_t lambda is exactly 1 nothing is left to grow.
        curvature, start = rng.uniform(0.5, 5.0), rng.uniform(0.3, 0.4)

        def grows(eta: float, t_wrm: int = t_wrm, curvature: float = curvature) -> bool:
            run = simulate(
                Quadratic([curvature]), schedule=Warmup(eta_trgt=eta, t_wrm=t_wrm), theta0=[1e100],
                steps=t_wrm + 20, sharpness_every=0,
            )  # fmt: skip
            return run.diverged or run.loss[-1] > run.loss[t_wrm]

        yield equal(
            2.0 / curvature, threshold_by_bisection(grows, start / curvature, accuracy=1e-5)
        )


@law(1e-6, picture=pictures.cycles)
def rmsprop_cycle(rng: np.random.Generator) -> Iterator[Reading]:
    """At eps = 0 RMSProp ends at |theta| = eta / 2, preconditioned sharpness exactly 2 / eta.

    From any start on any curvature (derived here): not held at the threshold, but drawn to it.
    """
    for _ in range(5):
        eta, beta2 = rng.uniform(0.05, 0.5), rng.uniform(0.3, 0.95)
        contraction = float(quadratics.rmsprop_cycle_contraction(beta2))
        run = simulate(
            Quadratic([rng.uniform(0.2, 5.0)]), optimizer=RMSProp(beta2, eps=0.0),
            schedule=Warmup(eta_trgt=eta), steps=200 + round(40.0 / (1.0 - contraction)),
            theta0=[rng.uniform(0.3, 2.0)], sharpness_every=1000,
        )  # fmt: skip
        yield equal(
            [float(quadratics.adam_cycle_amplitude(eta)), 2.0 / eta],
            [abs(run.theta[0]), run.preconditioned_sharpness_final],
        )


@law(2e-2)
def adam_cycle_repels(rng: np.random.Generator) -> Iterator[Reading]:
    """Adam's cycle theta -> -theta repels where b2 b1^2 - 3 (1 + b2) b1 + 1 < 0, b1 > 0.17.

    So at beta1 = 0.9 Adam only hovers about its threshold (derived here). By bisection on whether
    the update moves a small displacement away.
    """
    beta2 = rng.uniform(0.5, 0.99, 4)
    measured = [
        threshold_by_bisection(partial(cycle_repels, b2), 0.05, accuracy=1e-3) for b2 in beta2
    ]
    yield equal(quadratics.adam_cycle_critical_beta1(beta2), measured)


@law(1e-9)
def catapult_search(rng: np.random.Generator) -> Iterator[Reading]:
    """The search for eta_c ends at eta lambda between 2 and 1 + sqrt(1 + delta) on a quadratic.

    Doubling until the loss rises, bisection until it rises by 1 + delta at most (Kalra & Barkeshli
    2406.09405, algorithms 1 and 2), on the losses of the model itself.
    """
    for _ in range(24):
        model, delta = Quadratic([rng.uniform(0.1, 10.0)]), rng.uniform(0.01, 1.0)
        theta = rng.standard_normal(1)
        z = _searched(model, theta, delta) * model.options()["curvatures"][0]
        least, most = quadratics.search_bracket(delta)
        yield at_most([float(most), 1.0 / float(least)], [z, 1.0 / z])


def _searched(model: Quadratic, theta: Array, delta: float) -> float:
    gradient = model.gradient(theta)
    return paper_search(
        lambda eta: model.loss(theta - eta * gradient), model.loss(theta), delta=delta
    ).upper
