"""Constants of a seed: its critical learning rate and closed forms."""

from __future__ import annotations

from math import isfinite

from simulator.data import Data
from simulator.models import UV, Quadratic
from simulator.optimizers import GD, LinearOptimizer, has_recurrence
from simulator.shipped import is_shipped
from simulator.sweeps.spec import Spec
from simulator.theory import uv
from simulator.training import eta_critical, natural_phase

__all__ = ["gentle_phase", "is_linear", "is_one_example", "seed_constants"]


def is_linear(spec: Spec) -> bool:
    """Whether training is a linear recurrence, whose spectrum decides on stability."""
    shipped = is_shipped(spec.model, Quadratic) and is_shipped(spec.optimizer, LinearOptimizer)
    return shipped and not spec.preconditions


def is_one_example(spec: Spec, data: Data | None) -> bool:
    """Whether training is gradient descent on one example, as in `simulator.theory.uv`."""
    one = data is not None and (data.samples, data.outputs) == (1, 1)
    descends = is_shipped(spec.optimizer, GD) and has_recurrence(spec.optimizer)
    return one and is_shipped(spec.model, UV) and descends


def seed_constants(spec: Spec, data: Data | None, seed: int) -> dict[str, float]:
    """The values that the runs of a seed share, by the names of their variables."""
    unit = eta_critical(spec.model, data, spec.optimizer, seed, spec.dtype, spec.rates(data))
    known = {"eta_critical": unit}
    if is_linear(spec):
        assert isinstance(spec.optimizer, LinearOptimizer)
        least = min(spec.model.options()["curvatures"])
        known["theory_eta_max"] = unit if least >= spec.optimizer.least_curvature else 0.0
    elif is_one_example(spec, data):
        assert isinstance(spec.model, UV)
        assert data is not None
        state = spec.model.one_example(spec.model.init(data, seed), data)
        known["theory_eta_max"] = float(uv.eta_max(*state))
        known["theory_eta_ceiling"] = float(uv.eta_ceiling(*state[2:]))
        known["theory_sharpness_flow"] = float(uv.flow_limit(*state))
    return known


def gentle_phase(spec: Spec, data: Data | None, seed: int, eta_critical: float) -> str | None:
    """What `natural_phase` shows of a seed whose own run cannot show it; None where it cannot."""
    # The gentle run has no rates of layers: beside a run that has, it would be of another rule.
    if spec.layer_rates or not spec.sharpness_every or not isfinite(eta_critical):
        return None
    return natural_phase(spec.model, data, optimizer=spec.optimizer, seed=seed)
