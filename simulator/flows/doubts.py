"""What speaks against trusting a flow, in sentences."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from simulator.flows.flow import Flow
from simulator.flows.third import has_kinks

__all__ = ["LARGEST_KAPPA", "of"]

# Measured: up to it the weights of the flow are within 10 % of the path, in most runs.
LARGEST_KAPPA = 0.15
# Updates times kappa until the run's first catapult is over, measured.
_DELAY = 11.0
_RESIDUAL, _CONSTRAINT, _TAYLOR = 1e-8, 1e-3, 0.1
# RMSProp's threshold is reported before the oscillation of the update raises it.
_ADAPTIVE_CONSTRAINT = 0.05
# Of the path: as far as the flow is off where kappa_1 is small.
_WEIGHTS = 0.1


def of(flow: Flow) -> Iterator[str]:
    """The sentences."""
    yield from _of_the_run(flow)
    if flow.first_contact < 0:
        yield (
            "No direction is ever critical: the flow takes the run's own updates, so a distance of "
            "0 is no success"
        )
        return
    yield from _of_the_start(flow)
    yield from _of_the_solution(flow)
    yield from _of_the_distance(flow)


def _of_the_run(flow: Flow) -> Iterator[str]:
    if flow.run is not None and flow.run.diverged:
        yield (
            f"The run diverges at step {flow.run.diverged_step}; the flow cannot show a divergence"
        )
    lost = ~np.isfinite(flow.loss[flow.start :])
    if lost.any():
        yield f"The flow is not finite from step {flow.start + int(np.argmax(lost))} on"
    if has_kinks(flow.experiment.model):
        yield (
            "ReLU has kinks: their push is averaged over the oscillation, and the sharpness of the "
            "run may rest some per cent off the threshold"
        )
    if (missed := int((~flow.converged).sum())) > 0:
        yield f"The eigenvectors did not converge in {missed} updates"


def _of_the_start(flow: Flow) -> Iterator[str]:
    contact, kappa = flow.first_contact, flow.kappa_1
    if flow.behind_catapult or 0 < flow.start == contact:
        return
    if contact == 0:
        yield (
            f"A direction is critical from the first update on, at {flow.ratio[0]:.3g} times the "
            "threshold: the flow jumps to the threshold, the run may not"
        )
    if kappa > LARGEST_KAPPA:
        yield (
            f"kappa_1 = {kappa:.2g} is above {LARGEST_KAPPA}: the first catapult, at step "
            f'{contact}, is not described, and the weights behind it may differ; start="after" '
            "begins behind it"
        )
    lasted = int((flow.critical > 0).sum())
    if kappa * lasted < _DELAY:
        yield (
            f"Directions are critical for {lasted} updates, fewer than 11 / kappa_1 = "
            f"{_DELAY / kappa if kappa > 0 else np.inf:.3g}: the run may not have oscillated yet"
        )


def _of_the_solution(flow: Flow) -> Iterator[str]:
    if flow.critical.max() >= flow.max_rank:
        yield f"As many directions are critical as max_rank = {flow.max_rank} admits"
    if (without := np.isinf(flow.residual)).any():
        yield (
            f"In {int(without.sum())} updates, from step {int(np.argmax(without))} on, no "
            "oscillation holds the sharpness at the threshold: the third derivatives are too small"
        )
    if (unsolved := ~without & (flow.residual > _RESIDUAL)).any():
        yield (
            f"In {int(unsolved.sum())} updates the covariance of the oscillation was not found to "
            f"{_RESIDUAL:g}, but to {flow.residual[unsolved].max():.1g}"
        )
    held = np.flatnonzero(flow.critical[:-1] > 0) + 1
    off = np.nanmax(flow.constraint[held], initial=0.0)
    if off > (_ADAPTIVE_CONSTRAINT if flow.experiment.optimizer.adaptive else _CONSTRAINT):
        yield f"The flow exceeds the threshold by up to {off:.2g} of it"
    taylor = np.nanmax(flow.taylor, initial=0.0)
    if taylor > _TAYLOR:
        yield (
            f"The curvature changes by up to {taylor:.2g} within the oscillation, which the flow "
            "takes as constant"
        )


def _of_the_distance(flow: Flow) -> Iterator[str]:
    off, stable, path = flow.distance[-1], flow.stable_distance[-1], flow.path[-1]
    if off > stable:
        yield (
            f"At the end the flow is {off:.2g} from the run, farther than the stable flow "
            f"({stable:.2g})"
        )
    elif off > _WEIGHTS * path:
        yield f"At the end the flow is {off / path:.0%} of the run's path away from the run"
