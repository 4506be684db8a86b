"""A Hessian, its Gauss-Newton or residual part, or the block of a layer, as an operator.

With outputs f and loss L(f) the Hessian is G + R: the Gauss-Newton matrix G = J^T L'' J, where J is
the derivative of f, and the residual part R = sum_i dL/df_i d2f_i.
"""

from __future__ import annotations

import numpy as np

from simulator.arrays import Array
from simulator.checks import InputError, at_least, one_of
from simulator.data import Data
from simulator.models import Model
from simulator.models.base import checked_vector

__all__ = ["PARTS", "Operator"]

PARTS = ("hessian", "gauss-newton", "residual")


class Operator:
    """A part of a model's Hessian at given parameters; counts its Hessian-vector products.

    Parameters
    ----------
    model : Model
    theta : array, shape (P,)
    data : Data, optional
    part : {"hessian", "gauss-newton", "residual"}
    layer : int, optional
        The layer whose diagonal block is used.
    preconditioner : array, shape (P,), optional
        P of P^-1/2 H P^-1/2, which has the eigenvalues of P^-1 H.

    Attributes
    ----------
    size : int
        Number of rows.
    gradient : array, shape (size,)
        The gradient of the loss in the operator's coordinates.
    outside : array, shape (n,)
        Eigenvalues in directions that theta does not span, each ``copies``-fold.
    products : int
        Number of Hessian-vector products.

    Raises
    ------
    InputError
        If the model does not have this part, layer or preconditioner.
    """

    def __init__(
        self,
        model: Model,
        theta: Array,
        data: Data | None,
        part: str = "hessian",
        layer: int | None = None,
        preconditioner: Array | None = None,
    ) -> None:
        one_of("part", part, PARTS)
        if not model.steps_weights and not (layer is None and preconditioner is None):
            remedy = "layers and preconditioners are of weights; give parameters"
            raise InputError("representation", "gram", remedy)
        hessian = model.bind(data)
        theta = checked_vector("theta", theta, hessian)
        gradient = np.empty_like(theta)
        hessian.gradient(theta, gradient)
        self._terms = [hessian]
        if part != "hessian":
            linear = model.bind(data)
            linear.gradient(theta, np.empty_like(theta))
            linear.linearize()
            self._terms = [linear] if part == "gauss-newton" else [hessian, linear]
        self.outside, self.copies = self._terms[0].eigenvalues_outside()
        self._rows = _rows(layer, hessian.layers)
        self._root = np.ones(hessian.size)[self._rows]
        if preconditioner is not None:
            preconditioner = checked_vector("preconditioner", preconditioner, hessian)
            if not (preconditioner > 0).all():
                raise InputError("preconditioner", preconditioner.min(), "give positive entries")
            self._root = np.sqrt(preconditioner[self._rows])
        self.gradient = gradient[self._rows] / self._root
        self.size, self.products = self.gradient.size, 0
        self._v, self._image = np.zeros((2, hessian.size))

    def product(self, v: Array, out: Array) -> None:
        """Write the operator times ``v`` (size,) into ``out`` (size,)."""
        for sign, term in zip((1.0, -1.0), self._terms, strict=False):
            self._v[self._rows] = v / self._root
            term.hvp(self._v, self._image)
            image = self._image[self._rows] / self._root
            out[:] = image if sign > 0 else out - image
        self.products += len(self._terms)

    def dense(self) -> Array:
        """The matrix (size, size)."""
        matrix = np.empty((self.size, self.size))
        for row, direction in zip(matrix, np.eye(self.size), strict=True):
            self.product(direction, row)
        return 0.5 * (matrix + matrix.T)


def _rows(layer: int | None, layers: tuple[slice, ...]) -> slice:
    if layer is None:
        return slice(None)
    if at_least("layer", layer, 0) >= len(layers):
        raise InputError(
            "layer", layer, f"the model has {len(layers)}; the last is {len(layers) - 1}"
        )
    return layers[layer]
