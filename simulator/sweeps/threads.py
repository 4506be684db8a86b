"""Workers that are threads of this process, the default."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from simulator.blas import one_blas_thread
from simulator.sweeps.job import Job
from simulator.sweeps.layout import Chunk
from simulator.sweeps.spec import Region
from simulator.sweeps.work import Done, do

__all__ = ["Threads"]


class Threads:
    """Threads that each run a chunk, with BLAS on one thread.

    `Cluster` has the same methods.
    """

    def __init__(self, job: Job, workers: int, on_progress: Callable[[int], None]) -> None:
        self._job, self._on_progress, self._stop = job, on_progress, threading.Event()
        self._blas = one_blas_thread()
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="warmup")
        # One chunk waits for each that runs.
        self.room = 2 * workers

    def __enter__(self) -> Threads:
        self._blas.__enter__()
        return self

    def __exit__(self, *raised: object) -> None:
        # A thread that compiles cannot be stopped, and is abandoned.
        try:
            self._pool.shutdown(wait=raised[0] is None, cancel_futures=True)
        finally:
            self._blas.__exit__(None, None, None)

    def submit(self, region: Region, chunk: Chunk) -> Future[Done]:
        """Submit the rest of a chunk."""
        return self._pool.submit(
            do, self._job, region, chunk, stop=self._stop.is_set, on_progress=self._on_progress
        )

    def collect(self, future: Future[Done]) -> Done:
        """The result of a chunk."""
        return future.result()

    def stop(self) -> None:
        """Stop the running chunks, and return their finished part."""
        self._stop.set()
