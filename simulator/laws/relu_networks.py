"""What laws of width are measured on: ReLU networks of any width on one example, and UV alike."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike

from simulator.arrays import Array
from simulator.curvature import sharpness
from simulator.data import Data
from simulator.laws.bisection import bisect, leaves
from simulator.laws.one_example import Example
from simulator.models import MLP, UV
from simulator.models.network import split
from simulator.optimizers import Adam, Optimizer
from simulator.schedules import Warmup
from simulator.theory import widths as theory
from simulator.training import simulate

__all__ = ["ReluNetwork", "mean_example", "measured_rates", "moves", "per_weight", "slope"]


@dataclass(frozen=True, eq=False)
class ReluNetwork:
    """An MLP of one output at its initialisation, on inputs x (m, d), at targets f - 1."""

    model: MLP
    data: Data
    theta: Array

    @classmethod
    def draw(cls, name: str, width: int, depth: int, x: Array, seed: int) -> ReluNetwork:
        """The network of this seed."""
        model = MLP(width, depth, parameterization=name)
        data = Data(x, np.zeros((len(x), 1)))
        theta = model.init(data, seed)
        outputs = model.bind(data).outputs(theta, x)
        return cls(model, Data(x, outputs - 1.0), theta)

    @property
    def widths(self) -> tuple[int, ...]:
        """(d, n, ..., n, 1)."""
        return self.model.widths(self.data)

    @property
    def output(self) -> float:
        """The initial output on the first input."""
        return float(self.data.y[0, 0]) + 1.0

    def kernels(self) -> Array:
        """|df/dW_l|^2 (L,) on one input, by its gradient at a residual of 1."""
        gradient = self.model.gradient(self.theta, self.data)
        return np.array([np.sum(w**2) for w in self.matrices(gradient)])

    def fitted_sharpness(self) -> float:
        """Sharpness at targets that are the initial outputs."""
        fitted = Data(self.data.x, self.data.y + 1.0)
        return sharpness(self.model, self.theta, fitted, tol=1e-3)

    def matrices(self, theta: Array) -> list[Array]:
        """Each layer's weights (fan_in, fan_out)."""
        return [w for w, _ in split(theta, self.widths)]

    def activations(self, theta: Array) -> list[Array]:
        """What each layer is given: x, h_1, ..., h_{L-1}."""
        multipliers = theory.layers(self.model.parameterization, self.widths).multipliers
        h = [self.data.x]
        for m, w in zip(multipliers[:-1], self.matrices(theta)[:-1], strict=True):
            h.append(np.maximum(m * h[-1] @ w, 0.0))
        return h

    def update(self, eta: float, rates: ArrayLike, optimizer: Optimizer | None = None) -> Array:
        """The weights after one simulated update, at these rates of the layers (L,)."""
        run = simulate(
            self.model, self.data, theta0=self.theta, optimizer=optimizer,
            rates=per_weight(rates, self.widths), schedule=Warmup(eta_trgt=eta), steps=1,
            sharpness_every=0,
        )  # fmt: skip
        return run.theta


def per_weight(values: ArrayLike, widths: tuple[int, ...]) -> Array:
    """One number for each weight (P,), of one for each layer (L,)."""
    return np.repeat(np.asarray(values, float), [i * o for i, o in pairwise(widths)])


def slope(widths: ArrayLike, values: ArrayLike) -> float:
    """Exponent of a power law fitted to values above 0."""
    return float(np.polyfit(np.log(widths), np.log(values), 1)[0])


def moves(
    name: str, widths: ArrayLike, rng: np.random.Generator, *, printed: bool | None = None
) -> Array:
    """How far a first update moves networks of depth 3: geometric means (2, widths) of 8 draws.

    Of the last features, relative to themselves, and of the output by way of the readout. Under
    gradient descent at half of 1 / lambda_0, or under Adam in all but the first layer, with muP's
    rates as they are or as they are ``printed``.
    """
    x = rng.standard_normal((1, 8))
    x *= np.sqrt(8.0) / np.linalg.norm(x)
    seeds = rng.integers(2**31, size=8)
    rows = [
        np.mean([np.log(_move(name, int(n), x, int(seed), printed)) for seed in seeds], axis=0)
        for n in np.asarray(widths)
    ]
    return np.exp(rows).T


def _move(name: str, n: int, x: Array, seed: int, printed: bool | None) -> tuple[float, float]:
    at = ReluNetwork.draw(name, n, 3, x, seed)
    of = theory.layers(name, at.widths)
    if printed is None:
        eta = 0.5 / theory.initial_kernel(name, n, 3, x).item()
        after = at.update(eta, of.rates)
    else:
        rates = theory.printed_adaptive_rates(at.widths) if printed else of.adaptive_rates
        # The first layer, whose rate is not in doubt, would move the features too.
        after = at.update(1e-3, rates * [0.0, 1.0, 1.0], Adam(eps=0.0))
    h, moved = at.activations(at.theta)[-1], at.activations(after)[-1]
    change = at.matrices(after)[-1] - at.matrices(at.theta)[-1]
    readout = abs((of.multipliers[-1] * h @ change).item())
    return float(np.linalg.norm(moved - h) / np.linalg.norm(h)), readout


def mean_example(width: int, s: float, y: float, size: float) -> tuple[Example, Array]:
    """UV on one input of this size at f_0 = 0 and the mean initial kernel 2 size^2."""
    example = Example(UV(width, s), Data(np.array([[size]]), np.array([[y]])))
    return example, float(width) ** (0.5 * (1.0 - s)) * np.array([1.0, 0.0, 0.0, 1.0])


def measured_rates(width: int, s: float, y: float, size: float) -> tuple[float, float, float]:
    """What `theory.widths.transferring_rates` predicts, of simulated UV networks.

    2 over the sharpness at which small steps end; by bisection, the largest constant rate that is
    survived from f_0 = 0, and the largest that lowers the loss from beside the flattest minimum.
    """
    example, theta = mean_example(width, s, y, size)
    first = 2.0 * size**2
    slow = example.train(theta, 0.02 / max(first, 2.0 * example.kappa * abs(y)), 2000)
    end = sharpness(example.model, slow.theta, example.data)
    aligned = np.sqrt(0.5 * abs(y) / (example.model.c * size)) * np.array([1.0, 1.0, 1.0, 1.0])
    beside = aligned * (1.0 + 1e-7)
    largest = bisect(lambda eta: example.train(theta, eta, 800).diverged, 0.0, 8.0 / first, 1e-3)
    edge = bisect(
        lambda eta: leaves(example.train(beside, eta, 300)), 0.0, 4.0 / (example.kappa * y), 1e-3
    )
    return first * 2.0 / end, first * largest, first * edge
