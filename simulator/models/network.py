"""The objective of a fully connected network on a data set, for MLP and UV."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.arrays import Array
from simulator.data import Data
from simulator.models.base import Objective
from simulator.numerics import dense
from simulator.numerics.activations import CODES, keeps_bend, keeps_slope
from simulator.numerics.layer_norm import AFTER
from simulator.numerics.subnormals import flushed
from simulator.shipped import is_shipped

__all__ = ["Architecture", "NetworkObjective", "constant_loss", "split"]


@dataclass(frozen=True)
class Architecture:
    """The description of a network for the dense kernels, in the notation of `numerics.dense`.

    ``places`` and ``eps`` are empty without norms. Normalised layers are of one width.
    """

    widths: tuple[int, ...]
    multipliers: tuple[float, ...]
    activation: str = "linear"
    loss: str = "mse"
    bias: bool = False
    places: tuple[int, ...] = ()
    skip: int = dense.NONE
    affine: bool = False
    eps: tuple[float, ...] = ()

    @property
    def size(self) -> int:
        """Number of parameters P."""
        weights = sum((fan_in + self.bias) * fan_out for fan_in, fan_out in pairwise(self.widths))
        return weights + self.gains

    @property
    def gains(self) -> int:
        """Number of gains and shifts."""
        return self.affine * 2 * self.widths[1] * sum(map(bool, self.places))


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
    """Loss, gradient and Hessian-vector products of a network, with preallocated buffers."""

    def __init__(self, architecture: Architecture, data: Data, dtype: str) -> None:
        super().__init__(architecture.size, data.samples, dtype)
        self._code = CODES[architecture.activation]
        self._loss = dense.LOSSES[architecture.loss]
        self._widths = np.array(architecture.widths)
        self._eps = np.array(architecture.eps)
        places = np.array(architecture.places or (0,) * (self._widths.size - 2))
        self._network: tuple[Any, ...] = (
            self._widths, np.array(architecture.multipliers, dtype=dtype), architecture.bias,
            self._code, places, architecture.skip, architecture.affine,
        )  # fmt: skip
        self._normalises = bool(places.any())
        self._reads_apart = architecture.skip != dense.NONE or AFTER in places
        # The input of the next layers is then the output of the norms.
        self._reads_normed = AFTER in places and not architecture.affine
        self._skips = architecture.skip != dense.NONE
        self._one = self.dtype.type(1)
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
        """Buffers for so many samples, in the layout of `numerics.dense`."""
        widths = [int(width) for width in self._widths]
        hidden, widest = samples * sum(widths[1:-1]), samples * max(widths[1:])
        apart, normed = self._reads_apart * hidden, self._normalises * hidden
        scales = self._normalises * samples * (len(widths) - 2)
        self._tape, self._output, self._work = self._forward_buffers(samples)
        self._tape += (self._buffer(normed), self._buffer(hidden + samples * widths[-1]))
        r_tape = (hidden, apart, normed, scales, hidden, widest)
        self._r_tape = (*map(self._buffer, r_tape), np.empty_like(self._output))
        weights = max(fan_in * fan_out for fan_in, fan_out in pairwise(widths))
        self._work += (self._buffer(weights),)

    def _forward_buffers(self, samples: int) -> tuple[tuple[Array, ...], Array, tuple[Array, ...]]:
        """The buffers of a forward pass: tape, output, and those passed on to the next pass."""
        layers, width = self._widths.size - 2, int(self._widths[1])
        hidden = samples * int(self._widths[1:-1].sum())
        slope, bend = (keeps(self._code) * hidden for keeps in (keeps_slope, keeps_bend))
        apart, normed = self._reads_apart * hidden, self._normalises * hidden
        tape = (hidden, slope, bend, apart, normed, self._normalises * samples * layers)
        work = (self._buffer(self._skips * samples * width),)
        output = np.empty((samples, int(self._widths[-1])), dtype=self.dtype)
        buffers = list(map(self._buffer, tape))
        if self._reads_normed:
            buffers[3] = buffers[4]
        return tuple(buffers), output, work

    def _buffer(self, length: int) -> Array:
        return np.empty(length, dtype=self.dtype)

    def select(self, rows: NDArray[np.intp] | None) -> None:
        self._rows = rows
        samples = self.samples if rows is None else rows.size
        self._x, self._y = self._all if rows is None else (self._all[0][rows], self._all[1][rows])
        if samples != self._output.shape[0]:
            self._make_tape(samples)
        if self._twin is not None:
            self._twin.select(rows)

    def single(self) -> NetworkObjective | None:
        # The copy has the products of the networks here, not those of a user's subclass.
        if self.dtype == np.float32 or not is_shipped(self, NetworkObjective):
            return None
        if self._twin is None:
            self._twin = self._make_twin()
            self._twin.select(self._rows)
        # The tape is rounded, not recomputed, so that differences in it keep all their digits.
        for array, rounded in zip(self._kept(), self._twin._kept(), strict=True):
            np.copyto(rounded, array, casting="same_kind")
        self._twin._theta = self._theta.astype(np.float32)
        return self._twin

    def _kept(self) -> tuple[Array, ...]:
        """The results of a gradient that products reuse."""
        return (*self._tape, self._output)

    def loss(self, theta: Array) -> float:
        output = self.outputs(theta, self._x)
        with self._arithmetic():
            delta = np.empty_like(output)
            return float(dense.loss(self._loss, output, self._y, self._one, delta))

    def outputs(self, theta: Array, x: Array) -> Array:
        """Network outputs (samples, n_L) on any inputs ``x`` (samples, n_0)."""
        tape, output, work = self._forward_buffers(x.shape[0])
        arguments = (theta, x, *self._network, self._eps, *tape, *work, output)
        with self._arithmetic():
            dense.forward(*arguments)
        return output

    def gradient(self, theta: Array, out: Array) -> float:
        self._theta = theta
        arguments = (
            theta, self._x, self._y, *self._network, self._eps, self._loss, *self._tape,
            self._output, *self._work, out,
        )  # fmt: skip
        with self._arithmetic():
            return float(dense.gradient(*arguments))

    def hvp(self, v: Array, out: Array) -> None:
        arguments = (
            self._theta, v, self._x, *self._network, self._loss, *self._tape, self._output,
            *self._r_tape, *self._work, out,
        )  # fmt: skip
        with self._arithmetic():
            dense.hvp(*arguments)

    def linearize(self) -> None:
        # What a product adds to Gauss-Newton's is proportional to the backpropagated residual: it
        # is in the tapes upper and delta, and in bend where the activation keeps that.
        _, _, bend, *_, upper, delta = self._tape
        for tape in (bend, upper, delta):
            tape.fill(0.0)

    @property
    def layers(self) -> tuple[slice, ...]:
        _, _, bias, *_ = self._network
        sizes = [(n + bias) * k for n, k in pairwise(map(int, self._widths))]
        ends = np.cumsum([0, *sizes]).tolist()
        return tuple(slice(*pair) for pair in pairwise(ends))


def constant_loss(loss: str, data: Data) -> float:
    """Loss of the best constant output: half the targets' variance, or their mean's entropy."""
    mean = data.targets.mean(axis=0)
    if loss == "mse":
        return float(0.5 * np.mean((data.targets - mean) ** 2))
    present = mean[mean > 0]
    return float(-np.sum(present * np.log(present)))
