"""Multilayer perceptrons in standard, NTK and maximal-update parameterization."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, overload

import numpy as np
from scipy.special import ndtr, ndtri

from simulator.arrays import Array
from simulator.checks import InputError, at_least, nonnegative, one_of, positive
from simulator.data import Data
from simulator.models.base import Model, required
from simulator.models.network import Architecture, NetworkObjective, constant_loss, split
from simulator.numerics.activations import CODES
from simulator.numerics.dense import LOSSES, NONE, NORMED, STREAM
from simulator.numerics.layer_norm import AFTER, BEFORE
from simulator.parameterizations import ADAPTIVE_RATES, PARAMETERIZATIONS
from simulator.seeding import generator

__all__ = ["MLP", "NORMS"]

# Position of the normalisation in the hidden layers of each norm: all but the last, and the last.
NORMS = {
    "none": (0, 0), "activation": (AFTER, AFTER), "preactivation": (BEFORE, BEFORE),
    "readout": (0, AFTER), "inner": (AFTER, 0), "after": (AFTER, AFTER),
}  # fmt: skip

# Standard deviation of a standard normal truncated at two standard deviations.
_STD_WHEN_CUT = 0.8796256610342398


class _Loss(str):
    """The name of a loss that can also be called, because ``loss`` is a method of all models."""

    model: Model

    def __call__(self, theta: Array, data: Data | None = None) -> float:
        return Model.loss(self.model, theta, data)


class _LossField:
    """The field ``loss``: both the option and the method."""

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

    With a ``norm``, LN subtracts the mean over the units of each sample and divides by
    sqrt(variance + ``norm_eps``). In a plain network, LN after each activation and LN before each
    weight layer but the first (Pre-LN) are the same function.

    Parameters
    ----------
    width : int
        Hidden width n.
    depth : int
        Number of weight layers L, including the readout; at least 2.
    activation : {"relu", "tanh", "gelu", "erf", "linear"}
        ``gelu`` is the exact z Phi(z).
    parameterization : {"sp", "ntp", "mup"}
        See `simulator.parameterizations`.
    loss : {"mse", "xent"}
        ``mse``: 0.5 * mean over samples and outputs of the squared error; ``xent``: mean softmax
        cross-entropy.
    bias : bool
        Whether layers have biases, initialised at 0.
    var_w : float
        Gain of the hidden weights' variance.
    norm : {"none", "activation", "preactivation", "readout", "inner", "after"}
        ``activation``: the input of every weight layer but the first is LN(h_{l-1}); ``readout``:
        only that of the last; ``inner``: of all but the first and the last. ``preactivation``: h_l
        = act(LN(z_l)). ``after``, for residual networks: h_l = LN(h_{l-1} + act(z_l)) (Post-LN).
    residual : bool
        Residual connections: h_1 = z_1, then h_l = h_{l-1} + act(z_l). With ``activation`` this is
        Pre-LN: z_l takes LN(h_{l-1}), the sum h_{l-1} itself.
    affine : bool
        Whether each LN has a gain and a shift per unit, initialised at 1 and 0. They are at the end
        of theta.
    norm_eps : float
        Added to the variance. At 0 the loss of a sample without active units is NaN.

    Raises
    ------
    InputError
        If a value is not allowed, or for combinations that do not exist.
    """

    name: ClassVar[str] = "mlp"

    width: int = 64
    depth: int = 3
    activation: str = "relu"
    parameterization: str = "sp"
    loss: _LossField = _LossField()  # type: ignore[assignment]
    bias: bool = False
    var_w: float = 2.0
    norm: str = "none"
    residual: bool = False
    affine: bool = False
    norm_eps: float = 1e-5

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
            "norm": one_of("norm", self.norm, NORMS),
            "residual": bool(self.residual),
            "affine": bool(self.affine),
            "norm_eps": nonnegative("norm_eps", self.norm_eps),
        }
        for field, value in checked.items():
            object.__setattr__(self, field, value)
        if self.norm == "after" and not self.residual:
            raise InputError("norm", "after", "needs a residual network; give activation instead")
        if self.norm == "inner" and self.depth < 3:
            raise InputError(
                "norm", "inner", "normalises no layer at depth 2; give a depth of 3 or more"
            )
        if self.norm != "none" and self.width < 2:
            raise InputError(
                "norm", self.norm, "makes one unit constant; give a width of 2 or more"
            )
        if self.residual and self.depth < 3:
            raise InputError("residual", True, "has no effect at depth 2; give 3 or more")

    def widths(self, data: Data) -> tuple[int, ...]:
        """Units of each layer, including input and output: (d, n, ..., n, k)."""
        return (data.inputs, *(self.width,) * (self.depth - 1), data.outputs)

    def init(self, data: Data | None = None, seed: int = 0, dtype: str = "float64") -> Array:
        """Initial theta (P,): truncated normal weights, gains 1, biases and shifts 0.

        Weights are truncated at 2 standard deviations. The variance is exact after truncation, as
        in the paper's code. Raises `InputError` without data.
        """
        widths = self.widths(required(data, self.name))
        draw = generator(seed, "init")
        architecture = self._architecture(data)
        theta = np.zeros(architecture.size)
        theta[theta.size - architecture.gains :].reshape(-1, 2, self.width)[:, 0] = 1.0
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
        m = [self._layer(widths, layer)[1] for layer in range(self.depth)]
        others, last = NORMS[self.norm]
        places = [*(others,) * (self.depth - 2), last]
        if self.residual and self.norm in ("preactivation", "after"):
            places[0] = 0
        eps = [self.norm_eps] * len(places)
        for layer, place in enumerate(places):
            if place == BEFORE:  # LN(m z) with eps is LN(z) with eps / m^2
                eps[layer], m[layer] = eps[layer] / m[layer] ** 2, 1.0
        skip = NONE if not self.residual else NORMED if self.norm == "after" else STREAM
        return Architecture(
            widths, tuple(m), self.activation, self.loss, self.bias, tuple(places), skip,
            self.affine, tuple(eps),
        )  # fmt: skip


def _cut_normal(draw: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Unit-variance normal truncated at two standard deviations, by inversion."""
    low, high = ndtr(-2.0), ndtr(2.0)
    normal: Array = ndtri(draw.uniform(low, high, shape))
    return normal / _STD_WHEN_CUT
