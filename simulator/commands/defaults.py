"""Learning rates and lengths of warmup that are worth a look, where none are typed.

Of a run: one that trains, after a warmup, where the unit's critical learning rate would not show
much. Of a sweep: a grid with the boundary on it. Measured on handwritten digits.
"""

from __future__ import annotations

__all__ = ["T_WRM", "eta_trgt", "eta_unit", "t_wrm"]

T_WRM = {"run": (64,), "sweep": (1, 4, 16, 64, 256)}

_ABSOLUTE = {"run": "0.01", "sweep": "0.001:4.096:13:log"}
_CRITICAL = {
    "mlp": {"run": "8", "sweep": "1:256:13:log"},
    "uv": {"run": "2", "sweep": "1.5:6:13:log"},
    "quadratic": {"run": "0.9", "sweep": "0.25:4:13:log"},
}


def eta_unit(adaptive: bool) -> str:
    """Adaptive optimizers have useful learning rates of their own, whatever the model."""
    return "absolute" if adaptive else "critical"


def eta_trgt(command: str, model: str, unit: str) -> str:
    """As it would be typed."""
    return (_ABSOLUTE if unit == "absolute" else _CRITICAL.get(model, _CRITICAL["mlp"]))[command]


def t_wrm(command: str, steps: int) -> tuple[int, ...]:
    """Of a short run an eighth of it; of a sweep those that are no longer than its runs."""
    if command == "run":
        return (min(*T_WRM["run"], max(1, steps // 8)),)
    return tuple(length for length in T_WRM["sweep"] if length <= steps)
