"""The central flow against a run that measures its sharpness: seconds per update, and the ratio.

    python benchmarks/flow.py

Both in one process, in turns, best of three. The first rows have no critical direction, where the
flow takes the run's own updates; of the others the rank and the critical directions are shown.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import simulator as sim


def best(work: Callable[[], object]) -> float:
    """Seconds of the fastest of three."""
    seconds = []
    for _ in range(3):
        began = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - began)
    return min(seconds)


def main() -> None:
    """Print the table."""
    data = sim.load_data("digits", samples=64)
    cases = (
        ("tanh mup, below the edge", "tanh", "mup", 0.3, 1, 300),
        ("gelu mup, constant", "gelu", "mup", 0.9, 1, 600),
        ("tanh sp, t_wrm 512", "tanh", "sp", 3.0, 512, 800),
    )
    print("| case | run, ms | flow, ms | ratio | with the run beside | critical, rank |")
    print("|---|---|---|---|---|---|")
    for name, activation, parameterization, multiple, t_wrm, steps in cases:
        model = sim.MLP(width=16, depth=3, activation=activation, parameterization=parameterization)
        unit = sim.eta_critical(model, data, sim.GD(), 0)
        given = {"schedule": sim.Warmup(eta_trgt=multiple * unit, t_wrm=t_wrm), "steps": steps}
        flow = sim.central_flow(model, data, beside=False, **given)
        run = best(lambda model=model, given=given: sim.simulate(model, data, **given))
        alone = best(
            lambda model=model, given=given: sim.central_flow(model, data, beside=False, **given)
        )
        whole = best(lambda model=model, given=given: sim.central_flow(model, data, **given))
        print(
            f"| {name} | {1e3 * run / steps:.2f} | {1e3 * alone / steps:.2f} | {alone / run:.1f} | "
            f"{whole / run:.1f} | {flow.critical.max()}, {flow.rank.max()} |"
        )


if __name__ == "__main__":
    main()
