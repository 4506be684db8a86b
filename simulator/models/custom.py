"""User-defined models, from functions in a user's file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray

from simulator.arrays import Array
from simulator.checks import InputError
from simulator.data import Data
from simulator.lending import read_only, refusing_writes
from simulator.models.base import Model, Objective
from simulator.seeding import generator

__all__ = [
    "Custom", "Functions", "OwnObjective", "checked", "checked_start", "leaves", "library",
    "own_name", "own_options", "shown",
]  # fmt: skip

Function = Callable[..., Any]

_SINGLE = np.dtype("float32")


class Functions(NamedTuple):
    """The functions of a model."""

    loss: Function
    gradient: Function
    hvp: Function
    init: Function


@dataclass(frozen=True, init=False)
class Custom(Model):
    """A model from functions of your own: plain NumPy, or compiled by ``numba.njit``.

    With data, every function takes x (m, d) and y (m, k) after the arguments below: y is one-hot
    for labels, both have the run's precision, and with minibatches they are the rows of the batch.
    Without data, functions take neither. Entries of ``options`` come last, by keyword.

    Parameters
    ----------
    name : str
        What a store calls it.
    loss : callable
        ``loss(theta, x, y)``, theta (P,): a number.
    gradient : callable
        ``gradient(theta, x, y)``: the gradient of that loss (P,).
    hvp : callable
        ``hvp(theta, v, x, y)``: the Hessian times v (P,), exactly. The sharpness is computed from
        it.
    init : callable
        ``init(rng, x, y)``: initial parameters (P,), drawn from the NumPy generator ``rng`` of the
        seed.
    options : mapping, optional
        Numbers, texts and booleans by name; a store keeps them.

    Raises
    ------
    InputError
        If an argument is invalid; and, in training, if a function returns another shape, no real
        numbers, or a lower precision than the run's. `check_model` checks the derivatives.

    Notes
    -----
    A store keeps the name, the options and a fingerprint of the functions, and cannot be resumed
    with other versions of them. Several threads may call the functions at once, for different runs.
    """

    own: str
    functions: Functions
    settings: tuple[tuple[str, Any], ...]

    def __init__(
        self,
        name: str,
        *,
        loss: Function,
        gradient: Function,
        hvp: Function,
        init: Function,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        # Written out because its arguments are the names of every model's methods.
        functions = Functions(loss, gradient, hvp, init)
        for what, function in functions._asdict().items():
            if not callable(function):
                raise InputError(what, function, "give a function")
        set_ = object.__setattr__
        set_(self, "own", name)
        set_(self, "name", own_name(name))
        set_(self, "functions", functions)
        set_(self, "settings", own_options(options or {}))

    def options(self) -> dict[str, Any]:
        return dict(self.settings)

    def with_options(self, **changes: Any) -> Custom:
        return Custom(self.own, **self.functions._asdict(), options={**self.options(), **changes})

    def init(self, data: Data | None = None, seed: int = 0, dtype: str = "float64") -> Array:
        with refusing_writes("init"):
            drawn = self.functions.init(generator(seed, "init"), *shown(data), **self.options())
        return checked_start(drawn).astype(dtype)

    def bind(self, data: Data | None = None, dtype: str = "float64") -> OwnObjective:
        loss, gradient, hvp, _ = self.functions
        options = self.options()

        def with_gradient(theta: Array, *xy: Array) -> tuple[Any, Any]:
            # Convert it before calling the gradient, which may share a buffer with the loss.
            value = checked("loss", loss(theta.copy(), *xy, **options), (), theta.dtype)
            return float(value), gradient(theta, *xy, **options)

        return OwnObjective(
            self.init(data, dtype=dtype),
            data,
            lambda theta, *xy: loss(theta, *xy, **options),
            with_gradient,
            lambda theta, v, *xy: hvp(theta, v, *xy, **options),
        )


class OwnObjective(Objective):
    """A loss from functions of (theta, x, y); every result is checked.

    The functions take copies of theta and v, which they may change, and read-only x and y. They are
    tried at ``start`` (P,), so that errors show before training.
    """

    def __init__(
        self,
        start: Array,
        data: Data | None,
        loss: Function,
        with_gradient: Function,
        hvp: Function,
    ) -> None:
        super().__init__(start.size, 0 if data is None else data.samples, start.dtype.name)
        self._of_loss, self._of_gradient, self._of_hvp = loss, with_gradient, hvp
        self._all = shown(data, self.dtype)
        self._xy = self._all
        with np.errstate(all="ignore"):
            self.loss(start)
            self.gradient(start, np.empty_like(start))
            self.hvp(np.ones_like(start), np.empty_like(start))

    def select(self, rows: NDArray[np.intp] | None) -> None:
        if not self._all:
            super().select(rows)
        if rows is None:
            self._xy = self._all
        else:
            self._xy = tuple(read_only(array[rows]) for array in self._all)

    def loss(self, theta: Array) -> float:
        with refusing_writes("loss"):
            loss = self._of_loss(theta.copy(), *self._xy)
        return float(checked("loss", loss, (), self.dtype))

    def gradient(self, theta: Array, out: Array) -> float:
        self._theta = theta
        with refusing_writes("gradient"):
            loss, gradient = self._of_gradient(theta.copy(), *self._xy)
        out[:] = checked("gradient", gradient, (self.size,), self.dtype)
        return float(checked("loss", loss, (), self.dtype))

    def hvp(self, v: Array, out: Array) -> None:
        with refusing_writes("hvp"):
            product = self._of_hvp(self._theta.copy(), v.copy(), *self._xy)
        out[:] = checked("hvp", product, (self.size,), self.dtype)


def shown(data: Data | None, dtype: DTypeLike = float) -> tuple[Array, ...]:
    """Read-only x and y of the data, if any, for user-defined functions."""
    arrays = () if data is None else (data.x, data.targets)
    return tuple(read_only(np.ascontiguousarray(array, dtype)) for array in arrays)


def checked(
    function: str, value: Any, shape: tuple[int, ...], dtype: np.dtype[Any] = _SINGLE
) -> Array:
    """The result of a function, if it has this shape and is real with this precision or better."""
    try:
        array = np.asarray(value)
    except ValueError:
        raise InputError(function, "with rows of several lengths", "return one array") from None
    if array.shape != shape:
        wanted = f"shape {shape}" if shape else "one real number"
        raise InputError(function, f"returned shape {array.shape}", f"let it return {wanted}")
    real = array.dtype.kind == "f" and array.dtype.itemsize >= dtype.itemsize
    if not real and not (shape == () and isinstance(value, int)):
        raise InputError(function, f"returned type {array.dtype}", f"let it return {dtype}")
    return array


def checked_start(value: Any) -> Array:
    """The result of ``init``, if training can start there."""
    size = np.size(value)
    theta = checked("init", value, (size,))
    if not size or not np.isfinite(theta).all():
        raise InputError(
            "init", "returned NaN or infinite values" if size else "returned nothing",
            "let it return finite parameters (P,)",
        )  # fmt: skip
    return theta


def leaves(theta: Any, shapes: Sequence[tuple[int, ...]]) -> list[Any]:
    """The arrays of these shapes whose concatenated entries are theta (P,)."""
    ends = np.cumsum([0, *(int(np.prod(shape, dtype=int)) for shape in shapes)]).tolist()
    return [
        theta[begin:end].reshape(shape)
        for begin, end, shape in zip(ends, ends[1:], shapes, strict=False)
    ]


def library(name: str) -> Any:
    """Import an optional package; raises `InputError` if it is not installed."""
    try:
        return import_module(name)
    except ImportError:
        remedy = f"pip install 'warmup-simulator[{name}]'"
        raise InputError(name, "not installed", remedy) from None


def own_name(name: Any) -> str:
    """A name that a store can keep."""
    if not isinstance(name, str) or not name.strip() or not name.isprintable() or len(name) > 100:
        raise InputError("name", name, "give a short text")
    return name


def own_options(options: Any) -> tuple[tuple[str, Any], ...]:
    """Options that a store can keep, as pairs."""
    if not isinstance(options, Mapping):
        raise InputError("options", options, "give a mapping of names to values")
    for name, value in options.items():
        if not isinstance(name, str) or not name.isidentifier() or name in ("name", "source"):
            raise InputError("options", name, "give names of arguments, other than name and source")
        if not isinstance(value, (bool, int, float, str)):
            raise InputError(name, f"of type {type(value).__name__}", "give a number or a text")
    return tuple(options.items())
