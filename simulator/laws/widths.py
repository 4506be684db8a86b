"""Laws of width and parameterization: kernels at initialisation, features, learning rates."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from simulator.arrays import Array
from simulator.blas import one_blas_thread
from simulator.data import Data
from simulator.laws.law import Reading, equal, law
from simulator.laws.pictures import widths as pictures
from simulator.laws.relu_networks import (
    ReluNetwork,
    measured_rates,
    moves,
    per_weight,
    slope,
)
from simulator.models import MLP
from simulator.optimizers import GD, Adam
from simulator.schedules import Warmup
from simulator.theory import widths
from simulator.training import simulate

_NAMES = ("sp", "ntp", "mup")


def _seeds(rng: np.random.Generator, count: int) -> list[int]:
    return [int(seed) for seed in rng.integers(2**31, size=count)]


@law(0.15, picture=pictures.initial_kernels)
def initial_kernels(rng: np.random.Generator) -> Iterator[Reading]:
    """ReLU nets have mean kernel |x|^2/d times L (NTP), (L+1)/2 (muP), n + (n(L-2) + d)/2 (SP).

    Gain 2; exact at every width. Means of 100 draws of 24 to 128 units, of depth 2 to 4.
    """
    for i in range(12):
        name, depth, n = _NAMES[i % 3], int(rng.integers(2, 5)), int(rng.integers(24, 129))
        x = rng.standard_normal((1, int(rng.integers(1, 12))))
        draws = [ReluNetwork.draw(name, n, depth, x, seed) for seed in _seeds(rng, 100)]
        yield equal(
            widths.initial_kernel(name, n, depth, x).item(),
            np.mean([at.kernels().sum() for at in draws]),
        )


@law(0.15)
def layer_by_layer_kernels(rng: np.random.Generator) -> Iterator[Reading]:
    """Each layer's mean kernel m_l^2 E|h_{l-1}|^2 E|df/dz_l|^2 is exact at every width.

    Half of all units are active, whatever the others do. 300 draws of 6 to 20 units, of depth 3,
    relative to the whole kernel.
    """
    for i in range(9):
        name, n = _NAMES[i % 3], int(rng.integers(6, 21))
        x = rng.standard_normal((1, int(rng.integers(1, 6))))
        draws = [ReluNetwork.draw(name, n, 3, x, seed) for seed in _seeds(rng, 300)]
        layers = widths.layers(name, draws[0].widths)
        kernels = widths.layer_kernels(layers, draws[0].widths, x)[:, 0, 0]
        found = np.mean([at.kernels() for at in draws], axis=0)
        yield equal(kernels / kernels.sum(), found / kernels.sum(), scale=1.0)


@law(0.2)
def trace_of_initial_hessians(rng: np.random.Generator) -> Iterator[Reading]:
    """The mean trace of the initial Hessian is the mean kernel of the inputs, at any targets.

    For 0.5 * mean over samples and outputs; no ReLU bends, so residuals do not count on the
    diagonal. 100 dense Hessians of 10 units, 2 outputs.
    """
    for name in _NAMES:
        data = Data(rng.standard_normal((4, 3)), 5.0 * rng.standard_normal((4, 2)))
        model = MLP(10, 3, parameterization=name)
        traces = [model.hessian(model.init(data, s), data).trace() for s in _seeds(rng, 100)]
        yield equal(np.diag(widths.initial_kernel(name, 10, 3, data.x)).mean(), np.mean(traces))


@law(0.2)
def sharpness_of_wide_networks(rng: np.random.Generator) -> Iterator[Reading]:
    """Wide ReLU networks that fit start at sharpness lambda_max(mean kernel of the inputs) / m.

    The arc-cosine kernels between inputs; means of 12 draws of 1000 units, of depth 2, and of 200,
    of depth 3, by the simulator's solver.
    """
    for name in _NAMES:
        for n, depth in ((1000, 2), (200, 3)):
            # Of one sign, so that one direction is by far the sharpest.
            x = np.abs(rng.standard_normal((6, 16)))
            nets = [ReluNetwork.draw(name, n, depth, x, seed) for seed in _seeds(rng, 12)]
            with one_blas_thread():
                measured = np.mean([at.fitted_sharpness() for at in nets])
            kernel = widths.initial_kernel(name, n, depth, x)
            yield equal(np.linalg.eigvalsh(kernel)[-1] / len(x), measured)


_WIDTHS = np.array([32, 64, 128, 256])


def _exponent(
    name: str,
    rng: np.random.Generator,
    sizes: Array,
    of: Callable[[ReluNetwork], float],
    draws: int,
) -> float:
    """Of the mean of a property of networks of depth 3."""
    x = rng.standard_normal((1, 8))
    means = [
        np.mean([of(ReluNetwork.draw(name, n, 3, x, seed)) for seed in _seeds(rng, draws)])
        for n in sizes.tolist()
    ]
    return slope(sizes, means)


@law(0.12)
def kernels_by_width(rng: np.random.Generator) -> Iterator[Reading]:
    """The initial kernel grows as n^1 in SP and as n^0 in NTP and muP.

    And the critical learning rate as its inverse. Fitted exponents, 32 to 256 units, depth 3.
    """
    predicted = [widths.kernel_exponent(*widths.abc_exponents(name, 3)) for name in _NAMES]
    measured = [_exponent(name, rng, _WIDTHS, lambda at: at.kernels().sum(), 60) for name in _NAMES]
    yield equal(predicted, measured, scale=1.0)


@law(0.1)
def outputs_by_width(rng: np.random.Generator) -> Iterator[Reading]:
    """The initial output has size n^0 in SP and NTP, and n^(-1/2) in muP.

    Fitted exponents of the root mean square, 4 to 256 units, depth 3.
    """
    predicted = [widths.output_exponent(*widths.abc_exponents(name, 3)) for name in _NAMES]
    sizes = np.array([4, 16, 64, 256])
    measured = [0.5 * _exponent(name, rng, sizes, lambda at: at.output**2, 150) for name in _NAMES]
    yield equal(predicted, measured, scale=1.0)


@law(0.12, picture=pictures.moving_features)
def moving_features(rng: np.random.Generator) -> Iterator[Reading]:
    """At eta = 0.5 / lambda_0 features move as n^(-1/2) in SP and NTP and as n^0 in muP.

    |h' - h| / |h| of the last hidden layer for a residual of 1, after one simulated update: fitted
    exponents, 64 to 512 units, depth 3 (Yang & Hu 2011.14522).
    """
    for name in _NAMES:
        a, b = widths.abc_exponents(name, 3)
        yield equal(
            widths.movement_exponent(a, b, widths.kernel_exponent(a, b)),
            slope(2 * _WIDTHS, moves(name, 2 * _WIDTHS, rng)[0]),
            scale=1.0,
        )


@law(1e-9)
def multipliers_as_rates(rng: np.random.Generator) -> Iterator[Reading]:
    """A multiplier m can be absorbed: weights m W train alike at rates m^2 (gd), m (Adam).

    NTP and muP against SP, from the same function: the losses of 20 simulated updates of gradient
    descent and of Adam with eps = 0.
    """
    return _trained_alike(rng, lambda of, _: widths.rescaled(of, of.multipliers))


@law(1e-9)
def forms_of_mup(rng: np.random.Generator) -> Iterator[Reading]:
    """Without multipliers muP has rates n, 1, 1/n by layer (Adam 1, 1/n, 1/n), readout W ~ 1/n.

    Form B of Tensor Programs V, up to powers of d: it trains as the form of the paper's code does.
    """
    return _trained_alike(rng, lambda _, of: widths.mup_form_b(of), names=("mup",))


def _trained_alike(
    rng: np.random.Generator, without: Any, names: tuple[str, ...] = ("ntp", "mup")
) -> Iterator[Reading]:
    for i in range(8):
        n, depth, seed = int(rng.integers(2, 33)), int(rng.integers(2, 5)), _seeds(rng, 1)[0]
        data = Data(rng.standard_normal((4, 3)), rng.standard_normal((4, 2)))
        name = names[i // 2 % len(names)]
        model, standard = (MLP(n, depth, parameterization=p) for p in (name, "sp"))
        shape = model.widths(data)
        of = widths.layers(name, shape)
        after = without(of, shape)
        theta = model.init(data, seed)
        moved = theta * per_weight(np.sqrt(after.variances / of.variances), shape)
        runs = [
            simulate(
                net, data, theta0=start, optimizer=(GD(), Adam(eps=0.0))[i % 2],
                rates=per_weight((layers.rates, layers.adaptive_rates)[i % 2], shape),
                schedule=Warmup(eta_trgt=0.02), steps=20, sharpness_every=0,
            )
            for net, start, layers in ((model, theta, of), (standard, moved, after))
        ]  # fmt: skip
        yield equal(*(run.loss for run in runs))


@law(1e-8)
def first_step_of_adam(rng: np.random.Generator) -> Iterator[Reading]:
    """One example, eps = 0: Adam's first step moves every output of a layer by eta m rate |h|_1.

    All inputs of a unit add up, so the rate must fall as 1 / fan_in. Layer by layer, in networks of
    2 to 64 units.
    """
    for i in range(24):
        name, depth = _NAMES[i % 3], int(rng.integers(2, 5))
        x = rng.standard_normal((1, int(rng.integers(1, 6))))
        at = ReluNetwork.draw(name, int(rng.integers(2, 65)), depth, x, _seeds(rng, 1)[0])
        of, layer, eta = widths.layers(name, at.widths), int(rng.integers(depth)), 1e-3
        after = at.update(eta, of.adaptive_rates * (np.arange(depth) == layer), Adam(eps=0.0))
        h = at.activations(at.theta)[layer]
        change = at.matrices(after)[layer] - at.matrices(at.theta)[layer]
        moved = np.abs(of.multipliers[layer] * h @ change)
        step = widths.sign_step(of.multipliers[layer], of.adaptive_rates[layer], h).item()
        # Units that are not active, and layers behind none, have no gradient and stay.
        if moved.any():
            yield equal(eta * step, moved.max())


@law(0.15, picture=pictures.adam_rates)
def adam_rates_of_mup(rng: np.random.Generator) -> Iterator[Reading]:
    """At rates 1/n (hidden), n^(-1/2) (readout) Adam moves muP alike at all widths; not swapped.

    Swapped, as appendix D.2.1 of Kalra & Barkeshli 2406.09405v1 prints them, features move as
    n^(1/2) and the readout as n^(-1/2). Fitted exponents of both movements after one simulated
    update of hidden layer and readout; 64 to 512 units.
    """
    as_it_is, printed = (moves("mup", 2 * _WIDTHS, rng, printed=p) for p in (False, True))
    measured = [slope(2 * _WIDTHS, row) for row in (*as_it_is, *printed)]
    yield equal([0.0, 0.0, 0.5, -0.5], measured, scale=1.0)


@law(1e-2, picture=pictures.growth_by_width)
def growth_by_laziness(rng: np.random.Generator) -> Iterator[Reading]:
    """Width acts on UV by r = 2 sigma^2 |x| n^((1-s)/2) / |y|: lambda grows by sqrt(1 + 4/r^2).

    And the features by sqrt(sqrt(1 + 4/r^2) + 2/r), so that changes fall as n^(s-1) and
    n^(-(1-s)/2). Changes, by simulated small steps from f_0 = 0; widths up to 10^8.
    """
    for _ in range(8):
        n, s = int(10 ** rng.uniform(0.5, 8.0)), float(rng.uniform())
        y, size = rng.uniform(0.5, 3.0, 2)
        r = float(widths.laziness(n, s, size**2, 1.0, y))
        predicted = np.array([widths.kernel_growth(r), widths.feature_growth(r)])
        measured = pictures.growth(n, s, float(y), float(size))
        yield equal(predicted, measured, scale=predicted - 1.0 + 1e-6)


@law(1e-2, picture=pictures.learning_rates_by_width)
def learning_rate_transfer(rng: np.random.Generator) -> Iterator[Reading]:
    """First unstable, largest constant and last stable eta transfer across widths only in muP.

    In units of 1/lambda_0 they are 2/sqrt(1 + 4/r^2), 8/(1 + sqrt(1 + 16/r^2)) and r, at
    r = 2 sigma^2 |x| n^((1-s)/2) / |y|; NTP's last one grows as n^(1/2). Simulated UV networks from
    f_0 = 0, the learning rates by bisection.
    """
    for s in (0.0, 0.5, 1.0):
        n = int(10 ** rng.uniform(0.5, 6.0))
        y, size = (float(value) for value in rng.uniform(0.5, 3.0, 2))
        rates = widths.transferring_rates(widths.laziness(n, s, size**2, 1.0, y))
        yield equal([float(rate) for rate in rates], measured_rates(n, s, y, size))
