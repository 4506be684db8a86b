"""The UV model: two-layer linear networks of any width, at a cost independent of the width."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from simulator.arrays import Array
from simulator.checks import InputError, at_least, nonnegative, one_of, positive
from simulator.data import Data
from simulator.models.base import Model, required
from simulator.models.batched import BatchedModel
from simulator.models.network import Architecture, NetworkObjective, constant_loss, split
from simulator.seeding import generator

__all__ = ["UV"]


@dataclass(frozen=True)
class UV(Model):
    r"""f(x) = c V U x with U (n, d), V (k, n), c = n^(-(1-s)/2), all weights ~ N(0, var_w / n^s).

    Gradients are W = [U, V^T] (n, d + k) times a small matrix, so training stays in the column
    space of the initial W = Q R. Only R (r, d + k) changes, with r = min(n, d + k), and a UV model
    of width r with this R and the c of width n equals the model of width n. ``"gram"`` trains R; it
    is named after the Gram matrix K = W^T W = R^T R, on which all outputs depend. R of Gaussian
    weights is drawn directly (Bartlett's decomposition), so width 10^12 costs as much as width 10.
    On one example the residual is a variable of its own, without the rounding floor that a
    difference of weights has. In directions outside Q the Hessian has the eigenvalues +-c
    sigma_i(G), G the derivative of the loss with respect to the end-to-end matrix c V U.

    Loss: 0.5 * mean over samples and outputs of the squared error.

    Parameters
    ----------
    width : int
        n.
    s : float in [0, 1]
        0 is the NTK parameterization, 1 is muP.
    var_w : float
        Weight variance at s = 0.
    representation : {"gram", "parameters"}
        Whether theta holds R (r columns) or W (n columns). For a seed both are the same function: W
        = Q R with a random frame Q.

    Raises
    ------
    InputError
        If a value is not allowed.
    """

    name: ClassVar[str] = "uv"

    width: int = 512
    s: float = 0.0
    var_w: float = 1.0
    representation: str = "gram"

    def __post_init__(self) -> None:
        at_least("width", self.width, 1)
        if nonnegative("s", self.s) > 1:
            raise InputError("s", self.s, "give a number from 0 (NTP) to 1 (muP)")
        positive("var_w", self.var_w)
        one_of("representation", self.representation, ("gram", "parameters"))

    @property
    def c(self) -> float:
        """The output multiplier n^(-(1-s)/2)."""
        return float(self.width) ** (-0.5 * (1.0 - self.s))

    @property
    def steps_weights(self) -> bool:
        return self.representation == "parameters"

    def rank(self, data: Data) -> int:
        """R = min(n, d + k), the largest possible rank of W."""
        return min(self.width, data.inputs + data.outputs)

    def init(self, data: Data | None = None, seed: int = 0, dtype: str = "float64") -> Array:
        """Initial theta (P,): U^T (d, r) then V^T (r, k), in gram space; n for r otherwise.

        Raises `InputError` without data.
        """
        data = required(data, self.name)
        columns, rank = data.inputs + data.outputs, self.rank(data)
        factor = _gaussian_factor(self.width, columns, generator(seed, "init"))
        factor *= np.sqrt(self.var_w) * float(self.width) ** (-0.5 * self.s)
        if self.representation == "parameters":
            draws = generator(seed, "frame").standard_normal((self.width, rank))
            factor = np.linalg.qr(draws)[0] @ factor
        return self._flatten(factor, data).astype(dtype)

    def to_gram(self, theta: Array, data: Data) -> Array:
        """The gram-space theta (P,) of a parameter-space one: same function, same training."""
        weights = self._columns(theta, data, self.width)
        if self.width > weights.shape[1]:
            weights = np.linalg.qr(weights)[1]
        return self._flatten(weights, data)

    def gram(self, theta: Array, data: Data) -> Array:
        """K = W^T W, shape (N, N) with N = d + k, of a theta (P,) in this representation."""
        weights = self._columns(theta, data, self._stepped(data))
        return weights.T @ weights

    def one_example(self, theta: Array, data: Data) -> tuple[float, float, float, float]:
        """(delta, lam, kappa, y) of `simulator.theory.uv`, on data of one example and one output.

        The residual f - y; the NTK trace |df/dtheta|^2; c |x|; the target.
        """
        x, y, d = data.x[0], float(data.targets[0, 0]), data.inputs
        gram = self.gram(theta, data)
        delta = self.c * float(x @ gram[:d, d]) - y
        lam = self.c**2 * float(x @ gram[:d, :d] @ x + (x @ x) * gram[d, d])
        return delta, lam, self.c * float(np.linalg.norm(x)), y

    def bind(self, data: Data | None = None, dtype: str = "float64") -> NetworkObjective:
        data = required(data, self.name)
        stepped = self._stepped(data)
        widths = (data.inputs, stepped, data.outputs)
        architecture = Architecture(widths, (1.0, self.c))
        return _UVObjective(architecture, data, dtype, across=self.width - stepped)

    def batched(self, data: Data | None) -> BatchedModel | None:
        data = required(data, self.name)
        one_example = data.samples == data.outputs == 1 and data.x.any()
        if self.representation == "gram" and one_example:
            return BatchedModel(data, self.rank(data), self.c)
        return None

    def constant_loss(self, data: Data | None) -> float | None:
        return constant_loss("mse", required(data, self.name))

    def _stepped(self, data: Data) -> int:
        return self.width if self.representation == "parameters" else self.rank(data)

    @staticmethod
    def _flatten(factor: Array, data: Data) -> Array:
        u, v = factor[:, : data.inputs], factor[:, data.inputs :]
        return np.concatenate([u.T.ravel(), v.ravel()])

    @staticmethod
    def _columns(theta: Array, data: Data, rows: int) -> Array:
        (u_t, _), (v_t, _) = split(theta, (data.inputs, rows, data.outputs))
        return np.concatenate([u_t.T, v_t], axis=1)


class _UVObjective(NetworkObjective):
    """A linear network of the reduced width, and the curvature in directions outside it."""

    def __init__(self, architecture: Architecture, data: Data, dtype: str, *, across: int) -> None:
        super().__init__(architecture, data, dtype)
        self._across = across

    def eigenvalues_outside(self) -> tuple[Array, int]:
        if not self._across:
            return super().eigenvalues_outside()
        # The output layer's delta already carries the multiplier c.
        delta = self._tape[-1][-self._output.size :].reshape(self._output.shape)
        gradient = delta.T @ self._x
        sigma = np.linalg.svd(gradient, compute_uv=False)
        zeros = np.zeros(sum(gradient.shape) - 2 * sigma.size)
        return np.concatenate([sigma, zeros, -sigma]), self._across


def _gaussian_factor(rows: int, columns: int, draw: np.random.Generator) -> Array:
    """R (min(rows, columns), columns) of a standard normal matrix = Q R, in law.

    Bartlett: the diagonal is chi-distributed with rows, rows - 1, ... degrees of freedom and the
    rest of the upper triangle standard normal. With fewer rows than columns the matrix itself is
    drawn.
    """
    if rows <= columns:
        return draw.standard_normal((rows, columns))
    factor = np.triu(draw.standard_normal((columns, columns)), 1)
    freedom = rows - np.arange(columns, dtype=float)
    np.fill_diagonal(factor, np.sqrt(draw.chisquare(freedom)))
    return factor
