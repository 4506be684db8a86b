"""The spectrum of a Hessian: the largest eigenvalues individually, the others as a density."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from simulator.arrays import Array
from simulator.blas import one_blas_thread
from simulator.checks import InputError, at_least, count
from simulator.curvature.operators import Operator
from simulator.curvature.quadrature import above, lanczos, outliers
from simulator.curvature.ritz_solver import RitzSolver
from simulator.data import Data, as_data
from simulator.models import Model, as_model
from simulator.seeding import generator

__all__ = ["EXACT_LIMIT", "SUMMARIES", "Spectrum", "spectrum"]

# Up to this many parameters the dense matrix needs about as many products as the quadrature.
EXACT_LIMIT = 1024
_PROBES, _DEPTH = 16, 32
_TOL = 1e-6

SUMMARIES = ("trace", "trace_of_square", "bulk", "top_to_bulk", "effective_rank")


@dataclass(frozen=True, eq=False, kw_only=True)
class Spectrum:
    """Eigenvalues of a Hessian, or of a part of it, at one theta.

    The ``top_k`` largest are the leading eigenvalues, the others the bulk. With a dense matrix all
    eigenvalues are computed individually. Otherwise the leading ones and outliers of the bulk at
    both ends are, and the rest is a density from stochastic Lanczos quadrature in the space
    orthogonal to the eigenvectors found. Each summary then has a jackknife standard error over the
    random probes. With n probes, the summary plus and minus t errors covers the true value in 95 %
    of cases, where t is the 97.5 % quantile of Student's distribution with n - 1 degrees of freedom
    (2.13 for 16 probes). Errors are 0 with a dense matrix.

    Attributes
    ----------
    part : str
        "hessian", "gauss-newton" or "residual".
    layer : int or None
        The layer of the diagonal block; None for the whole matrix.
    top_k : int
        Number of leading eigenvalues.
    values, counts : arrays, shape (n,)
        Individually computed eigenvalues, largest first, and their multiplicities.
    nodes, weights : arrays, shape (probes, depth)
        The other eigenvalues, once per probe: each node stands for as many eigenvalues as its
        weight. Empty if all were computed individually.
    gradient_share : float
        Fraction of the gradient's squared norm in the space of the ``top_k`` leading eigenvectors;
        NaN for a gradient of 0.
    converged : bool
        Whether the leading eigenvalues reached the tolerance. If not, larger ones may exist.
    products : int
        Number of Hessian-vector products; two for each product with the residual part.
    trace, trace_error : float
        Sum of the eigenvalues.
    trace_of_square, trace_of_square_error : float
        Sum of their squares.
    bulk, bulk_error : float
        Root mean square of the eigenvalues other than the ``top_k`` largest.
    top_to_bulk, top_to_bulk_error : float
        Largest eigenvalue over ``bulk``: a condition number that is finite with zero eigenvalues.
    effective_rank, effective_rank_error : float
        Participation ratio of the squared eigenvalues, (sum of squares)^2 / sum of fourth powers:
        r for r eigenvalues of one size, of either sign, among zeros.
    """

    part: str
    layer: int | None
    top_k: int
    values: Array
    counts: Array
    nodes: Array
    weights: Array
    gradient_share: float
    converged: bool
    products: int
    trace: float = field(init=False)
    trace_error: float = field(init=False)
    trace_of_square: float = field(init=False)
    trace_of_square_error: float = field(init=False)
    bulk: float = field(init=False)
    bulk_error: float = field(init=False)
    top_to_bulk: float = field(init=False)
    top_to_bulk_error: float = field(init=False)
    effective_rank: float = field(init=False)
    effective_rank_error: float = field(init=False)

    def __post_init__(self) -> None:
        top, bulk_size = self.top, self.size - self.top_k
        left = self.counts - _first(self.counts, self.top_k)
        # In units of the largest: fourth powers overflow early.
        unit = max(np.abs(self.values).max(), np.abs(self.nodes).max(initial=0.0)) or 1.0
        top, values, nodes = top / unit, self.values / unit, self.nodes / unit
        powers = (1, 2, 4)
        samples = np.stack(
            [left @ values**p + (self.weights * nodes**p).sum(axis=1) for p in powers], axis=1
        )
        leading = [float((top**p).sum()) for p in powers]
        of_moments: dict[str, Callable[[Array], Array]] = {
            "trace": lambda m: (leading[0] + m[0]) * unit,
            "trace_of_square": lambda m: (leading[1] + m[1]) * unit**2,
            "bulk": lambda m: np.sqrt(m[1] / bulk_size) * unit,
            "top_to_bulk": lambda m: top[0] / np.sqrt(m[1] / bulk_size),
            "effective_rank": lambda m: (leading[1] + m[1]) ** 2 / (leading[2] + m[2]),
        }
        with np.errstate(all="ignore"):
            for name, function in of_moments.items():
                value, error = _jackknife(function, samples)
                object.__setattr__(self, name, value)
                object.__setattr__(self, f"{name}_error", error)

    @property
    def is_exact(self) -> bool:
        """Whether all eigenvalues were computed individually."""
        return not self.nodes.size

    @property
    def size(self) -> float:
        """Number of eigenvalues, including zeros."""
        return float(self.counts.sum() + self.weights[:1].sum())

    @property
    def top(self) -> Array:
        """The ``top_k`` leading eigenvalues (k,), largest first."""
        return np.repeat(self.values, _first(self.counts, self.top_k).astype(int))

    def count_above(self, level: float) -> tuple[float, float]:
        """Number of eigenvalues at or above a level, and its error.

        Parameters
        ----------
        level : float

        Returns
        -------
        number, error : float
            The standard error over the probes plus a bound on the error of the quadrature. If many
            eigenvalues are closer to the level than the quadrature resolves, for example near 0,
            the error is about their number.
        """
        found = float(self.counts[self.values >= level].sum())
        if self.is_exact:
            return found, 0.0
        shares, bounds = above(self.nodes, self.weights, level)
        number, error = _jackknife(lambda m: m[0], shares[:, None])
        return found + number, error + float(bounds.mean())

    def histogram(self, edges: Array) -> Array:
        """Number of eigenvalues in each bin: at or above its lower edge, below its upper one.

        Parameters
        ----------
        edges : array, shape (bins + 1,)
            In ascending order.

        Returns
        -------
        array, shape (bins,)
        """
        known = np.histogram(self.values, edges, weights=self.counts)[0]
        estimated = np.histogram(self.nodes, edges, weights=self.weights)[0]
        return known + estimated / len(self.nodes)

    def __str__(self) -> str:
        what = self.part if self.layer is None else f"{self.part}, layer {self.layer}"
        how = (
            "dense" if self.is_exact else f"{len(self.nodes)} probes of depth {self.nodes.shape[1]}"
        )
        doubt = "" if self.converged else ", not converged"
        top = f"largest {self.top[0]:.6g}{doubt}"
        lines = [f"{what}, {self.size:.6g} eigenvalues, {how}, {self.products} products: {top}"]
        for name in SUMMARIES:
            value, error = getattr(self, name), getattr(self, f"{name}_error")
            lines.append(f"{name:16} {value:.6g}" + f" +- {error:.2g}" * (not self.is_exact))
        return "\n".join([*lines, f"{'gradient_share':16} {self.gradient_share:.4g}"])


def spectrum(
    model: Model,
    theta: Array,
    data: Data | None = None,
    *,
    part: str = "hessian",
    layer: int | None = None,
    preconditioner: Array | None = None,
    top_k: int | None = None,
    probes: int | None = None,
    depth: int = _DEPTH,
    tol: float = _TOL,
    seed: int = 0,
) -> Spectrum:
    """Eigenvalues of the Hessian of the loss at theta, with the errors of the estimates.

    Parameters
    ----------
    model : Model
    theta : array, shape (P,)
        Parameters.
    data : Data, optional
        Training data; `Quadratic` needs none.
    part : {"hessian", "gauss-newton", "residual"}
        The Hessian; the Gauss-Newton matrix J^T L'' J, with J the derivative of the outputs and L''
        the second derivative of the loss with respect to them; or the difference of the two.
    layer : int, optional
        Restrict to the diagonal block of the weights and biases of this layer, counted from 0.
        Default: all parameters, including gains and shifts of norms.
    preconditioner : array, shape (P,), optional
        If given, the eigenvalues are those of P^-1 H; infinite entries fix their parameters.
    top_k : int, optional
        Number of leading eigenvalues. Default: the number of outputs.
    probes : int, optional
        Number of random vectors, at least 2; 0 uses the dense matrix and computes every eigenvalue.
        Default: 0 up to 1024 rows, else 16.
    depth : int
        Lanczos steps, that is products, per random vector.
    tol : float
        Relative tolerance of the leading eigenvalues.
    seed : int
        Seed of the random vectors.

    Returns
    -------
    Spectrum

    Raises
    ------
    InputError
        If an argument is invalid, for a part of a model without outputs, and for a layer or a
        preconditioner if theta does not hold the weights themselves.

    Notes
    -----
    Stochastic Lanczos quadrature with full reorthogonalization: Ubaru, Chen & Saad 2017, SIAM J.
    Matrix Anal. Appl. 38, 1075; Ghorbani, Krishnan & Xiao 2019, arXiv:1901.10159.
    """
    depth, data = count("depth", depth, 2), as_data(data)
    with one_blas_thread(), np.errstate(all="ignore"):
        operator = Operator(as_model(model), theta, data, part, layer, preconditioner)
        size, rng = operator.size, generator(seed, "spectrum")
        wanted = 1 if data is None else data.outputs
        wanted = min(wanted if top_k is None else count("top_k", top_k, 1), size)
        if probes is None:
            probes = 0 if size <= EXACT_LIMIT else _PROBES
        if at_least("probes", probes, 0) == 1:
            raise InputError(
                "probes",
                1,
                "one probe gives no error estimate; give 2 or more, or 0 for a dense matrix",
            )
        nodes, weights = np.empty((2, 1, 0))
        if probes and size - wanted > 1:
            values, vectors, converged = _leading(operator, wanted, tol, rng)
            nodes, weights = np.full((2, probes, depth), np.nan)
            if np.isfinite(vectors).all():
                product, rest = operator.product, size - wanted
                more = outliers(product, vectors, min(depth, rest), rest - 1, rng)
                values, vectors = np.append(values, more[0]), np.vstack([vectors, more[1]])
                rest = size - len(values)
                nodes, weights = lanczos(product, vectors, min(depth, rest), probes, rng)
                weights *= rest
        else:
            values, vectors, converged = _all(operator)
    counts = np.ones(values.size)
    if operator.copies:
        values = np.append(values, operator.outside)
        counts = np.append(counts, np.full(operator.outside.size, float(operator.copies)))
    order = np.argsort(-values, kind="stable")
    of_top = order[_first(counts[order], wanted) > 0]
    inside = vectors[of_top[of_top < len(vectors)]]
    return Spectrum(
        part=part, layer=layer, top_k=wanted, values=values[order], counts=counts[order],
        nodes=nodes, weights=weights, converged=converged, products=operator.products,
        gradient_share=_share(inside, operator.gradient),
    )  # fmt: skip


def _leading(
    operator: Operator, wanted: int, tol: float, rng: np.random.Generator
) -> tuple[Array, Array, bool]:
    """The largest eigenvalues (wanted,), their vectors (wanted, size), and convergence."""
    length = float(np.linalg.norm(operator.gradient))
    direction = operator.gradient / length if 0.0 < length < np.inf else None
    solver = RitzSolver(operator.size, wanted, tol, np.dtype(float), rng)
    estimate = solver.solve(operator.product, direction=direction, search=True)
    _, vectors = solver.pairs
    if len(vectors) < wanted:
        vectors = np.full((wanted, operator.size), np.nan)
    return estimate.values, vectors[:wanted], estimate.converged


def _all(operator: Operator) -> tuple[Array, Array, bool]:
    """All eigenvalues and vectors, in the same form."""
    matrix = operator.dense()
    if not np.isfinite(matrix).all():
        return np.full(len(matrix), np.nan), np.full_like(matrix, np.nan), False
    values, columns = np.linalg.eigh(matrix)
    return values[::-1], columns.T[::-1], True


def _first(counts: Array, wanted: int) -> Array:
    """The multiplicities among the first ``wanted`` eigenvalues."""
    return np.clip(wanted - (np.cumsum(counts) - counts), 0, counts)


def _share(vectors: Array, gradient: Array) -> float:
    """Fraction of a gradient's squared norm in the span of orthonormal vectors (k, size)."""
    largest = np.abs(gradient).max()
    if not 0.0 < largest < np.inf:
        return np.nan
    scaled = gradient / largest
    return float(np.sum((vectors @ scaled) ** 2) / (scaled @ scaled))


def _jackknife(function: Callable[[Array], Array], samples: Array) -> tuple[float, float]:
    """A function of the mean of samples (n, moments), and its standard error; 0 for one sample."""
    value, n = float(function(samples.mean(axis=0))), len(samples)
    if n == 1:
        return value, 0.0
    without = (samples.sum(axis=0) - samples) / (n - 1)
    spread = np.array([float(function(one)) for one in without])
    return value, float(np.sqrt((n - 1) * spread.var()))
