"""The option groups that commands share, and how they become models, data and specs.

Nothing heavy is imported before a command runs: ``--help`` must be instant. Defaults that belong
to the library are shown here as text and applied there; a test holds the two together.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from simulator.checks import InputError, one_of
from simulator.commands.completion import one_of_these
from simulator.commands.defaults import eta_trgt_text, t_wrm_text
from simulator.commands.grids import BatchSize, Grid, Several
from simulator.commands.terminal import note, set_quiet, without_color
from simulator.files import open_file

if TYPE_CHECKING:
    from simulator.data import Data
    from simulator.models import Model
    from simulator.optimizers import Optimizer
    from simulator.schedules import Schedule

__all__ = [
    "KINDS", "GroupedCommand", "argument", "curvature_axis_option", "curvature_options", "data_of", "data_options", "dtype_option", "model_of",
    "model_options", "optimizer_of", "optimizer_options", "option", "option_name", "output_options",
    "overwrite_option", "report_options", "schedule_of", "schedule_options", "several", "style_options", "terminal_options", "varied", "was_given",
]  # fmt: skip

Command = TypeVar("Command", bound=Callable[..., Any])
Decorator = Callable[[Command], Command]

# Written out: importing the optimizers would cost the help its speed.
OPTIMIZER_NAMES = (
    "gd", "momentum", "nesterov", "rmsprop", "adam", "adamw", "gi-adam", "ri-adam", "radam",
)  # fmt: skip

GROUPS = (
    "law", "model", "data", "loss", "optimizer", "schedule", "search", "curvature", "seeds",
    "execution", "output", "config", "help",
)  # fmt: skip


# What Python calls each option of every command.
_ARGUMENTS: dict[str, str] = {}


class GroupedOption(click.Option):
    """An option that knows its group, what Python calls it, and an ``old`` name that still works.

    One that ``varies`` may be a list, where a command does many runs.
    """

    def __init__(
        self,
        names: Sequence[str],
        group: str,
        *,
        argument: str = "",
        varies: bool = False,
        old: str = "",
        **kwargs: Any,
    ) -> None:
        self.group, self.varies, self._old = group, varies, old
        named = names[-1].lstrip("-").replace("-", "_")
        super().__init__([old, *names, named] if old else names, **kwargs)
        assert self.name is not None
        self.argument = argument or self.name
        _ARGUMENTS[self.name] = self.argument
        if old:
            _ARGUMENTS[old.lstrip("-").replace("-", "_")] = self.argument

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        record = super().get_help_record(ctx)
        return record and (record[0].removeprefix(f"{self._old}, "), record[1])


class GroupedCommand(click.Command):
    """A command whose help lists the options group by group, and that reads ``--config``."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        groups: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None:
                groups.setdefault(getattr(parameter, "group", "help"), []).append(record)
        for name in sorted(groups, key=GROUPS.index):
            with formatter.section(name.capitalize()):
                formatter.write_dl(groups[name])


def option(group: str, *names: str, **kwargs: Any) -> Callable[[Any], Any]:
    """A click option in a group; ``default_text`` shows a default that the library applies."""
    if "|" in kwargs.get("metavar", "") and "type" not in kwargs:
        kwargs["shell_complete"] = one_of_these(kwargs["metavar"].split("|"))
    shown = kwargs.pop("default_text", None)
    if shown is not None:
        kwargs["help"] += f"  [default: {shown}]"
    elif kwargs.get("default") is not None:
        kwargs.setdefault("show_default", True)
    return click.option(*names, cls=GroupedOption, group=group, **kwargs)


