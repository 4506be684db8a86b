"""Measuring in a JAX training loop of a user's own; a loss as a model is `from_jax`."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from simulator.checks import InputError, nonnegative
from simulator.models.custom import library
from simulator.probing import LoopProbe, Reading

__all__ = ["Probe"]


class Probe(LoopProbe):
    """Measures the update that an optimizer of optax is about to make.

    Call it with what ``optimizer.update`` gets, before the update. A measurement costs one Hessian
    product, or about three forward passes if only ``critical`` is measured; both are compiled.

    Parameters
    ----------
    loss_fn : callable
        ``loss_fn(params, *batch)``: a real scalar.
    optimizer : optax.GradientTransformation
        Its ``update(gradient, state, params)`` is the update, whatever it is made of.
    eta : float or callable
        The learning rate, or a schedule of the number of updates done. Where it is 0, the update
        does not say its direction, and nothing is measured.
    log : path, optional
        A file to append to: csv if its name ends so, or JSON lines. `explain` reads it.
    every : int
        Measure before every so many updates; also where the loss given is above the last 32.
    measure : sequence of str
        ``directional``, ``critical`` or both; see `Run` for what they are.

    Attributes
    ----------
    step : int
        Calls so far: updates done. Set it where training is resumed.

    Raises
    ------
    InputError
        For anything else, and without JAX.
    """

    def __init__(
        self,
        loss_fn: Callable[..., Any],
        optimizer: Any,
        eta: float | Callable[[int], Any],
        *,
        log: str | Path | None = None,
        every: int = 10,
        measure: Sequence[str] = ("directional",),
    ) -> None:
        jax = library("jax")
        if not callable(loss_fn):
            raise InputError("loss_fn", loss_fn, "give a function")
        if not callable(getattr(optimizer, "update", None)):
            raise InputError("optimizer", type(optimizer).__name__, "give one of optax")
        super().__init__(log, every, measure)
        self._eta = eta if callable(eta) else _constant(nonnegative("eta", eta))
        self._lines = {
            bent: jax.jit(partial(_line, jax, loss_fn, optimizer.update, bent))
            for bent in (False, True)
        }

        def after(params: Any, along: Any, rate: Any, batch: Any) -> Any:
            return loss_fn(jax.tree.map(lambda p, u: p - rate * u, params, along), *batch)

        self._after = jax.jit(after)

    def __call__(
        self, gradient: Any, state: Any, params: Any, batch: Sequence[Any], loss: Any = None
    ) -> Reading | None:
        """Measure the update that the optimizer is about to make, where that is due.

        Parameters
        ----------
        gradient, state, params : trees of arrays
            As for ``optimizer.update``.
        batch : sequence of arrays
            What the loss gets after the parameters.
        loss : float or array, optional
            What the loop has computed: then every update is logged, not only those measured.

        Returns
        -------
        Reading or None
            What was measured; None between measurements.
        """
        eta = float(self._eta(self.step))
        at = (gradient, state, params, eta, tuple(batch))
        line = partial(_Line, self._lines, self._after, at) if eta else None
        return self._take(eta, None if loss is None else float(loss), line)


def _constant(eta: float) -> Callable[[int], float]:
    return lambda step: eta


class _Line:
    """The line along an update: its numbers come from one compiled call, of one kind or the other.

    Without the Hessian product the gradient is the one given; with it, that of the loss measured.
    """

    def __init__(self, lines: dict[bool, Any], after: Any, at: tuple[Any, ...]) -> None:
        self._lines, self._after, self._at = lines, after, at
        self._known: dict[str, float] | None = None

    def loss(self) -> float:
        return self._numbers()["loss"]

    def gradient_norm(self) -> float:
        return math.sqrt(self._numbers()["gradient_squared"])

    def slope(self) -> float:
        return self._numbers()["slope"]

    def length_squared(self) -> float:
        return self._numbers()["length_squared"]

    def bend(self) -> float:
        return self._numbers(bent=True)["bend"]

    def loss_after(self, eta: float) -> float:
        self._numbers()
        *_, params, _, batch = self._at
        loss = float(self._after(params, self._along, eta, batch))
        return loss if math.isfinite(loss) else math.inf

    def _numbers(self, *, bent: bool = False) -> dict[str, float]:
        if self._known is None or (bent and "bend" not in self._known):
            self._along, found = self._lines[bent](*self._at)
            self._known = {name: float(value) for name, value in found.items()}
        return self._known


def _line(
    jax: Any, loss_fn: Any, update: Any, bent: bool, gradient: Any, state: Any, params: Any,
    eta: Any, batch: Any,
) -> tuple[Any, dict[str, Any]]:  # fmt: skip
    """u, and the numbers of its line: theta moves by -eta u."""
    steps, _ = update(gradient, state, params)
    along = jax.tree.map(lambda step: -step / eta, steps)
    found = {}
    if bent:
        derivatives = jax.value_and_grad(lambda at: loss_fn(at, *batch))
        (loss, gradient), (_, product) = jax.jvp(derivatives, (params,), (along,))
        found["bend"] = _dot(jax, along, product)
    else:
        loss = loss_fn(params, *batch)
    return along, {
        **found, "loss": loss, "slope": _dot(jax, along, gradient),
        "gradient_squared": _dot(jax, gradient, gradient),
        "length_squared": _dot(jax, along, along),
    }  # fmt: skip


def _dot(jax: Any, a: Any, b: Any) -> Any:
    return sum(jax.tree.leaves(jax.tree.map(jax.numpy.vdot, a, b)))
