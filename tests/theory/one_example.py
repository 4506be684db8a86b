"""Two-layer linear networks on one example, weight by weight, in plain NumPy."""

from typing import NamedTuple

import numpy as np
from hypothesis import strategies as st

__all__ = ["Ensemble", "Network", "ensemble", "networks", "with_modes"]


class Network:
    """f = c v . U x with U (n, d), v (n,); loss (f - y)^2 / 2."""

    def __init__(self, u, v, x, y, c):
        self.u, self.v, self.x, self.y, self.c = u, v, x, y, c
        self.kappa = c * np.linalg.norm(x)

    @property
    def feature(self):
        """U x / |x|."""
        return self.u @ self.x / np.linalg.norm(self.x)

    @property
    def output(self):
        return self.c * self.v @ self.u @ self.x

    @property
    def trace(self):
        """|df/dtheta|^2, from the gradient itself."""
        by_u, by_v = self.c * np.outer(self.v, self.x), self.c * self.u @ self.x
        return np.sum(by_u**2) + np.sum(by_v**2)

    @property
    def setting(self):
        """delta, lam, kappa, y."""
        return self.output - self.y, self.trace, self.kappa, self.y

    def step(self, eta):
        delta = self.output - self.y
        by_u, by_v = self.c * np.outer(self.v, self.x), self.c * self.u @ self.x
        self.u, self.v = self.u - eta * delta * by_u, self.v - eta * delta * by_v


@st.composite
def networks(draw, n=st.integers(1, 64), d=st.integers(1, 4), y=st.floats(-4, 4)):
    """Gaussian weights of any width, s and sigma, on a Gaussian input."""
    n, d, s, sigma = draw(n), draw(d), draw(st.floats(0, 1)), draw(st.floats(0.3, 2))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    weights = sigma * n ** (-s / 2) * rng.standard_normal((n, d + 1))
    x = rng.standard_normal(d)
    return Network(weights[:, :d], weights[:, d], x, draw(y), n ** (-(1 - s) / 2))


def with_modes(seed, n, kappa, y, modes):
    """One input, so that kappa = c |x|; the modes A and B given, their directions random."""
    rng = np.random.default_rng(seed)
    p, q = rng.standard_normal((2, n))
    p *= np.sqrt(modes[0]) / kappa / np.linalg.norm(p)
    q *= np.sqrt(modes[1]) / kappa / np.linalg.norm(q)
    u, v = (p + q) / np.sqrt(2), (p - q) / np.sqrt(2)
    return Network(u[:, None], v, np.array([kappa]), y, 1.0)


class Ensemble(NamedTuple):
    """Networks of one width: weights u, v (runs, n), and kappa, y, eta (runs,) of each."""

    u: np.ndarray
    v: np.ndarray
    kappa: np.ndarray
    y: np.ndarray
    eta: np.ndarray

    @property
    def delta(self):
        return self.kappa * np.einsum("rn,rn->r", self.u, self.v) - self.y

    @property
    def trace(self):
        squares = np.einsum("rn,rn->r", self.u, self.u) + np.einsum("rn,rn->r", self.v, self.v)
        return self.kappa**2 * squares

    @property
    def eps(self):
        return self.eta * self.kappa * self.delta

    def at(self, eta):
        return self._replace(eta=eta)

    def take(self, rows):
        return Ensemble(*(part[rows] for part in self))

    def stepped(self):
        pull = self.eps[:, None]
        return self._replace(u=self.u - pull * self.v, v=self.v - pull * self.u)

    def path(self, steps):
        """Each ensemble before an update, ``steps`` of them."""
        now = self
        for _ in range(steps):
            yield now
            now = now.stepped()


def ensemble(rng, runs, n, mu=None, a=None, b=None):
    """Gaussian weights of random s, sigma, |x| and y; or at this mu, with modes a, b / eta."""
    s, sigma, x = rng.uniform(0, 1, runs), rng.uniform(0.3, 2, runs), rng.uniform(0.2, 3, runs)
    y = rng.uniform(-4, 4, runs)
    kappa = x * n ** (-(1 - s) / 2)
    u, v = (sigma * n ** (-s / 2))[:, None] * rng.standard_normal((2, runs, n))
    eta = np.full(runs, np.nan)
    if mu is not None:
        y = np.abs(y) * np.sign(mu)
        eta = mu / (kappa * y)
        p, q = rng.standard_normal((2, runs, n))
        p *= (np.sqrt(a / eta) / kappa / np.linalg.norm(p, axis=1))[:, None]
        q *= (np.sqrt(b / eta) / kappa / np.linalg.norm(q, axis=1))[:, None]
        u, v = (p + q) / np.sqrt(2), (p - q) / np.sqrt(2)
    return Ensemble(u, v, kappa, y, eta)
