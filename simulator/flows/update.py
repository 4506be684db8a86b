"""An update of the central flow: a gradient step, and the force of the oscillation.

    dtheta/dt = -P^-1 (g + 1/2 sum_ij X_ij T[u_i, u_j]),   Sigma = sum_ij X_ij u_i u_j',
    0 <= X,   Y = limit - U' H U >= 0,   <X, Y> = 0,

with u_i the critical eigenvectors of P^-1 H, u_i' P u_j = delta_ij, and T[u, v] the gradient of u'
H v (Cohen, Damian, Talwalkar, Kolter & Lee, arXiv:2410.24206). Steps are implicit in the critical
directions, where an explicit step is at its own stability limit, and Y is that at the end of the
step. Without critical directions the update is that of the optimizer.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from simulator.arrays import Array
from simulator.curvature import LeadingPairs
from simulator.flows.complementarity import coordinates, matrix, pairs_of, solve
from simulator.flows.metric import Metric
from simulator.flows.third import third_derivatives
from simulator.models import Objective

__all__ = ["CRITICAL", "Integrator", "Update"]

# A direction is critical from this fraction of the threshold.
CRITICAL = 0.975


class Update(NamedTuple):
    """Quantities of an update, before it is taken.

    Attributes
    ----------
    loss : float
        Loss at the centre.
    gradient_square : float
        Squared norm of the gradient at the centre.
    sharpness : array, shape (pairs,)
        Leading eigenvalues of H, or of (sqrt(v) + eps)^-1 H.
    added_loss, added_square, variance : float
        Contributions of the oscillation to loss and squared gradient; tr Sigma.
    rank, critical : int
        Rank of X; number of critical directions.
    alpha, beta : float
        alpha and beta of the first critical direction, as in `simulator.theory.central`; NaN
        without one.
    taylor : float
        Relative error of the curvature as constant over the oscillation; NaN if not checked.
    residual : float
        Of the complementarity problem.
    converged : bool
        Whether the eigenpairs converged.
    """

    loss: float
    gradient_square: float
    sharpness: Array
    added_loss: float = 0.0
    added_square: float = 0.0
    variance: float = 0.0
    rank: int = 0
    critical: int = 0
    alpha: float = np.nan
    beta: float = np.nan
    taylor: float = np.nan
    residual: float = 0.0
    converged: bool = True


class Integrator:
    """The theta of the flow, and its integration.

    Parameters
    ----------
    objective : Objective
    theta : array, shape (P,)
        Initial theta.
    metric : Metric
    pairs : LeadingPairs
        Of this objective.
    difference : float
        Step of the third derivatives.
    kinks : bool
        Whether the gradient has kinks. The force is a mean over the oscillation, so the step is
        then at least the size of the oscillation in the last update: shorter steps miss kinks or
        give one too much weight.
    """

    def __init__(
        self,
        objective: Objective,
        theta: Array,
        metric: Metric,
        pairs: LeadingPairs,
        difference: float,
        *,
        kinks: bool = False,
    ) -> None:
        self.theta, self.gradients, self.products = theta.copy(), 0, 0
        self._objective, self._metric, self._pairs = objective, metric, pairs
        self._difference, self._kinks, self._size = difference, kinks, 0.0

    def advance(
        self, eta: float, eta_next: float, substeps: int = 1, *, examine: bool = False
    ) -> Update:
        """Take one update at ``eta``, before one at ``eta_next``.

        With several substeps the oscillation is averaged over them; other quantities are those of
        the first.
        """
        ends = eta + (eta_next - eta) * np.arange(1, substeps + 1) / substeps
        parts = [
            self._substep(eta, float(end), 1.0 / substeps, examine=examine and i == 0)
            for i, end in enumerate(ends)
        ]
        return parts[0]._replace(
            added_loss=float(np.mean([part.added_loss for part in parts])),
            added_square=float(np.mean([part.added_square for part in parts])),
            variance=float(np.mean([part.variance for part in parts])),
            rank=max(part.rank for part in parts),
            residual=max(part.residual for part in parts),
            converged=all(part.converged for part in parts),
        )

    def _substep(self, eta: float, eta_next: float, dt: float, *, examine: bool) -> Update:
        theta = self.theta
        g = np.empty_like(theta)
        loss = self._objective.gradient(theta, g)
        self.gradients += 1
        square = float(g @ g)
        if not np.isfinite(loss) or not np.isfinite(square):
            return Update(loss, square, np.empty(0), converged=False)
        rate = self._metric.observe(g, eta, dt)
        limit = 2.0 * eta / eta_next if eta_next > 0.0 else np.inf
        root, factor = self._metric.root(rate, eta)
        level = CRITICAL * limit / factor if factor > 0.0 else np.inf
        found = self._pairs.above(level, theta, g, root)
        self.products += found.products
        # The sharpness does not include eta.
        sharpness = found.values * (factor / eta if eta > 0.0 else 1.0)
        k = int((found.values > level).sum())
        if not k:
            self.theta = theta - dt * (rate * g)
            return Update(loss, square, sharpness, converged=found.converged)
        values = factor * found.values[:k]
        frame = found.vectors[:k] * (np.sqrt(factor) if root is None else root)
        difference = max(self._difference, self._size) if self._kinks else self._difference
        third = third_derivatives(self._gradient, theta, g, frame, difference)
        products = _products(frame)

        implicit = dt * values / (1.0 + dt * values)

        def step(v: Array) -> Array:
            """N v, for v (P,) or (s, P): one step of P^-1, implicit in the critical directions."""
            return dt * (rate * v) - (v @ frame.T * implicit) @ frame

        along = step(g)
        a = limit * np.eye(k) - np.diag(values) + matrix(third @ along)
        b = 0.5 * third @ step(third).T + self._metric.stiffening(products, eta_next, dt)
        solution = solve(a, 0.5 * (b + b.T))
        x = coordinates(solution.x)
        taylor = np.nan
        if examine and solution.x.any():
            taylor = self._taylor(theta, frame, values, solution.x)
        squares = _products(frame / rate)
        moved = along + 0.5 * step(x @ third)
        self.theta = theta - moved * self._metric.absorb(products, x, dt)
        weights = np.linalg.eigvalsh(solution.x)
        variance = float(x @ products.sum(axis=1))
        self._size = float(np.sqrt(max(variance, 0.0)))
        return Update(
            loss, square, sharpness,
            added_loss=float(np.trace(solution.x)),
            added_square=4.0 * float(x @ squares.sum(axis=1)),
            variance=variance,
            rank=int((weights > 1e-9 * max(weights[-1], 1e-300)).sum()),
            critical=k,
            alpha=-float(third[0] @ (rate * g)) / eta**2,
            beta=float(third[0] @ (rate * third[0])) / eta**3,
            taylor=taylor, residual=solution.residual, converged=found.converged,
        )  # fmt: skip

    def _gradient(self, theta: Array) -> Array:
        out = np.empty_like(theta)
        self._objective.gradient(theta, out)
        self.gradients += 1
        return out

    def _taylor(self, theta: Array, frame: Array, values: Array, x: Array) -> float:
        """Relative error of taking the curvature as constant within one standard deviation."""
        mix = np.linalg.eigh(x)[1][:, -1]
        direction = np.sqrt(np.trace(x)) * (mix @ frame)
        across = self._gradient(theta + direction) - self._gradient(theta - direction)
        return abs(float(direction @ across) / (2.0 * float(np.trace(x) * (mix**2 @ values))) - 1.0)


def _products(frame: Array) -> Array:
    """u_i u_j, elementwise, in the coordinates (k (k + 1) / 2, P) of symmetric matrices."""
    return np.array(
        [(1.0 if i == j else np.sqrt(2.0)) * frame[i] * frame[j] for i, j in pairs_of(len(frame))]
    )
