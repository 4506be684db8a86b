"""What measuring costs a run: directional, critical and batch sharpness.

MLP of width 32 and depth 3 with tanh, 256 digits, float64, warmed up to 6 times the critical
learning rate: the network and learning rate of the studies of batch sharpness.

- ``directional``, ``critical``, ``both``: what measuring at every update adds to an update, in
  gradients of its batch, and the forward passes that a critical sharpness takes.
- ``batch``: what batch sharpness at its default cadence adds to a run of 3000 updates, as a share
  of the run with the sharpness at every update, and of the bare run.

A gradient alone is timed in the same round. Training is checked to be the same bit for bit.
"""

from __future__ import annotations

import contest  # first: it sets the environment

# isort: split
import time
from typing import Any

import numpy as np

import simulator as sim
from simulator.models.network import NetworkObjective

UPDATES, WHOLE = 256, 3000
MODEL = sim.MLP(width=32, depth=3, activation="tanh", var_w=1.0)
DATA = sim.load_data("digits", samples=256)
THETA = MODEL.init(DATA, 0)
ETA = 12.0 / sim.sharpness(MODEL, THETA, DATA)
CASES = {
    "gd, all 256": (sim.GD(), ETA, None), "sgd, 64": (sim.GD(), ETA, 64),
    "sgd, 16": (sim.GD(), ETA, 16), "sgd, 4": (sim.GD(), ETA, 4),
    "momentum, all 256": (sim.Momentum(0.9), ETA, None),
    "adam, all 256": (sim.Adam(), 0.01, None), "adam, 16": (sim.Adam(), 0.003, 16),
}  # fmt: skip
MEASURES = {
    "bare": (), "directional": ("directional",), "critical": ("critical",),
    "both": ("directional", "critical"), "batch": ("batch",), "sharpness": ("sharpness",),
}  # fmt: skip


def train(case: tuple[Any, float, int | None], measure: tuple[str, ...], steps: int) -> sim.Run:
    optimizer, eta, size = case
    return sim.simulate(
        MODEL, DATA, optimizer=optimizer, schedule=sim.Warmup(0.0, eta, steps // 3), steps=steps,
        batch_size=size, measure=measure,
    )  # fmt: skip


def forward_passes(case: tuple[Any, float, int | None], measure: tuple[str, ...]) -> float:
    """Losses evaluated in a search for the critical sharpness.

    A minibatch run evaluates one more, after the update: whether that raised the loss.
    """
    calls, loss = 0, NetworkObjective.loss

    def counted(self: NetworkObjective, theta: np.ndarray) -> float:
        nonlocal calls
        calls += 1
        return loss(self, theta)

    NetworkObjective.loss = counted  # type: ignore[method-assign]
    train(case, (), UPDATES)
    bare, calls = calls, 0
    train(case, measure, UPDATES)
    NetworkObjective.loss = loss  # type: ignore[method-assign]
    return (calls - bare) / UPDATES - (case[2] is not None)


def measure(case: tuple[Any, float, int | None], rounds: int) -> dict[str, Any]:
    """Ratios by name, each (rounds,)."""
    contest.agree(
        "training", {name: train(case, names, UPDATES).theta for name, names in MEASURES.items()}, 0
    )
    objective, gradient = MODEL.bind(DATA), np.empty_like(THETA)
    if case[2] is not None:
        objective.select(np.arange(case[2]))

    def gradients() -> None:
        for _ in range(UPDATES):
            objective.gradient(THETA, gradient)

    contestants: dict[str, Any] = {
        name: lambda names=names: train(case, names, UPDATES) for name, names in MEASURES.items()
    }
    # Of this process alone: a difference of two runs drowns in what others do to the machine.
    times = contest.alternate(
        contestants | {"gradient": gradients}, rounds, least=0.0, clock=time.process_time
    )
    found = {
        name: (times[name] - times["bare"]) / times["gradient"]
        for name in ("directional", "critical", "both")
    }
    # A run of any length has about 64 measurements: they cost the same.
    measurements = -(-WHOLE // (WHOLE // 64)) / -(-UPDATES // (UPDATES // 64))
    batch = (times["batch"] - times["bare"]) * measurements
    for name in ("sharpness", "bare"):
        found[f"batch over {name}"] = batch / (times[name] * WHOLE / UPDATES)
    return found


def main() -> None:
    """Print a line for each case."""
    arguments = contest.options(__doc__).parse_args()
    results: dict[str, Any] = {}
    for name, case in CASES.items():
        found = {
            key: contest.spread(value) for key, value in measure(case, arguments.rounds).items()
        }
        passes = {key: forward_passes(case, MEASURES[key]) for key in ("critical", "both")}
        results[name] = found | {"forward passes": passes}
        print(name)
        for key in ("directional", "critical", "both"):
            count = f", {passes[key]:.2f} forward passes a search" if key in passes else ""
            print(f"  {key:12} adds {contest.show(found[key])} gradients to an update{count}")
        for key, of in (("sharpness", "with the sharpness at every update"), ("bare", "without")):
            share = {k: 100 * v for k, v in found[f"batch over {key}"].items()}
            print(f"  batch        adds {contest.show(share)} % to a run {of}")
    contest.finish(arguments.json, results)


if __name__ == "__main__":
    main()
