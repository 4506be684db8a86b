"""Laws of two-layer linear networks: what a step does to them, and what their Hessians are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from scipy.optimize import minimize

from simulator.arrays import Array
from simulator.curvature import sharpness
from simulator.data import Data
from simulator.laws.law import Reading, equal, law
from simulator.laws.linear_networks import (
    chain,
    chain_edge,
    random_network,
    random_networks,
)
from simulator.laws.pictures import linear as pictures
from simulator.models import UV
from simulator.optimizers import GD, Momentum, Nesterov
from simulator.schedules import Warmup
from simulator.theory import linear


def _compare(predicted: Array, measured: Array) -> Reading:
    """Each entry relative to the largest of the prediction."""
    return equal(predicted, measured, scale=max(1e-3, float(np.abs(predicted).max())))


@law(1e-10)
def end_to_end_update(rng: np.random.Generator) -> Iterator[Reading]:
    """M' = M - eta c^2 (V V^T G + G U^T U) + eta^2 c^2 G M^T G for M = c V U and its gradient G.

    One simulated update of the weights of networks of up to 12 units and 3 outputs.
    """
    for at in random_networks(rng, 20):
        eta = rng.uniform(0.1, 3.0) / at.curvature
        u, v = at.matrices(at.train(Warmup(eta_trgt=eta), 1).theta)
        yield _compare(
            linear.end_to_end_step(at.gram, at.gradient, at.model.c, eta), at.model.c * v @ u
        )


@law(1e-8)
def imbalance_update(rng: np.random.Generator) -> Iterator[Reading]:
    """A step adds eta^2 c^2 (V^T G G^T V - U G^T G U^T) to U U^T - V^T V: no first-order term.

    What gradient flow conserves, after one simulated update.
    """
    for at in random_networks(rng, 20):
        eta = rng.uniform(0.5, 3.0) / at.curvature
        before = at.matrices(at.theta)
        after = at.matrices(at.train(Warmup(eta_trgt=eta), 1).theta)
        yield _compare(
            linear.imbalance_change(*before, at.gradient, at.model.c, eta),
            _imbalance(*after) - _imbalance(*before),
        )


def _imbalance(u: Array, v: Array) -> Array:
    return u @ u.T - v.T @ v


@law(1e-8, picture=pictures.losses_in_gram_space)
def gram_space_training(rng: np.random.Generator) -> Iterator[Reading]:
    """K = W^T W of W = [U, V^T] maps by K' = (I - eta c A) K (I - eta c A), A = [[0, G^T], [G, 0]].

    After 30 simulated updates of the weights themselves, of networks of up to 300 units, through a
    warmup to at most the critical learning rate.
    """
    return _trained_in_gram_space(rng, [None])


@law(1e-8)
def momentum_in_gram_space(rng: np.random.Generator) -> Iterator[Reading]:
    """With momentum the Gram matrix of [W, m] maps by S^T . S, closed at every width.

    Heavy ball, S = [[I - eta c A, c A], [-eta beta I, beta I]], and Nesterov's method, against 30
    simulated updates of weights.
    """
    betas = rng.uniform(0.1, 0.9, 2)
    return _trained_in_gram_space(rng, [Momentum(float(betas[0])), Nesterov(float(betas[1]))])


def _trained_in_gram_space(
    rng: np.random.Generator, optimizers: Sequence[Momentum | Nesterov | None]
) -> Iterator[Reading]:
    found = 0
    while found < 16:
        (at,) = random_networks(rng, 1, most=300)
        optimizer = optimizers[found % len(optimizers)]
        limit = (optimizer or GD()).eta_critical(at.curvature)
        schedule = Warmup(eta_trgt=rng.uniform(0.1, 0.8) * limit, t_wrm=20)
        run = at.train(schedule, 30, optimizer)
        if run.diverged or run.loss_max > 2.0 * run.loss_init:
            continue  # rounding grows with the loss: such a run is no measurement
        found += 1
        yield _compare(at.gram_path(run.eta, optimizer)[-1], at.model.gram(run.theta, at.data))


@law(1e-9, picture=pictures.spectrum_in_gram_space)
def hessian_in_gram_space(rng: np.random.Generator) -> Iterator[Reading]:
    """K gives all Hessian eigenvalues: (d + k)^2 in the column space of W, else +-c sigma_i(G), 0.

    Against the dense Hessian of networks of 8 to 11 units, every eigenvalue with its multiplicity.
    """
    for i in range(12):
        at = random_network(rng, int(rng.integers(8, 12)), 1 + i % 3)
        yield _compare(
            linear.hessian_spectrum(*at.setting, at.model.width),
            np.linalg.eigvalsh(at.model.hessian(at.theta, at.data)),
        )


@law(1e-10)
def hessian_blocks(rng: np.random.Generator) -> Iterator[Reading]:
    """With one output H_UU = c^2 v v^T (x) Sigma, H_vv = c^2 U Sigma U^T, Sigma = X^T X / m.

    And H_Uv = c^2 v_i Sigma u_j + delta_ij c g for row i of U and entry j of v: what is not
    Gauss-Newton couples U and v only. Entry by entry against the dense Hessian.
    """
    for _ in range(12):
        at = random_network(rng, int(rng.integers(1, 10)), 1)
        n, d = at.model.width, at.data.inputs
        blocks = linear.single_output_hessian(
            *at.matrices(at.theta), at.data.x, at.data.targets, at.model.c
        )
        # The model keeps U column by column.
        order = np.append(np.arange(n * d).reshape(n, d).T.ravel(), n * d + np.arange(n))
        yield _compare(blocks[np.ix_(order, order)], at.model.hessian(at.theta, at.data))


@law(1e-8)
def sharpness_at_zero_loss(rng: np.random.Generator) -> Iterator[Reading]:
    """At f = y the sharpness is lambda_max(J J^T) / (m k), a matrix over outputs, not weights.

    J J^T = c^2 (X X^T (x) V V^T + X U^T U X^T (x) I) against the simulator's solver on the weights.
    """
    for at in random_networks(rng, 20, most=40):
        u, v = at.matrices(at.theta)
        fitted = Data(at.data.x, at.model.c * at.data.x @ u.T @ v.T)
        yield equal(
            linear.zero_loss_sharpness(at.gram, at.data.x, at.model.c),
            sharpness(at.model, at.theta, fitted),
        )


@law(0.12)
def initial_gram_volume(rng: np.random.Generator) -> Iterator[Reading]:
    """Initial K is Wishart: E ln det K = (d + k) ln(2 var_w n^-s) + sum_i psi((n - i) / 2).

    In units of the standard deviation of ln det K; means of 3000 draws by both representations.
    """
    for i in range(8):
        d, k = int(rng.integers(1, 4)), int(rng.integers(1, 3))
        n, s, var_w = d + k + int(rng.integers(0, 6)), float(rng.uniform()), rng.uniform(0.3, 3.0)
        model = UV(n, s, float(var_w), ("gram", "parameters")[i % 2])
        data = Data(np.ones((1, d)), np.ones((1, k)))
        first = int(rng.integers(2**31))
        draws = [model.gram(model.init(data, first + j), data) for j in range(3000)]
        mean, variance = linear.initial_log_volume(n, d + k, s, float(var_w))
        yield equal(
            mean / np.sqrt(variance),
            np.linalg.slogdet(draws)[1].mean() / np.sqrt(variance),
            scale=1.0,
        )


@law(0.12)
def kernel_at_any_width(rng: np.random.Generator) -> Iterator[Reading]:
    """E J J^T = 2 var_w X X^T (x) I at initialisation, whatever the width and s.

    Entry by entry, in units of the largest; means of 800 draws, of widths from 1 to 100.
    """
    for i in range(8):
        at = random_network(rng, 1, 1 + i % 2)
        model = UV(int(10 ** rng.uniform(0, 2)), float(rng.uniform()), float(rng.uniform(0.3, 3)))
        first = int(rng.integers(2**31))
        grams = (model.gram(model.init(at.data, first + j), at.data) for j in range(800))
        kernels = [linear.tangent_kernel(gram, at.data.x, model.c) for gram in grams]
        yield _compare(
            linear.mean_initial_kernel(at.data.x, at.data.outputs, model.var_w),
            np.mean(kernels, axis=0),
        )


@law(1e-4, picture=pictures.initial_sharpness)
def initial_sharpness_of_wide_networks(rng: np.random.Generator) -> Iterator[Reading]:
    """Initial sharpness tends to 2 var_w lambda_max(X^T X) / (m k) as n grows, for s < 1.

    By the simulator's solver at n = 10^12, s up to 0.3.
    """
    for at in random_networks(rng, 20):
        model = UV(10**12, float(rng.uniform(0.0, 0.3)), float(rng.uniform(0.3, 3.0)))
        theta = model.init(at.data, int(rng.integers(2**31)))
        yield equal(
            linear.wide_initial_sharpness(at.data.x, at.data.outputs, model.var_w),
            sharpness(model, theta, at.data),
        )


@law(1e-10)
def sharpness_of_fitted_chains(rng: np.random.Generator) -> Iterator[Reading]:
    """A chain f = w_1 ... w_L that fits its target y has sharpness sum_i (y / w_i)^2.

    By the dense Hessian of chains of 2 to 6 weights, of any signs.
    """
    for _ in range(30):
        w = rng.uniform(0.3, 3.0, int(rng.integers(2, 7)))
        w *= rng.choice([-1.0, 1.0], w.size)
        yield equal(float(linear.chain_sharpness(w)), _dense_sharpness(w))


@law(1e-6)
def flattest_chain(rng: np.random.Generator) -> Iterator[Reading]:
    """The flattest chain that fits y has sharpness L |y|^(2 - 2/L), and equal weights.

    By direct search over the chains of 2 to 5 weights that fit, by dense Hessians.
    """
    for _ in range(6):
        depth, y = int(rng.integers(2, 6)), rng.uniform(0.3, 3.0)

        def of_chain(logs: Array, y: float = y) -> float:
            w = np.exp(logs)
            return _dense_sharpness(np.append(w, y / np.prod(w)))

        start = rng.uniform(-1.0, 1.0, depth - 1)
        options = {"xatol": 1e-5, "fatol": 1e-9}
        found = minimize(of_chain, start, method="Nelder-Mead", options=options).fun
        yield equal(float(linear.flattest_chain_sharpness(y, depth)), found)


def _dense_sharpness(w: Array) -> float:
    """Of a chain that fits."""
    model, data = chain(w.size, float(np.prod(w)))
    return float(np.linalg.eigvalsh(model.hessian(w, data))[-1])


@law(1e-2, picture=pictures.edges_of_chains)
def edge_of_chains(rng: np.random.Generator) -> Iterator[Reading]:
    """Above eta = 2 / (L |y|^(2 - 2/L)) a chain of L weights has no stable minimum.

    Where, by bisection, simulated updates from beside the flattest minimum raise the loss.
    """
    depths, targets = rng.integers(2, 7, 12), rng.uniform(0.3, 3.0, 12)
    measured = [chain_edge(int(depth), float(y)) for depth, y in zip(depths, targets, strict=True)]
    yield equal(linear.chain_edge_eta(targets, depths), measured)
