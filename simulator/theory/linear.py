"""Two-layer linear networks with many examples: exact steps, Gram space, and their Hessians.

f(x) = c V U x with U (n, d) and V (k, n), on data x (m, d), y (m, k) under the loss
0.5 * mean over samples and outputs of (f - y)^2. Everything depends on the end-to-end matrix
M = c V U (k, d), on its gradient G = dL/dM (k, d), and on the Gram matrix K = W^T W (d + k, d + k)
of W = [U, V^T] (n, d + k): the width n enters through c and the law of the initial K only. All of
it is derived here from dL/dU = c V^T G, dL/dV = c G U^T, that is dL/dW = c W A with
A = [[0, G^T], [G, 0]]; Saxe et al. 1312.6120 and Arora et al. 1802.06509 have the flow.
"""

from __future__ import annotations

import numpy as np
from scipy.linalg import eigvalsh
from scipy.special import digamma, polygamma

from simulator.arrays import Array, Real
from simulator.theory.domain import domain
from simulator.theory.product import product

__all__ = [
    "chain_edge_eta", "chain_sharpness", "column_space_hessian", "complement_hessian",
    "end_to_end", "end_to_end_gradient", "end_to_end_step", "flattest_chain_sharpness",
    "gram_step", "hessian_product", "hessian_spectrum", "imbalance_change",
    "initial_gram_moments", "initial_log_volume", "mean_initial_kernel", "momentum_step_matrix",
    "nesterov_step_matrix", "sharpness", "single_output_hessian", "step_matrix", "tangent_kernel",
    "wide_initial_sharpness", "zero_loss_sharpness",
]  # fmt: skip

# Entries whose products do not overflow; m examples, d inputs, k outputs, n hidden units.
X, Y = "-1e20 <= x(m, d) <= 1e20", "-1e20 <= y(m, k) <= 1e20"
U, V = "-1e20 <= u(n, d) <= 1e20", "-1e20 <= v(k, n) <= 1e20"
C, ETA, BETA = "0 <= c <= 1e20", "0 <= eta <= 1e20", "0 <= beta < 1"
GRADIENT = "-1e60 <= gradient(k, d) <= 1e60"
GRAM = ("-1e20 <= gram(d + k, d + k) <= 1e20", "semidefinite(gram)")
FULL_RANK = (GRAM[0], "definite(gram)")
POSITIVE = "0 <= result <= inf"


@domain("-1e20 <= gram(..., q + 1, q + 1) <= 1e20", "1 <= inputs < gram.shape[-1]", C)
def end_to_end(gram: Array, inputs: int, c: float) -> Array:
    """M = c V U (k, d), the lower left block of c K (d + k, d + k); ``inputs`` is d."""
    return c * gram[..., inputs:, :inputs]


@domain("-1e80 <= matrix(k, d) <= 1e80", X, Y)
def end_to_end_gradient(matrix: Array, x: Array, y: Array) -> Array:
    """G = dL/dM = (x M^T - y)^T x / (m k), shape (k, d), at M = ``matrix`` (k, d)."""
    return (x @ matrix.mT - y).mT @ x / y.size


@domain("-1e20 <= gram(d + k, d + k) <= 1e20", GRADIENT, C, ETA)
def end_to_end_step(gram: Array, gradient: Array, c: float, eta: float) -> Array:
    """M (k, d) after one gradient step from K (d + k, d + k), G (k, d).

    M' = M - eta c^2 (V V^T G + G U^T U) + eta^2 c^2 G M^T G: the product of the two new factors
    (derived here).
    """
    d = gradient.shape[-1]
    uu, vv, m = gram[..., :d, :d], gram[..., d:, d:], end_to_end(gram, d, c)
    linear = vv @ gradient + gradient @ uu
    return m - eta * c**2 * linear + eta**2 * c**2 * gradient @ m.mT @ gradient


@domain(U, V, GRADIENT, C, ETA)
def imbalance_change(u: Array, v: Array, gradient: Array, c: float, eta: float) -> Array:
    """How much one gradient step adds to U U^T - V^T V (n, n).

    eta^2 c^2 (V^T G G^T V - U G^T G U^T): the terms linear in eta cancel, so gradient flow
    conserves the imbalance (Arora et al. 1802.06509) and discrete steps do not (derived here).
    """
    up, down = v.mT @ gradient, u @ gradient.mT
    return eta**2 * c**2 * (up @ up.mT - down @ down.mT)


