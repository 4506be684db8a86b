"""Reasons not to trust a flow, as sentences."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from simulator.flows.flow import Flow
from simulator.flows.third import has_kinks

__all__ = ["LARGEST_KAPPA", "of"]

# Up to this kappa the weights of the flow are within 10 % of the path in most runs (measured).
LARGEST_KAPPA = 0.15
# Updates times kappa until the end of the run's first catapult (measured).
_DELAY = 11.0
_RESIDUAL, _CONSTRAINT, _TAYLOR = 1e-8, 1e-3, 0.1
# RMSProp's threshold is reported before the oscillation raises it.
_ADAPTIVE_CONSTRAINT = 0.05
# Fraction of the path: the error of the flow for small kappa_1.
_WEIGHTS = 0.1


def of(flow: Flow) -> Iterator[str]:
    """Yield the sentences."""
    yield from _of_the_run(flow)
    if flow.first_contact < 0:
        yield (
            "No direction is ever critical: the flow takes the same updates as the run, so its "
            "distance is 0 by construction"
        )
        return
    yield from _of_the_start(flow)
    yield from _of_the_solution(flow)
    yield from _of_the_distance(flow)


def _of_the_run(flow: Flow) -> Iterator[str]:
    if flow.run is not None and flow.run.diverged:
        yield (
            f"The run diverges at step {flow.run.diverged_step}, which the flow does not describe"
        )
    lost = ~np.isfinite(flow.loss[flow.start :])
    if lost.any():
        yield f"The flow is not finite from step {flow.start + int(np.argmax(lost))} on"
    if has_kinks(flow.experiment.model):
        yield (
            "ReLU has kinks: the flow averages their effect over the oscillation, and the "
            "sharpness of the run may differ from the threshold by a few per cent"
        )
    if (missed := int((~flow.converged).sum())) > 0:
        yield f"The eigenvectors did not converge in {missed} updates"


def _of_the_start(flow: Flow) -> Iterator[str]:
    contact, kappa = flow.first_contact, flow.kappa_1
    if flow.behind_catapult or 0 < flow.start == contact:
        return
    if contact == 0:
        yield (
            f"The sharpness starts at {flow.ratio[0]:.3g} times the threshold: the flow jumps to "
            "the threshold, and the run may not"
        )
    if kappa > LARGEST_KAPPA:
        yield (
            f"kappa_1 = {kappa:.2g} is above {LARGEST_KAPPA}: the flow does not describe the first "
            f"catapult, at step {contact}, and its weights may be wrong from there on; set "
            'start to "after" to begin after that catapult'
        )
    lasted = int((flow.critical > 0).sum())
    if kappa > 0 and kappa * lasted < _DELAY:
        yield (
            f"Directions are critical for only {lasted} updates, fewer than 11 / kappa_1 = "
            f"{_DELAY / kappa:.3g}: the run may not oscillate yet"
        )


def _of_the_solution(flow: Flow) -> Iterator[str]:
    if flow.critical.max() >= flow.max_rank:
        yield f"The number of critical directions reaches max_rank = {flow.max_rank}; raise it"
    if (without := np.isinf(flow.residual)).any():
        yield (
            f"In {int(without.sum())} updates, from step {int(np.argmax(without))} on, no "
            "oscillation keeps the sharpness at the threshold: the third derivatives are too small"
        )
    if (unsolved := ~without & (flow.residual > _RESIDUAL)).any():
        yield (
            f"In {int(unsolved.sum())} updates the covariance of the oscillation has a residual of "
            f"up to {flow.residual[unsolved].max():.1g}, above {_RESIDUAL:g}"
        )
    held = np.flatnonzero(flow.critical[:-1] > 0) + 1
    off = np.nanmax(flow.constraint[held], initial=0.0)
    if off > (_ADAPTIVE_CONSTRAINT if flow.experiment.optimizer.adaptive else _CONSTRAINT):
        yield f"The sharpness of the flow exceeds the threshold by up to a fraction {off:.2g} of it"
    taylor = np.nanmax(flow.taylor, initial=0.0)
    if taylor > _TAYLOR:
        yield (
            f"The curvature changes by a fraction of up to {taylor:.2g} within the oscillation, "
            "but the flow assumes that it is constant"
        )


def _of_the_distance(flow: Flow) -> Iterator[str]:
    off, stable, path = flow.distance[-1], flow.stable_distance[-1], flow.path[-1]
    if off > stable:
        yield (
            f"At the end the flow is {off:.2g} from the run, farther than the stable flow "
            f"({stable:.2g})"
        )
    elif off > _WEIGHTS * path:
        yield (
            f"At the end the distance of the flow from the run is {off / path:.0%} of the length "
            "of its path"
        )
