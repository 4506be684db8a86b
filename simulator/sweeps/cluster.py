"""Workers on a Dask cluster that runs already; what they find is written here.

One process writes, so that a store may lie on any filesystem, and workers need not see it.
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
    """The workers of a Dask scheduler, as many as there are at any time.

    The scheduler gives a dead worker's chunks to another. `Threads` has the same methods.

    Parameters
    ----------
    address : str
        As in ``tcp://host:8786``.

    Raises
    ------
    InputError
        Without the extra ``dask``, for an address at which no scheduler answers, and for workers
        whose packages compute otherwise than these.
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
        # Made on a worker, not sent to one: the scheduler can make it again when that one dies.
        self._job = self._client.submit(Job, job.spec, job.data, pure=False)
        self._pool = self._client.get_executor(pure=False)

    @property
    def room(self) -> int:
        """How many chunks to have on the way: two a thread."""
        return 2 * max(1, sum(self._client.nthreads().values()))

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, *raised: object) -> None:
        self._client.close(timeout=1)

    def submit(self, region: Region, chunk: Chunk) -> Future[Done]:
        """Have the rest of a chunk done."""
        todo = chunk[STATUS.name] != "done"
        some = None if todo.all() else chunk
        future: Future[Done] = self._pool.submit(_do, self._job, region, some, self._expected)
        future.add_done_callback(lambda done: _is_lost(done) or self._on_progress(int(todo.sum())))
        return future

    def collect(self, future: Future[Done]) -> Done:
        """What a chunk has come to; `ConnectionError` if the cluster has lost it for good."""
        from distributed import KilledWorker

        try:
            return future.result()
        except CancelledError:
            raise ConnectionError(None, "the scheduler has stopped") from None
        except KilledWorker:
            raise ConnectionError(None, "several workers died on the same runs") from None

    def stop(self) -> None:
        """Give up what runs."""
        self._pool.shutdown(wait=False)


def _check_certificates(address: str) -> None:
    """Refuse TLS without certificates: Dask would only say so in a traceback."""
    import dask

    if address.startswith("tls://") and dask.config.get("distributed.comm.tls.ca-file") is None:
        raise InputError(
            "scheduler", address, "needs certificates: set distributed.comm.tls, as Dask documents"
        )


def _is_lost(future: Future[Done]) -> bool:
    return future.cancelled() or future.exception() is not None


def _numerics() -> dict[str, str]:
    """On a worker."""
    return numerics()


def _refuse_unsendable(address: str, job: Job) -> None:
    """Refuse what is user-defined and whose code cannot travel."""
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
    """Refuse a worker that would compute otherwise."""
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
    """On a worker, which may have come late: it is looked at too."""
    from distributed import get_worker

    _refuse_other(get_worker().address, numerics() | job.spec.sources(), expected)
    if chunk is None:
        chunk = job.layout.blank(tuple(part.stop - part.start for part in region))
    with one_blas_thread():
        return do(job, region, chunk)
