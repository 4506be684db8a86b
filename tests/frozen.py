"""Optimizers on the linear dynamics around a minimum, their preconditioner held fixed."""

import dataclasses

import numpy as np

__all__ = ["held", "linear_growth", "trajectory"]


def held(optimizer, preconditioner):
    """(optimizer, state, t): the same rule in its late regime, where P is this and stays it.

    t is so large that no bias is left to correct, and the memory of squares longer than any test.
    """
    size = preconditioner.size
    if not optimizer.adaptive:
        return optimizer, np.zeros((optimizer.vectors, size)), 1
    optimizer = dataclasses.replace(optimizer, beta2=1 - 1e-13, eps=0.0)
    state = np.zeros((optimizer.vectors, size))
    state[-1] = preconditioner**2
    return optimizer, state, 10**16


def trajectory(optimizer, gradient, minimum, nudge, preconditioner, eta, steps=50):
    """theta (steps + 1, P) from beside a minimum, under a fixed preconditioner."""
    optimizer, state, t = held(optimizer, preconditioner)
    if getattr(optimizer, "weight_decay", 0.0):
        # The decay is balanced by an average gradient that does not vanish.
        keep, take = (0.0, 1.0) if optimizer.adaptive else optimizer.recurrence(2)[:2]
        state[:1] = gradient(minimum) * take / (1 - keep)
    path, u = [minimum + nudge], np.empty_like(minimum)
    for step in range(steps):
        optimizer.direction(path[-1], gradient(path[-1]), state, t + step, u)
        path.append(path[-1] - eta * u)
    return np.array(path)


def linear_growth(optimizer, hessian, preconditioner, eta, blocks=40, steps=100):
    """Factor by which a displacement grows in a block of steps, once transients are gone."""
    rule, state, t = held(optimizer, preconditioner)
    theta, u, sizes = np.ones(len(hessian)), np.empty(len(hessian)), []
    for block in range(blocks):
        for step in range(steps):
            rule.direction(theta, hessian @ theta, state, t + block * steps + step, u)
            theta = theta - eta * u
        # Linear: position and momentum may be rescaled together, and neither over- nor underflows.
        velocities = state[: len(state) - rule.adaptive]
        size = np.sqrt(np.sum(theta**2) + np.sum(velocities**2))
        theta, sizes = theta / size, [*sizes, size]
        velocities /= size
        if rule.adaptive:
            state[-1] = preconditioner**2
    return float(np.median(sizes[blocks // 2 :]))
