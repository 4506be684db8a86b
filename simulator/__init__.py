"""A simulator of learning-rate warmup in models small enough for exact theory.

Names are loaded on first use, so ``import simulator`` and ``warmup --help`` are instant.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from simulator import figures, jax, testing, theory, torch
    from simulator.advice import SafeRate, ShortestWarmup, safe_learning_rate, shortest_warmup
    from simulator.checks import InputError
    from simulator.critical import Critical, critical_learning_rate
    from simulator.curvature import (
        Spectrum,
        batch_sharpness,
        directional_sharpness,
        sharpness,
        spectrum,
    )
    from simulator.data import Data, load_data
    from simulator.derivatives import check_model
    from simulator.events import explain
    from simulator.experiment import Experiment
    from simulator.flows import Flow, central_flow
    from simulator.models import (
        MLP,
        UV,
        Custom,
        Model,
        Objective,
        Quadratic,
        from_jax,
        from_torch,
    )
    from simulator.optimizers import (
        GD,
        Adam,
        AdamW,
        GIAdam,
        Momentum,
        Nesterov,
        Optimizer,
        RAdam,
        RIAdam,
        RMSProp,
        StabilityLimit,
    )
    from simulator.runs import Run
    from simulator.saved_runs import load_run
    from simulator.schedules import (
        CDAT,
        AtThreshold,
        LossGap,
        ModifiedWarmup,
        PersistentCatapult,
        Schedule,
        Warmup,
    )
    from simulator.sweeps import sweep
    from simulator.training import (
        Checkpoint,
        Spectra,
        checkpoint,
        eta_critical,
        fork,
        natural_phase,
        simulate,
        spectra,
        train,
    )

__version__ = "0.2.0"

_HOMES = {
    "InputError": "checks",
    "Critical": "critical",
    "critical_learning_rate": "critical",
    **dict.fromkeys(
        ("SafeRate", "ShortestWarmup", "safe_learning_rate", "shortest_warmup"), "advice"
    ),
    **dict.fromkeys(
        ("Spectrum", "batch_sharpness", "directional_sharpness", "sharpness", "spectrum"),
        "curvature",
    ),
    "Data": "data",
    "load_data": "data",
    "check_model": "derivatives",
    **dict.fromkeys(
        ("MLP", "UV", "Custom", "Model", "Objective", "Quadratic", "from_jax", "from_torch"),
        "models",
    ),
    **dict.fromkeys(
        (
            "GD",
            "Momentum",
            "Nesterov",
            "RMSProp",
            "Adam",
            "AdamW",
            "GIAdam",
            "RIAdam",
            "RAdam",
            "StabilityLimit",
            "Optimizer",
        ),
        "optimizers",
    ),
    **dict.fromkeys(
        (
            "CDAT",
            "AtThreshold",
            "LossGap",
            "ModifiedWarmup",
            "PersistentCatapult",
            "Schedule",
            "Warmup",
        ),
        "schedules",
    ),
    "sweep": "sweeps",
    "explain": "events",
    "Experiment": "experiment",
    "Flow": "flows",
    "central_flow": "flows",
    "Run": "runs",
    "load_run": "saved_runs",
    **dict.fromkeys(
        (
            "Checkpoint",
            "Spectra",
            "checkpoint",
            "eta_critical",
            "fork",
            "natural_phase",
            "simulate",
            "spectra",
            "train",
        ),
        "training",
    ),
}

# Names of version 0.1, which still work.
_OLD = {"Limit": "StabilityLimit", "critical_eta": "eta_critical"}

# Modules that are public names themselves.
_MODULES = ("figures", "jax", "testing", "theory", "torch")

__all__ = [
    "CDAT", "GD", "MLP", "UV", "Adam", "AdamW", "AtThreshold", "Checkpoint", "Critical", "Custom",
    "Data", "Experiment", "Flow", "GIAdam", "InputError", "LossGap", "Model", "ModifiedWarmup",
    "Momentum", "Nesterov", "Objective", "Optimizer", "PersistentCatapult", "Quadratic", "RAdam",
    "RIAdam", "RMSProp", "Run", "SafeRate", "Schedule", "ShortestWarmup", "Spectra", "Spectrum",
    "StabilityLimit", "Warmup", "batch_sharpness", "central_flow", "check_model", "checkpoint",
    "critical_learning_rate", "directional_sharpness", "eta_critical", "explain", "figures", "fork",
    "from_jax", "from_torch", "jax", "load_data", "load_run", "natural_phase", "safe_learning_rate",
    "sharpness", "shortest_warmup", "simulate", "spectra", "spectrum", "sweep", "testing", "theory",
    "torch", "train",
]  # fmt: skip


if not TYPE_CHECKING:  # there, a name that is none would pass for anything

    def __getattr__(name: str) -> Any:
        name = _OLD.get(name, name)
        if name in _MODULES:
            return import_module(f"simulator.{name}")
        if name not in _HOMES:
            from simulator.nearest import did_you_mean

            near = "" if name.startswith("_") else did_you_mean(name, __all__)
            sentence = f"module 'simulator' has no attribute {name!r}; {near}".rstrip("; ")
            # With a name Python would add its own suggestion.
            raise AttributeError(sentence, name=None)
        value = getattr(import_module(f"simulator.{_HOMES[name]}"), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted(__all__)
