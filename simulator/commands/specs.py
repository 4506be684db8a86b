"""The sweep that the current command's options describe."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from simulator.commands import options

if TYPE_CHECKING:
    from simulator.sweeps import Spec

__all__ = ["spec_of"]


def spec_of(given: dict[str, Any], *, seeds: tuple[int, ...], curves: bool) -> Spec:
    """The grid; lists among the options are axes of it."""
    from dataclasses import fields

    from simulator.sweeps import Spec, axes_of

    over, schedule = axes_of(options.varied(given)), options.schedule_of()
    # A default that the schedule has no use for is not given.
    unused = {"eta_init", "t_wrm"} - schedule.options().keys()
    names = {field.name for field in fields(Spec)} & given.keys()
    same = {name: given[name] for name in names if name not in unused or options.was_given(name)}
    whole = {"model": options.model_of(), "optimizer": options.optimizer_of(), "schedule": schedule}
    return Spec(**same | whole | {"seeds": seeds, "curves": curves, "over": over})
