"""Pictures of two-layer linear networks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from simulator.curvature import sharpness
from simulator.data import Data
from simulator.laws.linear_networks import Network, chain_edge
from simulator.laws.pictures.marks import PREDICTED, finish, measured, predicted
from simulator.models import UV
from simulator.schedules import Warmup
from simulator.theory import linear

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = [
    "edges_of_chains", "initial_sharpness", "losses_in_gram_space", "spectrum_in_gram_space",
]  # fmt: skip

_SHAPES = "os^Dv"


def losses_in_gram_space(ax: Axes, rng: np.random.Generator) -> None:
    """Losses of weights of three widths beside those of the small matrix, through a catapult."""
    data = Data(rng.standard_normal((6, 3)), rng.standard_normal((6, 2)))
    for shape, width in zip(_SHAPES, (10, 100, 1000), strict=False):
        model = UV(width, representation="parameters")
        at = Network(model, data, model.init(data, int(rng.integers(2**31))))
        run = at.train(Warmup(eta_trgt=2.5 / at.curvature, t_wrm=8), 60)
        path = at.gram_path(run.eta)[:-1]
        residual = data.x @ linear.end_to_end(path, data.inputs, model.c).mT - data.targets
        loss = 0.5 * np.mean(residual**2, axis=(1, 2))
        update = np.arange(loss.size)
        predicted(ax, update, loss, "predicted" if width == 10 else None)
        measured(ax, update, run.loss, f"measured, n = {width}", shape, markevery=2)
    title = r"The weights, and the 5 x 5 matrix $K = W^\top W$ that stands for them"
    finish(ax, "update", "loss", title, yscale="log")


def spectrum_in_gram_space(ax: Axes, rng: np.random.Generator) -> None:
    """All eigenvalues of one Hessian, the dense and those that K gives."""
    data = Data(rng.standard_normal((5, 3)), 3.0 * rng.standard_normal((5, 1)))
    model = UV(9, representation="parameters")
    at = Network(model, data, model.init(data, int(rng.integers(2**31))))
    spectrum = linear.hessian_spectrum(*at.setting, model.width)[::-1]
    dense = np.linalg.eigvalsh(model.hessian(at.theta, data))[::-1]
    rank = np.arange(1, spectrum.size + 1)
    predicted(ax, rank, spectrum, "from K alone", drawstyle="steps-mid")
    measured(ax, rank, dense, "dense Hessian of the weights")
    across = model.c * float(np.linalg.norm(at.gradient))
    for value in (across, -across):
        ax.axhline(value, color="#252525", lw=0.8, ls="--")
    ax.text(rank[-1], across, r"$\pm c\,\sigma_1(G)$, across the columns", ha="right", va="bottom")
    ax.set_yscale("symlog", linthresh=1.0, linscale=2.0)
    ticks = [-1.0, -0.5, 0.0, 0.5, 1.0, 2.0, 5.0, 10.0]
    ax.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    title = "Nine units, three inputs, one output: every eigenvalue"
    finish(ax, "rank", "Hessian eigenvalue", title, "upper right")


def initial_sharpness(ax: Axes, rng: np.random.Generator) -> None:
    """Sharpness at initialisation over the width, beside its limit."""
    data = Data(rng.standard_normal((20, 5)), rng.standard_normal((20, 2)))
    limit = linear.wide_initial_sharpness(data.x, data.outputs, 1.0)
    ax.axhline(limit, color=PREDICTED, lw=2, label=r"$2\sigma^2\lambda_{\max}(X^\top X) / (mk)$")
    for shape, s in (("o", 0.0), ("^", 0.5)):
        widths = np.repeat(10.0 ** np.arange(0.0, 8.5, 0.5), 8)
        widths *= 10.0 ** rng.uniform(-0.1, 0.1, widths.size)
        found = []
        for width in widths:
            model = UV(max(1, round(width)), s)
            found.append(sharpness(model, model.init(data, int(rng.integers(2**31))), data))
        measured(ax, widths, found, f"measured, s = {s:g}", shape, ms=4)
    finish(
        ax, "width n", "sharpness at initialisation",
        "Wide linear networks all start equally sharp", xscale="log", yscale="log",
    )  # fmt: skip


def edges_of_chains(ax: Axes, rng: np.random.Generator) -> None:
    """The largest stable learning rate of chains of 2 to 6 weights over their target."""
    line = np.geomspace(0.08, 12.0, 60)
    for shape, depth in zip(_SHAPES, range(2, 7), strict=True):
        label = r"$2 / (L\,|y|^{2 - 2/L})$" if depth == 2 else None
        predicted(ax, line, linear.chain_edge_eta(line, depth), label)
        y = np.geomspace(0.1, 10.0, 11) * np.exp(rng.uniform(-0.1, 0.1, 11))
        edges = [chain_edge(depth, float(target)) for target in y]
        measured(ax, y, edges, f"measured, L = {depth}", shape)
    title = r"Chains $f = w_1 \cdots w_L$: the largest $\eta$ with a stable minimum"
    finish(ax, "target y", r"learning rate $\eta$", title, xscale="log", yscale="log")
