"""Stores of earlier layouts, which can be read but not written.

Layout 2 has no digests of its files except Zarr's checksums. Up to layout 3 a spec had its
schedule's name and the options of all schedules one by one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from simulator.checks import one_of
from simulator.schedules import SCHEDULES

__all__ = ["EARLIER", "WITHOUT_DIGESTS", "entries"]

EARLIER = (2, 3)
WITHOUT_DIGESTS = 2

_LOOSE = {"warmup_exponent": "exponent", "decay": "decay", "delta": "delta", "factor": "factor"}


def entries(plain: Any) -> Any:
    """The entries of a spec of any layout, in the current form."""
    if not isinstance(plain, Mapping) or not isinstance(plain.get("schedule"), str):
        return plain
    found = dict(plain)
    if "accuracy" in found:
        found["sharpness_tol"] = found.pop("accuracy")
    loose = {new: found.pop(old) for old, new in _LOOSE.items() if old in found}
    name = one_of("schedule", found["schedule"], SCHEDULES)
    takes = {field.name for field in fields(SCHEDULES[name])}
    found["schedule"] = {"name": name} | {k: v for k, v in loose.items() if k in takes}
    return found
