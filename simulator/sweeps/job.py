"""The data that every chunk of a sweep needs, on any worker."""

from __future__ import annotations

from functools import cache, partial

from simulator.data import Data
from simulator.sweeps.layout import Layout
from simulator.sweeps.seed_constants import seed_constants
from simulator.sweeps.spec import Spec

__all__ = ["Job"]


class Job:
    """A sweep's spec and data, with derived quantities; it can be sent to another process.

    Attributes
    ----------
    layout : Layout
        The variables of its runs.
    known : callable
        The constants that the runs of a seed share, see `seed_constants`; computed once per seed
        and process.
    part : callable
        The job of the grid at these indices along the axes in ``spec.over``; cached.
    """

    def __init__(self, spec: Spec, data: Data | None) -> None:
        self.spec, self.data = spec, data
        self.layout = Layout(spec, data)
        self.known = cache(partial(seed_constants, spec, data))
        self.part = cache(self._part)

    def _part(self, index: tuple[int, ...]) -> Job:
        return type(self)(self.spec.part(index), self.data) if index else self

    def __reduce__(self) -> tuple[type[Job], tuple[Spec, Data | None]]:
        return Job, (self.spec, self.data)
