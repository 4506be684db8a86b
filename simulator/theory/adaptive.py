"""Adam and its variants: first step, preconditioned sharpness, and GI-Adam's warmup.

theta' = theta - eta m^ / D, D = sqrt(v^) + eps; m^ = m / (1 - beta1^t), v^ = v / (1 - beta2^t).
The preconditioned sharpness is that of P^-1 H with P = (1 - beta1^t) D, which makes the update
eta m / P, a heavy ball of the plain moving average m. (Kalra & Barkeshli 2406.09405 print P without
the root; their code has it.) So at t = 1 it is 1 / (1 - beta1) times the sharpness of D^-1 H, and
its thresholds are those of a moving average.
"""

from __future__ import annotations

import numpy as np
from scipy.special import lambertw

from simulator.arrays import Real
from simulator.theory.domain import domain
from simulator.theory.quadratics import heavy_ball_limit

__all__ = [
    "first_critical_eta", "first_limit", "first_quadratic_sharpness", "first_sharpness",
    "first_sharpness_margin", "first_update", "hidden_warmup", "hidden_warmup_time", "late_limit",
    "primed_denominator", "primed_factor", "step_bound", "uncorrected_factor", "uncorrected_peak",
]  # fmt: skip

T, BETA1, BETA2 = "1 <= t", "0 <= beta1 < 1", "0 <= beta2 < 1"
GRADIENT, RESIDUAL = "-1e40 <= gradient(..., P) <= 1e40", "1e-40 <= abs(delta) <= 1e40"
POSITIVE = "0 <= result <= inf"


@domain("-inf < gradient", "0 <= eta", "0 <= eps")
def first_update(gradient: Real, eta: Real, eps: Real = 0.0) -> Real:
    """theta_2 - theta_1 = -eta g / (|g| + eps): at eps = 0 every parameter moves by eta.

    m^ = g and v^ = g^2 at t = 1, whatever the betas.
    """
    share = 1.0 / (1.0 + eps / np.abs(gradient))
    return np.where(gradient == 0.0, 0.0, -eta * np.sign(gradient) * share)


@domain(GRADIENT, RESIDUAL, BETA1, "0 <= eps", gives=POSITIVE)
def first_sharpness(gradient: Real, delta: Real, beta1: Real = 0.0, eps: Real = 0.0) -> Real:
    """Gauss-Newton part of Adam's first preconditioned sharpness on one example.

    sum_i J_i^2 / (|g_i| + eps) / (1 - beta1), which at eps = 0 is |g|_1 / delta^2 / (1 - beta1),
    with g = delta J (..., P) the gradient of delta^2 / 2: the one eigenvalue of P^-1 J J^T. It
    grows as sqrt(P) |J| / |delta|, so it is high even where the sharpness |J|^2 is low. Derived
    here.
    """
    moved = np.abs(first_update(gradient, 1.0, eps))
    total = np.sum(np.abs(gradient) * moved, axis=-1)
    return total / np.square(delta) / (1.0 - beta1)


@domain(
    "-1e40 <= x(..., d) <= 1e40",
    "-1e40 <= hidden(..., n) <= 1e40",
    "-1e40 <= v(..., n) <= 1e40",
    gives=POSITIVE,
)
def first_sharpness_margin(x: Real, hidden: Real, v: Real) -> Real:
    """How far D^-1 H of a UV model may lie from `first_sharpness` at beta1 = 0, eps = 0.

    max_i sqrt(|x|_1 / |v_i h_i|) with hidden units h = U x (..., n), v (..., n), x (..., d).
    Weyl's inequality: delta times the Hessian of f couples U_ij to v_i only, and between the roots
    of D its blocks have the eigenvalues +-sqrt(sum_j |x_j| / |v_i h_i|), without delta or the
    width. Derived here.
    """
    weakest = np.min(np.abs(v * hidden), axis=-1)
    total = np.sum(np.abs(x), axis=-1)
    return np.where(total == 0.0, 0.0, np.sqrt(total / weakest))


@domain("-inf < theta(..., P)", BETA1, gives=POSITIVE)
def first_quadratic_sharpness(theta: Real, beta1: Real = 0.0) -> Real:
    """Adam's first preconditioned sharpness on 0.5 sum c_i theta_i^2: max_i 1 / |theta_i|.

    Divided by 1 - beta1; theta (..., P) where training starts. D_i = c_i |theta_i|, so the
    curvature drops out: coordinate i overshoots iff eta > 2 |theta_i|.
    """
    return 1.0 / np.min(np.abs(theta), axis=-1) / (1.0 - beta1)


@domain(GRADIENT, RESIDUAL, gives=POSITIVE)
def first_critical_eta(gradient: Real, delta: Real) -> Real:
    """Learning rate above which Adam's first update raises one example's loss: 2 delta^2 / |g|_1.

    Where f is linear: it moves by -eta |J|_1 sign(delta), and there delta' = -delta. That is where
    `first_sharpness` meets `first_limit`, as the update is the top eigenvector. Derived here.
    """
    return 2.0 / first_sharpness(gradient, delta)


@domain(BETA1, gives=POSITIVE)
def first_limit(beta1: Real) -> Real:
    """Stability limit of eta times preconditioned sharpness in Adam's first update.

    The limit is 2 / (1 - beta1): the momentum is still empty, so the step is that of gradient
    descent on D^-1 H.
    """
    return 2.0 / (1.0 - beta1)


