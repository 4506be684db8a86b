"""The contract of a model.

To add one:

1. Write one file here: a frozen dataclass that subclasses `Model`, its fields being its options.
2. Give it ``name``, ``init`` (theta from data and seed) and ``bind`` (an `Objective` on one data
   set). Raise `InputError` from ``__post_init__`` for invalid fields.
3. Add it to ``MODELS`` in ``simulator/models/__init__.py``, and to ``tests/test_models.py``.

Everything else (gradients, products, sharpness, training, sweeps, ``--model``) uses this contract
only. A user-defined model outside the package needs neither step 3 nor a subclass: see
``custom.py`` and ``docs/own_model.md``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.arrays import Array
from simulator.checks import InputError, one_of
from simulator.data import Data
from simulator.models.batched import BatchedModel
from simulator.named import Named
from simulator.shipped import refuse_overrides

__all__ = ["DTYPES", "Model", "Objective", "checked_vector", "precision", "required"]

# The precisions of a model.
DTYPES = ("float64", "float32")


def precision(given: Any) -> str:
    """One of ``DTYPES``, from its name or a NumPy type."""
    if given is not None and not isinstance(given, str):
        with suppress(TypeError):
            given = np.dtype(given).name
    return one_of("dtype", given, DTYPES)


class Objective(ABC):
    """A model's loss on one data set, as a function of theta (P,); it owns the buffers.

    One objective serves one thread. ``hvp`` is at the theta of the last ``gradient``, whose array
    must not change in between, because products reuse intermediate results of the gradient. A
    method must not change its arguments other than ``out``, nor keep them otherwise.

    Parameters
    ----------
    size : int
        P.
    samples : int
        Number of samples m; 0 for a loss without data.
    dtype : {"float64", "float32"}
        Precision of theta and of all computations.
    """

    def __init__(self, size: int, samples: int, dtype: str) -> None:
        self.size, self.samples, self.dtype = size, samples, np.dtype(dtype)

    @abstractmethod
    def loss(self, theta: Array) -> float:
        """The loss at theta (P,)."""

    @abstractmethod
    def gradient(self, theta: Array, out: Array) -> float:
        """Write the gradient into ``out`` (P,); return the loss."""

    @abstractmethod
    def hvp(self, v: Array, out: Array) -> None:
        """Write the exact Hessian times ``v`` (P,) into ``out`` (P,), without differences."""

    def single(self) -> Objective | None:
        """A single-precision copy at the theta of the last ``gradient``, for cheap products.

        None if there is none or if it would not be cheaper.
        """
        return None

    def select(self, rows: NDArray[np.intp] | None) -> None:
        """Restrict the loss to these samples (batch,) of the data; None restores all samples.

        Raises `InputError` for a loss without data.
        """
        if rows is not None:
            raise InputError("batch_size", rows.size, "this model has no samples; leave it out")

    def outputs(self, theta: Array, x: Array) -> Array | None:
        """Outputs (samples, k) on inputs x (samples, d), if the model has outputs."""
        return None

    def linearize(self) -> None:
        """Replace the outputs by their first-order expansion at the theta of the last ``gradient``.

        Until the next ``gradient``, products are those of the Gauss-Newton matrix J^T L'' J, with J
        the derivative of the outputs and L'' the second derivative of the loss in them.

        Raises `InputError` for a model that does not separate its outputs from its loss.
        """
        raise InputError("part", "gauss-newton", "this model has no outputs; give part hessian")

    @property
    def layers(self) -> tuple[slice, ...]:
        """The slices of theta with the weights and biases of each layer; one layer by default."""
        return (slice(0, self.size),)

    def eigenvalues_outside(self) -> tuple[Array, int]:
        """Hessian eigenvalues (n,) in directions that theta does not span, with multiplicities.

        At the theta of the last ``gradient``. Only models that train in a subspace have any.
        """
        return np.empty(0), 0

    def hessian(self) -> Array:
        """The dense Hessian (P, P) at the theta of the last ``gradient``, by P products."""
        identity = np.eye(self.size, dtype=self.dtype)
        result = np.empty_like(identity)
        for row, direction in zip(result, identity, strict=True):
            self.hvp(direction, row)
        return 0.5 * (result + result.T)


@dataclass(frozen=True)
class Model(Named):
    """A loss landscape for training; the module docstring says how to add one."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        refuse_overrides(cls, Model, loss="bind", gradient="bind", hvp="bind", hessian="bind")

    @abstractmethod
    def init(self, data: Data | None = None, seed: int = 0, dtype: str = "float64") -> Array:
        """Initial parameters theta (P,) for this seed."""

    @abstractmethod
    def bind(self, data: Data | None = None, dtype: str = "float64") -> Objective:
        """The loss on ``data``, with buffers for one thread.

        Raises `InputError` if the model cannot be trained on this data, or needs data.
        """

    def batched(self, data: Data | None) -> BatchedModel | None:
        """The trainer of many runs on ``data`` as one batch, or None.

        Only models of this package have one; others use `bind`. Raises `InputError` where `bind`
        does.
        """
        return None

    def constant_loss(self, data: Data | None) -> float | None:
        """Loss of the best constant output, which a dead network reaches; None if unknown.

        Raises `InputError` where `bind` does.
        """
        return None

    @property
    def steps_weights(self) -> bool:
        """Whether theta holds the weights themselves, as methods for single weights require."""
        return True

    def layer_rates(self, data: Data | None, *, adaptive: bool) -> Array:
        """Learning-rate factor (P,) of each parameter in this parameterization.

        ``adaptive``: for an optimizer with a preconditioner. Raises `InputError` if there are none.
        """
        raise InputError(
            "layer_rates", f"with {self.name}", "only mlp in mup has them; leave it out"
        )

    def loss(self, theta: Array, data: Data | None = None) -> float:
        """Loss at theta (P,)."""
        objective, theta = self._at(theta, data)
        return objective.loss(theta)

    def gradient(self, theta: Array, data: Data | None = None) -> Array:
        """Gradient (P,) of the loss at theta (P,)."""
        objective, theta = self._at(theta, data)
        out = np.empty_like(theta)
        objective.gradient(theta, out)
        return out

    def hvp(self, theta: Array, v: Array, data: Data | None = None) -> Array:
        """Hessian of the loss at theta (P,) times v (P,), by the exact R-operator.

        Raises `InputError` for a v of another shape.
        """
        objective, theta = self._at(theta, data)
        v = checked_vector("v", v, objective)
        out = np.empty_like(theta)
        objective.gradient(theta, out)
        objective.hvp(v, out)
        return out

    def hessian(self, theta: Array, data: Data | None = None) -> Array:
        """Dense Hessian (P, P) of the loss at theta (P,); P Hessian-vector products."""
        objective, theta = self._at(theta, data)
        objective.gradient(theta, np.empty_like(theta))
        return objective.hessian()

    def _at(self, theta: Array, data: Data | None) -> tuple[Objective, Array]:
        dtype = "float32" if np.asarray(theta).dtype == np.float32 else "float64"
        objective = self.bind(data, dtype)
        return objective, checked_vector("theta", theta, objective)


def checked_vector(name: str, value: Array, objective: Objective) -> Array:
    """``value`` as an array of the shape and type of theta."""
    # Writeable, so that every caller uses the same compiled kernel.
    vector = np.require(value, objective.dtype, ["C", "W"])
    if vector.shape != (objective.size,):
        raise InputError(name, f"of shape {vector.shape}", f"give shape ({objective.size},)")
    return vector


def required(data: Data | None, model: str) -> Data:
    """The data; raises InputError without it."""
    if data is None:
        raise InputError("data", None, f"the model {model} needs data; see load_data")
    return data
