"""User-defined models from a PyTorch module, with the derivatives of torch.func."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.arrays import Array
from simulator.checks import InputError
from simulator.data import Data
from simulator.models.base import Model, Objective
from simulator.models.custom import checked, checked_start, leaves, library, own_name, shown
from simulator.models.torch_module import (
    exact_kernels,
    flat,
    one_torch_thread,
    prepared,
    trained_parameters,
)
from simulator.seeding import generator

__all__ = ["FromTorch", "from_torch"]

# PyTorch has one random generator for the whole process.
_drawing = threading.Lock()


@dataclass(frozen=True, eq=False)
class Samples:
    """Tensors of any shape and type, whose first axis is the samples (m, ...)."""

    x: Any
    y: Any


@dataclass(frozen=True)
class FromTorch(Model):
    """The model that `from_torch` returns."""

    own: str
    module: Any
    criterion: Callable[..., Any]
    samples: Data | Samples | None

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", own_name(self.own))

    def options(self) -> dict[str, Any]:
        return {}

    def with_options(self, **changes: Any) -> FromTorch:
        for name, value in changes.items():
            raise InputError(name, value, f"the model {self.own} has no options; leave it out")
        return self

    def init(self, data: Data | None = None, seed: int = 0, dtype: str = "float64") -> Array:
        return checked_start(flat(trained_parameters(self._drawn(seed)))).astype(dtype)

    def bind(self, data: Data | None = None, dtype: str = "float64") -> TorchObjective:
        samples = self.samples if data is None else data
        if samples is None:
            raise InputError("data", None, "the module needs data; give it here or to from_torch")
        return TorchObjective(self._drawn(0), self.criterion, samples, dtype)

    def _drawn(self, seed: int) -> Any:
        """The given module, or one made with this seed."""
        torch = library("torch")
        if isinstance(self.module, torch.nn.Module):
            return self.module
        with _drawing, torch.random.fork_rng():
            torch.manual_seed(int(generator(seed, "init").integers(2**63)))
            made = self.module()
        if not isinstance(made, torch.nn.Module):
            raise InputError("module", f"made a {type(made).__name__}", "return a torch.nn.Module")
        return made


class TorchObjective(Objective):
    """The loss of a module, on a copy of it: one objective serves one thread."""

    def __init__(
        self, module: Any, loss: Callable[..., Any], data: Data | Samples, dtype: str
    ) -> None:
        torch = self._torch = library("torch")
        parameters = trained_parameters(module)
        start = checked_start(flat(parameters))
        self._names = [*parameters]
        self._shapes = [tuple(parameter.shape) for parameter in parameters.values()]
        self._to = {
            "device": next(iter(parameters.values())).device,
            "dtype": getattr(torch, dtype),
        }
        self._module, self._criterion = prepared(module).to(**self._to), loss
        if isinstance(loss, torch.nn.Module):  # it may hold tensors
            self._criterion = copy.deepcopy(loss).to(**self._to)
        arrays = (data.x, data.y) if isinstance(data, Samples) else shown(data, dtype)
        self._xy = self._all = tuple(self._tensor(array) for array in arrays)
        # v -> Hv at the theta of the last gradient, made for the first v.
        self._product: Any = None
        super().__init__(start.size, len(arrays[0]), dtype)
        self.loss(start.astype(dtype))

    def select(self, rows: NDArray[np.intp] | None) -> None:
        self._xy = self._all
        if rows is not None:
            at = self._torch.as_tensor(rows, device=self._to["device"])
            self._xy = tuple(tensor[at] for tensor in self._all)

    def loss(self, theta: Array) -> float:
        with exact_kernels(), one_torch_thread(), self._torch.no_grad():
            return self._number(self._loss(self._tensor(theta)))

    def gradient(self, theta: Array, out: Array) -> float:
        self._theta, self._product = self._tensor(theta), None
        with exact_kernels(), one_torch_thread():
            gradient, loss = self._torch.func.grad_and_value(self._loss)(self._theta)
        out[:] = gradient.cpu().numpy()
        return self._number(loss)

    def hvp(self, v: Array, out: Array) -> None:
        with exact_kernels(), one_torch_thread():
            if self._product is None:
                func = self._torch.func
                _, self._product = func.vjp(func.grad(self._loss), self._theta)
            out[:] = self._product(self._tensor(v))[0].cpu().numpy()

    def outputs(self, theta: Array, x: Array) -> Array | None:
        with exact_kernels(), one_torch_thread(), self._torch.no_grad():
            outputs = self._forward(self._tensor(theta), self._tensor(x)).cpu().numpy()
        return outputs if outputs.ndim == 2 else None

    def _forward(self, theta: Any, x: Any) -> Any:
        parameters = dict(zip(self._names, leaves(theta, self._shapes), strict=True))
        return self._torch.func.functional_call(self._module, parameters, (x,))

    def _loss(self, theta: Any) -> Any:
        x, y = self._xy
        return self._criterion(self._forward(theta, x), y)

    def _number(self, loss: Any) -> float:
        value = loss.detach().cpu().numpy() if hasattr(loss, "detach") else loss
        return float(checked("loss", value, (), self.dtype))

    def _tensor(self, array: Any) -> Any:
        """A tensor of the run's own; labels and tokens stay whole numbers."""
        tensor = self._torch.tensor(array) if isinstance(array, np.ndarray) else array.detach()
        return (
            tensor.to(**self._to) if tensor.is_floating_point() else tensor.to(self._to["device"])
        )


