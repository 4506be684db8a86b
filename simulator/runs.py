"""The result of a training run: its trajectory, its parameters and its cost."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulator import regimes
from simulator.limits import STEP_LIMIT
from simulator.trajectory import Trajectory
from simulator.value import above

if TYPE_CHECKING:
    from simulator.data import Data
    from simulator.experiment import Experiment
    from simulator.training.checkpoints import Checkpoint

__all__ = ["Given", "Run"]

Array = NDArray[Any]


class Given(NamedTuple):
    """What a run was given besides its experiment and seed, as needed to repeat it.

    Attributes
    ----------
    data : Data or None
    theta0, rates : array, shape (P,), or None
    start : Checkpoint or None
        The state at which it was forked from another run.
    """

    data: Data | None = None
    theta0: Array | None = None
    rates: Array | None = None
    start: Checkpoint | None = None


@dataclass(frozen=True, eq=False, kw_only=True)
class Run(Trajectory):
    """A `Trajectory` with a row for every step, and the other results of a run of this package.

    Attributes
    ----------
    experiment : Experiment
    seed : int
        The experiment and the seed of the run, without given arrays such as theta0 and rates.
    step : array, shape (steps,)
        Number of updates before: 0, 1, 2 and so on.
    loss : array, shape (steps,)
        Loss on the batch of the update; NaN after a divergence.
    eigenvalues : array, shape (steps, top_k)
        Top eigenvalues of the Hessian of that loss, largest first; NaN where not measured.
    sharpness : array, shape (steps,)
        The largest of them.
    preconditioned_sharpness : array, shape (steps,), or None
        Top eigenvalue of P^-1 H, with P the preconditioner of the next update; for adaptive
        optimizers and for parameters with individual rates.
    eta : array, shape (steps,)
        Learning rate. After a divergence, a schedule that depends on the run keeps its last value.
    limit : StabilityLimit
        The largest stable sharpness of the optimizer (preconditioned, if that was measured).
    residual : array, shape (steps,)
        Residual norm of the largest Hessian eigenvalue. Infinite where the measurement did not
        converge, NaN where nothing was measured.
    converged : array of bool, shape (steps,)
        False where an eigenvalue of this step (including the preconditioned one) did not reach the
        tolerance. Its value is the best estimate and may belong to another eigenvalue.
    n_unconverged : int
        Number of measurements that did not converge, including those after the last update.
    theta : array, shape (P,)
        Parameters after the last update.
    loss_init, loss_final, sharpness_final, preconditioned_sharpness_final : float
        On all training samples, before the first and after the last update.
    diverged_step : int
        Number of updates after which the loss was no longer finite; -1 if it always was.
    accuracy_final, test_loss_final, test_accuracy_final : float
        NaN if the data has no classes or no test split.
    products : int
        Hessian-vector products of the measurements and of the schedule.
    forward_passes : int
        Losses evaluated by the schedule, besides those of the updates.
    constant_loss : float or None
        Loss of the best constant output; a dead network reaches it.
    unit : str
        "step", the unit of ``step``.
    updates_per_epoch : int
        Updates per epoch; 1 for the full batch.
    gradient_final : float
        Largest absolute entry of the full gradient after the last update; 0 for a dead network. NaN
        after a divergence and for batched `UV` models.
    rises : array, shape (steps,), or None
        1 where the update raises the loss of its batch, else 0; NaN where unknown. None without
        ``directional`` and ``critical`` in ``measure``. In a minibatch run it needs a forward pass,
        which only ``critical`` makes.
    directional_sharpness, critical_sharpness : array, shape (steps,), or None
    batch_sharpness, batch_sharpness_error : array, shape (steps,), or None
    full_sharpness, gradient_noise_interaction : array, shape (steps,), or None
        See `Trajectory`; NaN where not measured, None if not in ``measure``.
    seconds : mapping
        Time of ``compile`` (or of loading kernels from the cache), of ``curvature``, and of
        ``step``, which is all else. Batched runs measure and step in one pass, which counts as
        ``step``.
    given : Given
        The data, theta0 and rates, which `fork` needs; a pickled run omits the data.
    """

    experiment: Experiment
    seed: int
    step: Array = field(init=False)
    sharpness: Array = field(init=False)
    eigenvalues: Array
    residual: Array
    n_unconverged: int
    theta: Array
    sharpness_final: float
    preconditioned_sharpness_final: float
    diverged_step: int
    accuracy_final: float
    test_loss_final: float
    test_accuracy_final: float
    products: int
    forward_passes: int
    seconds: Mapping[str, float] = field(compare=False)
    rises: Array | None = None
    given: Given = field(default=Given(), repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "step", np.arange(len(self.loss)))
        object.__setattr__(self, "sharpness", self.eigenvalues[:, 0])

    def __getstate__(self) -> dict[str, Any]:
        return vars(self) | {"given": self.given._replace(data=None)}

    def __repr__(self) -> str:
        return f"<Run: {self.experiment.brief}, seed {self.seed}; {self._headline}>"

    def save(self, path: str | Path) -> None:
        """Write the run to a .npz file that `load_run` reads; an existing file is replaced.

        Raises `InputError` if the file cannot be written, and for a user-defined model, optimizer
        or schedule.
        """
        above("saved_runs").save_run(self, path)

    @property
    def forked_at(self) -> int:
        """The step at which the run was forked from another one; -1 if it was not."""
        return -1 if self.given.start is None else self.given.start.step

    @property
    def diverged_row(self) -> int:
        """The step of the divergence; -1 without one."""
        return self.diverged_step

    @property
    def ratio_final(self) -> float:
        """The ratio after the last update, or before it if that is not finite."""
        pre = self.preconditioned_sharpness_final
        sharpness = pre if self.adaptive else self.sharpness_final
        final = float(self.limit.ratio(np.array([sharpness]), self.eta[-1:])[0])
        return final if math.isfinite(final) else super().ratio_final

    def late_ratio(self, curve: Array | None) -> float:
        """Median of a curve (steps,) times eta / 2 in the last quarter; NaN if not measured."""
        if curve is None:
            return math.nan
        late = slice(regimes.first_late(len(self.loss)), None)
        ratio = STEP_LIMIT.ratio(curve[late], self.eta[late])
        measured = ratio[~np.isnan(ratio)]
        return float(np.median(measured)) if measured.size else math.nan

    @property
    def rises_share(self) -> float:
        """Fraction of the updates with known effect that raise the loss; NaN without any."""
        known = np.array([]) if self.rises is None else self.rises[~np.isnan(self.rises)]
        return float(known.mean()) if known.size else math.nan

    @property
    def loss_max(self) -> float:
        """Largest finite loss."""
        return _largest(np.append(self.loss, self.loss_final))

    @property
    def sharpness_init(self) -> float:
        """Sharpness before the first update."""
        return float(self.sharpness[0])

    @property
    def sharpness_max(self) -> float:
        """Largest sharpness measured."""
        return _largest(np.append(self.sharpness, self.sharpness_final))

    @property
    def preconditioned_sharpness_init(self) -> float:
        """Preconditioned sharpness before the first update; NaN if the run has none."""
        curve = self.preconditioned_sharpness
        return math.nan if curve is None else float(curve[0])

    @property
    def preconditioned_sharpness_max(self) -> float:
        """Largest preconditioned sharpness measured."""
        curve = self.preconditioned_sharpness
        return _largest(
            np.append([] if curve is None else curve, self.preconditioned_sharpness_final)
        )


def _largest(values: Array) -> float:
    finite = values[np.isfinite(values)]
    return float(finite.max()) if finite.size else math.nan
