"""Solvers of the peers that `curvature.py` times: the top Hessian eigenvalue in JAX and PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

# How far LOBPCG's tolerance is from a relative residual, but for the number of parameters.
_LOBPCG_SLACK = 20
_CAPACITY, _RESTART = 16, 4


def lobpcg_tolerance(residual: float, size: int) -> float:
    """The tolerance at which JAX's LOBPCG stops at this residual, in units of the eigenvalue."""
    return residual / (_LOBPCG_SLACK * size)


def davidson(product: Callable[[Any], Any], start: Any, accuracy: float) -> tuple[Any, Any, Any]:
    """Two Ritz pairs of a symmetric operator, in JAX; ``start`` (2, P), rows of it orthonormal.

    Expands by the residual of the first pair until its estimated relative error r^2 / gap is
    below ``accuracy``, then by the second's until that one can no longer overtake; restarts from
    the best four when the basis is full. The same idea as `simulator.curvature.SharpnessTracker`.

    Returns
    -------
    value, vectors (2, P), products
    """
    import jax
    import jax.numpy as jnp

    kept, size = start.shape
    rows = jnp.arange(_CAPACITY)

    def ritz(basis: Any, images: Any, gram: Any, filled: Any) -> Any:
        # Rows not filled yet get eigenvalues below all others.
        unused = jnp.where(rows < filled, 0.0, -1.0 - jnp.abs(gram).sum())
        values, vectors = jnp.linalg.eigh(gram + jnp.diag(unused))
        values, vectors = values[::-1], vectors[:, ::-1].T
        two = vectors[:kept]
        residuals = two @ images - values[:kept, None] * (two @ basis)
        r = jnp.linalg.norm(residuals, axis=1)
        gap = values[:kept] - jnp.where(jnp.arange(1, kept + 1) < filled, values[1 : kept + 1], 0)
        error = jnp.where(gap > r, r * (r / gap), r) / jnp.abs(values[:kept])
        first = error[0] > accuracy
        second = (error[1] > 0.1) | ((values[1] + r[1] > values[0]) & (error[1] > accuracy))
        direction = jnp.where(first, residuals[0], residuals[1])
        return values, vectors, direction, ~(first | second)

    def expand(state: Any) -> Any:
        basis, images, gram, filled, (_, _, direction, _), products = state
        for _ in range(2):
            direction = direction - (basis @ direction) @ basis
            direction = direction / jnp.linalg.norm(direction)
        image = product(direction)
        basis, images = basis.at[filled].set(direction), images.at[filled].set(image)
        column = basis @ image
        gram = gram.at[filled].set(column).at[:, filled].set(column)
        filled = filled + 1
        return basis, images, gram, filled, ritz(basis, images, gram, filled), products + 1

    def expand_and_restart(state: Any) -> Any:
        state = jax.lax.while_loop(lambda s: (s[3] < _CAPACITY) & ~s[4][3], expand, state)
        basis, images, _, _, (values, vectors, direction, done), products = state
        best = vectors[:_RESTART]
        basis = jnp.zeros_like(basis).at[:_RESTART].set(best @ basis)
        images = jnp.zeros_like(images).at[:_RESTART].set(best @ images)
        gram = jnp.diag(jnp.where(rows < _RESTART, values, 0.0))
        found = (values, vectors, direction, done)
        return basis, images, gram, jnp.int64(_RESTART), found, products

    zeros = jnp.zeros((_CAPACITY, size), start.dtype)
    basis = zeros.at[:kept].set(start)
    images = zeros.at[:kept].set(jax.vmap(product)(start))
    gram = jnp.zeros((_CAPACITY, _CAPACITY), start.dtype)
    gram = gram.at[:kept, :kept].set(basis[:kept] @ images[:kept].T)
    filled = jnp.int64(kept)
    state = basis, images, gram, filled, ritz(basis, images, gram, filled), jnp.int64(kept)
    # One time at least: it makes the Ritz vectors of what was found.
    state = expand_and_restart(state)
    state = jax.lax.while_loop(lambda s: ~s[4][3], expand_and_restart, state)
    basis, (values, *_), products = state[0], state[4], state[5]
    return values[0], basis[:kept], products


def power_iteration(
    product: Callable[[Any], Any], start: Any, tolerance: float, most: int
) -> tuple[float, Any, int]:
    """As PyHessian does it, for tensors: until the quotient changes by less than ``tolerance``."""
    v, value, products = start, None, 0
    while products < most:
        image = product(v)
        products += 1
        last, value = value, float(image @ v)
        v = image / (image.norm() + 1e-6)
        if last is not None and abs(value - last) / (abs(last) + 1e-6) < tolerance:
            break
    assert value is not None
    return value, v, products


def arpack(product: Callable[[Any], Any], start: Any, tolerance: float) -> tuple[float, np.ndarray]:
    """The top eigenvalue and vector by SciPy's ARPACK, as hessian-eigenthings has its Lanczos."""
    from scipy.sparse.linalg import LinearOperator, eigsh

    operator = LinearOperator((start.size,) * 2, matvec=product, dtype=start.dtype)
    values, vectors = eigsh(operator, k=1, which="LA", v0=start, tol=tolerance)
    return float(values[0]), vectors[:, 0]