@domain(BETA1, gives=POSITIVE)
def late_limit(beta1: Real) -> Real:
    """Stability limit of eta times preconditioned sharpness for Adam: (2 + 2 beta1) / (1 - beta1).

    38 at beta1 = 0.9 (Cohen et al. 2207.14484), for fixed P.
    """
    return heavy_ball_limit(beta1, beta1)


@domain(T, BETA2, "0 <= a", gives=POSITIVE)
def primed_factor(t: Real, beta2: Real, a: Real = 1.0) -> Real:
    """Step of Adam with v_0 = a g_0^2, over Adam's, for constant gradients.

    sqrt((1 - beta2^t) / (1 - (1 - a) beta2^t)), because v_t = g^2 (1 - beta2^t + a beta2^t) is also
    divided by 1 - beta2^t. At t = 1 it is exact, since no gradient has changed yet, and the first
    preconditioned sharpness is lower by the same factor: sqrt(1 - beta2) for GI-Adam, a = 1 (Kalra
    & Barkeshli 2406.09405, section 6.2); 1 / 31.6 at beta2 = 0.999.
    """
    gained = _complement(beta2, t)
    return np.sqrt(gained / (gained + a * np.power(beta2, t)))


@domain("-inf < gradient", BETA2, "0 <= eps", "0 <= a", gives=POSITIVE)
def primed_denominator(gradient: Real, beta2: Real, eps: Real, a: Real = 1.0) -> Real:
    """D of the first update from v_0 = a g^2: |g| / `primed_factor` + eps.

    If gradients are not far above eps, the first preconditioned sharpness falls by less than
    `primed_factor`: by (|g| + eps) / D, one entry per parameter.
    """
    return np.abs(gradient) / primed_factor(1, beta2, a) + eps


@domain("0 < t", BETA2, gives="0 <= result <= 1")
def hidden_warmup(t: Real, beta2: Real) -> Real:
    """sqrt(1 - beta2^t): the schedule equivalent to GI-Adam's bias correction.

    At eps = 0 and for any gradients, GI-Adam at eta equals Adam with v_0 = g_0^2, without
    correction of v, at eta times this factor (Kalra & Barkeshli 2406.09405, appendix I.2, in
    expectation; an identity).
    """
    return np.sqrt(_complement(beta2, t))


@domain("0 <= fraction < 1", "0 < beta2 < 1", gives=POSITIVE)
def hidden_warmup_time(fraction: Real, beta2: Real) -> Real:
    """Update at which `hidden_warmup` is this fraction: ln(1 - fraction^2) / ln(beta2)."""
    return np.log1p(-np.square(fraction)) / np.log(beta2)


@domain(T, BETA1, BETA2, gives=POSITIVE)
def uncorrected_factor(t: Real, beta1: Real, beta2: Real) -> Real:
    """Step of Adam without bias corrections, over Adam's: (1 - beta1^t) / sqrt(1 - beta2^t).

    For any gradients at eps = 0. Above 1 for usual betas: leaving the corrections out amplifies
    early steps, 3.16-fold at t = 1 and 6.57-fold at t = 12 for (0.9, 0.999).
    """
    return _complement(beta1, t) / np.sqrt(_complement(beta2, t))


@domain("0 < beta1 < 1", gives=POSITIVE)
def uncorrected_peak(beta1: Real) -> Real:
    """Update at which `uncorrected_factor` is largest, for 1 - beta2 << 1 - beta1.

    s / ln(1 / beta1), s = 1.2564: there 1 - beta2^t = t (1 - beta2), and (1 - e^-s) / sqrt(s) is
    largest at e^s = 1 + 2 s.
    """
    s = -0.5 - lambertw(-0.5 * np.exp(-0.5), -1).real
    return -s / np.log(beta1)


@domain(T, BETA1, "0 < beta2 < 1", gives=POSITIVE)
def step_bound(t: Real, beta1: Real, beta2: Real) -> Real:
    """Longest step |theta_{t+1} - theta_t| / eta of Adam over all gradients.

    (1 - beta1) / (1 - beta1^t) sqrt((1 - beta2^t) / (1 - beta2) (1 - q^t) / (1 - q)), q = beta1^2 /
    beta2: the Cauchy-Schwarz inequality between the weights of m^ and v^, with equality for g_s ~
    (beta2 / beta1)^s; 1 at t = 1, 7.27 as t grows at (0.9, 0.999). A divergence to infinity needs
    longer steps, so Adam fails without diverging. Derived here; v_0 > 0 only shortens steps.
    """
    log_q = 2.0 * np.log(beta1) - np.log(beta2)
    size = np.abs(log_q)
    # The sum of q^s over s < t; for q > 1 by q^(t-1) times that of 1 / q, which cannot overflow.
    series = np.where(log_q == 0.0, t, np.expm1(-t * size) / np.expm1(-size))
    series = series * np.exp(np.where(log_q > 0.0, (t - 1.0) * log_q, 0.0))
    seconds = _complement(beta2, t) / (1.0 - beta2)
    return (1.0 - beta1) / _complement(beta1, t) * np.sqrt(seconds * series)


def _complement(beta: Real, t: Real) -> Real:
    """1 - beta^t, to full accuracy even for beta close to 1."""
    return -np.expm1(t * np.log(beta))
