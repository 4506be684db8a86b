"""Multilayer perceptrons in standard, NTK and maximal-update parameterisation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, overload

import numpy as np
from scipy.special import ndtr, ndtri

from simulator.arrays import Array
from simulator.checks import InputError, at_least, one_of, positive
from simulator.data import Data
from simulator.models.base import Model, required
from simulator.models.network import Architecture, NetworkObjective, constant_loss, split
from simulator.numerics.activations import CODES
from simulator.numerics.dense import LOSSES
from simulator.parameterizations import ADAPTIVE_RATES, PARAMETERIZATIONS
from simulator.seeding import generator

__all__ = ["MLP"]

# Standard deviation of a standard normal that is cut at two standard deviations.
_STD_WHEN_CUT = 0.8796256610342398


class _Loss(str):
    """The name of a model's loss that can be called as well: any model's ``loss`` is a method."""

    model: Model

    def __call__(self, theta: Array, data: Data | None = None) -> float:
        return Model.loss(self.model, theta, data)


class _LossField:
    """The field ``loss``: the option's name, and the method's."""

    @overload
    def __get__(self, model: None, owner: type) -> str: ...

    @overload
    def __get__(self, model: Model, owner: type) -> _Loss: ...

    def __get__(self, model: Model | None, owner: type) -> str:
        if model is None:
            return "mse"
        loss = _Loss(vars(model)["loss"])
        loss.model = model
        return loss

    def __set__(self, model: Model, name: str) -> None:
        vars(model)["loss"] = str(name) if isinstance(name, _Loss) else name


@dataclass(frozen=True)
class MLP(Model):
    """A fully connected network z_l = m_l (h_{l-1} W_l + b_l), h_l = act(z_l), output z_L.

    Parameters
    ----------
    width : int
        Hidden width n.
    depth : int
        Number of weight layers L, the readout included; at least 2.
    activation : {"relu", "tanh", "gelu", "erf", "linear"}
        ``gelu`` is the exact z Phi(z).
    parameterization : {"sp", "ntp", "mup"}
        See `simulator.parameterizations`.
    loss : {"mse", "xent"}
        ``mse``: 0.5 * mean over samples and outputs of the squared error; ``xent``: mean softmax
        cross-entropy.
    bias : bool
        Whether layers have biases, which start at 0.
    var_w : float
        Gain of the hidden weights' variance.

    Raises
    ------
    InputError
        For a value outside these.
    """

    name: ClassVar[str] = "mlp"

    width: int = 64
    depth: int = 3
    activation: str = "relu"
    parameterization: str = "sp"
    loss: _LossField = _LossField()  # type: ignore[assignment]
    bias: bool = False
    var_w: float = 2.0

    def __post_init__(self) -> None:
        checked = {
            "width": at_least("width", self.width, 1),
            "depth": at_least("depth", self.depth, 2),
            "activation": one_of("activation", self.activation, CODES),
            "parameterization": one_of(
                "parameterization", self.parameterization, PARAMETERIZATIONS
            ),
            "loss": one_of("loss", self.loss, LOSSES),
            "bias": bool(self.bias),
            "var_w": positive("var_w", self.var_w),
        }
        for field, value in checked.items():
            object.__setattr__(self, field, value)

    def widths(self, data: Data) -> tuple[int, ...]:
        """Units of each layer, input and output included: (d, n, ..., n, k)."""
        return (data.inputs, *(self.width,) * (self.depth - 1), data.outputs)

    def init(self, data: Data | None = None, seed: int = 0, dtype: str = "float64") -> Array:
        """Initial theta (P,): weights from a normal cut at 2 standard deviations, biases 0.

        The variance is exact after the cut, as in the paper's code. Raises `InputError` without
        data.
        """
        widths = self.widths(required(data, self.name))
        draw = generator(seed, "init")
        theta = np.zeros(self._architecture(data).size)
        for layer, (weights, _) in enumerate(split(theta, widths, self.bias)):
            variance, _ = self._layer(widths, layer)
            weights[:] = np.sqrt(variance) * _cut_normal(draw, weights.shape)
        return theta.astype(dtype)

    def bind(self, data: Data | None = None, dtype: str = "float64") -> NetworkObjective:
        data = required(data, self.name)
        if self.loss == "xent" and not data.is_distribution:
            raise InputError("loss", "xent", "needs labels or rows of probabilities; give mse")
        return NetworkObjective(self._architecture(data), data, dtype)

    def layer_rates(self, data: Data | None, *, adaptive: bool) -> Array:
        """Learning-rate factor (P,) of each parameter, for muP; all 1 unless ``adaptive``.

        1 / sqrt(fan_out) for the first layer, 1 / fan_in for hidden ones, 1 / sqrt(fan_in) for the
        readout (Tensor Programs V, in the form of `simulator.parameterizations`). Raises
        `InputError` unless this is muP.
        """
        if self.parameterization not in ADAPTIVE_RATES:
            raise InputError(
                "layer_rates", f"with {self.parameterization}", "only mup has them; leave it out"
            )
        widths = self.widths(required(data, self.name))
        rates = np.ones(self._architecture(data).size)
        if adaptive:
            rule = ADAPTIVE_RATES[self.parameterization]
            for layer, views in enumerate(split(rates, widths, self.bias)):
                readout = layer == self.depth - 1
                for view in views:
                    view[...] = rule(widths[layer], widths[layer + 1], layer == 0, readout)
        return rates

    def constant_loss(self, data: Data | None) -> float | None:
        return constant_loss(self.loss, required(data, self.name))

    def _layer(self, widths: tuple[int, ...], layer: int) -> tuple[float, float]:
        readout = layer == self.depth - 1
        gain = 1.0 if readout else self.var_w
        rule = PARAMETERIZATIONS[self.parameterization]
        return rule(widths[layer], widths[layer + 1], gain, readout)

    def _architecture(self, data: Data | None) -> Architecture:
        widths = self.widths(required(data, self.name))
        multipliers = tuple(self._layer(widths, layer)[1] for layer in range(self.depth))
        return Architecture(widths, multipliers, self.activation, self.loss, self.bias)


def _cut_normal(draw: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Unit-variance normal cut at two of its uncut standard deviations, by inversion."""
    low, high = ndtr(-2.0), ndtr(2.0)
    normal: Array = ndtri(draw.uniform(low, high, shape))
    return normal / _STD_WHEN_CUT
