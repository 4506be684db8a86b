"""What ``warmup sweep`` costs, all cores: seconds of the whole command, with kernels compiled.

``updates alone``: the same without a sharpness. ``one worker``: the same on one core. ``float32``:
the same in single precision. ``jax`` and ``jax float32``: the same runs as one writes them in JAX,
`vmap` over runs and `scan` over updates, without any sharpness, verdict or file; its time contains
compilation, as a program's does, and ``jax, compiled`` is without.

``--against COMMIT`` adds the command of that commit, checked out beside this one.

A ratio is a time over that of ``warmup sweep``: above 1, the command is faster.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

os.environ["BENCHMARK_ALL_CORES"] = "yes"

import contest
import numpy as np

HERE = Path(__file__).resolve().parent


def sweep(tree: Path, *options: str) -> Callable[[], float]:
    """``warmup sweep`` of a checkout, into a new store each time; returns its seconds."""

    def run() -> float:
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, str(tree / "cli.py"), "sweep", "-o", f"{folder}/s.zarr"]
            environment = os.environ | {"PYTHONPATH": str(tree)}
            began = time.perf_counter()
            subprocess.run(
                [*command, *options], check=True, env=environment, stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )  # fmt: skip
            return time.perf_counter() - began

    return run


def jax_program(dtype: str, *, compiled: bool) -> Callable[[], float]:
    """The runs of the default sweep in a process of their own; returns its seconds."""

    def run() -> float:
        began = time.perf_counter()
        done = subprocess.run(
            [sys.executable, __file__, "--jax", dtype], check=True, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        inside = re.search(r"^seconds (\S+)", done.stdout, re.MULTILINE)
        assert inside is not None
        return float(inside[1]) if compiled else time.perf_counter() - began

    return run


def train_in_jax(dtype: str) -> None:
    """Print the seconds of a second call, and check the losses against the command's own."""
    os.environ["JAX_PLATFORMS"] = "cpu"
    import jax
    import peers

    import simulator as sim

    jax.config.update("jax_enable_x64", dtype == "float64")
    jnp, data, model = jax.numpy, sim.load_data("digits", samples=512), sim.MLP(width=64)
    widths, seeds, steps = (data.inputs, 64, 64, data.outputs), range(3), 512
    eta_trgt, t_wrm = np.geomspace(1, 256, 13), np.array([1, 4, 16, 64, 256])
    units = [sim.eta_critical(model, data, sim.GD(), seed) for seed in seeds]
    thetas = np.array([model.init(data, seed) for seed in seeds])
    seed, trgt, wrm = (i.ravel() for i in np.indices((len(seeds), len(eta_trgt), len(t_wrm))))
    loss = peers.jax_loss(model, widths)
    x, y = (jnp.asarray(values, dtype) for values in (data.x, data.targets))

    def train(theta: Any, eta: Any, length: Any) -> Any:
        def step(weights: Any, t: Any) -> Any:
            value, slope = jax.value_and_grad(loss)(weights, x, y)
            rate = eta * jnp.minimum((t + 1) / length, 1.0).astype(dtype)
            moved = jax.tree.map(lambda w, g: w - rate * g, weights, slope)
            return moved, value

        weights, losses = jax.lax.scan(step, peers.split(theta, widths), jnp.arange(steps))
        return losses, loss(weights, x, y)

    starts = jnp.asarray(thetas[seed], dtype)
    etas = jnp.asarray(eta_trgt[trgt] * np.array(units)[seed], dtype)
    lengths = jnp.asarray(t_wrm[wrm], dtype)
    whole = jax.jit(jax.vmap(train))
    final = np.asarray(whole(starts, etas, lengths)[1])
    began = time.perf_counter()
    jax.block_until_ready(whole(starts, etas, lengths))
    print("seconds", time.perf_counter() - began)
    cell = int(np.flatnonzero((trgt == 0) & (wrm == 2))[0])
    run = sim.simulate(
        model, data, seed=0, steps=steps, sharpness_every=0, dtype=dtype,
        schedule=sim.Warmup(eta_trgt=float(eta_trgt[0] * units[0]), t_wrm=16),
    )  # fmt: skip
    if not np.isclose(final[cell], run.loss_final, rtol=1e-3):
        raise SystemExit(f"jax trains to {final[cell]}, the command to {run.loss_final}")


@contextmanager
def checked_out(commit: str) -> Iterator[Path]:
    """A commit of this repository in a folder of its own."""
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "tree"
        git = ["git", "-C", str(HERE.parent), "worktree"]
        subprocess.run([*git, "add", "--quiet", "--detach", str(tree), commit], check=True)
        try:
            yield tree
        finally:
            subprocess.run([*git, "remove", "--force", str(tree)], check=True)


def contest_of(arguments: argparse.Namespace, against: Path | None) -> None:
    """Warm each one up, then alternate."""
    here = HERE.parent
    calls = {
        "warmup sweep": sweep(here),
        "updates alone": sweep(here, "--sharpness-every", "0"),
        "one worker": sweep(here, "--workers", "1"),
        "float32": sweep(here, "--dtype", "float32"),
    }
    if against is not None:
        calls[f"at {arguments.against}"] = sweep(against)
    if contest.optional("jax") is not None:
        calls |= {
            "jax": jax_program("float64", compiled=False),
            "jax, compiled": jax_program("float64", compiled=True),
            "jax float32": jax_program("float32", compiled=False),
        }
    for name in set(calls) - {"jax", "jax, compiled", "jax float32"}:
        calls[name]()
    # Each call says how long it took: a program in JAX is asked for a part of its time.
    times: dict[str, Any] = {name: [] for name in calls}
    names = list(calls)
    for turn in range(arguments.rounds):
        at = turn % len(names)
        for name in names[at:] + names[:at]:
            times[name].append(calls[name]())
    results, rows = {}, []
    for name, seconds in times.items():
        seconds = np.array(seconds)
        ratio = contest.spread(seconds / np.array(times["warmup sweep"]))
        results[name] = {"seconds": contest.spread(seconds), "ratio": ratio}
        rows.append([name, contest.show(results[name]["seconds"]), contest.show(ratio)])
    contest.table(["", "seconds", "over warmup sweep"], rows)
    contest.finish(arguments.json, results)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5, help="alternating rounds (default 5)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results there too")
    parser.add_argument("--against", metavar="COMMIT", help="the command of that commit too")
    parser.add_argument("--jax", metavar="DTYPE", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.jax:
        train_in_jax(arguments.jax)
    elif arguments.against:
        with checked_out(arguments.against) as tree:
            contest_of(arguments, tree)
    else:
        contest_of(arguments, None)


if __name__ == "__main__":
    main()
