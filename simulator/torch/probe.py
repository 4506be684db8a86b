"""The curvature along the steps of a PyTorch training loop."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from simulator.checks import InputError
from simulator.models.custom import library
from simulator.models.torch_module import exact_kernels, prepared, trained_parameters
from simulator.probing import LoopProbe, Reading
from simulator.torch.updates import rule_of

__all__ = ["Probe"]

Tensors = dict[str, Any]


class Probe(LoopProbe):
    """Measure the next update of an optimizer; training stays the same bit for bit.

    Call it with the batch after ``loss.backward()`` and before ``optimizer.step()``. A measurement
    costs one Hessian-vector product, or about three forward passes if only ``critical`` is
    measured.

    Parameters
    ----------
    model : torch.nn.Module
        The model. It is measured with dropout off, and with the batch's statistics in batch
        normalisation.
    loss_fn : callable
        ``loss_fn(output, y)``, such as those of ``torch.nn``: one real number.
    optimizer : torch.optim.Optimizer
        The update is that of ``SGD``, ``Adam`` or ``AdamW``, from the gradients in ``.grad``, with
        all their options. With several parameter groups, eta is the learning rate of the first.
    log : path, optional
        A file to append to: csv if its name ends in .csv, else JSON lines. `explain` reads it.
    every : int
        Updates between measurements; another one is made when the given loss exceeds the last 32.
    measure : sequence of str
        ``directional``, ``critical`` or both; `Run` defines them.
    update : callable, optional
        For any other optimizer: ``update()`` returns u, a tensor for each of the optimizer's
        parameters in order; theta moves by -eta u.

    Attributes
    ----------
    step : int
        Number of calls, that is of updates. Set it when training is resumed.

    Raises
    ------
    InputError
        If an argument is invalid, if the optimizer has parameters of another model or is of another
        class without ``update``, or if PyTorch is not installed.
    """

    def __init__(
        self,
        model: Any,
        loss_fn: Callable[..., Any],
        optimizer: Any,
        *,
        log: str | Path | None = None,
        every: int = 10,
        measure: Sequence[str] = ("directional",),
        update: Callable[[], Sequence[Any]] | None = None,
    ) -> None:
        torch = self._torch = library("torch")
        for name, given, kind in (
            ("model", model, torch.nn.Module),
            ("optimizer", optimizer, torch.optim.Optimizer),
        ):
            if not isinstance(given, kind):
                raise InputError(name, type(given).__name__, f"give a {kind.__qualname__}")
        if not callable(loss_fn):
            raise InputError("loss_fn", loss_fn, "give a function")
        self._names = {id(p): name for name, p in trained_parameters(model).items()}
        if any(id(p) not in self._names for p in _parameters(optimizer)):
            raise InputError(
                "optimizer",
                type(optimizer).__name__,
                "has parameters of another model; give the optimizer of this one",
            )
        self._rule, self._update = rule_of(optimizer), update
        if self._rule is None and update is None:
            raise InputError(
                "optimizer", type(optimizer).__name__,
                "is none of SGD, Adam and AdamW; give update, a function that returns its update",
            )  # fmt: skip
        super().__init__(log, every, measure)
        self._model, self._optimizer, self._criterion = model, optimizer, loss_fn
        self._module = made = prepared(model, shared=True)
        self._others = [name for name, _ in (*made.named_parameters(), *made.named_buffers())]

    def __call__(self, batch: Sequence[Any], loss: float | None = None) -> Reading | None:
        """Measure the next update of the optimizer if a measurement is due.

        Parameters
        ----------
        batch : sequence of tensors
            The inputs of the model, and y last: ``loss_fn(model(*inputs), y)`` is the loss.
        loss : float or tensor, optional
            The loss that the loop has computed. If given, every update is logged, not only measured
            ones.

        Returns
        -------
        Reading or None
            The measurements; None if none is due.
        """
        eta = float(self._optimizer.param_groups[0]["lr"])
        given = None if loss is None else _number(loss)
        with self._torch.no_grad():
            return self._take(eta, given, lambda: self._line(tuple(batch), eta))

    def _line(self, batch: tuple[Any, ...], eta: float) -> _Line:
        live = trained_parameters(self._model)
        at = {name: p.detach() for name, p in live.items()}
        gradient = {
            name: p.new_zeros(p.shape) if p.grad is None else p.grad for name, p in live.items()
        }
        # Whatever else the module holds is taken from the live one, which may have been moved.
        held = dict((*self._model.named_parameters(), *self._model.named_buffers()))
        others = {name: held[name] for name in self._others if name not in at}
        call = self._torch.func.functional_call

        def value(parameters: Tensors) -> Any:
            outputs = call(self._module, {**others, **parameters}, batch[:-1])
            return self._criterion(outputs, batch[-1])

        return _Line(self._torch, value, at, gradient, self._along(eta))

    def _along(self, eta: float) -> Tensors:
        """u, by the names of the parameters that the update moves."""
        optimizer, along = self._optimizer, {}
        if self._update is not None:
            parameters, given = _parameters(optimizer), list(self._update())
            if [p.shape for p in parameters] != [u.shape for u in given]:
                shapes = [tuple(p.shape) for p in parameters]
                raise InputError("update", f"returned {len(given)} tensors", f"return {shapes}")
            return {self._names[id(p)]: u.detach() for p, u in zip(parameters, given, strict=True)}
        assert self._rule is not None
        for group in optimizer.param_groups:
            factor = float(group["lr"]) / eta if eta else 1.0
            for p in group["params"]:
                if p.grad is not None:
                    state = optimizer.state.get(p, {})
                    u = self._rule(p.detach(), p.grad, group, state)
                    along[self._names[id(p)]] = u if factor == 1.0 else factor * u
        return along


class _Line:
    """The line along an update, of the loss as a function of the parameters by name."""

    def __init__(
        self,
        torch: Any,
        value: Callable[[Tensors], Any],
        at: Tensors,
        gradient: Tensors,
        along: Tensors,
    ) -> None:
        self._torch, self._value = torch, value
        self._at, self._gradient, self._along = at, gradient, along
        self._loss: float | None = None

    def loss(self) -> float:
        if self._loss is None:
            self._loss = self._forward(self._at)
        return self._loss

    def gradient_norm(self) -> float:
        return math.sqrt(_dot(self._gradient, self._gradient))

    def slope(self) -> float:
        return _dot(self._along, self._gradient)

    def length_squared(self) -> float:
        return _dot(self._along, self._along)

    def bend(self) -> float:
        grad = self._torch.autograd.grad
        names, leaves = [*self._at], [p.clone().requires_grad_() for p in self._at.values()]
        with exact_kernels(), self._torch.enable_grad():
            loss = self._value(dict(zip(names, leaves, strict=True)))
            first = grad(loss, leaves, create_graph=True, materialize_grads=True)
            along = [
                self._along.get(n, leaf.detach() * 0) for n, leaf in zip(names, leaves, strict=True)
            ]
            bent = grad(first, leaves, along, materialize_grads=True)
        # That of the loss which is measured, unclipped.
        self._gradient = {name: g.detach() for name, g in zip(names, first, strict=True)}
        bent = dict(zip(names, bent, strict=True))
        self._loss = _number(loss)
        return _dot(self._along, bent)

    def loss_after(self, eta: float) -> float:
        moved = {name: self._at[name] - eta * u for name, u in self._along.items()}
        loss = self._forward({**self._at, **moved})
        return loss if math.isfinite(loss) else math.inf

    def _forward(self, parameters: Tensors) -> float:
        with exact_kernels():
            return _number(self._value(parameters))


def _number(loss: Any) -> float:
    return float(loss.detach() if hasattr(loss, "detach") else loss)


def _parameters(optimizer: Any) -> list[Any]:
    return [p for group in optimizer.param_groups for p in group["params"]]


def _dot(a: Tensors, b: Tensors) -> float:
    """Over the names of the first, in double precision."""
    if not a:
        return 0.0
    torch = library("torch")
    one, other = (torch.cat([side[name].flatten() for name in a]).double() for side in (a, b))
    return float(one @ other)
