"""The curvature along a minibatch's own gradient: exact averages over batches.

A batch B of b samples has the gradient g_B and the Hessian H_B; G and H are those of all samples.
Batch sharpness is E[g_B.H_B g_B / g_B.g_B]. Its ratio of means is
E[g_B.H_B g_B] / E[g_B.g_B], and the gradient-noise interaction (GNI) is E[g_B.H g_B] / G.G
(Andreyev & Beneventano 2412.20553, 2604.14108). The last two have closed forms for any model. They
are part of `simulator.theory.noise`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from simulator.arrays import Array, Real
from simulator.theory.domain import domain

__all__ = [
    "BatchMoments", "GaussianSharpness", "batch_moments", "gaussian_batch_sharpness",
    "gradient_noise_interaction", "regression_batch_sharpness",
]  # fmt: skip


class BatchMoments(NamedTuple):
    """Means over all batches: ``curvature / squared_gradient`` is the ratio of means.

    Attributes
    ----------
    curvature : float
        E[g_B.H_B g_B], with the Hessian of the batch.
    squared_gradient : float
        E[g_B.g_B].
    full_curvature : float
        E[g_B.H g_B], with the Hessian of all samples; divided by G.G it is the GNI.
    """

    curvature: float
    squared_gradient: float
    full_curvature: float


@domain(
    "-1e40 <= gradients(N, d) <= 1e40", "-1e40 <= hessians(N, d, d) <= 1e40",
    "1 <= batch <= (inf if replacement else len(gradients))", "any(replacement)",
)  # fmt: skip
def batch_moments(
    gradients: Array, hessians: Array, batch: float, replacement: bool = False
) -> BatchMoments:
    """Moments of a batch's gradient and curvature, from each sample's g_i (N, d) and H_i (N, d, d).

    With the means G, H and the deviations d_i, D_i:

    - E g_B.H_B g_B = G.HG + s (2 <d_i.D_i> G + <d_i.H d_i>) + k <d_i.D_i d_i>
    - E g_B.g_B = G.G + s <d_i.d_i>
    - E g_B.H g_B = G.HG + s <d_i.H d_i>

    s = 1 / b and k = 1 / b^2 with ``replacement``; without, s = (N - b) / (b (N - 1)) and
    k = (N - b)(N - 2b) / (b^2 (N - 1)(N - 2)), 0 for N <= 2: the shares of the second and the third
    central moment (derived here, for any model).
    """
    second, third = _shares(batch, np.inf if replacement else len(gradients))
    g, h = gradients.mean(axis=0), hessians.mean(axis=0)
    d, more = gradients - g, hessians - h
    of_mean = float(g @ h @ g)
    spread = float(np.einsum("ni,ij,nj->", d, h, d)) / len(d)
    mixed = float(np.einsum("ni,nij,j->", d, more + more.mT, g)) / len(d)
    skew = float(np.einsum("ni,nij,nj->", d, more, d)) / len(d)
    return BatchMoments(
        curvature=of_mean + second * (mixed + spread) + third * skew,
        squared_gradient=float(g @ g) + second * float(np.sum(d * d)) / len(d),
        full_curvature=of_mean + second * spread,
    )


def _shares(b: float, n: float) -> tuple[float, float]:
    """Second and third central moment of the mean of b of n numbers, over those of one."""
    if np.isinf(n):
        return 1.0 / b, 1.0 / b / b
    second = (n - b) / (n - 1.0) / b if n > 1 else 0.0
    return second, second * (n - 2.0 * b) / (n - 2.0) / b if n > 2 else 0.0


@domain("0 <= eta", "0 <= beta < 1", "0 <= curvature", gives="0 <= result <= inf")
def gradient_noise_interaction(eta: Real, beta: Real = 0.0, curvature: Real = 0.0) -> Any:
    """GNI of stationary heavy ball: 2 (1 - beta) / eta + 2 beta / (1 + beta) curvature.

    The GNI is the ratio of E[g_B.H g_B] to E[G.G], ``curvature`` that of E[G.HG] to E[G.G], means
    over time too. Exact on a quadratic of any samples H_i, c_i with independent batches, once the
    second moments are stationary. SGD has 2 / eta at every eta: a stationary run, not an edge.
    2 (1 - beta) / eta where noise dominates; without noise the GNI is the curvature, and that is
    2 (1 + beta) / eta (2604.14108 has these two; derived here in between).
    """
    return 2.0 * (1.0 - beta) / eta + 2.0 * beta / (1.0 + beta) * curvature


@domain("-1e40 <= inputs(N, d) <= 1e40", "nonzero_rows(inputs)", gives="0 <= result <= inf")
def regression_batch_sharpness(inputs: Array) -> float:
    """Batch sharpness of linear regression at batch size 1: mean |x_i|^2 = tr H, at every theta.

    From inputs x (N, d), for one output and the loss 0.5 (x_i.theta - y_i)^2: the Hessian
    x_i x_i^T has rank 1, and g_i lies along x_i (derived here). A bias is an input that is 1.
    """
    return float(np.mean(np.sum(inputs**2, axis=1)))


class GaussianSharpness(NamedTuple):
    """Ratio of means and GNI on Gaussian inputs; both broadcast.

    Attributes
    ----------
    ratio_of_means : float or array
        E[g_B.H_B g_B] / E[g_B.g_B].
    interaction : float or array
        E[g_B.H g_B] / G.G, the GNI.
    """

    ratio_of_means: Any
    interaction: Any


@domain("0 <= variance", "1 <= dimensions", "1 <= batch", gives="0 <= result <= inf")
def gaussian_batch_sharpness(variance: Real, dimensions: Real, batch: Real) -> GaussianSharpness:
    """Ratio of means and GNI of linear regression on b fresh Gaussian inputs, at every theta.

    With inputs of d entries of variance l and an interpolating model, the ratio of means is
    l (b^2 + 3 b (d + 1) + d^2 + 3 d + 4) / (b (b + d + 1)) and the GNI l (1 + (d + 1) / b). At
    b = 1 they are l (d + 4) and l (d + 2); the batch sharpness itself is l d there (derived here).
    """
    n = dimensions + 1.0
    both = batch + n
    ratio = 1.0 + n / batch + n / both + (n + 2.0) / batch / both
    return GaussianSharpness(variance * ratio, variance * (1.0 + n / batch))
