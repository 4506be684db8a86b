"""The same sweep by two threads and by two Dask workers, each a process: throughput.

Into a store each time, from the call to its return. The ratio is the threads' time over the
cluster's: 1 is as fast. ``--kill`` kills one worker in the middle, and looks at the bytes.
"""

from __future__ import annotations

import argparse
import os
import signal
import statistics
import tempfile
import threading
import time
from pathlib import Path

os.environ |= {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}

import numpy as np
from distributed import LocalCluster

import simulator as sim


def sweep(folder: Path, runs: int, scheduler: str | None) -> tuple[float, Path]:
    """The seconds of a sweep, and its store."""
    store = Path(tempfile.mkdtemp(dir=folder)) / "store.zarr"
    start = time.perf_counter()
    sim.sweep(
        sim.MLP(width=32), sim.load_data("digits", samples=128), t_wrm=[64], steps=256,
        eta_trgt=np.geomspace(0.25, 64, runs // 10), seeds=10, eta_unit="critical", workers=2,
        output=store, scheduler=scheduler,
    )  # fmt: skip
    return time.perf_counter() - start, store


def content(store: Path) -> dict[str, bytes]:
    """Its chunks, by name."""
    files = (f for f in store.rglob("c/**/*") if f.is_file())
    return {str(f.relative_to(store)): f.read_bytes() for f in files}


def main() -> None:
    """Warm both up, then take turns."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3, help="(3)")
    parser.add_argument("--runs", type=int, default=1000, help="(1000)")
    parser.add_argument("--kill", action="store_true", help="Kill a worker in the middle, too.")
    given = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as name,
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
    ):
        folder, address = Path(name), cluster.scheduler_address
        for scheduler in (None, address):
            sweep(folder, 20, scheduler)
        found = []
        for turn in range(given.rounds):
            order = [None, address] if turn % 2 else [address, None]
            seconds = {scheduler: sweep(folder, given.runs, scheduler) for scheduler in order}
            if content(seconds[None][1]) != content(seconds[address][1]):
                raise SystemExit("the two stores differ")
            found.append(seconds[None][0] / seconds[address][0])
            print(f"threads {seconds[None][0]:.2f} s, cluster {seconds[address][0]:.2f} s")
        middle, least, most = statistics.median(found), min(found), max(found)
        print(f"throughput of the cluster: {middle:.3f} [{least:.3f}, {most:.3f}] of the threads'")
        if given.kill:
            worker = next(iter(cluster.workers.values())).process.pid
            threading.Timer(0.4 * seconds[None][0], os.kill, (worker, signal.SIGKILL)).start()
            took, store = sweep(folder, given.runs, address)
            same = content(store) == content(seconds[None][1])
            print(f"one worker killed: {took:.2f} s, {'the same bytes' if same else 'OTHER BYTES'}")


if __name__ == "__main__":
    main()