@domain(U, V, "-1e20 <= du(n, d) <= 1e20", "-1e20 <= dv(k, n) <= 1e20", X, Y, C)
def hessian_product(
    u: Array, v: Array, du: Array, dv: Array, x: Array, y: Array, c: float
) -> tuple[Array, Array]:
    """Hessian times (dU (n, d), dV (k, n)): (c V^T dG + c dV^T G, c dG U^T + c G dU^T).

    With dG = c (dV U + V dU) x^T x / (m k): the derivative of the gradients (derived here).
    """
    g = end_to_end_gradient(c * v @ u, x, y)
    dg = c * (dv @ u + v @ du) @ x.mT @ x / y.size
    return c * (v.mT @ dg + dv.mT @ g), c * (dg @ u.mT + g @ du.mT)


@domain(U, "-1e20 <= v(1, n) <= 1e20", X, "-1e20 <= y(m, 1) <= 1e20", C)
def single_output_hessian(u: Array, v: Array, x: Array, y: Array, c: float) -> Array:
    """Dense Hessian (n d + n, n d + n) of a network with one output: U row by row, then v.

    Blocks H_UU = c^2 v v^T (x) Sigma, H_vv = c^2 U Sigma U^T and, for row i of U and entry j of v,
    H_Uv = c^2 v_i Sigma u_j + delta_ij c g, with Sigma = x^T x / m and g = G^T: what is not
    Gauss-Newton lives between U and v only (derived here). v has shape (1, n), y (m, 1).
    """
    n = len(u)
    sigma = x.T @ x / len(x)
    g = end_to_end_gradient(c * v @ u, x, y)
    uu = c**2 * np.kron(v.T @ v, sigma)
    uv = c**2 * np.kron(v.T, (u @ sigma).T) + c * np.kron(np.eye(n), g.T)
    return np.block([[uu, uv], [uv.T, c**2 * u @ sigma @ u.T]])


@domain(*GRAM, X, C)
def tangent_kernel(gram: Array, x: Array, c: float) -> Array:
    """J J^T (m k, m k) of the outputs, sample by sample, from K (d + k, d + k) alone.

    c^2 (x x^T (x) V V^T + x U^T U x^T (x) I_k). Its nonzero eigenvalues over m k are those of the
    Gauss-Newton matrix J^T J / (m k), whatever the width (derived here).
    """
    d = x.shape[1]
    uu, vv = gram[:d, :d], gram[d:, d:]
    return c**2 * (np.kron(x @ x.T, vv) + np.kron(x @ uu @ x.T, np.eye(len(vv))))


@domain(*GRAM, X, C, gives=POSITIVE)
def zero_loss_sharpness(gram: Array, x: Array, c: float) -> float:
    """Sharpness where f = y: the top of the tangent kernel over m k, for the residual is gone."""
    kernel = tangent_kernel(gram, x, c)
    return max(float(eigvalsh(kernel)[-1]), 0.0) / len(kernel)


@domain(X, "1 <= outputs <= 10**4", "0 <= var_w <= 1e40")
def mean_initial_kernel(x: Array, outputs: int, var_w: float) -> Array:
    """Mean of J J^T (m k, m k) at initialisation: 2 var_w x x^T (x) I_k, at every width and s.

    E V V^T = c^-2 var_w I and E U^T U = c^-2 var_w I (derived here).
    """
    return 2.0 * var_w * np.kron(x @ x.T, np.eye(outputs))


@domain(X, "1 <= outputs", "0 <= var_w <= 1e40", gives=POSITIVE)
def wide_initial_sharpness(x: Array, outputs: int, var_w: float) -> float:
    """Initial sharpness of an infinitely wide network, s < 1: 2 var_w lambda_max(x^T x) / (m k).

    The tangent kernel no longer fluctuates; the residual adds O(c).
    """
    return 2.0 * var_w * max(float(eigvalsh(x.T @ x)[-1]), 0.0) / (len(x) * outputs)


