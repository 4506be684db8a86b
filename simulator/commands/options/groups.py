"""The options that commands share, group by group. Each text stands here once.

Nothing heavy is imported before a command runs: ``--help`` must be instant. Defaults that belong
to the library are shown here as text and applied there; a test holds the two together.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from simulator.commands.defaults import eta_trgt_text, t_wrm_text
from simulator.commands.grids import BatchSize, Grid
from simulator.commands.options.config import read_config
from simulator.commands.options.grouped import option, positional, together
from simulator.commands.terminal import set_quiet, without_color

__all__ = [
    "cell_option", "color_option", "curvature_axis_option", "curvature_options", "curves_option",
    "data_options", "data_seed_option", "dtype_option", "json_option", "model_options",
    "optimizer_options", "output_options", "overwrite_figure_option", "overwrite_option", "report_options", "schedule_options",
    "seed_option", "seeds_option", "store_argument", "style_options", "terminal_options", "where_option",
    "workers_option",
]  # fmt: skip

# Written out: importing the optimizers would cost the help its speed.
OPTIMIZER_NAMES = (
    "gd", "momentum", "nesterov", "rmsprop", "adam", "adamw", "gi-adam", "ri-adam", "radam",
)  # fmt: skip

model_options = together(
    option("model", "--model", default="mlp", metavar="mlp|uv|quadratic", varies=True, help="Model: a network, a two-layer linear network, or a quadratic loss."),
    option("model", "--width", type=int, default_text="64; uv 512", varies=True, help="Hidden units per layer (mlp, uv)."),
    option("model", "--depth", type=int, default_text="3", varies=True, help="Weight layers, including the readout (mlp)."),
    option("model", "--activation", metavar="relu|tanh|gelu|erf|linear", default_text="relu", varies=True, help="Activation function (mlp)."),
    option("model", "--param", metavar="sp|ntp|mup", default_text="sp", varies=True, argument="parameterization", help="Parameterization (mlp)."),
    option("model", "--s", type=float, default_text="0", varies=True, help="Parameterization exponent: 0 NTP … 1 muP (uv)."),
    option("model", "--var-w", type=float, default_text="2; uv 1", varies=True, help="Scale of the initial variance of the hidden weights (mlp, uv)."),
    option("model", "--bias/--no-bias", default=None, default_text="no-bias", help="Train biases (mlp)."),
    option("model", "--norm", metavar="none|activation|preactivation|readout|inner|after", default_text="none", varies=True, help="Where to apply layer normalisation (mlp). activation: to the input of each weight layer except the first; readout: to the input of the readout only; inner: to the inputs of all weight layers except the first and the readout; preactivation: before each activation; after: to residual sums (Post-LN)."),
    option("model", "--residual/--no-residual", default=None, default_text="no-residual", help="Add the previous hidden layer to each hidden layer after the first (mlp)."),
    option("model", "--affine/--no-affine", default=None, default_text="no-affine", help="Train a gain and a shift for each normalised unit (mlp)."),
    option("model", "--norm-eps", type=float, default_text="1e-05", varies=True, help="Added to the variance in a layer norm (mlp)."),
    option("model", "--representation", metavar="gram|parameters", default_text="gram", varies=True, help="Train the weights (parameters), or their Gram matrices (gram); uv only."),
    option("model", "--curvatures", type=Grid(), metavar="LIST", default_text="1", help="Eigenvalues of the Hessian, such as 1,10 or START:STOP:COUNT. The list is one Hessian, not several runs (quadratic)."),
    option("loss", "--loss", metavar="mse|xent", default_text="mse", varies=True, help="mse: 0.5 * mean squared error over samples and outputs; xent: mean cross-entropy (mlp)."),
)  # fmt: skip

data_seed_option = option("data", "--data-seed", type=int, default=0, help="Seed for choosing the training samples, or for generating data.")  # fmt: skip


def data_option(default: str | None, default_text: str | None = None) -> Callable[[Any], Any]:
    """The dataset; without a ``default`` the command has one of its own."""
    return option(
        "data", "--data", default=default, default_text=default_text,
        metavar="digits|mnist1d|teacher|FILE", help="Dataset, or a .npz or .csv file.",
    )  # fmt: skip


data_options = together(
    data_option("digits"),
    option("data", "--label", metavar="COLUMN", default_text="label, y, target or class", help="Column of a .csv file to predict."),
    option("data", "--samples", type=int, default_text="512; all of a file", help="Training samples."),
    data_seed_option,
)  # fmt: skip

optimizer_options = together(
    option("optimizer", "--optimizer", default="gd", metavar="|".join(OPTIMIZER_NAMES), varies=True, help="Optimizer."),
    option("optimizer", "--momentum", type=float, default_text="0.9", varies=True, argument="beta", help="Momentum coefficient, beta (momentum, nesterov)."),
    option("optimizer", "--dampening", type=float, default_text="0", varies=True, help="Dampening d of m = beta m + (1 - d) g (momentum)."),
    option("optimizer", "--ema/--no-ema", default=None, default_text="no-ema", help="m is a moving average of gradients, m = beta m + (1 - beta) g, initialised to 0 (momentum)."),
    option("optimizer", "--beta1", type=float, default_text="0.9", varies=True, help="Decay rate of the first moment (Adam variants)."),
    option("optimizer", "--beta2", type=float, default_text="0.999", varies=True, help="Decay rate of the second moment (RMSProp and the Adam variants)."),
    option("optimizer", "--eps", type=float, default_text="1e-08", varies=True, help="Added to the root of the second moment (RMSProp and the Adam variants)."),
    option("optimizer", "--weight-decay", type=float, default_text="0; adamw 0.01", varies=True, help="Decoupled weight decay w: theta' = (1 - eta w) theta - eta u (gd, momentum, nesterov, adamw)."),
    option("optimizer", "--layer-rates/--no-layer-rates", default=False, help="Scale the learning rate of each layer as muP does for adaptive optimizers (mlp with mup)."),
    option("optimizer", "--batch-size", type=BatchSize(), metavar="INTEGER|full", default_text="full", varies=True, help="Samples per update."),
)  # fmt: skip


def schedule_options(command: str, *, grid: bool) -> Callable[[Any], Any]:
    """The schedule group, for a run or for a sweep; with a ``grid`` its numbers may be several."""
    real: Any = Grid() if grid else float
    whole: Any = Grid(whole=True) if grid else int
    shape = {"metavar": "GRID"} if grid else {}
    return together(
        option("schedule", "--schedule", default="warmup", metavar="warmup|modified|persistent-catapult|threshold|cdat|loss-gap", varies=True, help="Learning-rate schedule. warmup: ramp from eta_init to eta_trgt; modified: ramp from eta_init, with the slope of a ramp from 0; persistent-catapult: repeated search for the next catapult; threshold: the measured instability threshold; cdat: slope / curvature along each update; loss-gap: rises as the loss falls."),
        option("schedule", "--eta-init", type=real, default="0", help="Learning rate before the first update.", **shape),
        eta_trgt_option(type=real, default_text=eta_trgt_text(command), **shape),
        t_wrm_option(type=whole, default_text=t_wrm_text(command), **shape),
        option("schedule", "--delta", type=float, default_text="0.1", varies=True, help="The search stops when one update raises the loss by this fraction (persistent-catapult)."),
        option("schedule", "--factor", type=float, default_text="1", varies=True, help="eta_t as a multiple of the instability threshold, 1 = at the edge (threshold; loss-gap: first update only)."),
        option("schedule", "--sigma", type=float, default_text="2", varies=True, help="eta_t as a multiple of slope / curvature along the update: 1 = greedy, 2 = at the edge (cdat)."),
        option("schedule", "--memory", type=float, default_text="0", varies=True, help="Decay rate of averages over updates, for minibatches (cdat, loss-gap)."),
        steps_option,
        option("schedule", "--exponent", type=float, default_text="1; loss-gap 0.667", varies=True, help="Exponent of the ramp, 1 = linear; for loss-gap, exponent of the loss ratio.", old="--warmup-exponent"),
        option("schedule", "--decay", metavar="none|cosine|linear|wsd", default_text="none", varies=True, help="Decay of the learning rate over the last t_decay updates. wsd: warmup-stable-decay, with a linear decay."),
        option("schedule", "--t-decay", type=int, default_text="all updates after t_wrm; wsd a quarter of --steps", varies=True, help="Updates of decay."),
        option("schedule", "--eta-end", type=float, default_text="0; cosine eta_trgt / 10", varies=True, help="Learning rate of the last update, with a decay."),
        eta_unit_option(default_text="critical; adaptive optimizers absolute"),
    )  # fmt: skip


def eta_trgt_option(**kwargs: Any) -> Callable[[Any], Any]:
    """The target learning rate."""
    return option("schedule", "--eta-trgt", help="Target learning rate, at the end of warmup.", **kwargs)  # fmt: skip


def t_wrm_option(**kwargs: Any) -> Callable[[Any], Any]:
    """The length of warmup."""
    return option("schedule", "--t-wrm", help="Updates of warmup; 1 = no warmup.", **kwargs)


def eta_unit_option(**kwargs: Any) -> Callable[[Any], Any]:
    """What learning rates are multiples of."""
    return option("schedule", "--eta-unit", metavar="absolute|critical", help="Unit of learning rates. critical: the instability threshold at initialisation (gd: 2 / sharpness; adaptive optimizers: from the preconditioned sharpness).", **kwargs)  # fmt: skip


steps_option = option("schedule", "--steps", type=int, default=512, help="Updates of each run.")


def curvature_options(every: int, tol: float) -> Callable[[Any], Any]:
    """The curvature group; runs measure more often than sweeps, and more precisely."""
    return together(
        option("curvature", "--sharpness-every", type=int, default=every, varies=True, help="Updates between measurements of the sharpness, 0 = never. More are taken at the start, near the threshold and in catapults."),
        option("curvature", "--sharpness-tol", type=float, default=tol, varies=True, help="Relative error of the eigenvalues.", old="--accuracy"),
        option("curvature", "--measure", default="sharpness", metavar="NAME,…", help="Curvatures to measure. sharpness: top eigenvalue of the Hessian on the batch of the update; directional: curvature along the update; critical: 2 / eta_c, with eta_c the smallest learning rate at which the update raises the loss; batch: mean over batches of the curvature of each along its gradient; full: top eigenvalue on all samples; interaction: mean over batches of g.Hg / G.G, with g the gradient of the batch, G and H of all samples. The last three are measured every --batch-every updates, the others as often as the sharpness."),
        option("curvature", "--batches", type=int, default=32, help="Random batches per measurement of batch or interaction."),
        option("curvature", "--batch-accuracy", type=float, default_text="none", help="Target relative standard error of the batch sharpness, reached with 16 to 512 batches."),
        option("curvature", "--batch-every", type=int, default_text="steps / 64", help="Updates between measurements of batch, full and interaction."),
    )  # fmt: skip


seed_option = option("seeds", "--seed", type=int, default=0, help="Seed of the initial parameters and the batches.")  # fmt: skip


def seeds_option(default: int) -> Callable[[Any], Any]:
    """How many seeds."""
    return option("seeds", "--seeds", type=int, default=default, help="Number of seeds.")


workers_option = option("execution", "--workers", type=int, default_text="every core", help="Worker threads.")  # fmt: skip
overwrite_option = option("execution", "--overwrite", is_flag=True, help="Replace the store named by -o, and the figure.")  # fmt: skip
overwrite_figure_option = option("execution", "--overwrite", is_flag=True, help="Replace the figure, whatever it shows.")  # fmt: skip

style_options = together(
    option("output", "--style", default="screen", metavar="screen|paper|paper-wide", help="Look of the figure. paper: a column of 3.25 inches, 8 points, no title; paper-wide: 6.75 inches."),
    option("output", "--fig-width", type=float, metavar="INCHES", default_text="the style's; screen 7 to 8", help="Width of the figure."),
    option("output", "--font-size", type=float, metavar="POINTS", default_text="the style's; screen 10", help="Font size in the figure."),
    option("output", "--cmap", metavar="NAME", default_text="viridis in most figures", help="Colour map of matplotlib."),
    option("output", "--title/--no-title", default=None, default_text="the style's", help="Show the title of the figure; panel titles are always shown."),
    option("output", "--caption", is_flag=True, help="Write model, optimizer and seed in the lower right corner."),
)  # fmt: skip
cell_option = option("execution", "--cell", metavar="eta_trgt=…,t_wrm=…,seed=…", help="Coordinates of a run in the store.")  # fmt: skip


def dtype_option(*, varies: bool) -> Callable[[Any], Any]:
    """The precision."""
    return option(
        "execution", "--dtype", default="float64", metavar="float64|float32", varies=varies,
        help="Floating-point precision.",
    )  # fmt: skip


store_argument = positional("store", "Result store of warmup sweep or warmup run -o.", type=click.Path(path_type=Path), metavar="STORE.zarr")  # fmt: skip
color_option = option("output", "--color", default="loss_final", metavar="NAME", help="Variable shown by colour, such as test_accuracy_final or sharpness_final.")  # fmt: skip
where_option = option("output", "--where", metavar="DIMENSION=VALUE,…", default_text="all", help="Show only these values of other dimensions.")  # fmt: skip
curves_option = option("output", "--curves/--no-curves", default=False, help="Include the curves in the JSON document.")  # fmt: skip


def curvature_axis_option() -> Callable[[Any], Any]:
    """How the figure of a run shows curvatures."""
    return option(
        "output", "--curvature-axis", default="ratio", metavar="ratio|absolute",
        help="Draw each curvature divided by its threshold (ratio), or its value (absolute).",
    )  # fmt: skip


json_option = option("output", "--json", "as_json", is_flag=True, help="Print one JSON document on stdout; other output goes to stderr.")  # fmt: skip

terminal_options = together(
    option("output", "--quiet", is_flag=True, expose_value=False, callback=set_quiet, help="Print results and errors only: no progress, no notes."),
    option("output", "--no-color", is_flag=True, expose_value=False, callback=without_color, help="Print without colours, as with NO_COLOR set."),
)  # fmt: skip

report_options = together(
    json_option,
    terminal_options,
    option("config", "--config", type=click.Path(path_type=Path), metavar="FILE.toml", is_eager=True, expose_value=False, callback=read_config, help="Read options by name (dashes as underscores) from a file; the command line takes precedence."),
)  # fmt: skip


def output_options(figure: str) -> Callable[[Any], Any]:
    """Figure, JSON and config."""
    return together(
        option("output", "--figure", type=click.Path(path_type=Path), metavar="FILE.png|svg|pdf", default_text=figure, help="File of the figure. An existing figure of something else is replaced only with --overwrite. A default file name gets a number instead."),
        style_options,
        report_options,
    )  # fmt: skip
