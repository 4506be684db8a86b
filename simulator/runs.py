"""What one training run leaves behind: its trajectory, its parameters, its cost."""

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
    """What a run was given beside its experiment and seed: enough to do it again.

    Attributes
    ----------
    data : Data or None
    theta0, rates : array, shape (P,), or None
    start : Checkpoint or None
        Where it was forked from another run.
    """

    data: Data | None = None
    theta0: Array | None = None
    rates: Array | None = None
    start: Checkpoint | None = None


@dataclass(frozen=True, eq=False, kw_only=True)
class Run(Trajectory):
    """A run of this package: a `Trajectory` with a row for every step, and its other results.

    Attributes
    ----------
    experiment : Experiment
    seed : int
        What was done; arrays that were given, theta0 and rates, are not part of it.
    step : array, shape (steps,)
        Updates done before: 0, 1, 2 and so on.
    loss : array, shape (steps,)
        Of the samples that the update sees; NaN after a divergence.
    eigenvalues : array, shape (steps, top_k)
        Top Hessian eigenvalues of that loss, largest first; NaN where not measured.
    sharpness : array, shape (steps,)
        The first of them.
    preconditioned_sharpness : array, shape (steps,), or None
        Top eigenvalue of P^-1 H, P the preconditioner of the update about to be taken; for adaptive
        optimizers, and where parameters have rates of their own.
    eta : array, shape (steps,)
        Learning rate; after a divergence, where only the run would have told it, the last one.
    limit : StabilityLimit
        The largest stable sharpness of the optimizer (preconditioned, if that was measured).
    residual : array, shape (steps,)
        Residual norm of the first Hessian eigenvalue: how well it is known. Infinite where the
        measurement did not converge, NaN where nothing was measured.
    converged : array of bool, shape (steps,)
        False where an eigenvalue of this step, the pre-conditioned one included, did not reach the
        accuracy asked for: it is the best that was found, and may be another than the top one.
    n_unconverged : int
        Measurements that did not converge, those after the last update included.
    theta : array, shape (P,)
        After the last update.
    loss_init, loss_final, sharpness_final, preconditioned_sharpness_final : float
        On all training samples, before the first and after the last update.
    diverged_step : int
        Number of updates after which the loss was no longer finite; -1 if it always was.
    accuracy_final, test_loss_final, test_accuracy_final : float
        NaN where the data has no classes or no test split.
    products : int
        Hessian-vector products spent on what was measured, and by the schedule.
    forward_passes : int
        Losses that the schedule asked for, besides those of the updates.
    constant_loss : float or None
        Loss of the best constant output, which a dead network reaches.
    unit : str
        "step": what ``step`` counts.
    updates_per_epoch : int
        Updates in which every sample is seen once; 1 where each sees all samples.
    gradient_final : float
        Largest entry, in absolute value, of the gradient of all samples after the last update; NaN
        after a divergence, and where small `UV` models train as a whole. 0 for a dead network.
    rises : array, shape (steps,), or None
        1 where the update raised the loss of the samples that it saw, else 0; NaN where not
        known. None without ``directional`` and ``critical`` in ``measure``. In a minibatch run it
        takes a forward pass, which is spent with ``critical`` only.
    directional_sharpness, critical_sharpness : array, shape (steps,), or None
    batch_sharpness, batch_sharpness_error : array, shape (steps,), or None
    full_sharpness, gradient_noise_interaction : array, shape (steps,), or None
        See `Trajectory`; NaN where not measured, None where not asked for.
    seconds : mapping
        What it took: ``compile`` (or load kernels from the cache), ``curvature``, and ``step``, all
        else. Runs that go side by side measure and step in one pass, which counts as ``step``.
    given : Given
        Its data, theta0 and rates, which `fork` needs; a pickled run leaves the data out.
    """

    experiment: Experiment
    seed: int
    step: Array = field(init=False)
    sharpness: Array = field(init=False)
    eigenvalues: Array
    residual: Array
    n_unconverged: int
    theta: Array
    loss_init: float
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
        done = self.experiment
        what = [done.model, done.optimizer, done.schedule]
        return (
            f"<Run: {', '.join(thing.brief for thing in what)}, seed {self.seed}; {self._headline}>"
        )

    def save(self, path: str | Path) -> None:
        """Write it to a .npz file that `load_run` reads; a file that is there is replaced.

        Raises `InputError` for a path at which no file can be written, and for a user-defined
        model, optimizer or schedule.
        """
        above("saved_runs").save_run(self, path)

    @property
    def forked_at(self) -> int:
        """The step from which on it is a fork of another run; -1 if it is none."""
        return -1 if self.given.start is None else self.given.start.step

    @property
    def diverged_row(self) -> int:
        """The step of the divergence; -1 if there was none."""
        return self.diverged_step

    @property
    def ratio_final(self) -> float:
        """The ratio after the last update, at its learning rate; before it, where not finite."""
        pre = self.preconditioned_sharpness_final
        sharpness = pre if self.adaptive else self.sharpness_final
        final = float(self.limit.ratio(np.array([sharpness]), self.eta[-1:])[0])
        return final if math.isfinite(final) else super().ratio_final

    def late_ratio(self, curve: Array | None) -> float:
        """Median of a curve (steps,) times eta / 2 in the last quarter; NaN where not measured."""
        if curve is None:
            return math.nan
        late = slice(regimes.first_late(len(self.loss)), None)
        ratio = STEP_LIMIT.ratio(curve[late], self.eta[late])
        measured = ratio[~np.isnan(ratio)]
        return float(np.median(measured)) if measured.size else math.nan

    @property
    def rises_share(self) -> float:
        """Share of the updates, of those known, that raised the loss; NaN where none is known."""
        known = np.array([]) if self.rises is None else self.rises[~np.isnan(self.rises)]
        return float(known.mean()) if known.size else math.nan

    @property
    def loss_max(self) -> float:
        """Largest finite loss on the way."""
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
        """Pre-conditioned sharpness of the first update; NaN where there is no such thing."""
        curve = self.preconditioned_sharpness
        return math.nan if curve is None else float(curve[0])

    @property
    def preconditioned_sharpness_max(self) -> float:
        """Largest pre-conditioned sharpness measured."""
        curve = self.preconditioned_sharpness
        return _largest(
            np.append([] if curve is None else curve, self.preconditioned_sharpness_final)
        )


def _largest(values: Array) -> float:
    finite = values[np.isfinite(values)]
    return float(finite.max()) if finite.size else math.nan
