"""The quantities that a run can measure, and their curves."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from simulator.checks import InputError, one_of

__all__ = ["CURVES", "MEASURES", "OF_BATCHES", "OF_THE_STEP", "chosen_measures"]

# Measured with the sharpness, for the next update; and at a cadence of their own.
OF_THE_STEP, OF_BATCHES = ("directional", "critical"), ("batch", "full", "interaction")
MEASURES = ("sharpness", *OF_THE_STEP, *OF_BATCHES)
# The curves of each, besides the sharpness.
CURVES = {
    "directional": ("directional_sharpness",),
    "critical": ("critical_sharpness",),
    "batch": ("batch_sharpness", "batch_sharpness_error"),
    "full": ("full_sharpness",),
    "interaction": ("gradient_noise_interaction",),
}


def chosen_measures(given: Any) -> tuple[str, ...]:
    """Names of ``MEASURES``, in that order, from a sequence or a text with commas.

    Raises `InputError` for an unknown name.
    """
    if isinstance(given, str):
        given = [name.strip() for name in given.split(",") if name.strip()]
    if not isinstance(given, Iterable):
        raise InputError("measure", given, f"give names, of {', '.join(MEASURES)}")
    names = {one_of("measure", name, MEASURES) for name in given}
    return tuple(name for name in MEASURES if name in names)
