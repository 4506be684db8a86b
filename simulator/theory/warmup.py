"""The benefit of warmup: ceiling, gain, first crossing, and the shortest warmup that survives.

One example in the UV model (`theory.uv`), eta from eta_init to eta_trgt in t_wrm updates, linearly.
A state is (delta, lam) with lam the NTK trace; kappa the coupling, y the target, mu = eta kappa y.
All is derived here except the saved updates of Kalra & Barkeshli (2406.09405).

Long before eta reaches 2 / lam, the residual of a single example decays to the level of the noise:
the floor |eta kappa delta| = ``residual``, (2 / lam) kappa sigma for labels with noise sigma. Above
2 / lam the residual grows again, and it must reach order one in time: a run that is driven above 4
/ lam before lam is reduced diverges.
"""

from __future__ import annotations

import numpy as np
from scipy.special import erfc

from simulator.arrays import Real
from simulator.theory import uv
from simulator.theory.domain import domain
from simulator.theory.quadratics import warmup_decay

__all__ = [
    "boundary", "edge_loss", "first_crossing", "growth", "largest_gain", "largest_ramp",
    "residual_floor", "shortest_warmup", "survival_probability", "survives", "t_reach", "t_save",
    "typical_gain",
]  # fmt: skip

NOISE = ("0 < lam", "0 <= residual")
TIME, TARGET = "1 <= t_wrm", "0 < eta_trgt"
POSITIVE = "0 <= result <= inf"


@domain("any(delta)", "any(lam)", uv.COUPLING, uv.TARGET, uv.ETA)
def survives(delta: Real, lam: Real, kappa: Real, y: Real, eta: Real) -> Real:
    """Whether training under a non-decreasing schedule with a constant end stays bounded.

    States before each update and its eta, shape (..., updates): iff every one of them, or just the
    last, satisfies `uv.is_bounded`. At y = 0: iff eta_t lam_t < 4 at every update. A state that is
    out of bounds at eta stays out of bounds, and the bounded eta of a state are all below
    `uv.eta_max`, so a larger eta does not bring it back.
    """
    return np.all(uv.is_bounded(delta, lam, kappa, y, eta), axis=-1)


@domain(*uv.STATE, gives=POSITIVE)
def largest_gain(delta: Real, lam: Real, kappa: Real, y: Real) -> Real:
    """Largest eta_trgt with any warmup over that without: `uv.eta_ceiling` / `uv.eta_max`.

    (r + sqrt(r^2 + 16)) / 4 from f = 0, r = lam / (kappa |y|): 1.02 at r = 0.1, 5.2 at 10, 50 at
    100. Infinite at y = 0, where a slow enough warmup reaches any eta.
    """
    gain = uv.eta_ceiling(kappa, y) / uv.eta_max(delta, lam, kappa, y)
    # At lam = 0, where nothing moves, both may be infinite.
    return np.where(lam == 0.0, 1.0, gain)


@domain(
    "1 <= width",
    "0 <= s <= 1",
    "0 <= var_w <= 1e20",
    "0 <= chi <= 1e20",
    "-1e20 <= y <= 1e20",
    gives=POSITIVE,
)
def typical_gain(width: Real, s: Real, var_w: Real, chi: Real, y: Real) -> Real:
    """`largest_gain` at the mean trace of Gaussian weights, from f = 0.

    r = 2 sigma^2 sqrt(chi) n^((1-s)/2) / |y|: the gain grows as sqrt(n) in the NTK parameterization
    and not at all in muP: flat initialisations gain little from warmup.
    """
    lam = uv.initial_moments(width, s, var_w, chi)[0]
    return largest_gain(-y, lam, uv.coupling(width, s, chi), y)


@domain(*uv.STATE, gives=POSITIVE)
def first_crossing(delta: Real, lam: Real, kappa: Real, y: Real) -> Real:
    """Learning rate at which a slow warmup from 0 first meets the edge: 2 / `uv.flow_limit`.

    It is above 2 / lam_0 iff |f_0| > |y| (sharpness reduction) and below iff |f_0| < |y|
    (progressive sharpening).
    """
    return 2.0 / uv.flow_limit(delta, lam, kappa, y)


@domain("0 <= sigma", "0 < lam", "0 <= kappa", gives=POSITIVE)
def residual_floor(sigma: Real, lam: Real, kappa: Real) -> Real:
    """|eta kappa delta| that label noise of size sigma keeps alive at eta = 2 / lam."""
    return 2.0 * (sigma * kappa / lam)


@domain(gives="0 <= result <= inf")
def growth() -> float:
    """3 ln 3 - 2 = 1.296: G(4) - G(2) of `quadratics.warmup_decay`.

    A residual grows by exp(tau growth) while eta lam goes from 2 to 4 in 2 tau updates.
    """
    return float(warmup_decay(4.0) - warmup_decay(2.0))


@domain(*NOISE, gives=POSITIVE)
def largest_ramp(lam: Real, residual: Real) -> Real:
    """Largest increment of eta an update that a catapult can keep up with.

    (3 ln 3 - 2) / (lam ln(1 / residual)): `growth` makes the residual of order one by eta lam = 4.
    inf for a residual of 1 or more, which is that large already.
    """
    return np.where(residual < 1.0, -growth() / (lam * np.log(residual)), np.inf)


