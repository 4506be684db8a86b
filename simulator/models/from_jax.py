"""User-defined models from a loss in JAX, with JAX's derivatives."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any, NamedTuple

import numpy as np

from simulator.arrays import Array
from simulator.checks import InputError
from simulator.data import Data
from simulator.lending import refusing_writes
from simulator.models.base import Model
from simulator.models.custom import (
    OwnObjective,
    checked_start,
    leaves,
    library,
    own_name,
    own_options,
    shown,
)
from simulator.seeding import generator

__all__ = ["FromJax", "from_jax"]


class Structure(NamedTuple):
    """The tree of arrays that a flat theta (P,) stands for: its structure and shapes."""

    tree: Any
    shapes: tuple[tuple[int, ...], ...]

    def unflatten(self, theta: Any) -> Any:
        """The tree of arrays of theta (P,)."""
        return library("jax").tree.unflatten(self.tree, leaves(theta, self.shapes))


@dataclass(frozen=True)
class FromJax(Model):
    """The model that `from_jax` returns."""

    own: str
    function: Callable[..., Any]
    start: Callable[..., Any]
    settings: tuple[tuple[str, Any], ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", own_name(self.own))

    def options(self) -> dict[str, Any]:
        return dict(self.settings)

    def with_options(self, **changes: Any) -> FromJax:
        return replace(self, settings=own_options({**self.options(), **changes}))

    def init(self, data: Data | None = None, seed: int = 0, dtype: str = "float64") -> Array:
        return self._flat(data, seed)[0].astype(dtype)

    def bind(self, data: Data | None = None, dtype: str = "float64") -> OwnObjective:
        jax = library("jax")
        if dtype == "float64" and not jax.config.jax_enable_x64:
            raise InputError(
                "jax_enable_x64", False,
                "JAX would compute in single precision; call "
                "jax.config.update('jax_enable_x64', True) first, or ask for dtype float32",
            )  # fmt: skip
        theta, structure = self._flat(data, 0)
        loss, with_gradient, hvp = self._derivatives
        return OwnObjective(
            theta.astype(dtype),
            data,
            lambda *at: loss(structure, *at),
            lambda *at: with_gradient(structure, *at),
            lambda *at: hvp(structure, *at),
        )

    @cached_property
    def _derivatives(self) -> tuple[Callable[..., Any], ...]:
        """Loss, loss with gradient, and Hessian product, of (structure, theta, ...); compiled."""
        jax, function, options = library("jax"), self.function, self.options()

        def loss(structure: Structure, theta: Any, *xy: Any) -> Any:
            return function(structure.unflatten(theta), *xy, **options)

        def hvp(structure: Structure, theta: Any, v: Any, *xy: Any) -> Any:
            def gradient(at: Any) -> Any:
                return jax.grad(loss, argnums=1)(structure, at, *xy)

            return jax.jvp(gradient, (theta,), (v,))[1]

        with_gradient = jax.value_and_grad(loss, argnums=1)
        return tuple(jax.jit(made, static_argnums=0) for made in (loss, with_gradient, hvp))

    def __reduce__(self) -> tuple[type[FromJax], tuple[Any, ...]]:
        # The compiled functions.
        return FromJax, (self.own, self.function, self.start, self.settings)

    def _flat(self, data: Data | None, seed: int) -> tuple[Array, Structure]:
        """Initial parameters as one vector, leaf after leaf, and their structure."""
        with refusing_writes("init"):
            drawn = self.start(generator(seed, "init"), *shown(data), **self.options())
        drawn_leaves, tree = library("jax").tree.flatten(drawn)
        arrays = [np.asarray(leaf) for leaf in drawn_leaves]
        theta = np.concatenate([array.ravel() for array in arrays] or [np.empty(0)])
        return checked_start(theta), Structure(tree, tuple(array.shape for array in arrays))


def from_jax(
    name: str | None = None,
    *,
    loss: Callable[..., Any],
    init: Any,
    options: Mapping[str, Any] | None = None,
) -> FromJax:
    """A model from a loss in JAX, which provides the gradient and Hessian-vector products.

    The gradient uses ``jax.value_and_grad`` and a product ``jax.jvp`` of the gradient. ``jax.jit``
    compiles them once for each shape of x.

    Parameters
    ----------
    name : str, optional
        Name in a store. Default: the name of the loss.
    loss : callable
        ``loss(theta, x, y)``: a real scalar. theta is what ``init`` returns, an array or any tree
        of arrays; x (m, d) and y (m, k) as in `Custom`, absent without data. Options are keyword
        arguments and constants for JAX.
    init : callable, or array or tree of arrays
        ``init(rng, x, y)``: initial parameters, drawn from ``rng``, a NumPy generator; or the
        parameters themselves, from which every seed starts.
    options : mapping, optional
        As in `Custom`.

    Returns
    -------
    Model

    Raises
    ------
    InputError
        If an argument is invalid, if JAX is not installed, and, in training, for double precision
        without JAX's ``jax_enable_x64``. This setting holds for the whole process: set it yourself.
    """
    if not callable(loss):
        raise InputError("loss", loss, "give a function")
    if not callable(init):
        if not (isinstance(init, (dict, list, tuple)) or hasattr(init, "__array__")):
            raise InputError("init", init, "give a function, or a tree of arrays")
        init = partial(_the_same, init)
    name = getattr(loss, "__name__", "jax") if name is None else name
    return FromJax(name, loss, init, own_options(options or {}))


def _the_same(theta: Any, *_: Any, **__: Any) -> Any:
    """The parameters that were given, for every seed."""
    return theta