@domain(GRADIENT, C, ETA)
def step_matrix(gradient: Array, c: float, eta: float) -> Array:
    """S = I - eta c A (d + k, d + k) of a gradient step W' = W S, from G (k, d)."""
    return np.eye(sum(gradient.shape)) - eta * c * _swap(gradient)


@domain(GRADIENT, C, ETA, BETA)
def momentum_step_matrix(gradient: Array, c: float, eta: float, beta: float) -> Array:
    """S (2 (d + k), 2 (d + k)) of a heavy-ball step [W, m]' = [W, m] S.

    m' = beta m + c W A, W' = W - eta m', so S = [[I - eta c A, c A], [-eta beta I, beta I]]; eta
    may change from step to step (derived here).
    """
    a = c * _swap(gradient)
    i = np.eye(len(a))
    return np.block([[i - eta * a, a], [-eta * beta * i, beta * i]])


@domain(GRADIENT, C, ETA, BETA)
def nesterov_step_matrix(gradient: Array, c: float, eta: float, beta: float) -> Array:
    """S (2 (d + k), 2 (d + k)) of a step [W, m]' = [W, m] S of Nesterov's method.

    m' = beta m + c W A, W' = W - eta (c W A + beta m'), so
    S = [[I - eta (1 + beta) c A, c A], [-eta beta^2 I, beta I]] (derived here).
    """
    a = c * _swap(gradient)
    i = np.eye(len(a))
    return np.block([[i - eta * (1.0 + beta) * a, a], [-eta * beta**2 * i, beta * i]])


@domain("-1e40 <= gram(q, q) <= 1e40", "-1e100 <= step(q, r) <= 1e100")
def gram_step(gram: Array, step: Array) -> Array:
    """S^T K S: the Gram matrix of W after W' = W S, or of [W, m] after a step with momentum.

    For gradient descent K' = (I - eta c A) K (I - eta c A), at a cost that no width changes.
    """
    return step.mT @ gram @ step


@domain("1 <= width", "0 <= s <= 1", "0 <= var_w <= 1e150", gives=POSITIVE)
def initial_gram_moments(width: Real, s: Real, var_w: Real) -> tuple[Array, ...]:
    """Mean of the diagonal of the initial K, and variance of its diagonal and off-diagonal entries.

    K is Wishart with n degrees of freedom and scale var_w n^-s I: var_w n^(1-s),
    2 var_w^2 n^(1-2s), var_w^2 n^(1-2s). The off-diagonal has mean 0.
    """
    off_diagonal = var_w**2 * width ** (1.0 - 2.0 * s)
    return var_w * width ** (1.0 - s), 2.0 * off_diagonal, off_diagonal


@domain("1 <= width", "1 <= columns <= min(width, 10**6)", "0 <= s <= 1", "0 < var_w")
def initial_log_volume(width: int, columns: int, s: float, var_w: float) -> tuple[float, float]:
    """Mean and variance of ln det K at initialisation, ``columns`` = d + k of at most n.

    det K = (var_w n^-s)^columns times a product of independent chi^2 with n, n - 1, ...,
    n - columns + 1 degrees of freedom (Bartlett).
    """
    half = 0.5 * (width - np.arange(columns))
    # E ln chi^2_f = psi(f / 2) + ln 2, Var ln chi^2_f = psi'(f / 2).
    mean = columns * np.log(2.0 * var_w * float(width) ** -s) + digamma(half).sum()
    return float(mean), float(polygamma(1, half).sum())


@domain(*GRAM, X, Y, C)
def column_space_hessian(gram: Array, x: Array, y: Array, c: float) -> Array:
    """Hessian on perturbations D = W B of W, as a matrix (q^2, q^2) on B (q, q), q = d + k.

    B goes to c (A(dG) + B A(G)) with dG = c (K_v. B_.u + B_.v^T K_.u) x^T x / (m k), where A(G) =
    [[0, G^T], [G, 0]]; B row by row. Self-adjoint under <B1, B2> = tr(B1^T K B2), so its
    eigenvalues, those of the Hessian on the column space of W, are real (derived here).
    """
    d, q = x.shape[1], len(gram)
    g = end_to_end_gradient(end_to_end(gram, d, c), x, y)
    second = x.T @ x / y.size
    b = np.eye(q * q).reshape(q * q, q, q)
    dg = c * (gram[d:] @ b[..., :d] + b[..., d:].mT @ gram[:, :d]) @ second
    images = c * (_swap(dg) + b @ _swap(g))
    return images.reshape(q * q, q * q).T


