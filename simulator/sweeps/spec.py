"""The description of a sweep, validated and complete enough to repeat it."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from simulator.checks import InputError, at_least, count, nonnegative, one_of, positive
from simulator.experiment import Experiment
from simulator.models import MODELS
from simulator.nearest import did_you_mean
from simulator.optimizers import OPTIMIZERS
from simulator.schedules import ETA_UNITS, GRID, SCHEDULES, unit_of
from simulator.sweeps.custom import plain_of, rebuild
from simulator.sweeps.earlier import entries
from simulator.sweeps.over import Axis, axes_of, changed

__all__ = [
    "AXES", "CONVENTIONS", "LATER", "OURS", "Region", "Spec", "first_seeds", "some_of",
]  # fmt: skip

AXES = ("seed", "eta_init", "eta_trgt", "t_wrm")

CONVENTIONS = {
    "loss": "mse: 0.5 * mean over samples and outputs of the squared error; xent: mean softmax "
    "cross-entropy; quadratic: 0.5 * sum_i c_i theta_i^2",
    "step": "updates count from t = 1; curves hold values before their update, so index i belongs "
    "to t = i + 1; eta_t = eta_init + (eta_trgt - eta_init) (t / t_wrm)^exponent up to t_wrm",
    "sharpness": "top eigenvalue of the Hessian of the loss of the samples that the update sees",
    "preconditioned_sharpness": "top eigenvalue of P^-1 H, P the preconditioner of the update "
    "about to be taken: adam (1 - beta1^t)(sqrt(v_t / (1 - beta2^t)) + eps), v_t with this "
    "gradient in it; rmsprop sqrt(v_t) + eps; divided by layers' learning-rate factors, if any",
    "eta_critical": "learning rate whose stability threshold is the sharpness (preconditioned, "
    "where there is such a thing) at initialisation",
}

Region = tuple[slice, ...]


@dataclass(frozen=True, kw_only=True)
class Spec(Experiment):
    """A grid of experiments: the product of ``seeds``, ``eta_init``, ``eta_trgt`` and ``t_wrm``.

    ``schedule`` is a template whose fields the grid replaces. The other fields are the arguments of
    `simulator.sweep` with the same names, with seeds listed individually. With axes in ``over``
    there is one such grid for each combination of their values (`parts`); the fields that vary have
    the values of the first combination.
    """

    eta_trgt: tuple[float, ...]
    eta_init: tuple[float, ...] = (0.0,)
    t_wrm: tuple[int, ...] = (1,)
    seeds: tuple[int, ...] = (0,)
    eta_unit: str = "absolute"
    sharpness_every: int = 16
    sharpness_tol: float = 1e-3
    curves: bool = False
    over: tuple[Axis, ...] = ()

    def __post_init__(self) -> None:
        set_ = object.__setattr__
        set_(self, "over", axes_of(self.over))
        if self.over:
            self._check_parts()
        set_(self, "eta_trgt", _axis("eta_trgt", self.eta_trgt, positive))
        set_(self, "eta_init", _axis("eta_init", self.eta_init, nonnegative))
        set_(self, "t_wrm", _axis("t_wrm", self.t_wrm, lambda name, value: count(name, value, 1)))
        set_(
            self, "seeds", _axis("seeds", self.seeds, lambda name, value: at_least(name, value, 0))
        )
        super().__post_init__()
        one_of("eta_unit", self.eta_unit, ETA_UNITS)
        self._check_schedule()
        if max(self.t_wrm) > self.steps:
            raise InputError(
                "t_wrm", max(self.t_wrm), f"longer than the {self.steps} steps; give more steps"
            )

    def _check_parts(self) -> None:
        """Validate each combination, and take the options of the first."""
        names = [axis.name for axis in self.over]
        for name in names:
            if names.count(name) > 1 or name in AXES:
                raise InputError("over", name, "is an axis already; name it once")
        if math.prod(self._over_shape) > _MOST_PARTS:
            raise InputError("over", " x ".join(names), f"give at most {_MOST_PARTS} combinations")
        first, *_ = [part for _, part in self.parts()]
        for field in fields(self):
            if field.name != "over":
                object.__setattr__(self, field.name, getattr(first, field.name))

    @property
    def _over_shape(self) -> tuple[int, ...]:
        return tuple(len(axis.values) for axis in self.over)

    @property
    def axes(self) -> tuple[str, ...]:
        """The names of all axes: those in ``over``, and ``AXES``."""
        return (*(axis.name for axis in self.over), *AXES)

    def part(self, index: Sequence[int]) -> Spec:
        """The grid along ``AXES`` at these indices along the axes in ``over``."""
        return changed(replace(self, over=()), self.over, index) if self.over else self

    def parts(self) -> Iterator[tuple[tuple[int, ...], Spec]]:
        """All parts with their indices; the spec itself without such axes."""
        for index in itertools.product(*map(range, self._over_shape)):
            yield index, self.part(index)

    def _check_schedule(self) -> None:
        """Validate the axes against the schedule, and reset the fields that the grid replaces."""
        options = self.schedule.options()
        for name, default in (("eta_init", (0.0,)), ("t_wrm", (1,)), ("eta_trgt", None)):
            values = getattr(self, name)
            if name not in options and values != default:
                raise InputError(
                    name, some_of(values),
                    f"the schedule {self.schedule.name} has no such option; leave it out",
                )  # fmt: skip
        first = {name: getattr(self, name)[0] for name in GRID}
        object.__setattr__(self, "schedule", self.schedule.at(1.0, **first))

    @property
    def shape(self) -> tuple[int, ...]:
        """Cells along each of ``axes``."""
        return tuple(map(len, self.coordinates().values()))

    @property
    def cells(self) -> int:
        """Number of runs."""
        return math.prod(self.shape)

    def coordinates(self) -> dict[str, Sequence[Any]]:
        """The values, or labels, along each of ``axes``."""
        others: dict[str, Sequence[Any]] = {axis.name: axis.labels for axis in self.over}
        return others | {
            "seed": self.seeds,
            "eta_init": self.eta_init,
            "eta_trgt": self.eta_trgt,
            "t_wrm": self.t_wrm,
        }

    def coordinates_of(self, index: Sequence[int]) -> dict[str, Any]:
        """The coordinates of one cell."""
        axes = self.coordinates().items()
        return {name: values[i] for (name, values), i in zip(axes, index, strict=True)}

    def locate(self, coordinates: Mapping[str, Any]) -> tuple[int, ...]:
        """Indices of the cell at these coordinates, to within a thousandth.

        This is the inverse of `coordinates_of`. An axis with one value need not be named. Raises
        `InputError` if coordinates are not on the grid.
        """
        found = self.places(coordinates, "cell")
        for name, values in self.coordinates().items():
            if name not in found and len(values) > 1:
                raise InputError(
                    "cell", f"without {name}", f"give {name}=…, one of {some_of(values)}"
                )
        return tuple(found.get(name, 0) for name in self.axes)

    def places(self, coordinates: Mapping[str, Any], option: str) -> dict[str, int]:
        """The indices of coordinates, given by ``option``, along their axes."""
        axes = self.coordinates()
        for name in coordinates:
            one_of(option, name, self.axes)
        return {name: _place(option, name, axes[name], at) for name, at in coordinates.items()}

    def unit(self, eta_critical: float) -> float:
        """The unit of learning rates for a seed with this ``eta_critical``.

        Raises `InputError` if it is not finite.
        """
        return unit_of(self.eta_unit, eta_critical)

    def at(self, index: Sequence[int], eta_critical: float) -> Experiment:
        """The experiment of a cell of a grid along ``AXES``, in absolute learning rates.

        Raises `InputError` if the unit is not finite.
        """
        _, init, trgt, wrm = index
        schedule = self.schedule.at(
            self.unit(eta_critical),
            eta_init=self.eta_init[init],
            eta_trgt=self.eta_trgt[trgt],
            t_wrm=self.t_wrm[wrm],
        )
        shared = {field.name: getattr(self, field.name) for field in fields(Experiment)}
        return Experiment(**shared | {"schedule": schedule})

    def chunk_shape(self, cells: int) -> tuple[int, ...]:
        """Cells along each of ``axes`` in a chunk of about ``cells``, at most.

        Neighbours in eta_trgt first, then in t_wrm, then in eta_init, then seeds. A chunk belongs
        to one of the parts.
        """
        shape = dict.fromkeys(self.axes, 1)
        for axis in ("eta_trgt", "t_wrm", "eta_init", "seed"):
            shape[axis] = min(len(self.coordinates()[axis]), max(1, cells))
            cells //= shape[axis]
        return tuple(shape.values())

    def regions(self, chunk_shape: Sequence[int]) -> Iterator[Region]:
        """The slices of the grid that the chunks cover, in order."""
        starts = (range(0, n, c) for n, c in zip(self.shape, chunk_shape, strict=True))
        for start in itertools.product(*starts):
            yield tuple(
                slice(at, min(at + length, n))
                for at, length, n in zip(start, chunk_shape, self.shape, strict=True)
            )

    def as_dict(self) -> dict[str, Any]:
        """All fields, as plain JSON values."""
        plain = {field.name: getattr(self, field.name) for field in fields(self)}
        for kind, ours in OURS.items():
            plain[kind] = plain_of(kind, plain[kind], ours)
        del plain["over"]
        if self.over:
            plain["over"] = [[axis.name, axis.labels, _plain_values(axis)] for axis in self.over]
        # Stores made before these fields existed are then the same.
        return {name: value for name, value in plain.items() if LATER.get(name, ...) != value}

    def sources(self) -> dict[str, str]:
        """Fingerprints of the code of its user-defined models, optimizers and schedules."""
        things = [plain for _, part in self.parts() for plain in part.as_dict().values()]
        return {
            f"source of {plain['name']}": plain["source"]
            for plain in things
            if isinstance(plain, Mapping) and "source" in plain
        }

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Spec:
        """Inverse of `as_dict`; unknown names and invalid values raise InputError."""
        if not isinstance(plain, Mapping):
            raise InputError("spec", type(plain).__name__, "is not a table of options")
        arguments = dict(entries(plain))
        unknown = set(arguments) - {field.name for field in fields(cls)}
        if unknown:
            raise InputError("spec", sorted(unknown)[0], "no such entry; another version wrote it")
        for kind, ours in OURS.items():
            arguments[kind] = rebuild(kind, ours, arguments.get(kind))
        try:
            arguments["over"] = tuple(_axis_of(*entry) for entry in arguments.get("over", ()))
            return cls(**arguments)
        except (TypeError, ValueError):
            raise InputError("spec", "incomplete", "another version wrote it") from None


# Fields that are recorded only if they differ from these defaults.
LATER: dict[str, Any] = {
    field.name: field.default
    for field in fields(Experiment)
    if field.name in ("measure", "batches", "batch_accuracy", "batch_every")
}
OURS: dict[str, Mapping[str, type[Any]]] = {
    "model": MODELS, "optimizer": OPTIMIZERS, "schedule": SCHEDULES,
}  # fmt: skip
# Each is checked, and counted, before a sweep begins.
_MOST_PARTS = 10_000


def _plain_values(axis: Axis) -> list[Any]:
    if axis.name in OURS:
        return [plain_of(axis.name, value, OURS[axis.name]) for value in axis.values]
    return list(axis.values)


def _axis_of(name: str, labels: Sequence[Any], values: Sequence[Any]) -> Axis:
    """Inverse of an entry of ``over`` in `Spec.as_dict`."""
    if name in OURS:
        values = [rebuild(name, OURS[name], plain) for plain in values]
    made = [tuple(value) if isinstance(value, list) else value for value in values]
    return Axis.of(name, dict(zip(labels, made, strict=True)))


def _place(option: str, name: str, values: Sequence[Any], wanted: Any) -> int:
    """The index of a coordinate among the values of an axis."""
    if isinstance(values[0], (str, bool)):
        texts = [str(value).lower() for value in values]
        if str(wanted).lower() in texts:
            return texts.index(str(wanted).lower())
        near = did_you_mean(wanted, texts)
        remedy = f"not on the grid {some_of(values)}; {near}".rstrip("; ")
        raise InputError(option, f"{name}={wanted}", remedy)
    if isinstance(wanted, str):
        raise InputError(option, f"{name}={wanted}", "give NAME=NUMBER, as in eta_trgt=8")
    nearest = min(range(len(values)), key=lambda i: abs(values[i] - wanted))
    if abs(values[nearest] - wanted) > 1e-3 * abs(wanted):
        raise InputError(option, f"{name}={wanted:g}", f"not on the grid {some_of(values)}")
    return nearest


def first_seeds(count: int) -> tuple[int, ...]:
    """The seeds 0 ... count - 1."""
    if at_least("seeds", count, 1) > 1_000_000:
        raise InputError("seeds", count, "give at most 1000000")
    return tuple(range(count))


def some_of(values: Sequence[Any]) -> str:
    """A grid as text: all values of a short one, the ends of a long one."""
    texts = [
        v if isinstance(v, str) else str(v) if isinstance(v, bool) else f"{v:.6g}" for v in values
    ]
    return ", ".join(texts if len(texts) <= 20 else [*texts[:3], "...", *texts[-3:]])


def _axis(name: str, values: Any, check: Any) -> tuple[Any, ...]:
    """Validate a grid axis: increasing values."""
    try:
        axis = tuple(check(name, value) for value in values)
    except TypeError:
        axis = (check(name, values),)
    if not axis:
        raise InputError(name, "empty", "give one value or more")
    for before, after in itertools.pairwise(axis):
        if not after > before:
            raise InputError(name, f"{before:g},{after:g}", "give increasing values, each once")
    return axis
