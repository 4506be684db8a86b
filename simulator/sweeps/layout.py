"""The variables that a store keeps of each run, as data."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.checks import InputError
from simulator.data import Data
from simulator.measures import OF_THE_STEP
from simulator.regimes import NATURAL_PHASES, OUTCOMES
from simulator.runs import Run
from simulator.sweeps.seed_constants import is_linear, is_one_example
from simulator.sweeps.spec import Spec
from simulator.training.ensemble import Ensemble

__all__ = [
    "CURVES",
    "STATUS",
    "VARIABLES",
    "Chunk",
    "Layout",
    "Variable",
    "curves",
    "same_value",
    "variables",
]

# The values of some neighbouring cells, by variable.
Chunk = dict[str, NDArray[Any]]

_STATES = ("not_run", "done", "failed")


@dataclass(frozen=True)
class Variable:
    """One array of the store: its name, type, meaning, and its attribute of a run.

    Without ``of`` it is a constant of the seed, see `seed_constants`. ``needs`` names the
    quantities that a sweep must have.
    """

    name: str
    dtype: str
    units: str
    long_name: str
    of: Callable[[Any], Any] | None = None
    needs: str = ""
    missing: Any = np.nan

    def is_missing(self, values: NDArray[Any]) -> bool:
        """Whether an array of it holds missing values only."""
        if self.dtype == "float64":
            return bool(np.isnan(values).all())
        return bool((values == self.missing).all())


def _names(vocabulary: Mapping[str, str]) -> str:
    return ", ".join(vocabulary)


VARIABLES = (
    Variable("eta_critical", "float64", "1", "learning rate whose threshold is the sharpness at initialisation"),
    Variable("loss_init", "float64", "1", "training loss before the first update", lambda r: r.loss_init),
    Variable("loss_max", "float64", "1", "largest finite loss", lambda r: r.loss_max),
    Variable("loss_final", "float64", "1", "training loss after the last update", lambda r: r.loss_final),
    Variable("sharpness_init", "float64", "1", "top Hessian eigenvalue before the first update, on its batch", lambda r: r.sharpness_init),
    Variable("sharpness_max", "float64", "1", "largest top Hessian eigenvalue measured", lambda r: r.sharpness_max),
    Variable("sharpness_final", "float64", "1", "top Hessian eigenvalue after the last update", lambda r: r.sharpness_final),
    Variable("preconditioned_sharpness_init", "float64", "1", "top eigenvalue of P^-1 H of the first update", lambda r: r.preconditioned_sharpness_init, needs="preconditioner"),
    Variable("preconditioned_sharpness_max", "float64", "1", "largest top eigenvalue of P^-1 H measured", lambda r: r.preconditioned_sharpness_max, needs="preconditioner"),
    Variable("preconditioned_sharpness_final", "float64", "1", "top eigenvalue of P^-1 H after the last update", lambda r: r.preconditioned_sharpness_final, needs="preconditioner"),
    Variable("n_unconverged", "int64", "1", "eigenvalue measurements that did not converge: the true sharpness may differ", lambda r: r.n_unconverged, missing=-1),
    Variable("diverged", "bool", "1", "whether some loss is not finite", lambda r: r.diverged, missing=False),
    Variable("diverged_step", "int64", "updates", "updates after which the loss is not finite; -1: always finite", lambda r: r.diverged_step, missing=-1),
    Variable("n_catapults", "int64", "1", "catapults: excursions of the loss above the threshold that return", lambda r: r.n_catapults, missing=-1),
    Variable("natural_phase", "str", "1", f"trend of the sharpness before the first crossing: {_names(NATURAL_PHASES)}", lambda r: r.natural_phase, missing=""),
    Variable("outcome", "str", "1", f"how the run ended: {_names(OUTCOMES)}", lambda r: r.outcome, missing=""),
    Variable("trainable", "bool", "1", "finite, and 10 % better than the best constant output", lambda r: r.trainable, missing=False),
    Variable("accuracy_final", "float64", "1", "training accuracy after the last update", lambda r: r.accuracy_final, needs="classes"),
    Variable("test_loss_final", "float64", "1", "test loss after the last update", lambda r: r.test_loss_final, needs="test"),
    Variable("test_accuracy_final", "float64", "1", "test accuracy after the last update", lambda r: r.test_accuracy_final, needs="classes test"),
    Variable("forward_passes", "int64", "1", "losses evaluated by the schedule, besides those of the updates", lambda r: r.forward_passes, needs="probes", missing=-1),
    Variable("directional_sharpness_late", "float64", "1", "directional sharpness times eta / 2, median over the last quarter", lambda r: r.late_ratio(r.directional_sharpness), needs="directional"),
    Variable("critical_sharpness_late", "float64", "1", "critical sharpness times eta / 2, median over the last quarter", lambda r: r.late_ratio(r.critical_sharpness), needs="critical"),
    Variable("batch_sharpness_late", "float64", "1", "batch sharpness times eta / 2, median over the last quarter", lambda r: r.late_ratio(r.batch_sharpness), needs="batch"),
    Variable("full_sharpness_late", "float64", "1", "top Hessian eigenvalue on all samples times eta / 2, median over the last quarter", lambda r: r.late_ratio(r.full_sharpness), needs="full"),
    Variable("gradient_noise_interaction_late", "float64", "1", "gradient-noise interaction times eta / 2, median over the last quarter", lambda r: r.late_ratio(r.gradient_noise_interaction), needs="interaction"),
    Variable("rises", "float64", "1", "fraction of the updates that raise the loss of their batch, where known", lambda r: r.rises_share, needs="rises"),
    Variable("theory_eta_max", "float64", "1", "largest constant learning rate without divergence, in closed form", needs="closed_form"),
    Variable("theory_eta_ceiling", "float64", "1", "learning rate above which no warmup helps, in closed form", needs="one_example"),
    Variable("theory_sharpness_flow", "float64", "1", "sharpness at the end of gradient flow, in closed form", needs="one_example"),
)  # fmt: skip

CURVES = (
    Variable("loss", "float64", "1", "loss before each update, on its batch", lambda r: r.loss),
    Variable("sharpness", "float64", "1", "top Hessian eigenvalue before each update, on its batch", lambda r: r.sharpness),
    Variable("preconditioned_sharpness", "float64", "1", "top eigenvalue of P^-1 H of each update", lambda r: r.preconditioned_sharpness, needs="preconditioner"),
    Variable("directional_sharpness", "float64", "1", "u.Hu / u.g of each update u", lambda r: r.directional_sharpness, needs="directional"),
    Variable("critical_sharpness", "float64", "1", "2 / eta_c, eta_c the smallest learning rate at which the update raises the loss; 0: none", lambda r: r.critical_sharpness, needs="critical"),
    Variable("batch_sharpness", "float64", "1", "mean of g_B.H_B g_B / g_B.g_B over batches B before each update", lambda r: r.batch_sharpness, needs="batch"),
    Variable("batch_sharpness_error", "float64", "1", "standard error of the batch sharpness", lambda r: r.batch_sharpness_error, needs="batch"),
    Variable("full_sharpness", "float64", "1", "top eigenvalue of the Hessian on all samples before each update", lambda r: r.full_sharpness, needs="full"),
    Variable("gradient_noise_interaction", "float64", "1", "mean of g_B.H g_B over batches B, over G.G, H and G of all samples, before each update", lambda r: r.gradient_noise_interaction, needs="interaction"),
    Variable("step_threshold", "float64", "1", "2 / eta, the threshold of directional, critical and batch sharpness", lambda r: r.step_threshold, needs="step_threshold"),
    Variable("eta", "float64", "1", "learning rate of each update", lambda r: r.eta),
    Variable("threshold", "float64", "1", "effective sharpness above which a quadratic is unstable", lambda r: r.threshold),
)  # fmt: skip

STATUS = Variable(
    "status", "str", "1", f"what this cell holds: {', '.join(_STATES)}", missing=_STATES[0]
)


def variables(spec: Spec, data: Data | None) -> tuple[Variable, ...]:
    """The variables per run of this sweep."""
    return _possible(VARIABLES, spec, data)


def curves(spec: Spec, data: Data | None) -> tuple[Variable, ...]:
    """The curves of this sweep."""
    return _possible(CURVES, spec, data)


def _possible(wanted: tuple[Variable, ...], spec: Spec, data: Data | None) -> tuple[Variable, ...]:
    """The variables that some part of the sweep can fill."""
    parts = [_has(part, data) for _, part in spec.parts()]
    return tuple(v for v in wanted if any(has.issuperset(v.needs.split()) for has in parts))


def _has(spec: Spec, data: Data | None) -> set[str]:
    """The quantities, of those that variables need, that the runs of this spec have."""
    has = {
        "classes": bool(data and data.classes),
        "test": bool(data and data.test),
        "preconditioner": spec.preconditions,
        "probes": spec.probes,
        "closed_form": is_linear(spec) or is_one_example(spec, data),
        "one_example": is_one_example(spec, data),
        "rises": not {*OF_THE_STEP}.isdisjoint(spec.measure),
        "step_threshold": not spec.only_sharpness,
    }
    return {*spec.measure} | {need for need, there in has.items() if there}


def same_value(ours: Any, stored: Any) -> bool:
    """Whether two values of a run are equal, with NaN equal to NaN."""
    return bool(ours == stored or (ours != ours and stored != stored))


class Layout:
    """The variables of one sweep, and the arrays that hold them for some of its cells.

    Attributes
    ----------
    variables, curves : tuple of Variable
        Variables with one value per run, and with one per step if the spec has curves.
    """

    def __init__(self, spec: Spec, data: Data | None) -> None:
        self.variables = variables(spec, data)
        self.curves = curves(spec, data) if spec.curves else ()
        self._steps = spec.steps
        for variable in self:
            if variable.name in spec.axes:
                raise InputError(
                    "over", variable.name, "is also the name of a curve; leave out the curves"
                )

    def __iter__(self) -> Iterator[Variable]:
        """All variables; ``status`` comes last, because it marks a cell as done."""
        yield from (*self.variables, *self.curves, STATUS)

    def blank(self, shape: tuple[int, ...]) -> Chunk:
        """An empty chunk of this shape."""
        chunk = {}
        for variable in self:
            full = (*shape, self._steps) if variable in self.curves else shape
            dtype = object if variable.dtype == "str" else variable.dtype
            chunk[variable.name] = np.full(full, variable.missing, dtype)
        return chunk

    def fill(self, chunk: Chunk, at: Any, run: Run | Ensemble, known: Mapping[str, Any]) -> None:
        """Put one run and the constants of its seed into its place in a chunk.

        For many runs at once, indices and constants are arrays.
        """
        for variable in (*self.variables, *self.curves):
            of = variable.of
            chunk[variable.name][at] = known[variable.name] if of is None else of(run)
        chunk[STATUS.name][at] = "done"

    def cell_bytes(self) -> int:
        """Uncompressed size of one cell."""
        return 8 * (len(self.variables) + 2) + 8 * len(self.curves) * self._steps
