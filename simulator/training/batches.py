"""The batch of each update."""

from __future__ import annotations

import numpy as np

from simulator.checks import check_batch_size
from simulator.models import Objective
from simulator.seeding import generator

__all__ = ["Batches"]


class Batches:
    """The batch of each update, from a new shuffle every epoch, or all samples."""

    def __init__(self, samples: int, size: int | None, seed: int) -> None:
        if size is not None:
            check_batch_size(size, samples)
        self._samples, self._seed = samples, seed
        self._size = None if size == samples else size
        self._epoch, self._order = -1, np.empty(0, dtype=np.intp)

    @property
    def full(self) -> bool:
        """Whether every update uses all samples."""
        return self._size is None

    @property
    def per_epoch(self) -> int:
        """Updates per epoch."""
        return 1 if self._size is None else -(-self._samples // self._size)

    def select(self, objective: Objective, step: int) -> None:
        """Restrict the objective to the batch of this step."""
        if self._size is None:
            return
        epoch, position = divmod(step, self.per_epoch)
        if epoch != self._epoch:
            shuffle = generator(self._seed, "batches", epoch)
            self._epoch, self._order = epoch, shuffle.permutation(self._samples)
        objective.select(self._order[position * self._size : (position + 1) * self._size])
