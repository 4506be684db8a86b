"""The sweep that the current command's options describe."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from simulator.commands import options

if TYPE_CHECKING:
    from simulator.sweeps import Spec

__all__ = ["spec_of"]

# Options that a spec has under the same name.
_SAME = ("batch_size", "layer_rates", "sharpness_every", "sharpness_tol", "dtype")


def spec_of(given: dict[str, Any], *, seeds: tuple[int, ...], curves: bool) -> Spec:
    """The grid; lists among the options are axes of it."""
    from simulator.sweeps import Spec, axes_of

    over = axes_of(options.varied(given))
    return Spec(
        model=options.model_of(), optimizer=options.optimizer_of(), seeds=seeds, curves=curves,
        over=over, **options.schedule_of(given), **{name: given[name] for name in _SAME},
    )  # fmt: skip
