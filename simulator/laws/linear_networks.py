"""What laws of linear networks are measured on: random UV weights, and chains of scalar weights."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from simulator.arrays import Array
from simulator.curvature import sharpness
from simulator.data import Data
from simulator.laws.bisection import bisect, leaves
from simulator.models import MLP, UV
from simulator.models.network import split
from simulator.optimizers import Momentum, Nesterov, Optimizer
from simulator.runs import Run
from simulator.schedules import Warmup
from simulator.theory import linear
from simulator.training import simulate

__all__ = ["Network", "chain", "chain_edge", "random_network", "random_networks"]

_STEP_MATRICES = {Momentum: linear.momentum_step_matrix, Nesterov: linear.nesterov_step_matrix}


@dataclass(frozen=True, eq=False)
class Network:
    """A UV model in parameter space, the data that it is trained on, and weights theta (P,)."""

    model: UV
    data: Data
    theta: Array

    def matrices(self, theta: Array) -> tuple[Array, Array]:
        """U (n, d) and V (k, n) of a theta."""
        (u, _), (v, _) = split(theta, (self.data.inputs, self.model.width, self.data.outputs))
        return u.T, v.T

    @property
    def gram(self) -> Array:
        """K = W^T W (d + k, d + k) of W = [U, V^T]."""
        return self.model.gram(self.theta, self.data)

    @property
    def setting(self) -> tuple[Array, Array, Array, float]:
        """(K, x, y, c): all that the Hessian depends on."""
        return self.gram, self.data.x, self.data.targets, self.model.c

    @property
    def gradient(self) -> Array:
        """G = dL/dM (k, d) at M = c V U."""
        return _gradient(self.gram, self.data, self.model.c)

    @property
    def curvature(self) -> float:
        """The sharpness, or 1 where it is less: 1 over it is a learning rate."""
        return max(1.0, sharpness(self.model, self.theta, self.data))

    def train(self, schedule: Warmup, steps: int, optimizer: Optimizer | None = None) -> Run:
        """Simulate from these weights."""
        return simulate(
            self.model, self.data, theta0=self.theta, optimizer=optimizer, schedule=schedule,
            steps=steps, sharpness_every=0,
        )  # fmt: skip

    def gram_path(self, eta: Array, optimizer: Momentum | Nesterov | None = None) -> Array:
        """K before each update and after the last, (steps + 1, d + k, d + k), as theory has it."""
        c, q = self.model.c, self.data.inputs + self.data.outputs
        joint = np.zeros((2 * q, 2 * q))
        joint[:q, :q] = self.gram
        path = [joint[:q, :q]]
        for rate in eta:
            g = _gradient(joint[:q, :q], self.data, c)
            if optimizer is None:
                step = np.eye(2 * q)
                step[:q, :q] = linear.step_matrix(g, c, rate)
            else:
                step = _STEP_MATRICES[type(optimizer)](g, c, rate, optimizer.beta)
            joint = linear.gram_step(joint, step)
            path.append(joint[:q, :q])
        return np.array(path)


def _gradient(gram: Array, data: Data, c: float) -> Array:
    return linear.end_to_end_gradient(linear.end_to_end(gram, data.inputs, c), data.x, data.targets)


def random_network(rng: np.random.Generator, width: int, outputs: int) -> Network:
    """Gaussian weights and data of up to 4 inputs and 6 samples, and any s."""
    d, m = int(rng.integers(1, 5)), int(rng.integers(1, 7))
    model = UV(width, float(rng.uniform()), representation="parameters")
    data = Data(rng.standard_normal((m, d)), rng.standard_normal((m, outputs)))
    size = float(width) ** (-0.5 * model.s)
    return Network(model, data, size * rng.standard_normal(width * (d + outputs)))


def random_networks(rng: np.random.Generator, count: int, most: int = 12) -> list[Network]:
    """Of width 1 to ``most``, and of 1 to 3 outputs."""
    sizes = rng.integers(1, (most + 1, 4), (count, 2))
    return [random_network(rng, int(width), int(outputs)) for width, outputs in sizes]


def chain(depth: int, y: float) -> tuple[MLP, Data]:
    """The chain f = w_1 ... w_L and its one example, of input 1 and target y."""
    return MLP(1, depth, activation="linear"), Data(np.ones((1, 1)), np.array([[y]]))


def chain_edge(depth: int, y: float) -> float:
    """Largest learning rate at which 300 updates from beside the flattest minimum lower the loss.

    By bisection; y > 0.
    """
    model, data = chain(depth, y)
    theta = np.full(depth, y ** (1.0 / depth) * (1.0 + 1e-7))

    def fails(eta: float) -> bool:
        schedule = Warmup(eta_trgt=eta)
        return leaves(
            simulate(model, data, theta0=theta, schedule=schedule, steps=300, sharpness_every=0)
        )

    return bisect(fails, 0.0, 8.0 / sharpness(model, theta, data), 1e-3)
