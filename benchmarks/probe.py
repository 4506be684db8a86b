"""What the probe of a PyTorch loop adds to a step of a small CNN, in CPU time, every ten updates.

The probe and the rest of the step are timed in one loop.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import torch
from torch import nn

import simulator as sim


def network():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(8, 16, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Dropout(0.1),
        nn.Linear(256, 10),
    )  # fmt: skip


def added(x, y, measure, batch_size, steps, *, with_loss):
    """CPU time of the probe over that of all else, in %."""
    model, loss_fn = network(), nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    probe = sim.torch.Probe(model, loss_fn, optimizer, every=10, measure=measure)
    probing, began = 0.0, time.process_time()
    for _ in range(steps):
        rows = torch.randint(len(x), (batch_size,))
        batch = x[rows], y[rows]
        loss = loss_fn(model(batch[0]), batch[1])
        optimizer.zero_grad()
        loss.backward()
        before = time.process_time()
        probe(batch, loss if with_loss else None)
        probing += time.process_time() - before
        optimizer.step()
    return 100 * probing / (time.process_time() - began - probing)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--batch-size", type=int, default=64)
    given = parser.parse_args()
    torch.set_num_threads(1)
    digits = sim.load_data("digits", samples=1024)
    x = torch.tensor(digits.x, dtype=torch.float32).reshape(-1, 1, 8, 8)
    y = torch.tensor(digits.y)
    kinds = [
        (measure, with_loss)
        for measure in (("directional",), ("critical",))
        for with_loss in (False, True)
    ]
    for measure, with_loss in kinds:
        shares = [
            added(x, y, measure, given.batch_size, given.steps, with_loss=with_loss)
            for _ in range(given.rounds)
        ]
        low, middle, high = np.quantile(shares, [0, 0.5, 1])
        loss = "with the loss" if with_loss else "without"
        print(f"{measure[0]:12} {loss:14} {middle:6.1f} % [{low:.1f}, {high:.1f}] of a step")


if __name__ == "__main__":
    main()
