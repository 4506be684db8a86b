"""The first run on a machine: CPU seconds of compilation, with an empty kernel cache.

``warmup run --model uv`` and ``warmup sweep``, of two runs: the kernels are those of all runs.
The seconds are those that the compiling threads had on a processor, ``kernels`` how many were
compiled for Python to call. ``--against COMMIT`` adds the commands of that commit, checked out
beside this one; a ratio is its seconds over ours: above 1, we compile less.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from commands import HERE, checked_out  # first: it sets the environment

# isort: split
import contest
import numpy as np

FEW = ("--seeds", "1", "--eta-trgt", "1,4", "--t-wrm", "1")
COMMANDS = {"run --model uv": ("run", "--model", "uv"), "sweep": ("sweep", *FEW)}
# Compilation is nested: only the outermost counts. Numba's lock lets one thread in at a time.
PROGRAM = """
import json, sys, time
from numba.core import event

class Clock(event.Listener):
    depth, began, found = 0, 0.0, {"seconds": 0.0, "kernels": 0}

    def on_start(self, event):
        if self.depth == 0:
            self.began = time.thread_time()
        self.depth += 1

    def on_end(self, event):
        self.depth -= 1
        if self.depth == 0:
            self.found["seconds"] += time.thread_time() - self.began
            self.found["kernels"] += 1

event.register("numba:compile", Clock())
from simulator.commands import main
try:
    main(sys.argv[2:])
except SystemExit as end:
    assert not end.code, end.code
open(sys.argv[1], "w").write(json.dumps(Clock.found))
"""


def compile_all(tree: Path, words: tuple[str, ...]) -> dict[str, float]:
    """What a command of a checkout compiles, in a new folder."""
    with tempfile.TemporaryDirectory() as folder:
        paths = {"PYTHONPATH": str(tree), "NUMBA_CACHE_DIR": f"{folder}/kernels"}
        subprocess.run(
            [sys.executable, "-c", PROGRAM, "found.json", *words], cwd=folder, check=True,
            env=os.environ | paths, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        found: dict[str, float] = json.loads(Path(folder, "found.json").read_text())
        return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3, help="alternating rounds (default 3)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results there too")
    parser.add_argument("--against", metavar="COMMIT", help="the commands of that commit too")
    arguments = parser.parse_args()
    with ExitStack() as stack:
        trees = {"": HERE.parent}
        if arguments.against:
            trees[f" at {arguments.against}"] = stack.enter_context(checked_out(arguments.against))
        found: dict[str, list[dict[str, float]]] = {}
        for _ in range(arguments.rounds):
            for command, words in COMMANDS.items():
                for where, tree in trees.items():
                    found.setdefault(command + where, []).append(compile_all(tree, words))
    results: dict[str, Any] = {}
    rows = []
    for command in COMMANDS:
        ours = np.array([one["seconds"] for one in found[command]])
        for where in trees:
            name, kernels = command + where, int(found[command + where][0]["kernels"])
            seconds = np.array([one["seconds"] for one in found[name]])
            shown = {"seconds": contest.spread(seconds), "ratio": contest.spread(seconds / ours)}
            results[name] = {**shown, "kernels": kernels}
            rows.append([name, *map(contest.show, shown.values()), str(kernels)])
    contest.table(["warmup", "CPU seconds", "over ours", "kernels"], rows)
    contest.finish(arguments.json, results)


if __name__ == "__main__":
    main()
