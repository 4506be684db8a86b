"""The curves of a training run, and the quantities that follow from them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from simulator import regimes
from simulator.files import check_target
from simulator.limits import STEP_LIMIT, StabilityLimit
from simulator.value import Value, above

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr
    from matplotlib.axes import Axes

__all__ = ["Trajectory"]

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Trajectory(Value):
    """The curves of a training run, with a row for each logged step.

    Each row holds the values before one update. NaN marks missing measurements; a curve that was
    never measured is all NaN. A `Run` of this package has every step; the log of another program
    may have gaps.

    Attributes
    ----------
    step : array, shape (rows,)
        Number of updates before this row.
    loss, eta, sharpness : arrays, shape (rows,)
        Loss, learning rate, top Hessian eigenvalue.
    preconditioned_sharpness : array, shape (rows,), or None
        Top eigenvalue of P^-1 H, with P the preconditioner of the next update; None without one.
    limit : StabilityLimit
        The largest stable sharpness of the optimizer (preconditioned, if that was measured).
    converged : array of bool, shape (rows,), or None
        False where the measured sharpness did not converge; None if unknown.
    loss_init, loss_final : float
        Loss on all samples before the first update and after the last one; NaN if unknown.
    constant_loss : float or None
        Loss of the best constant output; None if unknown.
    unit : {"step", "epoch", "row"}
        The unit of ``step``.
    updates_per_epoch : int
        Rows per epoch; 1 if each loss is of all samples.
    gradient_final : float
        Largest absolute entry of the full gradient after the last update; NaN if unknown. It is 0
        for a dead network.
    directional_sharpness : array, shape (rows,), or None
        u.Hu / u.g, with u the next update (theta moves by -eta u), and g and H the gradient and the
        Hessian of the loss of its batch. If u.g is positive, to second order the update raises that
        loss if this exceeds 2 / eta. NaN where u.g is 0.
    critical_sharpness : array, shape (rows,), or None
        2 / eta_c, with eta_c the smallest learning rate at which the update raises that loss, to
        within 1/16. 0 if none does up to 64 times the expected rate; infinite if u.g is negative.
    batch_sharpness, batch_sharpness_error : array, shape (rows,), or None
        Mean of g_B.H_B g_B / g_B.g_B over random batches B, and its standard error, which is 0 if
        every batch was used.
    full_sharpness : array, shape (rows,), or None
        Top eigenvalue of the Hessian of the loss on all samples.
    gradient_noise_interaction : array, shape (rows,), or None
        Mean of g_B.H g_B over batches, over G.G, with G and H of all samples.
    """

    step: Array
    loss: Array
    eta: Array
    sharpness: Array
    preconditioned_sharpness: Array | None
    limit: StabilityLimit
    converged: NDArray[np.bool_] | None = None
    loss_init: float = math.nan
    loss_final: float = math.nan
    constant_loss: float | None = None
    unit: str = "step"
    updates_per_epoch: int = 1
    gradient_final: float = math.nan
    directional_sharpness: Array | None = None
    critical_sharpness: Array | None = None
    batch_sharpness: Array | None = None
    batch_sharpness_error: Array | None = None
    full_sharpness: Array | None = None
    gradient_noise_interaction: Array | None = None

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self._headline}>"

    @property
    def _headline(self) -> str:
        sharpness = self.shown_sharpness[np.isfinite(self.shown_sharpness)]
        ends = [("loss", self._losses), ("sharpness", sharpness)]
        values = [f"{name} {v[0]:.4g} to {v[-1]:.4g}" for name, v in ends if len(v)]
        return ", ".join([f"{len(self.loss)} {self.unit}s", *values, self.outcome])

    def plot(self, *, curvature_axis: str = "ratio", style: Any = None) -> Sequence[Axes]:
        """Plot the curves, by `simulator.figures.trajectory`; returns its three Axes."""
        axes: Sequence[Axes] = above("figures").trajectory(
            self, curvature_axis=curvature_axis, style=style
        )
        return axes

    @property
    def curves(self) -> dict[str, Array]:
        """The curves by name, the step first: arrays (rows,) or (rows, k)."""
        names = [field.name for field in fields(self)]
        found = {name: getattr(self, name) for name in ("step", "threshold", *names)}
        rows = len(self.loss)
        return {
            name: curve
            for name, curve in found.items()
            if isinstance(curve, np.ndarray) and curve.shape[:1] == (rows,) and name != "theta"
        }

    def to_xarray(self) -> xr.Dataset:
        """The curves as a Dataset along ``step``; curves (rows, k) also along ``index``.

        Returns
        -------
        xarray.Dataset
        """
        import xarray as xr

        dims = {1: ("step",), 2: ("step", "index")}
        curves = {name: (dims[curve.ndim], curve) for name, curve in self.curves.items()}
        return xr.Dataset(curves, attrs={"description": repr(self)})

    def to_pandas(self) -> pd.DataFrame:
        """Its curves (rows,) as a table: a column for each, ``step`` the index.

        Returns
        -------
        pandas.DataFrame
        """
        flat = [name for name, curve in self.curves.items() if curve.ndim == 1]
        return self.to_xarray()[flat].to_dataframe()

    def to_csv(self, path: str | Path) -> None:
        """Write the table of `to_pandas`, which ``warmup explain`` reads.

        Missing measurements are empty fields. Raises `InputError` if the file cannot be written.
        """
        path = Path(path)
        check_target("path", path)
        self.to_pandas().to_csv(path)

    @cached_property
    def adaptive(self) -> bool:
        """Whether the preconditioned sharpness is compared with the threshold."""
        curve = self.preconditioned_sharpness
        return curve is not None and bool(np.isfinite(curve).any())

    @property
    def effective_sharpness(self) -> Array:
        """The sharpness (rows,) compared with the threshold: preconditioned, if measured."""
        curve = self.preconditioned_sharpness
        return curve if curve is not None and self.adaptive else self.sharpness

    @property
    def shown_sharpness(self) -> Array:
        """The effective sharpness, or the full sharpness (rows,) if only that was measured."""
        curve, full = self.effective_sharpness, self.full_sharpness
        return curve if full is None or np.isfinite(curve).any() else full

    @property
    def sharpness_name(self) -> str:
        """The name of the effective sharpness."""
        return "preconditioned sharpness" if self.adaptive else "sharpness"

    @property
    def threshold(self) -> Array:
        """Sharpness (rows,) above which a quadratic would be unstable; infinite at eta = 0."""
        return self.limit.sharpness(self.eta)

    @property
    def step_threshold(self) -> Array:
        """2 / eta (rows,): the threshold of directional, critical and batch sharpness.

        It is the same for all optimizers, and infinite at eta = 0.
        """
        return STEP_LIMIT.sharpness(self.eta)

    @property
    def threshold_text(self) -> str:
        """The threshold as a formula, such as 2 / eta."""
        return self.limit.formula()

    @cached_property
    def ratio(self) -> Array:
        """Effective sharpness over threshold (rows,): above 1 a quadratic would be unstable."""
        return self.limit.ratio(self.effective_sharpness, self.eta)

    @property
    def crossing_step(self) -> int:
        """The first step whose effective sharpness is above its threshold; -1 if none is."""
        above = np.flatnonzero(self.ratio > 1)
        return self.at(int(above[0])) if above.size else -1

    @property
    def diverged_row(self) -> int:
        """The first row whose loss is not finite; -1 without one.

        It is the number of rows if only the loss after the last update is not finite.
        """
        lost = np.flatnonzero(~np.isfinite(self.loss))
        return int(lost[0]) if lost.size else -1

    @property
    def forked_at(self) -> int:
        """The step at which the run was forked from another one; -1 if it was not."""
        return -1

    @property
    def diverged(self) -> bool:
        """Whether some loss is not finite."""
        return self.diverged_row >= 0

    @property
    def smooth_rows(self) -> int:
        """The number of updates that `smooth_loss` averages."""
        return regimes.smooth_rows(self.updates_per_epoch)

    @property
    def loss_name(self) -> str:
        """The name of the smooth loss."""
        average = f", averaged over {self.smooth_rows} updates,"
        return "loss" if self.smooth_rows == 1 else f"loss{average}"

    @cached_property
    def smooth_loss(self) -> Array:
        """Mean loss (rows,) of the last ``smooth_rows`` updates; constant over the first ones.

        For a minibatch run this averages out batch noise; a full-batch loss is unchanged.
        """
        rows = self.smooth_rows
        if rows == 1:
            return self.loss
        mean, finite = np.full(len(self.loss), np.nan), self.loss[: self._end]
        if finite.size:
            # No running sums: the largest loss of a catapult would leave rounding errors in them.
            windows = np.lib.stride_tricks.sliding_window_view(finite, min(rows, len(finite)))
            with np.errstate(over="ignore"):
                averages = windows.mean(axis=1)
            mean[: self._end] = averages[0]
            mean[self._end - len(averages) : self._end] = averages
        return mean

    @cached_property
    def rise(self) -> float:
        """The factor above its minimum that makes an excursion: 10 %, and 4 standard errors."""
        if self.smooth_rows == 1 or self._end <= self.smooth_rows:
            return regimes.RISE
        with np.errstate(divide="ignore", invalid="ignore"):
            scatter = (self.loss / self.smooth_loss)[self.smooth_rows : self._end]
        scatter = scatter[np.isfinite(scatter)]
        if not scatter.size:
            return regimes.RISE
        low, high = np.quantile(scatter, [0.16, 0.84])
        error = 0.5 * (high - low) / math.sqrt(self.smooth_rows)
        return max(regimes.RISE, 1.0 + 4.0 * float(error))

    @property
    def _end(self) -> int:
        """The number of rows before a divergence."""
        return self.diverged_row if self.diverged else len(self.loss)

    @cached_property
    def catapults(self) -> list[regimes.Catapult]:
        """See `simulator.regimes.catapults`."""
        return regimes.catapults(self.smooth_loss, self.ratio, self.rise)

    @property
    def n_catapults(self) -> int:
        """The number of catapults."""
        return len(self.catapults)

    @property
    def natural_phase(self) -> str:
        """See `simulator.regimes.natural_phase`."""
        return regimes.natural_phase(self.effective_sharpness, self.ratio, adaptive=self.adaptive)

    @property
    def trainable(self) -> bool:
        """See `simulator.regimes.trainable`."""
        return not self.diverged and regimes.trainable(self._losses, self.constant_loss)

    @property
    def stuck(self) -> bool:
        """See `simulator.regimes.stuck`."""
        return not self.diverged and regimes.stuck(self._losses, self.constant_loss)

    @property
    def _losses(self) -> Array:
        """The losses, with that after the last update if known."""
        known = math.isfinite(self.loss_final)
        return np.append(self.loss, self.loss_final) if known else self.loss

    @property
    def loss_tells(self) -> bool:
        """Whether only instability raises the loss: no momentum, and the full batch."""
        return self.limit.memoryless and self.updates_per_epoch == 1

    @property
    def ratio_final(self) -> float:
        """The last measured ratio; NaN without one."""
        measured = self.ratio[np.isfinite(self.ratio)]
        return float(measured[-1]) if measured.size else math.nan

    @property
    def outcome(self) -> str:
        """See `simulator.regimes.outcome`."""
        return regimes.outcome(
            self.loss, self.ratio, self.effective_sharpness, ratio_final=self.ratio_final,
            diverged=self.diverged, trained=self.trainable, stuck=self.stuck,
            n_catapults=self.n_catapults, loss_tells=self.loss_tells,
        )  # fmt: skip

    def at(self, row: int) -> int:
        """The step of a row; after the last row, the step after it."""
        return int(self.step[row]) if row < len(self.step) else int(self.step[-1]) + 1