@domain(*NOISE, TARGET, "0 <= eta_init <= 4 / lam", gives="1 <= result <= inf")
def shortest_warmup(eta_trgt: Real, lam: Real, residual: Real, eta_init: Real = 0.0) -> Real:
    """T_wrm below which a linear warmup diverges: (eta_trgt - eta_init) / `largest_ramp`.

    A straight line in the (eta_trgt, t_wrm) plane. From eta_init = 0, with lam that of
    `first_crossing` and residual the floor: eta_trgt lam ln(1 / floor) / (3 ln 3 - 2). From the
    paper's eta_init = 2 / lam_0, with lam_0 and the residual 2 kappa |f_0| / lam_0 ~ n^(-1/2) of
    the start (y = 0): (eta_trgt lam_0 - 2) ln(1 / residual) / (3 ln 3 - 2). Where half of the seeds
    survive, to leading order in the logarithm. 1, no warmup, where none is needed: up to
    eta_trgt lam = 4, within `uv.is_bounded`, and where so few updates are enough.
    """
    updates = (eta_trgt - eta_init) / largest_ramp(lam, residual)
    return np.where(eta_trgt * lam <= 4.0, 1.0, np.maximum(updates, 1.0))


@domain(TIME, TARGET, *NOISE, gives="0 <= result <= 1")
def survival_probability(t_wrm: Real, eta_trgt: Real, lam: Real, residual: Real) -> Real:
    """Share of noisy runs that survive a warmup from 0: erfc(1 / (2 (pi tau)^(1/4) A)).

    tau = t_wrm / (eta_trgt lam), A = residual exp((3 ln 3 - 2) tau): the floor as it has
    regrown by eta lam = 4. Label noise adds 2 residual N(0, 1) an update; what it adds at eta lam
    = z counts exp(-tau (z - 2)^2 / 2) of what it adds at 2; altogether 2 (pi tau)^(1/4) residual
    N(0, 1). Regrown, that must exceed sqrt(2), the one number here that is measured: 1.4 to 1.7.
    1 up to eta_trgt lam = 4, where no run diverges (`uv.is_bounded` at a small residual).
    """
    tau = t_wrm / (eta_trgt * lam)
    regrown = np.exp(np.log(residual) + growth() * tau)
    share = erfc(0.5 / ((np.pi * tau) ** 0.25 * regrown))
    return np.where(eta_trgt * lam <= 4.0, 1.0, share)


@domain(TIME, *NOISE, "0 <= eta_max <= inf", "0 <= ceiling <= inf", gives=POSITIVE)
def boundary(t_wrm: Real, lam: Real, residual: Real, eta_max: Real, ceiling: Real) -> Real:
    """Largest eta_trgt at each t_wrm: max(eta_max, min(ceiling, t_wrm `largest_ramp`)).

    Flat at what survives without warmup, a straight line, and flat at what no warmup gets beyond.
    """
    return np.maximum(eta_max, np.minimum(ceiling, t_wrm * largest_ramp(lam, residual)))


@domain(
    "0 <= ramp",
    "0 < kappa <= 1e40",
    "-1e40 <= y <= 1e40",
    "0 < eta < uv.eta_edge(kappa, y)",
    gives=POSITIVE,
)
def edge_loss(eta: Real, ramp: Real, kappa: Real, y: Real) -> Real:
    """Mean loss that slow warmup keeps up: ramp / (2 kappa^2 eta^3 (1 - mu^2)), |mu| < 1.

    lam must fall by 2 ramp / eta^2 an update to stay at 2 / eta, and does so by
    2 kappa^2 eta (1 - mu^2) delta^2: the amplitude of `stabilization` with alpha = 0,
    alpha_eff = 2 ramp / eta^3 and beta = 4 kappa^2 lam (1 - mu^2). In other words
    <(eta kappa delta)^2> (1 - mu^2) = d ln(eta) / dt.
    """
    slack = np.maximum(1.0 - np.square(eta * kappa * y), 0.0)
    loss = ramp / eta / (eta * kappa) / (eta * kappa) / (2.0 * slack)
    return np.where(ramp == 0.0, 0.0, loss)


@domain("0 <= eta_c", TARGET, TIME, gives="1 <= result <= inf")
def t_reach(eta_c: Real, eta_trgt: Real, t_wrm: Real) -> Real:
    """Updates to eta_trgt at the ramp eta_trgt / t_wrm from eta_c: t_wrm (1 - eta_c / eta_trgt).

    Not below 1, the single update of no warmup (Kalra & Barkeshli 2406.09405, section 6.1).
    """
    left = t_wrm * (1.0 - eta_c / eta_trgt)
    return np.maximum(left, 1.0)


@domain("0 <= eta_c", TARGET, TIME, "0 <= forward_passes")
def t_save(eta_c: Real, eta_trgt: Real, t_wrm: Real, forward_passes: Real = 10) -> Real:
    """Updates that starting at eta_c saves: t_wrm eta_c / eta_trgt - forward_passes / 2.

    The search for eta_c costs forward passes, an update counts as two (Kalra & Barkeshli
    2406.09405, section 6.1, with about 10); t_wrm eta_c / eta_trgt counts for at most t_wrm.
    """
    share = np.minimum(eta_c / eta_trgt, 1.0)
    return t_wrm * share - forward_passes / 2.0
