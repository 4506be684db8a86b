"""Workers on a running Dask cluster; this process writes their results.

One process writes, so the store can be on any filesystem, and workers need no access to it.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from typing import Any

from simulator.blas import one_blas_thread
from simulator.checks import InputError
from simulator.sweeps.job import Job
from simulator.sweeps.layout import STATUS, Chunk
from simulator.sweeps.origin import numerics
from simulator.sweeps.spec import Region
from simulator.sweeps.work import Done, do

__all__ = ["Cluster"]

_SECONDS_TO_CONNECT = 10


class Cluster:
    """The current workers of a Dask scheduler.

    The scheduler gives a dead worker's chunks to another. `Threads` has the same methods.

    Parameters
    ----------
    address : str
        As in ``tcp://host:8786``.

    Raises
    ------
    InputError
        If the extra ``dask`` is not installed, no scheduler answers at the address, or a worker has
        other packages.
    """

    def __init__(self, address: str, job: Job, on_progress: Callable[[int], None]) -> None:
        try:
            from distributed import Client
        except ImportError:
            raise InputError("scheduler", address, "needs Dask; pip install distributed") from None
        self._on_progress = on_progress
        _check_certificates(address)
        try:
            if not address:
                raise ValueError
            self._client = Client(address, timeout=_SECONDS_TO_CONNECT, set_as_default=False)
        except (OSError, ValueError, TypeError) as error:
            raise InputError(
                "scheduler", address,
                "no Dask scheduler answers there; start one: dask scheduler --host 127.0.0.1 "
                "--dashboard-address 127.0.0.1:0",
            ) from error  # fmt: skip
        self._expected = numerics() | job.spec.sources()
        try:
            _refuse_unsendable(address, job)
            for worker, theirs in self._client.run(_numerics, on_error="return").items():
                _refuse_other(worker, theirs, numerics())
        except BaseException:
            self._client.close(timeout=1)
            raise
        # Made on a worker instead of sent to it, so that the scheduler can make it again elsewhere.
        self._job = self._client.submit(Job, job.spec, job.data, pure=False)
        self._pool = self._client.get_executor(pure=False)

    @property
    def room(self) -> int:
        """The number of chunks to keep submitted: two per thread."""
        return 2 * max(1, sum(self._client.nthreads().values()))

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, *raised: object) -> None:
        self._client.close(timeout=1)

    def submit(self, region: Region, chunk: Chunk) -> Future[Done]:
        """Submit the rest of a chunk."""
        todo = chunk[STATUS.name] != "done"
        some = None if todo.all() else chunk
        future: Future[Done] = self._pool.submit(_do, self._job, region, some, self._expected)
        future.add_done_callback(lambda done: _is_lost(done) or self._on_progress(int(todo.sum())))
        return future

    def collect(self, future: Future[Done]) -> Done:
        """The result of a chunk; `ConnectionError` if the cluster has lost it."""
        from distributed import KilledWorker

        try:
            return future.result()
        except CancelledError:
            raise ConnectionError(None, "the scheduler has stopped") from None
        except KilledWorker:
            raise ConnectionError(None, "several workers died on the same runs") from None

    def stop(self) -> None:
        """Cancel the running chunks."""
        self._pool.shutdown(wait=False)


def _check_certificates(address: str) -> None:
    """Raise InputError for TLS without certificates."""
    import dask

    if address.startswith("tls://") and dask.config.get("distributed.comm.tls.ca-file") is None:
        raise InputError(
            "scheduler", address, "needs certificates: set distributed.comm.tls, as Dask documents"
        )


def _is_lost(future: Future[Done]) -> bool:
    return future.cancelled() or future.exception() is not None


def _numerics() -> dict[str, str]:
    """The numerics of a worker, called on it."""
    return numerics()


def _refuse_unsendable(address: str, job: Job) -> None:
    """Raise InputError for user-defined objects whose code cannot be sent."""
    from distributed.protocol.pickle import dumps

    parts = [part for _, part in job.spec.parts()]
    for kind, thing in (
        pair for p in parts for pair in (("model", p.model), ("optimizer", p.optimizer))
    ):
        try:
            dumps(thing)
        except Exception as error:
            raise InputError(
                "scheduler", address, f"the {kind} {thing.name} cannot be sent there: {error}"
            ) from None


def _refuse_other(worker: str, theirs: Any, ours: dict[str, str]) -> None:
    """Raise InputError for a worker with other packages."""
    if isinstance(theirs, BaseException):
        raise InputError(
            "scheduler", f"with worker {worker}", f"it cannot import this package: {theirs}"
        )
    for name, version in ours.items():
        if theirs.get(name) != version:
            raise InputError(
                "scheduler", f"with worker {worker}",
                f"it has {name} {theirs.get(name)}, not {version}; install the same there",
            )  # fmt: skip


def _do(job: Job, region: Region, chunk: Chunk | None, expected: dict[str, str]) -> Done:
    """Run a chunk on a worker, which is checked first because it may have joined late."""
    from distributed import get_worker

    _refuse_other(get_worker().address, numerics() | job.spec.sources(), expected)
    if chunk is None:
        chunk = job.layout.blank(tuple(part.stop - part.start for part in region))
    with one_blas_thread():
        return do(job, region, chunk)
