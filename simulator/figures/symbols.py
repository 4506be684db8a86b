"""Symbols of figures, and the names of quantities along their axes."""

from __future__ import annotations

from typing import Any

from simulator.sweeps.over import text_of

__all__ = [
    "ETA_CRITICAL", "ETA_INIT", "ETA_T", "ETA_TRGT", "T_WRM", "UPDATES", "axis_name", "labelled",
    "sharpness_name",
]  # fmt: skip

T_WRM = r"$T_{\mathrm{wrm}}$"
ETA_T, ETA_INIT, ETA_TRGT = r"$\eta_t$", r"$\eta_{\mathrm{init}}$", r"$\eta_{\mathrm{trgt}}$"
ETA_CRITICAL = r"$\eta_{\mathrm{critical}}$"
UPDATES = "step (updates done before)"

_NAMES = {
    "t_wrm": T_WRM, "eta_init": ETA_INIT, "eta_trgt": ETA_TRGT, "eta_critical": ETA_CRITICAL,
}  # fmt: skip


def _symbol(name: str) -> str:
    """What a dimension or an option is called in a figure."""
    return _NAMES.get(name, name.replace("_", " "))


def axis_name(name: str, units: str | None = None) -> str:
    """The label of an axis along a dimension of a sweep whose ``units`` are these."""
    if units == "eta_critical":
        return f"{_symbol(name)} / {ETA_CRITICAL}"
    return _symbol(name) + " (updates)" * (name == "t_wrm")


def sharpness_name(*adaptive: bool) -> str:
    """Of which matrix the sharpness of some runs is the top eigenvalue."""
    names = {r"$\lambda(P^{-1}H)$" if one else r"$\lambda(H)$" for one in adaptive}
    return "sharpness " + " or ".join(sorted(names, reverse=True))


def labelled(coordinates: dict[str, Any]) -> str:
    """Where a run or a diagram is: a name and a value for each dimension."""
    return ", ".join(f"{_symbol(name)} {text_of(value)}" for name, value in coordinates.items())
