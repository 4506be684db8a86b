"""What laws of one example are measured on: UV networks with a chosen or random state."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from simulator.arrays import Array
from simulator.data import Data
from simulator.models import UV
from simulator.runs import Run
from simulator.schedules import Warmup
from simulator.training import simulate

__all__ = ["Example", "random_example"]


@dataclass(frozen=True, eq=False)
class Example:
    """A UV model and the one example that it is trained on, x (1, d) and y (1, 1)."""

    model: UV
    data: Data

    @property
    def y(self) -> float:
        """The target."""
        return float(self.data.y[0, 0])

    @property
    def kappa(self) -> float:
        """c |x|."""
        return float(self.model.c * np.linalg.norm(self.data.x))

    def state(self, theta: Array) -> tuple[float, float]:
        """(delta, lam) of the weights: the residual, and the NTK trace from c and K = W^T W."""
        x, d = self.data.x[0], self.data.inputs
        gram = self.model.gram(theta, self.data)
        trace = x @ gram[:d, :d] @ x + (x @ x) * gram[d, d]
        return float(self.model.c * x @ gram[:d, d]) - self.y, float(self.model.c**2 * trace)

    def setting(self, theta: Array) -> tuple[float, float, float, float]:
        """(delta, lam, kappa, y): the arguments of most of `theory.uv`."""
        return *self.state(theta), self.kappa, self.y

    def weights(self, modes: ArrayLike, rng: np.random.Generator) -> Array:
        """Weights theta (P,) with these modes (A, B), else random."""
        x, d = self.data.x[0], self.data.inputs
        stepped = self.model.width if self.model.steps_weights else self.model.rank(self.data)
        directions = rng.standard_normal((2, stepped))
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
        p, q = np.sqrt(modes)[:, None] / self.kappa * directions
        # Of U only U x matters; the rest is drawn across x.
        towards = x / np.linalg.norm(x)
        rest = rng.standard_normal((d, stepped))
        rest -= np.outer(towards, towards @ rest)
        u = np.outer(towards, p + q) / np.sqrt(2.0) + rest
        return np.concatenate([u.ravel(), (p - q) / np.sqrt(2.0)])

    def train(self, theta: Array, eta: float, steps: int, **options: Any) -> Run:
        """Simulate gradient descent at constant eta from these weights."""
        options = {"sharpness_every": 0} | options
        return simulate(
            self.model,
            self.data,
            theta0=theta,
            schedule=Warmup(eta_trgt=eta),
            steps=steps,
            **options,
        )

    def descend(self, theta: Array, eta: float, steps: int) -> Iterator[Array]:
        """The weights before each update of gradient descent, and after the last."""
        theta = theta.copy()
        yield theta.copy()
        for _ in range(steps):
            theta -= eta * self.model.gradient(theta, self.data)
            yield theta.copy()

    def flow(self, theta: Array, time: float, stride: float) -> Array:
        """The weights after gradient flow, by the fourth-order method of Runge and Kutta."""
        steps = int(np.ceil(time / stride))
        h = time / steps
        for _ in range(steps):
            k1 = self.model.gradient(theta, self.data)
            k2 = self.model.gradient(theta - 0.5 * h * k1, self.data)
            k3 = self.model.gradient(theta - 0.5 * h * k2, self.data)
            k4 = self.model.gradient(theta - h * k3, self.data)
            theta = theta - h / 6.0 * (k1 + 2.0 * k2 + 2.0 * k3 + k4)
        return theta


def random_example(
    rng: np.random.Generator,
    width: int | None = None,
    y: float | None = None,
    representation: str | None = None,
) -> Example:
    """Any width (default: up to 10^6 in gram space, to 64 in parameters), s, var_w, x and y."""
    if representation is None:
        representation = str(rng.choice(["gram", "parameters"]))
    if width is None:
        width = int(10 ** rng.uniform(0.0, 6.0 if representation == "gram" else 1.8))
    x = rng.standard_normal((1, int(rng.integers(1, 4)))) + 0.1
    y = float(rng.uniform(-3.0, 3.0)) if y is None else y
    s, var_w = float(rng.uniform()), float(rng.uniform(0.3, 2.0))
    return Example(UV(width, s, var_w, representation), Data(x, np.array([[y]])))