def _together(*decorators: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def decorate(command: Any) -> Any:
        for decorator in reversed(decorators):
            command = decorator(command)
        return command

    return decorate


model_options = _together(
    option("model", "--model", default="mlp", metavar="mlp|uv|quadratic", varies=True, help="Model."),
    option("model", "--width", type=int, default_text="64; uv 512", varies=True, help="Hidden units per layer."),
    option("model", "--depth", type=int, default_text="3", varies=True, help="Weight layers, readout included; mlp."),
    option("model", "--activation", metavar="relu|tanh|gelu|erf|linear", default_text="relu", varies=True, help="Nonlinearity; mlp."),
    option("model", "--param", metavar="sp|ntp|mup", default_text="sp", varies=True, argument="parameterization", help="Parameterization; mlp."),
    option("model", "--s", type=float, default_text="0", varies=True, help="Parameterization exponent: 0 NTP … 1 muP; uv."),
    option("model", "--var-w", type=float, default_text="2; uv 1", varies=True, help="Gain of the hidden weights' variance."),
    option("model", "--bias/--no-bias", default=None, default_text="no-bias", help="Biases; mlp."),
    option("model", "--norm", metavar="none|activation|preactivation|readout|inner|after", default_text="none", varies=True, help="Layer normalisation of what all weight layers but the first read, of pre-activations, of what the readout reads, of what the layers between read, or of residual sums (Post-LN); mlp."),
    option("model", "--residual/--no-residual", default=None, default_text="no-residual", help="Hidden layers are added to those before them; mlp."),
    option("model", "--affine/--no-affine", default=None, default_text="no-affine", help="A gain and a shift for each normalised unit; mlp."),
    option("model", "--norm-eps", type=float, default_text="1e-05", varies=True, help="Added to the variance in a norm; mlp."),
    option("model", "--representation", metavar="gram|parameters", default_text="gram", varies=True, help="Train the weights, or their Gram matrices; uv."),
    option("model", "--curvatures", type=Grid(), metavar="GRID", default_text="1", help="Eigenvalues; quadratic."),
    option("loss", "--loss", metavar="mse|xent", default_text="mse", varies=True, help="0.5 * mean squared error over samples and outputs, or mean cross-entropy; mlp."),
)  # fmt: skip

data_options = _together(
    option("data", "--data", default="digits", metavar="digits|mnist1d|teacher|FILE", help="Dataset, or a .npz or .csv file; the quadratic needs none."),
    option("data", "--label", metavar="COLUMN", default_text="label, y, target or class", help="Column of a .csv file that is learned."),
    option("data", "--samples", type=int, default_text="512; all of a file", help="Training samples."),
    option("data", "--data-seed", type=int, default=0, help="Chooses the split, or the generated data."),
)  # fmt: skip

optimizer_options = _together(
    option("optimizer", "--optimizer", default="gd", metavar="|".join(OPTIMIZER_NAMES), varies=True, help="Update rule."),
    option("optimizer", "--momentum", type=float, default_text="0.9", varies=True, argument="beta", help="Beta; momentum, nesterov."),
    option("optimizer", "--dampening", type=float, default_text="0", varies=True, help="m = beta m + (1 - dampening) g; momentum."),
    option("optimizer", "--ema/--no-ema", default=None, default_text="no-ema", help="m = beta m + (1 - beta) g from 0; momentum."),
    option("optimizer", "--beta1", type=float, default_text="0.9", varies=True, help="Decay rate of the first moment; Adam variants."),
    option("optimizer", "--beta2", type=float, default_text="0.999", varies=True, help="Decay rate of the second moment; RMSProp and the Adam variants."),
    option("optimizer", "--eps", type=float, default_text="1e-08", varies=True, help="Added to the square root; RMSProp and the Adam variants."),
    option("optimizer", "--weight-decay", type=float, default_text="0; adamw 0.01", varies=True, help="theta' = (1 - eta times this) theta - eta u: decoupled; gd, momentum, nesterov, adamw."),
    option("optimizer", "--layer-rates/--no-layer-rates", default=False, help="muP's learning-rate factor for each layer under an adaptive optimizer; mlp, mup."),
    option("optimizer", "--batch-size", type=BatchSize(), metavar="INTEGER|full", default_text="full", varies=True, help="Samples an update sees."),
)  # fmt: skip


def schedule_options(command: str, *, grid: bool) -> Callable[[Any], Any]:
    """The schedule group, for a run or for a sweep; with a ``grid`` its numbers may be several."""
    real: Any = Grid() if grid else float
    whole: Any = Grid(whole=True) if grid else int
    shape = {"metavar": "GRID"} if grid else {}
    return _together(
        option("schedule", "--schedule", default="warmup", metavar="warmup|modified|persistent-catapult|threshold|cdat|loss-gap", varies=True, help="What the learning rate follows: a ramp, one that begins at eta_init with the slope of one from 0, searches for the next catapult, the measured threshold, the slope over the curvature along each update, or the loss."),
        option("schedule", "--eta-init", type=real, default="0", help="Learning rate before the first update.", **shape),
        option("schedule", "--eta-trgt", type=real, default_text=eta_trgt_text(command), help="Learning rate at the end of warmup.", **shape),
        option("schedule", "--t-wrm", type=whole, default_text=t_wrm_text(command), help="Updates of warmup; 1 is none.", **shape),
        option("schedule", "--delta", type=float, default_text="0.1", varies=True, help="Rise of the loss in one update, as a fraction, at which a search stops; persistent-catapult."),
        option("schedule", "--factor", type=float, default_text="1", varies=True, help="eta_t (loss-gap: the first) as a multiple of the instability threshold (1 = at the edge); threshold, loss-gap."),
        option("schedule", "--sigma", type=float, default_text="2", varies=True, help="eta_t as a multiple of slope / curvature along the update: 1 is greedy, 2 at the edge; cdat."),
        option("schedule", "--memory", type=float, default_text="0", varies=True, help="Decay rate of the averages over updates, for batches; cdat, loss-gap."),
        option("schedule", "--steps", type=int, default=512, help="Updates in all."),
        option("schedule", "--exponent", type=float, default_text="1; loss-gap 0.667", varies=True, help="Shape of the ramp, 1 is linear; loss-gap: power of the loss ratio.", old="--warmup-exponent"),
        option("schedule", "--decay", metavar="none|cosine|linear|wsd", default_text="none", varies=True, help="Decay of eta over the last t_decay updates; wsd: warmup-stable-decay, linear."),
        option("schedule", "--t-decay", type=int, default_text="all after t_wrm; wsd a quarter of --steps", varies=True, help="Updates of decay."),
        option("schedule", "--eta-end", type=float, default_text="0; cosine eta_trgt / 10", varies=True, help="Learning rate of the last update, with a decay."),
        option("schedule", "--eta-unit", metavar="absolute|critical", default_text="critical; adaptive optimizers absolute", help="critical: every eta in multiples of the threshold at initialisation (gd: 2 / sharpness; adam: of the pre-conditioned one)."),
    )  # fmt: skip


def argument(name: str) -> str:
    """What Python calls an axis that may be named as its option: ``param``, ``batch-size``."""
    name = name.lstrip("-").replace("-", "_")
    return _ARGUMENTS.get(name, name)


def option_name(argument: str) -> str:
    """The inverse: what is typed for an argument of a model, an optimizer or a schedule."""
    return next((name for name, known in _ARGUMENTS.items() if known == argument), argument)


def several(command: click.Command) -> click.Command:
    """Let the options of a command that may vary take a list, or a grid where they are numbers."""
    for parameter in _varying(command):
        if not isinstance(parameter.type, Grid):
            parameter.type = Several(parameter.type)
    return command


def _varying(command: click.Command) -> list[GroupedOption]:
    return [p for p in command.params if isinstance(p, GroupedOption) and p.varies]


def varied(given: dict[str, Any]) -> dict[str, Any]:
    """The axes that lists among the given options make, beside those of the schedule.

    Each such option is left with its first value, also for `model_of`, `optimizer_of` and
    `schedule_of`, which give the first of several.
    """
    over: dict[str, Any] = {}
    context = click.get_current_context()
    for parameter in _varying(context.command):
        name = parameter.name or ""
        values = given.get(name)
        if isinstance(values, tuple):
            over[parameter.argument] = _made(name) if name in KINDS else values
            if name not in KINDS:
                context.params[name] = given[name] = values[0]
    return over


def curvature_options(every: int, tol: float) -> Callable[[Any], Any]:
    """The curvature group; runs measure more often than sweeps, and more precisely."""
    return _together(
        option("curvature", "--sharpness-every", type=int, default=every, varies=True, help="Updates between measurements; between them where something happens. 0 is never."),
        option("curvature", "--sharpness-tol", type=float, default=tol, varies=True, help="Relative error of the eigenvalues.", old="--accuracy"),
        option("curvature", "--measure", default="sharpness", metavar="NAME,…", help="Curvatures to follow: sharpness, directional and critical where the sharpness is due; batch, full and interaction every --batch-every updates."),
        option("curvature", "--batches", type=int, default=32, help="Random batches in a measurement of batch or interaction."),
        option("curvature", "--batch-accuracy", type=float, default_text="none", help="Relative standard error of the batch sharpness to reach, with 16 to 512 batches instead."),
        option("curvature", "--batch-every", type=int, default_text="steps / 64", help="Updates between measurements of batch, full and interaction."),
    )  # fmt: skip


def dtype_option(*, varies: bool) -> Callable[[Any], Any]:
    """The precision."""
    return option(
        "execution", "--dtype", default="float64", metavar="float64|float32", varies=varies,
        help="Precision.",
    )  # fmt: skip


def curvature_axis_option() -> Callable[[Any], Any]:
    """How the figure of a run shows curvatures."""
    return option(
        "output", "--curvature-axis", default="ratio", metavar="ratio|absolute",
        help="Curvatures in the figure: each over its own threshold, or as they are.",
    )  # fmt: skip


overwrite_option = option("output", "--overwrite", is_flag=True, help="Replace the figure, whatever it shows.")  # fmt: skip

style_options = _together(
    option("output", "--style", default="screen", metavar="screen|paper|paper-wide", help="Look of the figure. paper: a column of 3.25 inches, 8 points, no title; paper-wide: 6.75 inches."),
    option("output", "--fig-width", type=float, metavar="INCHES", default_text="the style's; screen 7 to 8", help="Width of the figure."),
    option("output", "--font-size", type=float, metavar="POINTS", default_text="the style's; screen 10", help="Font size in the figure."),
    option("output", "--cmap", metavar="NAME", default_text="viridis in most figures", help="Colour map of matplotlib."),
    option("output", "--title/--no-title", default=None, default_text="the style's", help="Title of the figure; titles of its panels stay."),
    option("output", "--caption", is_flag=True, help="Write model, optimizer and seed in the lower right corner."),
)  # fmt: skip


def output_options(figure: str) -> Callable[[Any], Any]:
    """Figure, JSON and config."""
    return _together(
        option("output", "--figure", type=click.Path(path_type=Path), metavar="FILE.png|svg|pdf", default_text=figure, help="Where to draw. A figure of something else is kept: the next free name is taken, or a name that was typed is refused."),
        style_options,
        report_options,
    )  # fmt: skip


# A few dozen options, and lists of numbers as long as anyone would type.
_MOST_BYTES = 32_000
_MOST_DOTS = 50


def _toml(path: Path) -> dict[str, Any]:
    """The entries of a TOML file that may be anybody's."""
    import tomllib

    try:
        with open_file("config", path) as file:
            content = file.read(_MOST_BYTES + 1)
        if len(content) > _MOST_BYTES:
            raise InputError("config", path, f"is larger than {_MOST_BYTES} bytes; options are few")
        text = content.decode("utf-8-sig")
        # The parser takes time that grows as the square of a key's parts.
        if any(part.count(".") > _MOST_DOTS for part in re.split(r"[,=\[\]{}\n]", text)):
            raise InputError("config", path, f"has more than {_MOST_DOTS} dots in a row; use few")
        return tomllib.loads(text)
    except OSError as error:
        raise InputError("config", path, f"cannot be read: {error.strerror}") from None
    except RecursionError:
        raise InputError("config", path, "is nested too deeply; options are not nested") from None
    except InputError:
        raise
    except ValueError as error:  # not TOML, not UTF-8, or a number of thousands of digits
        raise InputError("config", path, f"is not TOML: {error}") from None


def _read_config(ctx: click.Context, param: click.Parameter, path: Path | None) -> None:
    """Make the entries of a TOML file the command's defaults."""
    if path is None:
        return
    entries = _toml(path)
    known = {
        name.lstrip("-").replace("-", "_"): p
        for p in ctx.command.params
        for name in p.opts
        if name.startswith("--") and p.name != "config"
    }
    defaults: dict[str, Any] = {}
    for key, value in entries.items():
        one_of("config", key, known)
        name = known[key].name
        assert name is not None
        if isinstance(value, bool) and not getattr(known[key], "is_flag", False):
            raise InputError(key, str(value).lower(), "give a number or a text")
        defaults[name] = _as_typed(key, value)
    ctx.default_map = {**(ctx.default_map or {}), **defaults}


terminal_options = _together(
    option("output", "--quiet", is_flag=True, expose_value=False, callback=set_quiet, help="No progress and no notes: results and errors only."),
    option("output", "--no-color", is_flag=True, expose_value=False, callback=without_color, help="No colours; so does NO_COLOR."),
)  # fmt: skip

report_options = _together(
    option("output", "--json", "as_json", is_flag=True, help="One JSON document on stdout; everything else on stderr."),
    terminal_options,
    option("config", "--config", type=click.Path(path_type=Path), metavar="FILE.toml", is_eager=True, expose_value=False, callback=_read_config, help="Options by name (dashes as underscores); the command line wins."),
)  # fmt: skip


def _as_typed(key: str, value: object) -> object:
    """A TOML value as it would be typed: what the command line checks, it checks here too."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and "\0" in value:
        raise InputError(key, value, "holds a NUL character; leave it out")
    try:
        if isinstance(value, (int, float, str)):
            return str(value)
        if isinstance(value, list) and all(type(entry) in (int, float, str) for entry in value):
            return ",".join(map(str, value))
    except ValueError:  # Python does not write out a whole number of thousands of digits
        raise InputError(key, "a number of thousands of digits", "give a smaller one") from None
    raise InputError("config", key, "give a number, a text, or a list of them")


def was_given(name: str) -> bool:
    """Whether an option of the current command was typed, or is in its config."""
    source = click.get_current_context().get_parameter_source(name)
    return source in (
        click.core.ParameterSource.COMMANDLINE,
        click.core.ParameterSource.DEFAULT_MAP,
    )


def model_of() -> Model:
    """The model that the current command's options describe, the first of several."""
    return _first("model")


def optimizer_of() -> Optimizer:
    """The optimizer that they describe."""
    return _first("optimizer")


def schedule_of() -> Schedule:
    """The schedule that they describe, a template."""
    return _first("schedule")


# The groups whose options are those of each.
KINDS = {"model": ("model", "loss"), "optimizer": ("optimizer",), "schedule": ("schedule",)}


def _first(kind: str) -> Any:
    return next(iter(_made(kind).values()))


def _made(kind: str) -> dict[str, Any]:
    """What ``--model``, for example, names: by name, each with the given options that it takes."""
    from dataclasses import fields

    from simulator.sweeps import OURS, Spec, text_of

    context, known = click.get_current_context(), OURS[kind]
    names = context.params[kind]
    names = names if isinstance(names, tuple) else (names,)
    takes = {
        name: {field.name for field in fields(known[one_of(kind, name, known)])} for name in names
    }
    of_the_grid = {field.name for field in fields(Spec)}
    values = {}
    for parameter in context.command.params:
        if not isinstance(parameter, GroupedOption) or parameter.group not in KINDS[kind]:
            continue
        value = context.params.get(parameter.name or "")
        if value is None or parameter.argument in of_the_grid:
            continue
        if not any(parameter.argument in taken for taken in takes.values()):
            typed = f"no_{parameter.name}" if value is False else str(parameter.name)
            raise InputError(
                typed, text_of(value),
                f"the {kind} {', '.join(names)} has no such option; leave it out",
            )  # fmt: skip
        # Of a list, the first: the others are an axis.
        listed = isinstance(value, tuple) and parameter.varies
        values[parameter.argument] = value[0] if listed else value
    return {
        name: known[name](**{k: v for k, v in values.items() if k in takes[name]}) for name in names
    }


def data_of() -> Data | None:
    """The data that the current command's options describe; None for a model without."""
    params = click.get_current_context().params
    if params["model"] == "quadratic":
        for name in ("data", "label", "samples"):
            if was_given(name):
                raise InputError(name, params[name], "the model quadratic needs none; leave it out")
        return None
    from simulator.data import load_data

    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        data = load_data(
            params["data"], params["samples"], params["data_seed"], label=params["label"]
        )
    for warning in said:
        note(f"--data {params['data']}: {warning.message}.")
    if params.get("dtype") == "float32" and data.largest > 3.4e38:
        raise InputError("dtype", "float32", f"{params['data']} has larger numbers; give float64")
    return data
