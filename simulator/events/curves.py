"""What was seen of a run, from here or from elsewhere: curves, any of which may be missing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulator import regimes
from simulator.limits import StabilityLimit
from simulator.runs import Run

__all__ = ["Curves"]

Curve = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Curves:
    """Curves over rows, each row what was logged before one update.

    What was not measured is NaN, a whole curve of them where there was none.

    Attributes
    ----------
    step, loss, eta, sharpness, preconditioned_sharpness : arrays, shape (rows,)
        Updates done before, and what was seen then.
    limit : StabilityLimit
        How much sharpness the optimizer bears: pre-conditioned, where that was measured.
    converged : array of bool, shape (rows,), or None
        False where the measured sharpness did not converge; None where that is not known.
    loss_final : float
        After the last update; NaN where unknown.
    constant_loss : float or None
        Loss of the best constant output, where known.
    """

    step: Curve
    loss: Curve
    eta: Curve
    sharpness: Curve
    preconditioned_sharpness: Curve
    limit: StabilityLimit
    converged: NDArray[np.bool_] | None = None
    loss_final: float = np.nan
    constant_loss: float | None = None

    @classmethod
    def of(cls, run: Run) -> Curves:
        """The curves of a run of ours."""
        missing = np.full(len(run.loss), np.nan)
        conditioned = run.preconditioned_sharpness
        return cls(
            step=np.arange(len(run.loss), dtype=float),
            loss=run.loss,
            eta=run.eta,
            sharpness=run.sharpness,
            preconditioned_sharpness=missing if conditioned is None else conditioned,
            limit=run.limit,
            converged=run.converged,
            loss_final=run.loss_final,
            constant_loss=run.constant_loss,
        )

    @property
    def adaptive(self) -> bool:
        """Whether the pre-conditioned sharpness is what decides."""
        return bool(np.isfinite(self.preconditioned_sharpness).any())

    @property
    def effective_sharpness(self) -> Curve:
        """The sharpness that the threshold speaks of."""
        return self.preconditioned_sharpness if self.adaptive else self.sharpness

    @property
    def name(self) -> str:
        """What the effective sharpness is called."""
        return "pre-conditioned sharpness" if self.adaptive else "sharpness"

    @property
    def limit_text(self) -> str:
        """What the threshold is: 2 / eta, say."""
        return f"{self.limit.over_eta:.3g} / eta"

    def at(self, row: int) -> int:
        """The step of a row."""
        return int(self.step[row])

    @property
    def threshold(self) -> Curve:
        """Sharpness above which a quadratic would be unstable."""
        return self.limit.sharpness(self.eta)

    @property
    def ratio(self) -> Curve:
        """Effective sharpness over threshold."""
        return self.limit.ratio(self.effective_sharpness, self.eta)

    @property
    def diverged_row(self) -> int:
        """The first row whose loss is not finite, or as many as there are; -1 if none is."""
        lost = np.flatnonzero(~np.isfinite(self.loss))
        return int(lost[0]) if lost.size else -1

    @property
    def trainable(self) -> bool:
        """See `simulator.regimes.trainable`."""
        known = np.isfinite(self.loss_final)
        loss = np.append(self.loss, self.loss_final) if known else self.loss
        return regimes.trainable(loss, self.constant_loss)

    @property
    def natural_phase(self) -> str:
        """See `simulator.regimes.natural_phase`."""
        return regimes.natural_phase(self.effective_sharpness, self.ratio)

    @property
    def outcome(self) -> str:
        """See `simulator.regimes.outcome`."""
        finite = self.diverged_row < 0
        known = self.ratio if np.isfinite(self.ratio).any() else None
        count = len(regimes.catapults(self.loss, known)) if np.isfinite(self.loss[0]) else 0
        return regimes.outcome(
            self.loss, self.ratio, diverged=not finite, trained=self.trainable, n_catapults=count
        )