@domain("-1e150 <= gradient(k, d) <= 1e150", C)
def complement_hessian(gradient: Array, c: float) -> Array:
    """Matrix c A (q, q): the Hessian in each of the n - q directions across the column space of W.

    There dM = 0, so only the residual curves: eigenvalues +-c sigma_i(G), else 0 (derived here).
    """
    return c * _swap(gradient)


@domain(*FULL_RANK, X, Y, C, "len(gram) <= width <= 10**6")
def hessian_spectrum(gram: Array, x: Array, y: Array, c: float, width: int) -> Array:
    """All n (d + k) Hessian eigenvalues, in ascending order, from K (d + k, d + k) of full rank.

    The q^2 of `column_space_hessian`, and n - q times the q of `complement_hessian`; n >= q.
    """
    q = len(gram)
    across = eigvalsh(complement_hessian(_gradient_at(gram, x, y, c), c))
    return np.sort(np.append(_column_space(gram, x, y, c), np.repeat(across, width - q)))


@domain(*FULL_RANK, X, Y, C)
def sharpness(gram: Array, x: Array, y: Array, c: float) -> float:
    """Top Hessian eigenvalue at any width: that of `column_space_hessian`, at least c sigma_1(G).

    No direction across the column space of W is sharper: D = w u^T, w a unit vector in it and u the
    top eigenvector of A, has curvature c sigma_1(G) from the residual and at least 0 from the
    Gauss-Newton part (derived here). ``gram`` (d + k, d + k) must have full rank.
    """
    return float(_column_space(gram, x, y, c)[-1])


@domain("-1e150 <= w(..., L) <= 1e150", gives=POSITIVE)
def chain_sharpness(w: Array) -> Array:
    """Sharpness of the scalar chain f = prod_i w_i at zero loss: sum_i (df / dw_i)^2.

    Loss (f - y)^2 / 2 with y = f: the Hessian is the square of the gradient of f, whose entries
    are the products of the other weights. ``w`` has shape (..., L).
    """
    others = np.where(np.eye(w.shape[-1]) == 1.0, 1.0, w[..., np.newaxis, :])
    return np.sum(product(others) ** 2, axis=-1)


@domain("-inf < y", "1 <= depth", gives=POSITIVE)
def flattest_chain_sharpness(y: Real, depth: Real) -> Array:
    """Least sharpness of a chain of ``depth`` weights with zero loss: L |y|^(2 - 2 / L).

    Means of (y / w_i)^2, arithmetic above geometric; equal where all |w_i| are (derived here;
    Ghosh et al. 2025 have the same for deep linear networks). 2 |y| at L = 2.
    """
    return depth * np.abs(y) ** (2.0 - 2.0 / depth)


@domain("-inf < y", "1 <= depth", gives=POSITIVE)
def chain_edge_eta(y: Real, depth: Real) -> Array:
    """Learning rate beyond which no minimum of the chain is stable: 2 / (L |y|^(2 - 2 / L))."""
    return 2.0 / flattest_chain_sharpness(y, depth)


def _swap(gradient: Array) -> Array:
    """A = [[0, G^T], [G, 0]] (..., d + k, d + k) of G (..., k, d)."""
    k, d = gradient.shape[-2:]
    a = np.zeros((*gradient.shape[:-2], d + k, d + k))
    a[..., d:, :d] = gradient
    a[..., :d, d:] = gradient.mT
    return a


def _gradient_at(gram: Array, x: Array, y: Array, c: float) -> Array:
    return end_to_end_gradient(end_to_end(gram, x.shape[1], c), x, y)


def _column_space(gram: Array, x: Array, y: Array, c: float) -> Array:
    """Eigenvalues (q^2,) of `column_space_hessian`, ascending, by the symmetric pencil."""
    metric = np.kron(gram, np.eye(len(gram)))
    form = metric @ column_space_hessian(gram, x, y, c)
    return eigvalsh(0.5 * (form + form.T), metric)
