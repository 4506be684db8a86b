"""The spectrum of the Hessian along a run; the run is trained again for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from simulator.arrays import Array
from simulator.blas import one_blas_thread
from simulator.checks import InputError, count
from simulator.curvature.spectra import SUMMARIES, Spectrum, spectrum
from simulator.data import Data, as_data
from simulator.runs import Run
from simulator.training.in_progress import RunInProgress, first_theta
from simulator.training.single import batched_checkpoint, batched_single

__all__ = ["Spectra", "spectra", "spectra_steps"]

# Summaries of a spectrum that make curves along a run.
_CURVES = (*SUMMARIES, *(f"{name}_error" for name in SUMMARIES), "gradient_share", "converged")
# Default number of spectra in a run.
_COUNT = 32


@dataclass(frozen=True, eq=False)
class Spectra:
    """Spectra at several steps of a run.

    Attributes
    ----------
    run : Run
    step : array, shape (n,)
        Number of updates before each.
    spectra : tuple of Spectrum
    """

    run: Run
    step: Array
    spectra: tuple[Spectrum, ...]

    def curve(self, name: str) -> Array:
        """A summary of each spectrum, such as ``bulk``, as an array (n,)."""
        return np.array([getattr(one, name) for one in self.spectra])

    @property
    def top(self) -> Array:
        """The leading eigenvalues of each, shape (n, k) with k = top_k."""
        return np.array([one.top for one in self.spectra])

    @property
    def products(self) -> int:
        """Number of Hessian-vector products."""
        return sum(one.products for one in self.spectra)

    def arrays(self, *, nodes: bool = True) -> dict[str, Array]:
        """All results as arrays by name, for example for `numpy.savez`.

        Parameters
        ----------
        nodes : bool
            Whether to include values, counts, nodes and weights, shape (n, ...), padded with NaN or
            with counts and weights of 0.

        Returns
        -------
        dict of arrays
            The first axis is that of ``step``.
        """
        found = {"step": self.step, "eta": self.run.eta[self.step], "top": self.top}
        found |= {name: self.curve(name) for name in (*_CURVES, "products")}
        if nodes:
            pads = {"values": np.nan, "counts": 0.0, "nodes": np.nan, "weights": 0.0}
            for name, fill in pads.items():
                found[name] = _padded([getattr(one, name) for one in self.spectra], fill)
        return found


def _padded(arrays: list[Array], fill: float) -> Array:
    """Arrays of one or two dimensions as one array, padded to a common number of columns."""
    most = max(array.shape[-1] for array in arrays)
    wide = [(0, 0)] * (arrays[0].ndim - 1)
    return np.array(
        [np.pad(a, [*wide, (0, most - a.shape[-1])], constant_values=fill) for a in arrays]
    )


class _Point(NamedTuple):
    """A run before an update: theta (P,), and the preconditioner (P,), if any."""

    step: int
    theta: Array
    preconditioner: Array | None


def spectra(
    run: Run,
    every: int | None = None,
    *,
    data: Data | None = None,
    on_progress: Callable[[int], Any] | None = None,
    **options: Any,
) -> Spectra:
    """The spectrum of the loss on all samples at several steps of a run.

    The run is trained again, bit for bit, and is not changed. If its effective sharpness is the
    preconditioned one, as for adaptive optimizers, the spectra are preconditioned, too, with the
    preconditioner of the next update.

    Parameters
    ----------
    run : Run
    every : int, optional
        Updates between two spectra. Default: such that there are about 32 spectra.
    data : Data, optional
        Training data of the run, required if the run was pickled, which omits them.
    on_progress : callable, optional
        Called with 1 after each spectrum.
    options : keywords
        As in `spectrum`: ``part``, ``layer``, ``top_k``, ``probes``, ``depth``, ``tol`` and
        ``seed``. The random vectors are the same at each step, so differences between steps are
        more accurate than the errors suggest.

    Returns
    -------
    Spectra

    Raises
    ------
    InputError
        As in `spectrum`, or if the run diverges before its first update.
    """
    chosen, found = spectra_steps(run, every), list[Spectrum]()
    for point in _points(run, chosen, data):
        model, preconditioner = run.experiment.model, point.preconditioner
        given = run.given.data if data is None else data
        found.append(spectrum(model, point.theta, given, preconditioner=preconditioner, **options))
        if on_progress is not None:
            on_progress(1)
    return Spectra(run, np.array(chosen), tuple(found))


def spectra_steps(run: Run, every: int | None = None) -> list[int]:
    """The updates before which `spectra` measures, including the last one."""
    steps = len(run.loss)
    every = max(1, steps // _COUNT) if every is None else count("every", every, 1)
    first = max(run.forked_at, 0)
    last = min(run.diverged_step, steps) if run.diverged_step >= 0 else steps
    if last <= first:
        raise InputError("run", f"diverged at step {last}", "it has no spectrum; lower eta")
    return sorted({*range(first, last, every), last - 1})


def _points(run: Run, steps: list[int], data: Data | None) -> Iterator[_Point]:
    """The run before these updates, in ascending order."""
    given, data = run.given, as_data(data)
    given = given if data is None else given._replace(data=data)
    batched = batched_single(run.experiment, given)
    if batched is not None:
        theta = first_theta(run.experiment, run.seed, given)
        for step in steps:
            made = batched_checkpoint(run.experiment, run.seed, given, batched, theta, step)
            yield _Point(step, made.theta, None)
        return
    experiment = run.experiment
    if not experiment.probes:
        # Nothing that is measured moves theta.
        experiment = replace(experiment, measure=())
    with one_blas_thread(), np.errstate(over="ignore", invalid="ignore"):
        going = RunInProgress(experiment, run.seed, given)
        for step in steps:
            going.advance(step)
            yield _Point(step, going.theta, going.preconditioner())
