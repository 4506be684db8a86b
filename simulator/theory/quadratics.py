"""Stability on quadratics: what an eigenvalue z = eta lambda may be, for every optimizer.

On an eigenvector a linear method maps (theta_t, theta_{t-1}) by its companion matrix, whose
characteristic polynomial r^2 - T r + D has both roots inside the unit circle iff |D| < 1,
p(1) > 0 and p(-1) > 0 (Jury). Every upper limit below is p(-1) = 0: an oscillation of period 2.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "companion", "heavy_ball_limit", "nesterov_companion", "nesterov_limit", "warmup_decay",
]  # fmt: skip

Array = NDArray[Any]


def companion(z: float, beta: float = 0.0, dampening: float = 0.0, decay: float = 0.0) -> Array:
    """Matrix (2, 2) of heavy ball on (theta_t, theta_{t-1}) for an eigenvalue z = eta lambda.

    m' = beta m + (1 - dampening) g, theta' = (1 - decay) theta - eta m', with ``decay`` = eta times
    the decoupled weight decay: [[a + beta - (1 - dampening) z, -a beta], [1, 0]], a = 1 - decay.
    Gradient descent is beta = 0; an exponential moving average is dampening = beta.
    """
    a = 1.0 - decay
    return np.array([[a + beta - (1.0 - dampening) * z, -a * beta], [1.0, 0.0]])


def heavy_ball_limit(
    beta: ArrayLike = 0.0, dampening: ArrayLike = 0.0, decay: ArrayLike = 0.0
) -> Array:
    """Largest stable eta lambda of heavy ball: (1 + beta)(2 - decay) / (1 - dampening).

    2 for gradient descent, 2 + 2 beta for PyTorch's momentum, 2 (1 + beta) / (1 - beta) for an
    exponential moving average (38 at beta = 0.9: Cohen et al. 2207.14484). Arguments as in
    `companion`, whose p(-1) = (1 + beta)(1 + a) - (1 - dampening) z.
    """
    beta, dampening, decay = map(np.asarray, (beta, dampening, decay))
    return (1.0 + beta) * (2.0 - decay) / (1.0 - dampening)


def nesterov_companion(z: float, beta: float) -> Array:
    """Matrix (2, 2) of Nesterov's method on (theta_t, theta_{t-1}).

    m' = beta m + g, theta' = theta - eta (g + beta m'), so the matrix is
    [[(1 + beta)(1 - z), -beta (1 - z)], [1, 0]].
    """
    return np.array([[(1.0 + beta) * (1.0 - z), -beta * (1.0 - z)], [1.0, 0.0]])


def nesterov_limit(beta: ArrayLike) -> Array:
    """Largest stable eta lambda of Nesterov's method: (2 + 2 beta) / (1 + 2 beta).

    Below gradient descent's 2: 1.357 at beta = 0.9 (Cohen et al. 2103.00065, appendix B).
    """
    beta = np.asarray(beta)
    return (2.0 + 2.0 * beta) / (1.0 + 2.0 * beta)


def warmup_decay(z: ArrayLike) -> Array:
    """G(z) = (z - 1) ln|z - 1| - z: how far linear warmup from 0 has brought a quadratic.

    With tau = t_wrm / (eta_trgt lambda) updates for each unit of z, ln|theta / theta_0| = tau G(z)
    at z = eta_t lambda: the integral of ln|1 - z|. It falls to G(2) = -2 and is back at 0 at
    z = 4.5911. G(1) = -1.
    """
    z = np.asarray(z, dtype=float)
    away = z - 1.0
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(away == 0.0, 0.0, away * np.log(np.abs(away))) - z
