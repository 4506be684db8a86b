"""Copy the cells of a smaller store into a larger one."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from simulator.sweeps.layout import STATUS, Chunk
from simulator.sweeps.store import ResultStore

__all__ = ["carry_over"]


def carry_over(old: ResultStore, new: ResultStore) -> None:
    """Copy every finished and intact cell on the grids of both, bit for bit."""
    places = [
        _places(theirs, ours)
        for theirs, ours in zip(
            old.spec.coordinates().values(), new.spec.coordinates().values(), strict=True
        )
    ]
    lengths = old.chunk_shape

    @lru_cache(maxsize=64)
    def read(*index: int) -> Chunk:
        sides = zip(index, lengths, old.spec.shape, strict=True)
        return old.read(tuple(slice(i * c, min((i + 1) * c, n)) for i, c, n in sides))

    for region in new.regions():
        here = [place[part] for place, part in zip(places, region, strict=True)]
        chunk = new.layout.blank(tuple(map(len, here)))
        # For each axis, the old chunks that overlap with this one.
        parts = [np.unique(place[place >= 0] // c) for place, c in zip(here, lengths, strict=True)]
        for index in itertools.product(*(map(int, part) for part in parts)):
            source = read(*index)
            sides = [
                np.flatnonzero((place >= 0) & (place // c == i))
                for place, c, i in zip(here, lengths, index, strict=True)
            ]
            into = np.ix_(*sides)
            out_of = np.ix_(
                *(p[s] - c * i for p, s, c, i in zip(here, sides, lengths, index, strict=True))
            )
            for name, values in source.items():
                chunk[name][into] = values[out_of]
        if (chunk[STATUS.name] == "done").any():
            new.write(region, chunk)


def _places(theirs: Sequence[float], ours: Sequence[float]) -> NDArray[np.intp]:
    """The indices of the new values among the old ones; -1 where missing."""
    known = {value: place for place, value in enumerate(theirs)}
    return np.array([known.get(value, -1) for value in ours])