def from_torch(
    module: Any,
    loss: Callable[..., Any],
    data: Data | tuple[Any, Any] | None = None,
    *,
    name: str | None = None,
) -> FromTorch:
    """A model from a PyTorch module, with exact gradients and Hessian-vector products.

    The gradient uses ``torch.func.grad`` and a product ``torch.func.vjp`` of it (the Hessian is
    symmetric), on the device of the module and in the precision of the run. Dropout is off, and
    batch normalisation uses the statistics of the batch, as in training. Parameters that do not
    require a gradient are constants. The module itself is not changed.

    Parameters
    ----------
    module : torch.nn.Module, or callable
        Every seed starts from the module's parameters. A function or class that returns a module
        when called without arguments draws them anew, with PyTorch seeded by each seed.
    loss : callable
        ``loss(output, y)``, such as those of ``torch.nn``: one real number. ``output`` is the
        module's output for x (m, d); y (m, k) is one-hot where the data has labels, which
        ``torch.nn.CrossEntropyLoss`` takes.
    data : Data, or pair of tensors (x, y), optional
        Default training data. Tensors may have any shape and type, with the samples along the first
        axis: images, tokens, integer labels.
    name : str, optional
        Name in a store. Default: the name of the class or function.

    Returns
    -------
    Model

    Raises
    ------
    InputError
        If an argument is invalid, if PyTorch is not installed, and, in training, if the loss is not
        one number in the run's precision.
    """
    torch = library("torch")
    for what, function in (("module", module), ("loss", loss)):
        if not callable(function):
            wanted = {"module": "a torch.nn.Module", "loss": "a function"}[what]
            raise InputError(what, function, f"give {wanted}")
    if isinstance(module, torch.nn.Module):
        name = name or type(module).__name__
        module = copy.deepcopy(module).eval()
    samples = data if data is None or isinstance(data, Data) else _samples(data)
    return FromTorch(name or module.__name__, module, loss, samples)


def _samples(pair: Any) -> Samples:
    """Two tensors with the same number of samples."""
    tensors = pair if isinstance(pair, (tuple, list)) else ()
    if len(tensors) != 2 or not all(isinstance(t, library("torch").Tensor) for t in tensors):
        raise InputError("data", type(pair).__name__, "give Data, or two tensors (x, y)")
    x, y = tensors
    if not (x.ndim and y.ndim and 0 < len(x) == len(y)):
        shapes = f"of shapes {tuple(x.shape)} and {tuple(y.shape)}"
        raise InputError("data", shapes, "give x and y the same number of samples, at least 1")
    return Samples(x.detach().clone(), y.detach().clone())
