"""The objective of a fully connected network on one data set: what MLP and UV have in common."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from simulator.arrays import Array
from simulator.data import Data
from simulator.models.base import Objective
from simulator.numerics import dense
from simulator.numerics.activations import CODES, keeps_bend, keeps_slope
from simulator.numerics.subnormals import flushed
from simulator.shipped import is_shipped

__all__ = ["Architecture", "NetworkObjective", "constant_loss", "split"]


@dataclass(frozen=True)
class Architecture:
    """What the dense kernels need to know of a network, in the notation of `numerics.dense`."""

    widths: tuple[int, ...]
    multipliers: tuple[float, ...]
    activation: str = "linear"
    loss: str = "mse"
    bias: bool = False

    @property
    def size(self) -> int:
        """Number of parameters P."""
        return sum((fan_in + self.bias) * fan_out for fan_in, fan_out in pairwise(self.widths))


def split(theta: Array, widths: Sequence[int], bias: bool = False) -> list[tuple[Array, Array]]:
    """Views of a flat theta (P,): for each layer W (fan_in, fan_out) and b (fan_out,) or (0,)."""
    layers, at = [], 0
    for fan_in, fan_out in pairwise(widths):
        w = theta[at : at + fan_in * fan_out].reshape(fan_in, fan_out)
        at += fan_in * fan_out
        b = theta[at : at + fan_out * bias]
        at += fan_out * bias
        layers.append((w, b))
    return layers


class NetworkObjective(Objective):
    """Loss, gradient and Hessian products of a network, with every buffer made once."""

    def __init__(self, architecture: Architecture, data: Data, dtype: str) -> None:
        super().__init__(architecture.size, data.samples, dtype)
        self._code = CODES[architecture.activation]
        self._loss = dense.LOSSES[architecture.loss]
        self._bias = architecture.bias
        self._widths = np.array(architecture.widths)
        self._multipliers = np.array(architecture.multipliers, dtype=dtype)
        self._one = self._multipliers.dtype.type(1)
        self._all = (
            np.ascontiguousarray(data.x, dtype=dtype),
            np.ascontiguousarray(data.targets, dtype=dtype),
        )
        self._x, self._y = self._all
        self._rows: NDArray[np.intp] | None = None
        self._arithmetic = flushed if self.dtype == np.float32 else nullcontext
        self._make_tape(data.samples)
        self._make_twin = partial(NetworkObjective, architecture, data, "float32")
        self._twin: NetworkObjective | None = None

    def _make_tape(self, samples: int) -> None:
        """Buffers for so many samples, in the layout that `numerics.dense` describes."""
        widths = [int(width) for width in self._widths]
        hidden, widest = samples * sum(widths[1:-1]), samples * max(widths[1:])

        def buffer(length: int) -> Array:
            return np.empty(length, dtype=self.dtype)

        slope, bend = (keeps(self._code) * hidden for keeps in (keeps_slope, keeps_bend))
        self._tape = (buffer(hidden), buffer(slope), buffer(bend))
        self._delta = buffer(hidden + samples * widths[-1])
        self._output = np.empty((samples, widths[-1]), dtype=self.dtype)
        self._r_tape = (buffer(hidden), buffer(hidden), buffer(widest))
        self._r_output = np.empty_like(self._output)
        self._weights = buffer(max(fan_in * fan_out for fan_in, fan_out in pairwise(widths)))

    def select(self, rows: NDArray[np.intp] | None) -> None:
        self._rows = rows
        samples = self.samples if rows is None else rows.size
        self._x, self._y = self._all if rows is None else (self._all[0][rows], self._all[1][rows])
        if samples != self._output.shape[0]:
            self._make_tape(samples)
        if self._twin is not None:
            self._twin.select(rows)

    def single(self) -> NetworkObjective | None:
        # The twin knows the products of the networks here, not those of a user's subclass.
        if self.dtype == np.float32 or not is_shipped(self, NetworkObjective):
            return None
        if self._twin is None:
            self._twin = self._make_twin()
            self._twin.select(self._rows)
        # The tape is rounded, not made again: differences in it have all their digits.
        for array, rounded in zip(self._kept(), self._twin._kept(), strict=True):
            np.copyto(rounded, array, casting="same_kind")
        self._twin._theta = self._theta.astype(np.float32)
        return self._twin

    def _kept(self) -> tuple[Array, ...]:
        """What a gradient leaves for products."""
        return (*self._tape, self._delta, self._output)

    def loss(self, theta: Array) -> float:
        output = self.outputs(theta, self._x)
        with self._arithmetic():
            delta = np.empty_like(output)
            return float(dense.loss(self._loss, output, self._y, self._one, delta))

    def outputs(self, theta: Array, x: Array) -> Array:
        """Network outputs (samples, n_L) on any inputs ``x`` (samples, n_0)."""
        hidden, slope, bend = np.empty(
            (3, x.shape[0] * int(self._widths[1:-1].sum())), dtype=self.dtype
        )
        output = np.empty((x.shape[0], int(self._widths[-1])), dtype=self.dtype)
        with self._arithmetic():
            dense.forward(
                theta, x, self._widths, self._multipliers, self._bias, self._code, hidden, slope,
                bend, output,
            )  # fmt: skip
        return output

    def gradient(self, theta: Array, out: Array) -> float:
        self._theta = theta
        with self._arithmetic():
            return float(
                dense.gradient(
                    theta, self._x, self._y, self._widths, self._multipliers, self._bias,
                    self._code, self._loss, *self._tape, self._delta, self._output, self._weights,
                    out,
                )
            )  # fmt: skip

    def hvp(self, v: Array, out: Array) -> None:
        with self._arithmetic():
            dense.hvp(
                self._theta, v, self._x, self._widths, self._multipliers, self._bias, self._code,
                self._loss, *self._tape, self._delta, self._output, *self._r_tape, self._r_output,
                self._weights, out,
            )  # fmt: skip

    def linearize(self) -> None:
        # What a product adds to Gauss-Newton's is proportional to the backpropagated residual, in
        # delta, and in bend where the activation keeps that.
        _, _, bend = self._tape
        bend.fill(0.0)
        self._delta.fill(0.0)

    @property
    def layers(self) -> tuple[slice, ...]:
        sizes = [(n + self._bias) * k for n, k in pairwise(map(int, self._widths))]
        ends = np.cumsum([0, *sizes]).tolist()
        return tuple(slice(*pair) for pair in pairwise(ends))


def constant_loss(loss: str, data: Data) -> float:
    """Loss of the best constant output: half the targets' variance, or their mean's entropy."""
    mean = data.targets.mean(axis=0)
    if loss == "mse":
        return float(0.5 * np.mean((data.targets - mean) ** 2))
    present = mean[mean > 0]
    return float(-np.sum(present * np.log(present)))
