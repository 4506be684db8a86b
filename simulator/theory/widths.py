"""What width and parameterization do: kernels at initialisation, feature learning, transfer.

A layer computes z_l = m_l h_{l-1} W_l with W_l ~ (0, variance_l), h_l = relu(z_l), without biases:
SP, NTP and muP as in `simulator.parameterizations`. ``widths`` is (d, n, ..., n, k), depth L counts
weight layers. Exponents are of the width n, in the abc notation of Yang & Hu 2011.14522:
multiplier n^-a, weights of size n^-b, learning rate n^-c.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from simulator.arrays import Array, Real
from simulator.parameterizations import ADAPTIVE_RATES, PARAMETERIZATIONS
from simulator.theory import uv
from simulator.theory.domain import domain

__all__ = [
    "Layers", "abc_exponents", "feature_growth", "initial_kernel", "kernel_exponent",
    "kernel_growth", "layer_kernels", "layers", "laziness", "movement_exponent", "mup_form_b",
    "output_exponent", "printed_adaptive_rates", "rescaled", "sign_step", "transferring_rates",
]  # fmt: skip

WIDTHS, VARIANCE = "1 <= widths(L + 1) <= 1e20", "1e-20 <= var_w <= 1e20"
LAYERS = "1e-60 <= of(4, L) <= 1e60"
NAMES = "parameterization in ('sp', 'ntp', 'mup')"
EXPONENTS = ("-1e40 <= a(L + 1) <= 1e40", "-1e40 <= b(L + 1) <= 1e40")
RATIO = "1e-40 <= r <= inf"
POSITIVE = "0 <= result <= inf"


class Layers(NamedTuple):
    """Each layer's numbers, arrays of shape (L,): what a parameterization consists of.

    Attributes
    ----------
    multipliers, variances : arrays, shape (L,)
        Of the layer's output and of its weights.
    rates, adaptive_rates : arrays, shape (L,)
        Learning-rate factors under gradient descent, and under Adam.
    """

    multipliers: Array
    variances: Array
    rates: Array
    adaptive_rates: Array


@domain(NAMES, WIDTHS, VARIANCE, gives=POSITIVE)
def layers(parameterization: str, widths: Sequence[int], var_w: float = 2.0) -> Layers:
    """The layers of "sp", "ntp" or "mup" (Kalra & Barkeshli 2406.09405, appendix D.2).

    muP is form A, Table 9 of Tensor Programs V (2203.03466): one rate serves gradient descent;
    Adam takes 1 / sqrt(fan_out) for the first layer, 1 / fan_in for hidden ones and
    1 / sqrt(fan_in) for the readout.
    """
    last = len(widths) - 2
    rule, rate = PARAMETERIZATIONS[parameterization], ADAPTIVE_RATES.get(parameterization)
    rows = [
        (*rule(fan_in, fan_out, 1.0 if layer == last else var_w, layer == last),
         1.0, rate(fan_in, fan_out, layer == 0, layer == last) if rate else 1.0)
        for layer, (fan_in, fan_out) in enumerate(pairwise(widths))
    ]  # fmt: skip
    variances, multipliers, rates, adaptive_rates = np.array(rows).T
    return Layers(multipliers, variances, rates, adaptive_rates)


@domain(LAYERS, "1e-20 <= q(L) <= 1e20", gives=POSITIVE)
def rescaled(of: Layers, q: Real) -> Layers:
    """The same training with weights q W: multiplier / q, variance q^2, rate q^2, Adam's rate q.

    f_t stays the same for any q > 0 of shape (L,) (Adam: for eps = 0): the gradient is divided by
    q, its sign is not (the abc-symmetry of Yang & Hu 2011.14522).
    """
    q = np.asarray(q, dtype=float)
    m, variances, rates, adaptive_rates = of
    return Layers(m / q, variances * q**2, rates * q**2, adaptive_rates * q)


@domain(WIDTHS, VARIANCE, gives=POSITIVE)
def mup_form_b(widths: Sequence[int], var_w: float = 2.0) -> Layers:
    """Layers of muP without multipliers, Table 3 of Tensor Programs V (2203.03466).

    First layer, hidden ones, readout: variances 1 / fan_in, 1 / fan_in, 1 / fan_in^2; rates
    fan_out / fan_in, 1, 1 / fan_in; Adam's 1 / sqrt(fan_in), 1 / fan_in, 1 / fan_in. Gains of
    ``var_w`` as in form A, whose multipliers these weights have absorbed (`rescaled` with q = m);
    the table leaves out the powers of the first layer's fan_in, which no width changes. Readouts of
    k outputs are as for one.
    """
    fan_in = np.array(widths[:-1], dtype=float)
    fan_out = np.array(widths[1:], dtype=float)
    variances, rates, adaptive_rates = var_w / fan_in, fan_out / fan_in, 1.0 / fan_in
    variances[-1], rates[-1] = fan_in[-1] ** -2.0, 1.0 / fan_in[-1]
    adaptive_rates[0] = fan_in[0] ** -0.5
    return Layers(np.ones_like(fan_in), variances, rates, adaptive_rates)


@domain(WIDTHS, gives=POSITIVE)
def printed_adaptive_rates(widths: Sequence[int]) -> Array:
    """Adam's factors (L,) for muP as Kalra & Barkeshli 2406.09405v1 print them in appendix D.2.1.

    1 / sqrt(fan_out), 1 / sqrt(fan_in), 1 / fan_in: those of hidden layers and readout swapped,
    so that features move with n^(1/2) and the readout with n^(-1/2) (`sign_step`).
    """
    fan_in = np.array(widths[:-1], dtype=float)
    rates = fan_in**-0.5
    rates[0], rates[-1] = float(widths[1]) ** -0.5, 1.0 / fan_in[-1]
    return rates


@domain(
    "0 <= multiplier <= 1e40",
    "0 <= rate <= 1e40",
    "-1e40 <= inputs(..., n) <= 1e40",
    gives=POSITIVE,
)
def sign_step(multiplier: Real, rate: Real, inputs: Real) -> Array:
    """How far Adam's first step moves every output of one layer, per unit of eta: m rate |h|_1.

    One example and eps = 0: the step of W_ij is eta rate sign(h_i) sign(delta_j), so that all
    entries of ``inputs`` h (..., fan_in) add up, where gradient descent's add up as m^2 |h|^2
    (derived here; it is why Adam's rates fall with fan_in).
    """
    return np.asarray(multiplier) * rate * np.sum(np.abs(inputs), axis=-1)


@domain(LAYERS, WIDTHS, "-1e40 <= x(m, d) <= 1e40", "nonzero_rows(x)")
def layer_kernels(of: Layers, widths: Sequence[int], x: Array) -> Array:
    """Mean of df_o/dW_l . df_o/dW_l for each layer and two inputs: (L, m, m), any one output o.

    m_l^2 H_{l-1} D_l, sums over units of E[h h'] and E[df/dz df/dz']: H_0 = x x^T,
    H_l = n_l E[relu(z) relu(z')] with z ~ N(0, m_l^2 variance_l H_{l-1}), D_L = 1,
    D_l = n_l E[relu'(z) relu'(z')] m_{l+1}^2 variance_{l+1} D_{l+1} (Jacot et al. 1806.07572, with
    the arc-cosine kernels of Cho & Saul 2009). Between two inputs it is the limit n -> infinity.
    For one it is exact at every width and for all symmetric weights: flipping a unit's weights
    flips whether it is active (derived here). ``x`` (m, d) without zero rows.
    """
    m, variances = of.multipliers, of.variances
    inner, slopes = [x @ x.T], []
    for units, v in zip(widths[1:-1], (m**2 * variances)[:-1], strict=True):
        forward, backward = _arc_cosine(v * inner[-1])
        inner.append(units * forward)
        slopes.append(units * backward)
    kernels = np.empty((len(m), *inner[0].shape))
    delta = np.ones_like(inner[0])
    for layer in reversed(range(len(m))):
        kernels[layer] = m[layer] ** 2 * inner[layer] * delta
        if layer:
            delta = delta * slopes[layer - 1] * m[layer] ** 2 * variances[layer]
    return kernels


@domain(
    NAMES,
    "1 <= width <= 1e20",
    "1 <= depth <= 1000",
    "-1e40 <= x(m, d) <= 1e40",
    "nonzero_rows(x)",
    VARIANCE,
)
def initial_kernel(
    parameterization: str, width: int, depth: int, x: Array, var_w: float = 2.0
) -> Array:
    """Mean tangent kernel (m, m) of one output of a ReLU network at initialisation.

    The sum of `layer_kernels`. For one input and var_w = 2, with chi = |x|^2:
    NTP L chi / d; muP (1 + (L - 1) / 2) chi / d; SP (n + (n (L - 2) + d) / 2) chi / d. The trace of
    the loss's Hessian is its mean over inputs, as no ReLU bends: for 0.5 * mean over samples and
    outputs of the squared error, at any targets.
    """
    widths = (x.shape[1], *(width,) * (depth - 1), 1)
    return layer_kernels(layers(parameterization, widths, var_w), widths, x).sum(axis=0)


@domain("parameterization in ('sp', 'ntp', 'mup', 'int')", "2 <= depth <= 10**6", "0 <= s <= 1")
def abc_exponents(parameterization: str, depth: int, s: float = 0.0) -> tuple[Array, Array]:
    """Exponents a, b (L,) of multipliers n^-a and weights n^-b.

    "sp", "ntp", "mup", or "int": the interpolation of Kalra, He & Barkeshli 2311.02076, from SP's
    kernel at s = 0 to muP's at s = 1.
    """
    first, hidden, last = {
        "sp": ((0.0, 0.0), (0.0, 0.5), (0.0, 0.5)),
        "ntp": ((0.0, 0.0), (0.5, 0.0), (0.5, 0.0)),
        "mup": ((-0.5, 0.5), (0.0, 0.5), (0.5, 0.5)),
        "int": ((-0.5 * s, 0.5 * s), (0.0, 0.5), (0.5 * s, 0.5)),
    }[parameterization]
    a, b = np.array([first, *[hidden] * (depth - 2), last]).T
    return a, b


@domain(*EXPONENTS)
def kernel_exponent(a: Array, b: Array) -> float:
    """Exponent of the tangent kernel at initialisation: its largest layer's.

    Readout 1 - 2 a_L, hidden 2 - 2 a_l - 2 (a_L + b_L), first layer 1 - 2 a_1 - 2 (a_L + b_L), for
    hidden activations of size 1 (derived here): SP 1, NTP and muP 0, INT(s) 1 - s. The critical
    learning rate has minus this exponent.
    """
    readout = 2.0 * (a[-1] + b[-1])
    layers = [1.0 - 2.0 * a[-1], 1.0 - 2.0 * a[0] - readout, *(2.0 - 2.0 * a[1:-1] - readout)]
    return float(max(layers))


@domain(*EXPONENTS)
def output_exponent(a: Array, b: Array) -> float:
    """Exponent of the initial output f_0: 1/2 - a_L - b_L, a sum of n terms of random sign.

    SP and NTP 0, muP -1/2, INT(s) -s/2.
    """
    return float(0.5 - a[-1] - b[-1])


@domain(*EXPONENTS, "-1e40 <= c <= 1e40")
def movement_exponent(a: Array, b: Array, c: float) -> float:
    """Exponent of how far features move in a step at eta ~ n^-c, relative to themselves: -r.

    r = min(a_L + b_L, 2 a_L + c) + c - 1 + min_l (2 a_l + [l = 1]) over hidden l (Yang & Hu
    2011.14522, definition 3.2). At the critical rate, c = `kernel_exponent`, and depth 3 or more:
    SP and NTP -1/2, muP 0, INT(s) -(1 - s) / 2.
    """
    first = np.zeros(len(a) - 1)
    first[0] = 1.0
    r = min(a[-1] + b[-1], 2.0 * a[-1] + c) + c - 1.0 + np.min(2.0 * a[:-1] + first)
    return float(-r)


@domain("1 <= width", "0 <= s <= 1", "0 < chi", "0 < var_w", "-inf < y", gives=POSITIVE)
def laziness(width: Real, s: Real, chi: Real, var_w: Real, y: Real) -> Array:
    """Ratio r = lambda_0 / (kappa |y|) = 2 var_w sqrt(chi) n^((1-s)/2) / |y| of one example.

    All that width and parameterization do to a UV model that starts at f_0 = 0 with its mean
    kernel lambda_0 = 2 var_w chi; chi = |x|^2, kappa = n^(-(1-s)/2) sqrt(chi). The functions below
    have no other argument. Large r is lazy; muP (s = 1) keeps r at every width (derived here).
    """
    ratio = 2.0 * var_w * np.sqrt(chi) * width ** (0.5 * (1.0 - s)) / np.abs(y)
    return np.where(y == 0.0, np.inf, ratio)


@domain(RATIO, gives="1 <= result <= inf")
def kernel_growth(r: Real) -> Array:
    """lambda_inf / lambda_0 = sqrt(1 + 4 / r^2) in gradient flow, r of `laziness`.

    `uv.flow_limit` in units of lambda_0 and y. The change falls as n^(s-1).
    """
    return uv.flow_limit(-1.0, 1.0, _coupling(r), 1.0)


@domain(RATIO, gives="1 <= result <= inf")
def feature_growth(r: Real) -> Array:
    """|p_inf| / |p_0| = sqrt(sqrt(1 + 4 / r^2) + 2 / r), p = (U x / |x| + sign(y) v) / sqrt(2).

    The mode that y feeds, kappa^2 |p|^2 = (lambda + 2 kappa |f|) / 2, in gradient flow. The change
    falls as n^(-(1-s)/2) (derived here).
    """
    before, after = (
        uv.modes(f - 1.0, lam, _coupling(r), 1.0)[0]
        for f, lam in ((0.0, 1.0), (1.0, kernel_growth(r)))
    )
    return np.sqrt(after / before)


@domain(RATIO, gives=POSITIVE)
def transferring_rates(r: Real) -> tuple[Array, Array, Array]:
    """Three learning rates times lambda_0: first instability, largest constant, last stable.

    2 / sqrt(1 + 4 / r^2), where a slow warmup meets 2 / lambda_inf; 8 / (1 + sqrt(1 + 16 / r^2)),
    beyond which a constant one diverges (`uv.eta_max`); and r, beyond which no minimum is stable
    (`uv.eta_edge`), which grows as n^((1-s)/2). So for muP all three transfer from one width to
    another, for s < 1 only the first two, 2 and 4 where lazy (derived here).
    """
    kappa = _coupling(r)
    return (
        2.0 / kernel_growth(r),
        uv.eta_max(-1.0, 1.0, kappa, 1.0),
        uv.eta_edge(kappa, 1.0),
    )  # type: ignore[return-value]


def _coupling(r: Real) -> Real:
    """Kappa in units of lambda_0 / |y|."""
    return 1.0 / r


def _arc_cosine(covariance: Array) -> tuple[Array, Array]:
    """E[relu(z) relu(z')] and E[relu'(z) relu'(z')] of Gaussians with this covariance (m, m)."""
    size = np.sqrt(np.diagonal(covariance))
    scale = np.outer(size, size)
    cosine = np.clip(covariance / scale, -1.0, 1.0)
    # arccos turns a rounding error eps into sqrt(eps).
    np.fill_diagonal(cosine, 1.0)
    active = (np.pi - np.arccos(cosine)) / (2.0 * np.pi)
    forward = scale * (np.sqrt(1.0 - cosine**2) / (2.0 * np.pi) + cosine * active)
    return forward, active
