"""Check a model's gradient and Hessian-vector products by finite differences of its loss."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from simulator.arrays import Array
from simulator.blas import one_blas_thread
from simulator.checks import InputError, positive
from simulator.data import Data, as_data
from simulator.models import Model, Objective, as_model
from simulator.models.base import checked_vector

__all__ = ["ModelCheck", "check_model"]

# Relative to the scale of theta. Fourth-order differences have about ten digits with the first
# step, and eight with the last, which crosses few kinks.
_STEPS = (4e-3, 2e-4, 1e-5)
_MOST_COMPONENTS = 64
_DIRECTIONS = 4


@dataclass(frozen=True)
class ModelCheck:
    """The errors of a model's derivatives, relative to the largest entry.

    Attributes
    ----------
    gradient, hvp, asymmetry : float
        Largest error of a component of the gradient and of a Hessian-vector product; largest
        abs(a.Hb - b.Ha) over abs(a) abs(Hb).
    judged, components : int
        Number of components that differences could judge, and number of components compared.
        Differences are not accurate near a kink of the loss, such as that of a ReLU.
    """

    gradient: float
    hvp: float
    asymmetry: float
    judged: int
    components: int


def check_model(
    model: Model,
    data: Data | None = None,
    *,
    seed: int = 0,
    theta: Array | None = None,
    tolerance: float = 1e-6,
) -> ModelCheck:
    """Compare a model's gradient and Hessian-vector products with finite differences.

    The gradient is compared with central differences of the loss, of fourth order, component by
    component (64 random components if there are more). Hessian-vector products along four random
    directions are compared with differences of the gradient, and with each other for symmetry. The
    functions must also return the same result twice and leave theta and v unchanged.

    Differences have about ten digits at best, so errors below ``tolerance`` are not detected.
    Errors at other parameters are not either: use other seeds, or give theta.

    Parameters
    ----------
    model, data
        As in `simulate`.
    seed : int
        Seed of the model's initial parameters and of the random components and directions.
    theta : array, shape (P,), optional
        The parameters. Default: initial parameters, each perturbed by a tenth of their root mean
        square, because zeros would hide a part of the derivatives.
    tolerance : float
        Largest error, relative to the largest component.

    Returns
    -------
    ModelCheck
        The errors.

    Raises
    ------
    InputError
        For the first wrong derivative; the message gives the worst component, its value and that of
        the differences. Also if differences cannot judge half of the components.
    """
    positive("tolerance", tolerance)
    model, data = as_model(model), as_data(data)
    rng = np.random.default_rng(seed)
    with one_blas_thread(), np.errstate(over="ignore", invalid="ignore"):
        objective = model.bind(data)
        if theta is None:
            theta = model.init(data, seed)
            theta = theta + 0.1 * _size(theta) * rng.standard_normal(theta.size)
        theta = checked_vector("theta", theta, objective).copy()
        _refuse_moods(objective, theta)
        gradient, judged, components = _check_gradient(objective, theta, rng, tolerance)
        vs = rng.standard_normal((_DIRECTIONS, theta.size))
        asymmetry = _check_symmetry(objective, theta, vs, tolerance)
        hvp, seen = _check_products(objective, theta, vs, tolerance)
    return ModelCheck(gradient, hvp, asymmetry, judged + seen, components + vs.size)


def _gradient(objective: Objective, theta: Array) -> Array:
    out = np.empty_like(theta)
    objective.gradient(theta, out)
    return out


def _products(objective: Objective, theta: Array, vs: Array) -> Array:
    _gradient(objective, theta)
    out = np.empty_like(vs)
    for v, row in zip(vs, out, strict=True):
        objective.hvp(v, row)
    return out


def _refuse_moods(objective: Objective, theta: Array) -> None:
    """Raise InputError for functions that change their arguments or are not deterministic."""
    before, one = theta.copy(), np.ones((1, theta.size))
    asked: tuple[tuple[str, Callable[[], Array]], ...] = (
        ("loss", lambda: np.array(objective.loss(theta))),
        ("gradient", lambda: _gradient(objective, theta)),
        ("hvp", lambda: _products(objective, theta, one)),
    )
    for name, ask in asked:
        first, second = ask(), ask()
        if not np.isfinite(first).all():
            raise InputError(name, "not finite", "give a theta at which it is finite")
        if not (np.array_equal(theta, before) and (one == 1.0).all()):
            raise InputError(name, "changed its arguments", "let it work on a copy")
        if not np.array_equal(first, second):
            raise InputError(
                name,
                "gave two results for one theta",
                "its result must depend on its arguments only",
            )


def _difference(
    f: Callable[[Array], Array], theta: Array, v: Array, scale: float
) -> tuple[Array, Array]:
    """The fourth-order derivative of f at theta along v, and an estimate of its error."""
    value, doubt = (np.full_like(f(theta), fill) for fill in (0.0, np.inf))
    for h in (step * scale for step in _STEPS):
        ends = [(f(theta + at * v), f(theta - at * v)) for at in (h, h / 2, h / 4)]
        first = [(ahead - behind) / (2 * h / 2**k) for k, (ahead, behind) in enumerate(ends)]
        coarse, fine = ((4 * first[k + 1] - first[k]) / 3 for k in (0, 1))
        rounding = 16 * np.finfo(float).eps * np.abs(ends[-1]).max(axis=0) / h
        # Across a kink the two do not agree.
        here = np.abs(fine - coarse) + rounding
        value, doubt = np.where(here < doubt, fine, value), np.minimum(here, doubt)
    return value, doubt


def _check_gradient(
    objective: Objective, theta: Array, rng: np.random.Generator, tolerance: float
) -> tuple[float, int, int]:
    gradient = _gradient(objective, theta)
    count = min(theta.size, _MOST_COMPONENTS)
    chosen = np.sort(rng.choice(theta.size, count, replace=False))
    found = []
    for i in chosen:
        axis = (np.arange(theta.size) == i).astype(float)
        scale = max(abs(float(theta[i])), _size(theta))
        found.append(_difference(lambda at: np.array(objective.loss(at)), theta, axis, scale))
    values, doubts = np.transpose(found)
    return _worst("gradient", gradient[chosen], values, doubts, chosen, gradient, tolerance)


def _check_products(
    objective: Objective, theta: Array, vs: Array, tolerance: float
) -> tuple[float, int]:
    products, worst, judged = _products(objective, theta, vs), 0.0, 0
    for v, product in zip(vs, products, strict=True):
        values, doubts = _difference(partial(_gradient, objective), theta, v, _size(theta))
        error, seen, _ = _worst(
            "hvp", product, values, doubts, np.arange(v.size), product, tolerance
        )
        worst, judged = max(worst, error), judged + seen
    return worst, judged


def _check_symmetry(objective: Objective, theta: Array, vs: Array, tolerance: float) -> float:
    products = _products(objective, theta, vs)
    forms = vs @ products.T
    sizes = np.linalg.norm(vs, axis=1)[:, None] * np.linalg.norm(products, axis=1)
    off = np.abs(forms - forms.T) / np.maximum(np.maximum(sizes, sizes.T), np.finfo(float).tiny)
    a, b = np.unravel_index(np.argmax(off), off.shape)
    if off[a, b] > tolerance:
        raise InputError(
            "hvp", f"with a.Hb = {forms[a, b]:.10g} and b.Ha = {forms[b, a]:.10g}",
            "a Hessian is symmetric; look for a transposed or a missing term",
        )  # fmt: skip
    return float(off[a, b])


def _worst(
    name: str,
    given: Array,
    values: Array,
    doubts: Array,
    places: Array,
    whole: Array,
    tolerance: float,
) -> tuple[float, int, int]:
    """The relative error of the worst component; raises InputError if it is too large."""
    size = max(float(np.abs(whole).max()), float(np.abs(values).max()), np.finfo(float).tiny)
    judged = doubts <= 0.1 * tolerance * size
    # Check this first: if most components cannot be judged, some agree by chance.
    if 2 * judged.sum() < given.size:
        raise InputError(
            name, f"with {given.size} components",
            f"differences can judge only {judged.sum()} of them: it is rough there, or not of "
            "double precision; give another theta",
        )  # fmt: skip
    errors = np.where(judged, np.abs(given - values), 0.0) / size
    at = int(np.argmax(errors))
    if errors[at] > tolerance:
        raise InputError(
            name, f"with {given[at] + 0.0:.10g} in component {places[at]}",
            f"differences of the {'loss' if name == 'gradient' else 'gradient'} give "
            f"{values[at]:.10g}; {int((errors > tolerance).sum())} of {given.size} are off",
        )  # fmt: skip
    return float(errors[at]), int(judged.sum()), given.size


def _size(theta: Array) -> float:
    """Root mean square, or 1 at zero."""
    return float(np.sqrt(np.mean(theta**2))) or 1.0
