"""One search for each seed, on threads, and its numbers in a table."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Sequence
from typing import TypeVar

from simulator.commands.terminal import progress

__all__ = ["number", "of_each"]

Found = TypeVar("Found")


def of_each(
    seeds: Sequence[int], search: Callable[[int, Callable[[], bool]], Found], workers: int | None
) -> list[Found]:
    """What ``search(seed, stop)`` finds; ``stop`` says whether the command was interrupted."""
    from concurrent.futures import ThreadPoolExecutor

    from simulator.sweeps import cores

    stop = threading.Event()
    with progress(len(seeds), "seeds") as on_progress:

        def done(seed: int) -> Found:
            found = search(seed, stop.is_set)
            on_progress(1)
            return found

        with ThreadPoolExecutor(workers or cores()) as pool:
            try:
                return list(pool.map(done, seeds))
            except BaseException:
                stop.set()
                pool.shutdown(cancel_futures=True)
                raise


def number(value: float) -> str:
    """In four digits; a dash for what was not looked for."""
    if math.isnan(value):
        return "-"
    return "none" if math.isinf(value) else f"{value:.4g}"
