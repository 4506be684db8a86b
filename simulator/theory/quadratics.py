"""Stability on quadratics: the stable eigenvalues z = eta lambda of every optimizer.

On an eigenvector a linear method maps (theta_t, theta_{t-1}) by its companion matrix, whose
characteristic polynomial r^2 - T r + D has both roots inside the unit circle iff |D| < 1, p(1) > 0
and p(-1) > 0 (Jury). Every upper limit below is p(-1) = 0: an oscillation of period 2. With a fixed
preconditioner P an adaptive method is also linear, on P^-1 H. For a P that changes, the last
section has the period-2 cycles in which it ends. Heavy ball is due to Polyak (1964), the
accelerated method to Nesterov (1983). Results without a source are derived here.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.linalg import eigvalsh
from scipy.special import lambertw

from simulator.arrays import Array, Real
from simulator.theory.domain import domain
from simulator.theory.product import product

__all__ = [
    "adam_cycle_amplitude", "adam_cycle_critical_beta1", "adam_cycle_multipliers",
    "adam_cycle_step", "companion", "coupled_eta_critical", "eta_critical",
    "first_update_limit", "heavy_ball_eta", "heavy_ball_growth", "heavy_ball_limit",
    "nesterov_companion", "nesterov_growth", "nesterov_limit", "oscillating_range",
    "preconditioned_sharpness", "rmsprop_cycle_contraction", "schedule_product",
    "search_bracket", "warmup_decay", "warmup_reach",
]  # fmt: skip

Z = "-inf < z < inf"
BETA, DAMPENING = "0 <= beta < 1", "0 <= dampening < 1"
MOMENTS = ("0 <= beta1 < 1", "0 <= beta2 < 1")
LIMIT = "0 <= result <= inf"


@domain(Z, BETA, DAMPENING, "0 <= decay <= 2")
def companion(z: float, beta: float = 0.0, dampening: float = 0.0, decay: float = 0.0) -> Array:
    """Matrix (2, 2) of heavy ball on (theta_t, theta_{t-1}) for an eigenvalue z = eta lambda.

    m' = beta m + (1 - dampening) g, theta' = (1 - decay) theta - eta m', with ``decay`` = eta times
    the decoupled weight decay: [[a + beta - (1 - dampening) z, -a beta], [1, 0]], a = 1 - decay.
    Gradient descent is beta = 0; an exponential moving average is dampening = beta.
    """
    a = 1.0 - decay
    return np.array([[a + beta - (1.0 - dampening) * z, -a * beta], [1.0, 0.0]])


@domain(BETA, DAMPENING, "0 <= decay <= 2", gives=LIMIT)
def heavy_ball_limit(beta: Real = 0.0, dampening: Real = 0.0, decay: Real = 0.0) -> Any:
    """Largest stable eta lambda of heavy ball: (1 + beta)(2 - decay) / (1 - dampening).

    2 for gradient descent, 2 + 2 beta for PyTorch's momentum, 2 (1 + beta) / (1 - beta) for an
    exponential moving average (38 at beta = 0.9: Cohen et al. 2207.14484). Arguments as in
    `companion`, whose p(-1) = (1 + beta)(1 + a) - (1 - dampening) z.
    """
    return (1.0 + beta) * (2.0 - decay) / (1.0 - dampening)


@domain(Z, BETA, DAMPENING, "0 <= decay <= 2", gives=LIMIT)
def heavy_ball_growth(z: Real, beta: Real = 0.0, dampening: Real = 0.0, decay: Real = 0.0) -> Array:
    """Factor by which an update multiplies |theta| in the long run: the larger root of `companion`.

    sqrt(a beta), whatever z is, while the roots are complex; |1 - z| for gradient descent. The
    roots of r^2 - T r + D with T = a + beta - (1 - dampening) z, D = a beta.
    """
    a = 1.0 - decay
    return _larger_root(a + beta - (1.0 - dampening) * z, a * beta)


@domain(BETA, gives=LIMIT)
def oscillating_range(beta: Real) -> tuple[Array, Array]:
    """Range of eta lambda where heavy ball's roots are complex: (1 - sqrt beta)^2 to (1 + ...)^2.

    Both roots then have modulus sqrt(beta): where (1 + beta - z)^2 < 4 beta.
    """
    root = np.sqrt(beta)
    return (1.0 - root) ** 2, (1.0 + root) ** 2


@domain(Z, BETA, "0 <= decay <= 2")
def nesterov_companion(z: float, beta: float, decay: float = 0.0) -> Array:
    """Matrix (2, 2) of Nesterov's method on (theta_t, theta_{t-1}).

    m' = beta m + g, theta' = (1 - decay) theta - eta (g + beta m'), so the matrix is
    [[a + beta - (1 + beta) z, -beta (a - z)], [1, 0]], a = 1 - decay.
    """
    a = 1.0 - decay
    return np.array([[a + beta - (1.0 + beta) * z, -beta * (a - z)], [1.0, 0.0]])


@domain(BETA, "0 <= decay <= 2", gives=LIMIT)
def nesterov_limit(beta: Real, decay: Real = 0.0) -> Any:
    """Largest stable eta lambda of Nesterov's method: (1 + beta)(2 - decay) / (1 + 2 beta).

    Below gradient descent's 2: 1.357 at beta = 0.9 (Cohen et al. 2103.00065, appendix B).
    `nesterov_companion`'s p(-1) is (1 + beta)(1 + a) - (1 + 2 beta) z.
    """
    return (1.0 + beta) * (2.0 - decay) / (1.0 + 2.0 * beta)


@domain(Z, BETA, "0 <= decay <= 2", gives=LIMIT)
def nesterov_growth(z: Real, beta: Real, decay: Real = 0.0) -> Array:
    """Factor by which an update multiplies |theta| in the long run, for Nesterov's method.

    The larger root of `nesterov_companion`: of r^2 - (a + beta - (1 + beta) z) r + beta (a - z).
    """
    a = 1.0 - decay
    return _larger_root(a + beta - (1.0 + beta) * z, beta * (a - z))


def _larger_root(trace: Real, determinant: Real) -> Array:
    """Largest modulus of the roots of r^2 - trace r + determinant."""
    half, root = 0.5 * np.abs(trace), np.sqrt(np.abs(determinant))
    # sqrt(half^2 - determinant), whose square may overflow.
    apart = np.sqrt(np.maximum(half - root, 0.0)) * np.sqrt(half + root)
    real = half + np.where(determinant < 0.0, np.hypot(half, root), apart)
    return np.where((determinant > 0.0) & (half < root), root, real)


@domain("0 <= sharpness", "0 <= decay", BETA, DAMPENING, gives=LIMIT)
def eta_critical(
    sharpness: Real, decay: Real = 0.0, beta: Real = 0.0, dampening: Real = 0.0
) -> Any:
    """Largest stable eta of heavy ball with decoupled weight decay kappa: theta -= eta kappa theta.

    2 (1 + beta) / ((1 - dampening) lambda + (1 + beta) kappa): `heavy_ball_limit` at decay =
    eta kappa, solved for eta. AdamW's is dampening = beta = beta1, with the sharpness of P^-1 H.
    """
    return 2.0 * (1.0 + beta) / ((1.0 - dampening) * sharpness + (1.0 + beta) * decay)


@domain("0 <= sharpness", "0 <= decay", BETA, DAMPENING, gives=LIMIT)
def coupled_eta_critical(
    sharpness: Real, decay: Real = 0.0, beta: Real = 0.0, dampening: Real = 0.0
) -> Array:
    """Largest stable eta of heavy ball with an L2 penalty kappa |theta|^2 / 2 in the loss.

    2 (1 + beta) / ((1 - dampening)(lambda + kappa)): every eigenvalue moves up by kappa.
    """
    return heavy_ball_limit(beta, dampening) / (sharpness + decay)


@domain(
    "-1e40 <= hessian(P, P) <= 1e40", "symmetric(hessian)", "1e-40 <= preconditioner(P) <= 1e40"
)
def preconditioned_sharpness(hessian: Array, preconditioner: Array) -> float:
    """Top eigenvalue of P^-1 H, from H (P, P) and the diagonal P (P,); that of P^-1/2 H P^-1/2.

    It takes the place of lambda in every limit here: theta' = theta - eta P^-1 g is plain in the
    coordinates P^1/2 theta. With a learning rate for each parameter P is the inverse of its factor.
    """
    root = 1.0 / np.sqrt(preconditioner)
    return float(eigvalsh(hessian * np.outer(root, root))[-1])


@domain("0 <= eta", BETA, gives=LIMIT)
def heavy_ball_eta(eta: Real, beta: Real) -> Any:
    """Learning rate of heavy ball with the trajectory of a moving average at eta: (1 - beta) eta.

    From the same theta and an empty momentum, at every step and on any loss: the two momenta differ
    by the constant 1 - beta.
    """
    return (1.0 - beta) * eta


@domain("0 <= share <= 2", gives=LIMIT)
def first_update_limit(share: Real = 1.0) -> Any:
    """Largest eta lambda at which the first update does not raise the loss: 2 / share.

    ``share`` is the coefficient of the gradient in the update: 1 for heavy ball and for every
    bias-corrected method, whose loss may rise at first although they are stable up to
    `heavy_ball_limit` (Kalra & Barkeshli 2406.09405, section 4.2); 1 + beta for Nesterov, 1 - beta
    for a bare moving average. From |1 - share z| <= 1.
    """
    return 2.0 / share


@domain("0 <= eta(T) <= 1e150", "-1e150 <= curvatures <= 1e150")
def schedule_product(eta: Real, curvatures: Real) -> Array:
    """theta_T / theta_0 of gradient descent at learning rates eta (T,): prod_t (1 - eta_t lambda).

    ``curvatures`` has any shape, and so has the result. The order of the learning rates does not
    matter, and no warmup changes the largest eta_trgt, 2 / lambda.
    """
    return product(1.0 - np.multiply.outer(curvatures, eta))


@domain(Z)
def warmup_decay(z: Real) -> Array:
    """G(z) = (z - 1) ln|z - 1| - z: the decay of a quadratic under linear warmup from 0.

    With tau = t_wrm / (eta_trgt lambda) updates for each unit of z, ln|theta / theta_0| = tau G(z)
    at z = eta_t lambda: the integral of ln|1 - z|. It falls to G(2) = -2 and returns to 0 at z =
    4.5911. G(1) = -1.
    """
    away = z - 1.0
    return np.where(away == 0.0, 0.0, away * np.log(np.abs(away))) - z


@domain("-2 <= level", gives="2 <= result <= inf")
def warmup_reach(level: Real = 0.0) -> Array:
    """The z >= 2 at which warmup has brought a quadratic back up to G(z) = level, level >= -2.

    1 + exp(1 + W((1 + level) / e)) with Lambert's W: a ln a - a = 1 + level for a = z - 1. At level
    0, z = 4.5911, theta has its initial size (derived here).
    """
    # At its branch point, where it is -1, scipy's W is NaN.
    return 1.0 + np.exp(1.0 + np.fmax(lambertw((1.0 + level) / np.e).real, -1.0))


@domain("0 <= delta", gives="2 <= result <= inf")
def search_bracket(delta: Real) -> tuple[Array, Array]:
    """Where the catapult search ends on one eigenvalue: eta lambda from 2 to 1 + sqrt(1 + delta).

    The search doubles eta until the first update raises the loss, then bisects until it raises it
    by a factor 1 + delta at most (Kalra & Barkeshli 2406.09405): 1 < (1 - z)^2 <= 1 + delta.
    """
    upper = 1.0 + np.sqrt(1.0 + delta)
    return np.full_like(upper, 2.0), upper


@domain("0 <= eta", "0 <= beta1 < 1", gives=LIMIT)
def adam_cycle_amplitude(eta: Real, beta1: Real = 0.0) -> Any:
    """|theta| in the cycle theta -> -theta of Adam on a quadratic: eta (1 - beta1)/(2 (1 + beta1)).

    At eps = 0, after the bias corrections have decayed; eta / 2 for RMSProp, beta1 = 0. It holds
    for any curvature: v = (lambda theta)^2 and m = lambda theta (1 - beta1) / (1 + beta1), so the
    preconditioned sharpness lambda / sqrt(v) = 1 / |theta| is the limit 2 (1 + beta1) / ((1 -
    beta1) eta) exactly (derived here).
    """
    return 0.5 * eta * (1.0 - beta1) / (1.0 + beta1)


@domain(*MOMENTS)
def adam_cycle_step(beta1: float, beta2: float) -> Array:
    """Matrix (3, 3) of one update on a displacement from Adam's cycle, up to signs.

    On (theta / a, eta m / (lambda a^2), v / (lambda a)^2), a the amplitude. An update changes the
    sign of theta and m: this is its derivative on the cycle, times diag(-1, -1, 1) (derived here).
    """
    return np.array([
        [2.0 * beta1 + 2.0 * beta2 - 1.0, beta1, -beta2],
        [-2.0 * (1.0 + beta1), -beta1, 0.0],
        [2.0 * (1.0 - beta2), 0.0, beta2],
    ])  # fmt: skip


@domain(*MOMENTS)
def adam_cycle_multipliers(beta1: float, beta2: float) -> Array:
    """Roots (3,), largest first, of r^3 + (1 - b1 - 3 b2) r^2 + (3 b1 + b2 - b1 b2) r - b1 b2.

    The characteristic polynomial of `adam_cycle_step`: the factors of one update on a small
    displacement from Adam's cycle, which attracts iff all have modulus below 1 (derived here).
    """
    roots = np.roots([
        1.0, 1.0 - beta1 - 3.0 * beta2, 3.0 * beta1 + beta2 - beta1 * beta2, -beta1 * beta2
    ])  # fmt: skip
    return roots[np.argsort(-np.abs(roots))]


@domain("0 <= beta2 <= 1", gives="0 <= result <= 1")
def adam_cycle_critical_beta1(beta2: Real) -> Array:
    """The beta1 beyond which Adam's cycle repels: b2 b1^2 - 3 (1 + b2) b1 + 1 = 0.

    Its smaller root, written 2 / (B + sqrt(B^2 - 4 b2)) with B = 3 (1 + b2): 1/3 at beta2 = 0,
    0.1806 at 0.9, 3 - 2 sqrt 2 = 0.1716 at 1, so far below the usual 0.9. There the complex pair
    of `adam_cycle_multipliers` is on the unit circle: c0^2 - c0 c2 + c1 = 1 (derived here).
    """
    half = 3.0 * (1.0 + beta2)
    return 2.0 / (half + np.sqrt(half**2 - 4.0 * beta2))


@domain("0 < beta2 < 1", gives="0 <= result <= 1")
def rmsprop_cycle_contraction(beta2: Real) -> Array:
    """Factor below 1 by which an update of RMSProp shrinks a displacement from its cycle.

    For beta2 > 0: sqrt(beta2) from beta2 = 1/9 on, where the roots of r^2 + (1 - 3 b2) r + b2 are
    complex, and the larger root below; `adam_cycle_multipliers` at beta1 = 0 (derived here).
    """
    return _larger_root(3.0 * beta2 - 1.0, beta2)
