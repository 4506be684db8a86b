"""Learning rates and lengths of warmup where none are typed.

Those of a run train. Those of a sweep have the boundary of training on their grid. Measured on
handwritten digits.
"""

from __future__ import annotations

__all__ = ["eta_trgt", "eta_trgt_text", "eta_unit", "t_wrm", "t_wrm_text"]

_T_WRM = {"run": (64,), "sweep": (1, 4, 16, 64, 256)}
_ABSOLUTE = {"run": "0.01", "sweep": "0.001:4.096:13:log"}
# In units of eta_critical; other models have those of the first.
_CRITICAL = {
    "mlp": {"run": "8", "sweep": "1:256:13:log"},
    "uv": {"run": "2", "sweep": "1.5:6:13:log"},
    "quadratic": {"run": "0.9", "sweep": "0.25:4:13:log"},
}


def eta_unit(adaptive: bool) -> str:
    """Useful learning rates of adaptive optimizers hardly depend on the model."""
    return "absolute" if adaptive else "critical"


def eta_trgt(command: str, model: str, unit: str) -> str:
    """As it would be typed."""
    return (_ABSOLUTE if unit == "absolute" else _CRITICAL.get(model, _CRITICAL["mlp"]))[command]


def t_wrm(command: str, steps: int) -> tuple[int, ...]:
    """Of a short run an eighth of it; of a sweep those that are no longer than its runs."""
    if command == "run":
        return (min(*_T_WRM["run"], max(1, steps // 8)),)
    return tuple(length for length in _T_WRM["sweep"] if length <= max(1, steps))


def eta_trgt_text(command: str) -> str:
    """For the help."""
    of_models = ", ".join(f"{model} {of[command]}" for model, of in _CRITICAL.items())
    return f"in units of eta_critical {of_models}; absolute {_ABSOLUTE[command]}"


def t_wrm_text(command: str) -> str:
    """For the help."""
    return f"{','.join(map(str, _T_WRM[command]))}; shorter with few --steps"
