"""RMSProp, Adam and its variants: updates divided by a moving average of the squared gradient."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import ClassVar

import numpy as np

from simulator.arrays import Array
from simulator.checks import fraction, nonnegative
from simulator.numerics import updates
from simulator.optimizers.base import Optimizer, StabilityLimit, add_decay, held_where_zero
from simulator.seeding import generator
from simulator.theory.quadratics import heavy_ball_limit

__all__ = ["Adam", "AdamW", "GIAdam", "RAdam", "RIAdam", "RMSProp"]

# From this rho_t on the variance of 1 / sqrt(v) is tractable (Liu et al. 1908.03265; optax and
# PyTorch).
_TRACTABLE = 5.0


@dataclass(frozen=True)
class RMSProp(Optimizer):
    """v_t = beta2 v_{t-1} + (1 - beta2) g_t^2, u_t = g_t / (sqrt(v_t) + eps), v_0 = 0.

    The form is PyTorch's: no bias correction, eps outside the root. (By default, optax puts eps
    inside the root, and PyTorch's beta2 is 0.99.) With P = sqrt(v_t) + eps held fixed it is
    gradient descent on P^-1 H: stable iff eta times the preconditioned sharpness is below 2.

    Parameters
    ----------
    beta2 : float in [0, 1)
        Decay rate of the average of the squared gradients.
    eps : float
        Added to the root; at 0, a parameter whose gradients have all been 0 does not move.

    Raises
    ------
    InputError
        If a value is not allowed.
    """

    name: ClassVar[str] = "rmsprop"
    vectors: ClassVar[int] = 1
    adaptive: ClassVar[bool] = True

    beta2: float = 0.999
    eps: float = 1e-8

    def __post_init__(self) -> None:
        fraction("beta2", self.beta2)
        nonnegative("eps", self.eps)

    def direction(self, theta: Array, gradient: Array, state: Array, t: int, out: Array) -> None:
        real = theta.dtype.type
        updates.accumulate_squares(state[0], gradient, real(self.beta2), real(1.0 - self.beta2))
        updates.divide_by_root(gradient, state[0], real(1.0), real(1.0), real(self.eps), out)

    def preconditioner(self, gradient: Array, state: Array, t: int) -> Array:
        v = self.beta2 * state[0] + (1.0 - self.beta2) * gradient**2
        return held_where_zero(np.sqrt(v) + self.eps)

    @property
    def limit(self) -> StabilityLimit:
        return StabilityLimit(2.0)

    @property
    def first_limit(self) -> StabilityLimit:
        return self.limit


@dataclass(frozen=True)
class Adam(Optimizer):
    r"""m_t = beta1 m_{t-1} + (1 - beta1) g_t, v_t = beta2 v_{t-1} + (1 - beta2) g_t^2, m_0 = 0.

    u_t = m^_t / (sqrt(v^_t) + eps), with m^_t = m_t / (1 - beta1^t), v^_t = v_t / (1 - beta2^t):
    the form of PyTorch and optax, eps outside the root. Written u_t = m_t / P with
    P = (1 - beta1^t)(sqrt(v^_t) + eps), this is a moving-average heavy ball on P^-1 H: with P held
    fixed it is stable iff eta times the preconditioned sharpness is below
    (2 + 2 beta1) / (1 - beta1), 38 at beta1 = 0.9 (Cohen et al. 2207.14484; Kalra & Barkeshli 2024,
    appendix B.1, whose printed P lacks the root). The first update, with the momentum empty, is
    stable up to 2 / (1 - beta1) only.

    v_0 = 0, so the first update moves every parameter by eta. The variants have another v_0 or u_t.

    Parameters
    ----------
    beta1, beta2 : floats in [0, 1)
        Decay rates of the averages of the gradients and of their squares.
    eps : float
        Added to the root; at 0, a parameter whose gradients have all been 0 does not move.

    Raises
    ------
    InputError
        If a value is not allowed.
    """

    name: ClassVar[str] = "adam"
    vectors: ClassVar[int] = 2
    adaptive: ClassVar[bool] = True

    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8

    def __post_init__(self) -> None:
        fraction("beta1", self.beta1)
        fraction("beta2", self.beta2)
        nonnegative("eps", self.eps)

    def second_moment(self, gradient: Array, seed: int) -> Array | float:
        """v_0 (P,), or a number for all parameters, given the first gradient (P,)."""
        return 0.0

    def start(self, theta: Array, gradient: Array, seed: int) -> Array:
        state = np.zeros((self.vectors, theta.size), dtype=theta.dtype)
        state[1] = self.second_moment(gradient, seed)
        return state

    def direction(self, theta: Array, gradient: Array, state: Array, t: int, out: Array) -> None:
        self.advance(gradient, state)
        self.corrected(state, t, out)

    def advance(self, gradient: Array, state: Array) -> None:
        """Update both averages of the state (2, P) with a gradient (P,)."""
        real = gradient.dtype.type
        updates.accumulate(state[0], gradient, real(self.beta1), real(1.0 - self.beta1))
        updates.accumulate_squares(state[1], gradient, real(self.beta2), real(1.0 - self.beta2))

    def corrected(self, state: Array, t: int, out: Array) -> None:
        """Write m^_t / (sqrt(v^_t) + eps) into ``out`` (P,)."""
        real = out.dtype.type
        first, second = 1.0 / (1.0 - self.beta1**t), 1.0 / (1.0 - self.beta2**t)
        updates.divide_by_root(state[0], state[1], real(first), real(second), real(self.eps), out)

    def preconditioner(self, gradient: Array, state: Array, t: int) -> Array:
        v = self.beta2 * state[1] + (1.0 - self.beta2) * gradient**2
        root = np.sqrt(v / (1.0 - self.beta2**t)) + self.eps
        return held_where_zero((1.0 - self.beta1**t) * root)

    @property
    def limit(self) -> StabilityLimit:
        return StabilityLimit(float(heavy_ball_limit(self.beta1, self.beta1)))

    @property
    def first_limit(self) -> StabilityLimit:
        return StabilityLimit(2.0 / (1.0 - self.beta1))


@dataclass(frozen=True)
class AdamW(Adam):
    """Adam's u_t plus ``weight_decay`` theta_t: theta' = (1 - eta kappa) theta - eta m_t / P.

    The form and the default are PyTorch's; optax's default is 1e-4. With P held fixed it is stable
    iff eta (1 - beta1) lambda < (1 + beta1)(2 - eta kappa) for each eigenvalue lambda of P^-1 H.

    Parameters
    ----------
    beta1, beta2, eps : floats
        As for `Adam`.
    weight_decay : float
        kappa, at least 0; decoupled, times eta.

    Raises
    ------
    InputError
        If a value is not allowed.
    """

    name: ClassVar[str] = "adamw"

    weight_decay: float = 0.01

    def __post_init__(self) -> None:
        super().__post_init__()
        nonnegative("weight_decay", self.weight_decay)

    def direction(self, theta: Array, gradient: Array, state: Array, t: int, out: Array) -> None:
        super().direction(theta, gradient, state, t, out)
        add_decay(out, theta, self.weight_decay)

    @property
    def limit(self) -> StabilityLimit:
        bound = (1.0 + self.beta1) / (1.0 - self.beta1)
        return StabilityLimit(2.0 * bound, self.weight_decay * bound)

    @property
    def first_limit(self) -> StabilityLimit:
        bound = 1.0 / (1.0 - self.beta1)
        return StabilityLimit(2.0 * bound, self.weight_decay * bound)


@dataclass(frozen=True)
class GIAdam(Adam):
    """Adam with v_0 = g_1^2 and with bias correction (Kalra & Barkeshli 2024).

    The steps equal those of the uncorrected average with learning rate eta sqrt(1 - beta2^t): with
    v_0 > 0 the average is not biased, and the correction acts as a warmup. The first
    preconditioned sharpness is sqrt(1 - beta2) times Adam's. v_0 uses the batch of the first
    update; the paper's code draws another one.

    Parameters
    ----------
    beta1, beta2, eps : floats
        As for `Adam`.
    """

    name: ClassVar[str] = "gi-adam"

    def second_moment(self, gradient: Array, seed: int) -> Array:
        return gradient**2


@dataclass(frozen=True)
class RIAdam(Adam):
    """Adam with v_0 = r^2 and with bias correction, r Gaussian with the norm of g_1.

    This is Kalra & Barkeshli's control for GI-Adam (2024, appendix I.3), which shows that the size
    of v_0 matters, not its direction. r is drawn from the run's seed.

    Parameters
    ----------
    beta1, beta2, eps : floats
        As for `Adam`.
    """

    name: ClassVar[str] = "ri-adam"

    def second_moment(self, gradient: Array, seed: int) -> Array:
        r = generator(seed, "second_moment").standard_normal(gradient.size)
        return (r * (np.linalg.norm(gradient) / np.linalg.norm(r))) ** 2


@dataclass(frozen=True)
class RAdam(Adam):
    """Adam times r_t; momentum m^_t as long as r_t does not exist (Liu et al. 1908.03265).

    rho_t = rho - 2 t beta2^t / (1 - beta2^t) with rho = 2 / (1 - beta2) - 1, and r_t^2 = (rho_t -
    4)(rho_t - 2) rho / ((rho - 4)(rho - 2) rho_t) once rho_t >= 5 (optax; PyTorch: > 5). P is
    Adam's divided by r_t, and 1 - beta1^t before r_t exists.

    Parameters
    ----------
    beta1, beta2, eps : floats
        As for `Adam`.
    """

    name: ClassVar[str] = "radam"

    def rectification(self, t: int) -> float:
        """r_t, or 0 if it does not exist yet."""
        rho = 2.0 / (1.0 - self.beta2) - 1.0
        power = self.beta2**t
        rho_t = rho - 2.0 * t * power / (1.0 - power)
        if rho_t < _TRACTABLE:
            return 0.0
        return sqrt((rho_t - 4.0) * (rho_t - 2.0) * rho / ((rho - 4.0) * (rho - 2.0) * rho_t))

    def direction(self, theta: Array, gradient: Array, state: Array, t: int, out: Array) -> None:
        self.advance(gradient, state)
        r = self.rectification(t)
        if r:
            self.corrected(state, t, out)
            out *= theta.dtype.type(r)
        else:
            out[:] = state[0] / theta.dtype.type(1.0 - self.beta1**t)

    def preconditioner(self, gradient: Array, state: Array, t: int) -> Array:
        r = self.rectification(t)
        if r:
            return super().preconditioner(gradient, state, t) / gradient.dtype.type(r)
        return np.full_like(gradient, 1.0 - self.beta1**t)
