"""The description of a run: everything except the data, the seed and given arrays."""

from __future__ import annotations

from dataclasses import dataclass, field

from simulator.checks import InputError, at_least, count, positive
from simulator.data import Data
from simulator.measures import OF_THE_STEP, chosen_measures
from simulator.models import Array, Model, as_model, precision
from simulator.optimizers import GD, Optimizer, as_optimizer
from simulator.schedules import Schedule, Warmup, as_schedule

__all__ = ["Experiment"]


@dataclass(frozen=True)
class Experiment:
    """A model, how it is trained, and what is measured.

    `simulate` makes one from its arguments, `train` runs one with a seed, and `Run.experiment`
    holds it: ``dataclasses.replace(run.experiment, steps=1000)`` is the same experiment for more
    steps. A sweep is a grid of experiments.

    Parameters
    ----------
    model : Model
        An object, a class, or the name of a built-in class; likewise the optimizer and the
        schedule.
    optimizer : Optimizer
    schedule : Schedule or float
        Absolute learning rates; a number is a constant learning rate. Default ``Warmup()``:
        constant 1.
    steps : int
        Number of updates.
    batch_size : int, optional
        Samples in a batch. Default: all samples.
    layer_rates : bool
        Multiply the learning rate of each layer by the factor of the model's parameterization (muP
        with an adaptive optimizer). The effective sharpness is then the preconditioned one.
    sharpness_every : int
        Updates between measurements of the sharpness; further ones are made at events in between
        and after the last update. 0 measures nothing.
    top_k : int
        Number of eigenvalues.
    sharpness_tol : float
        Relative error of the eigenvalues.
    dtype : {"float64", "float32"}
        Floating-point precision.
    measure : sequence of str, or str with commas
        Of ``sharpness``, ``directional``, ``critical``, ``batch``, ``full``, ``interaction``.
        Default ``("sharpness",)``. ``sharpness_every`` sets when the first three are measured,
        ``batch_every`` when the others are.
    batches : int
        Random batches per measurement of ``batch`` or ``interaction``. If there are at most 64
        different batches, each is used once instead.
    batch_accuracy : float, optional
        Relative standard error of the batch sharpness at which a measurement stops, after 16 to 512
        batches. Default: use ``batches`` batches.
    batch_every : int, optional
        Updates between measurements of ``batch``, ``full`` and ``interaction``. Default
        max(1, steps // 64).

    Raises
    ------
    InputError
        If a value is not allowed.
    """

    model: Model
    optimizer: Optimizer = field(default_factory=GD)
    schedule: Schedule = field(default_factory=Warmup)
    steps: int = 512
    batch_size: int | None = None
    layer_rates: bool = False
    sharpness_every: int = 1
    top_k: int = 1
    sharpness_tol: float = 1e-5
    dtype: str = "float64"
    measure: tuple[str, ...] = ("sharpness",)
    batches: int = 32
    batch_accuracy: float | None = None
    batch_every: int | None = None

    def __post_init__(self) -> None:
        set_ = object.__setattr__
        set_(self, "model", as_model(self.model))
        set_(self, "optimizer", as_optimizer(self.optimizer))
        set_(self, "schedule", as_schedule(self.schedule))
        count("steps", self.steps, 1)
        if self.batch_size is not None:
            count("batch_size", self.batch_size, 1)
        at_least("sharpness_every", self.sharpness_every, 0)
        count("top_k", self.top_k, 1)
        positive("sharpness_tol", self.sharpness_tol)
        set_(self, "dtype", precision(self.dtype))
        set_(self, "measure", chosen_measures(self.measure))
        count("batches", self.batches, 1)
        if self.batch_accuracy is not None:
            positive("batch_accuracy", self.batch_accuracy)
        if self.batch_every is not None:
            count("batch_every", self.batch_every, 1)
        self._check_cadence()

    def _check_cadence(self) -> None:
        """Raise InputError if a measurement that is needed or asked for is never made."""
        if self.schedule.needs_sharpness and "sharpness" not in self.measure:
            names = ",".join(self.measure) or "nothing"
            raise InputError(
                "measure", names, f"the schedule {self.schedule.name} needs sharpness; add it"
            )
        if self.sharpness_every:
            return
        if self.schedule.needs_sharpness:
            raise InputError(
                "sharpness_every", 0, f"the schedule {self.schedule.name} needs it; give 1"
            )
        for name in self.measure:
            if name in OF_THE_STEP:
                raise InputError("sharpness_every", 0, f"{name} is measured by it; give 1")

    @property
    def brief(self) -> str:
        """Model, optimizer and schedule in a line, with the options that are not the default."""
        return ", ".join(one.brief() for one in (self.model, self.optimizer, self.schedule))

    @property
    def follows_sharpness(self) -> bool:
        """Whether the top eigenvalues are measured."""
        return "sharpness" in self.measure and self.sharpness_every > 0

    @property
    def only_sharpness(self) -> bool:
        """Whether only the sharpness is measured."""
        return not {*self.measure} - {"sharpness"}

    @property
    def updates_between_batches(self) -> int:
        """``batch_every``, or its default."""
        return self.batch_every or max(1, self.steps // 64)

    @property
    def preconditions(self) -> bool:
        """Whether the runs have a preconditioned sharpness."""
        return self.optimizer.adaptive or self.layer_rates

    @property
    def probes(self) -> bool:
        """Whether the learning rates depend on measurements during the run."""
        return self.schedule.chooser() is not None

    def rates(self, data: Data | None) -> Array | None:
        """Learning-rate factor of each parameter (P,), or None.

        Raises `InputError` for layer rates of a model without them.
        """
        if not self.layer_rates:
            return None
        return self.model.layer_rates(data, adaptive=self.optimizer.adaptive)
