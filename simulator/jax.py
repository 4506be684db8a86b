"""Measure in a user's JAX training loop; `from_jax` makes a model from a loss."""

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
    """Measure the next update of an optax optimizer.

    Call it before each update with the arguments of ``optimizer.update``. A measurement costs one
    Hessian-vector product, or about three forward passes if only ``critical`` is measured; both are
    compiled.

    Parameters
    ----------
    loss_fn : callable
        ``loss_fn(params, *batch)``: a real scalar.
    optimizer : optax.GradientTransformation
        Its ``update(gradient, state, params)`` gives the update.
    eta : float or callable
        The learning rate, or a schedule: a function of the number of updates done. Nothing is
        measured at eta 0, where the update has no direction.
    log : path, optional
        A file to append to: csv if its name ends in .csv, else JSON lines. `explain` reads it.
    every : int
        Updates between measurements; another one is made when the given loss exceeds the last 32.
    measure : sequence of str
        ``directional``, ``critical`` or both; `Run` defines them.

    Attributes
    ----------
    step : int
        Number of calls, that is of updates. Set it when training is resumed.

    Raises
    ------
    InputError
        If an argument is invalid, or JAX is not installed.
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
        """Measure the next update of the optimizer if a measurement is due.

        Parameters
        ----------
        gradient, state, params : trees of arrays
            As for ``optimizer.update``.
        batch : sequence of arrays
            Arguments of the loss after the parameters.
        loss : float or array, optional
            The loss that the loop has computed. If given, every update is logged, not only measured
            ones.

        Returns
        -------
        Reading or None
            The measurements; None if none is due.
        """
        eta = float(self._eta(self.step))
        at = (gradient, state, params, eta, tuple(batch))
        line = partial(_Line, self._lines, self._after, at) if eta else None
        return self._take(eta, None if loss is None else float(loss), line)


def _constant(eta: float) -> Callable[[int], float]:
    return lambda step: eta


class _Line:
    """The line along an update; one compiled call computes its numbers.

    Without a Hessian-vector product the gradient is the given one; with it, that of the measured
    loss.
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
