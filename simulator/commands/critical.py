"""``warmup critical``: where one update raises the loss, and what starting a warmup there saves."""

from __future__ import annotations

import math
import shlex
import statistics
import time
from typing import TYPE_CHECKING, Any

import click

from simulator.catapult_search import DELTA, ETA_0, TOLERANCE
from simulator.checks import InputError, count, one_of, positive
from simulator.commands import options
from simulator.commands.advice import advice_options, check_advice, report_advice
from simulator.commands.options import option
from simulator.commands.seeds import number, of_each
from simulator.commands.terminal import announce_compilation, emit

if TYPE_CHECKING:
    from collections.abc import Callable

    from simulator.critical import Critical
    from simulator.data import Data
    from simulator.sweeps import Spec

__all__ = ["critical"]

# Options that the line for `warmup run` repeats, as they were given.
_REPEATED = ("model", "data", "loss", "optimizer", "execution")


@click.command(
    cls=options.GroupedCommand,
    common="model param width data optimizer eta-trgt t-wrm eta-unit steps safe shortest-warmup seeds",
    examples=(
        ("warmup critical", "eta_c and eta_max of the default network, over 5 seeds"),
        (
            "warmup critical --eta-trgt 16 --t-wrm 256",
            "Updates saved if the warmup starts at eta_c",
        ),
        ("warmup critical --safe", "A learning rate that is safe without warmup"),
    ),
)
@options.model_options
@options.data_options
@options.optimizer_options
@options.eta_trgt_option(type=float, default_text="none")
@options.t_wrm_option(type=int, default_text="none")
@options.eta_unit_option(default="critical")
@options.steps_option
@option("search", "--method", default="two-way", metavar="two-way|paper", help="Search for eta_c. two-way: from a second-order estimate; paper: doubling from eta_0, then halving.")  # fmt: skip
@option("search", "--tolerance", type=float, default=TOLERANCE, help="Relative width of the bracket at which a search ends.")  # fmt: skip
@option("search", "--eta-0", type=float, default=ETA_0, help="First learning rate of --method paper, absolute.")  # fmt: skip
@option("search", "--delta", type=float, default=DELTA, help="Relative rise of the loss at which --method paper ends.")  # fmt: skip
@option("search", "--eta-most", type=float, default=math.inf, default_text="no limit", help="Largest learning rate to try, absolute.")  # fmt: skip
@option("search", "--failure", default="untrained", metavar="untrained|diverged", help="What counts as failure above eta_max: a network that does not train (this includes dead networks), or one that diverges.")  # fmt: skip
@advice_options
@options.seeds_option(5)
@options.workers_option
@options.dtype_option(varies=False)
@options.report_options
def critical(**given: Any) -> None:
    """Find the critical and the largest trainable learning rate.

    eta_c is the smallest learning rate at which one update raises the loss. eta_max is the largest
    constant learning rate that trains in --steps updates; --steps 0 skips the search for it. With
    --eta-trgt and --t-wrm, the command also reports how many updates a warmup from eta_c saves, and
    prints the command of this warmup.

    No formula predicts how long a warmup must be. --shortest-warmup measures it, and --safe measures
    a lower bound of eta_max.
    """
    _check(given)
    advice = check_advice(given)
    spec, data = _spec(given), options.data_of()
    from simulator.sweeps import check

    check(spec, data, workers=given["workers"])
    if advice:
        report_advice(advice, given, spec, data)
        return

    announce_compilation()
    began = time.monotonic()
    found = _search(given, spec, data)
    seconds = time.monotonic() - began
    plans = _plans(given, spec, found)
    if given["as_json"]:
        emit(_document(given, spec, found, plans, seconds))
    else:
        _report(given, spec, found)
        if plans:
            _report_plans(given, found, plans)


def _check(given: dict[str, Any]) -> None:
    """Refuse what no search could use."""
    from simulator.critical import FAILURES, METHODS

    one_of("method", given["method"], METHODS)
    one_of("failure", given["failure"], FAILURES)
    count("steps", given["steps"], 0)
    for name in ("tolerance", "eta_0", "delta"):
        positive(name, given[name])
        if given["method"] != "paper" and name != "tolerance" and options.was_given(name):
            raise InputError(name, given[name], "belongs to --method paper; leave it out")
    if given["eta_most"] != math.inf:
        positive("eta_most", given["eta_most"])
    for name, other in (("eta_trgt", "t_wrm"), ("t_wrm", "eta_trgt")):
        if not given["shortest_warmup"] and given[name] is not None and given[other] is None:
            typed = other.replace("_", "-")
            raise InputError(name, given[name], f"needs --{typed} too; give both, or neither")


def _spec(given: dict[str, Any]) -> Spec:
    """The runs that the search would do, for what the house checks of them."""
    from simulator.sweeps import Spec, first_seeds

    t_wrm = 1 if given["t_wrm"] is None else given["t_wrm"]
    return Spec(
        model=options.model_of(),
        optimizer=options.optimizer_of(),
        eta_trgt=(1.0 if given["eta_trgt"] is None else given["eta_trgt"],),
        t_wrm=(t_wrm,),
        seeds=first_seeds(given["seeds"]),
        steps=given["steps"] or max(t_wrm, 1),
        sharpness_every=0,
        **{name: given[name] for name in ("eta_unit", "batch_size", "layer_rates", "dtype")},
    )


def _search(given: dict[str, Any], spec: Spec, data: Data | None) -> list[Critical]:
    from simulator.critical import critical_learning_rate

    same = (
        "method", "eta_0", "delta", "tolerance", "eta_most", "steps", "failure", "batch_size",
        "layer_rates", "dtype",
    )  # fmt: skip

    def search(seed: int, stop: Callable[[], bool]) -> Critical:
        return critical_learning_rate(
            spec.model,
            data,
            optimizer=spec.optimizer,
            seed=seed,
            stop=stop,
            **{name: given[name] for name in same},
        )

    return of_each(spec.seeds, search, given["workers"])


# --- what it would save ---------------------------------------------------------------------------


def _plans(given: dict[str, Any], spec: Spec, found: list[Critical]) -> list[dict[str, Any]]:
    """For each seed the warmup to run and what it saves; none where no warmup was named."""
    if given["eta_trgt"] is None:
        return []
    plans = []
    for seed, one in zip(spec.seeds, found, strict=True):
        unit = one.eta_critical if spec.eta_unit == "critical" else 1.0
        eta_trgt = spec.eta_trgt[0] * unit
        start, saving = one.recommendation(eta_trgt), one.saving(eta_trgt, given["t_wrm"])
        plan = {"eta_trgt": eta_trgt, **start._asdict(), **saving._asdict()}
        plans.append(plan | {"command": _line(given, seed, plan)})
    return plans


def _line(given: dict[str, Any], seed: int, plan: dict[str, Any]) -> str:
    """``warmup run`` with what is left of the warmup, from eta_init at the slope of the whole."""
    words = ["warmup", "run"]
    for parameter in click.get_current_context().command.params:
        group, name = getattr(parameter, "group", ""), parameter.name or ""
        if group not in _REPEATED or name == "workers" or not options.was_given(name):
            continue
        value = given[name]
        if isinstance(value, bool):
            words.append(parameter.opts[-1] if value else parameter.secondary_opts[-1])
        else:
            text = ",".join(f"{v:.17g}" for v in value) if isinstance(value, tuple) else str(value)
            words += [parameter.opts[-1], text]
    schedule = {
        "schedule": "modified",
        "eta-unit": "absolute",
        "eta-init": f"{plan['eta_init']:.6g}",
        "eta-trgt": f"{plan['eta_trgt']:.6g}",
        "t-wrm": str(given["t_wrm"]),
        "seed": str(seed),
    }
    if given["steps"] and options.was_given("steps"):
        schedule["steps"] = str(given["steps"])
    return shlex.join(words + [word for name, v in schedule.items() for word in (f"--{name}", v)])


# --- what is told ---------------------------------------------------------------------------------

_ROW = "  {:>14} {:>11} {:>11} {:>11} {:>12} {:>14} {:>8}"
_COLUMNS = ("eta_c", "eta_max", "unit", "eta_c / unit", "eta_max / unit", "passes")
_PLAN = "  {:>14} {:>11} {:>11} {:>9} {:>9} {:>9}"


def _values(one: Critical) -> tuple[float, ...]:
    unit = one.eta_critical
    return one.eta_c, one.eta_max, unit, one.eta_c / unit, one.eta_max / unit, one.forward_passes


def _quantiles(values: list[float]) -> list[float]:
    """Minimum, quartiles and maximum, each a value that occurred or between two; inf is largest."""
    ordered = sorted(values, key=lambda value: (value != value, value))
    marks = []
    for part in (0.0, 0.25, 0.5, 0.75, 1.0):
        at = part * (len(ordered) - 1)
        low, high = ordered[math.floor(at)], ordered[math.ceil(at)]
        marks.append(low if low == high else low + (at - math.floor(at)) * (high - low))
    return marks


_MARKS = ("least", "lower quartile", "median", "upper quartile", "largest")


def _report(given: dict[str, Any], spec: Spec, found: list[Critical]) -> None:
    click.echo(f"{spec.model.name}, {spec.optimizer.name}, {given['method']} search\n")
    click.echo(_ROW.format("seed", *_COLUMNS))
    rows = [_values(one) for one in found]
    for seed, row in zip(spec.seeds, rows, strict=True):
        click.echo(_ROW.format(seed, *map(number, row)))
    if len(rows) > 1:
        click.echo()
        marks = zip(*(_quantiles(list(column)) for column in zip(*rows, strict=True)), strict=True)
        for name, row in zip(_MARKS, marks, strict=True):
            click.echo(_ROW.format(name, *map(number, row)))
    over, decay = spec.optimizer.limit
    top = f"(sharpness + {decay:.4g})" if decay else "sharpness"
    click.echo(f"\nThe unit is the threshold at initialisation, {over:.4g} / {top}.")
    if spec.preconditions:
        click.echo("This is the preconditioned sharpness of the first update.")
    click.echo(
        "From eta_c on, one update raises the loss; passes: forward passes of the search for eta_c."
    )
    if given["steps"]:
        failing = {"untrained": "trains", "diverged": "stays finite"}[given["failure"]]
        click.echo(
            f"At a constant rate up to eta_max the network {failing} in {given['steps']} updates."
        )
    again = sum(bool(one.holes) for one in found)
    if again:
        click.echo(f"In {again} of {len(found)} seeds some larger rates train too.")
    click.echo(f"\n{_advice(found)}")


def _advice(found: list[Critical]) -> str:
    """What to set eta_init to, in a few sentences."""
    good = [one.eta_c for one in found if one.usable]
    if len(good) == len(found):
        middle = number(statistics.median(good))
        which = (
            f"the eta_c of your seed (median {middle})" if len(good) > 1 else f"eta_c = {middle}"
        )
        return f"Set eta_init to {which}."
    sentences = []
    if harmful := [one for one in found if _is_harmful(one)]:
        share = _share(harmful, found)
        sentences.append(
            f"Set eta_init to eta_trgt / 10{share} instead of eta_c: {_reason(harmful[0])}."
        )
    if without := [one for one in found if not math.isfinite(one.eta_c)]:
        share = _share(without, found)
        there = " there" * bool(share)
        sentences.append(
            f"There is no eta_c{share}: {_reason(without[0])}. "
            f"Set eta_init to eta_trgt / 10{there}."
        )
    if good:
        sentences.append("In the other seeds set it to eta_c.")
    return " ".join(sentences)


def _is_harmful(one: Critical) -> bool:
    """Whether there is an eta_c, but training fails from there."""
    return math.isfinite(one.eta_c) and not one.usable


def _share(some: list[Critical], found: list[Critical]) -> str:
    """How many of the seeds these are, if not all."""
    return "" if len(some) == len(found) else f" in {len(some)} of {len(found)} seeds"


def _reason(one: Critical) -> str:
    """Why a warmup does not start at eta_c; the same for every eta_trgt."""
    return one.recommendation(1.0).reason


def _report_plans(
    given: dict[str, Any], found: list[Critical], plans: list[dict[str, Any]]
) -> None:
    t_wrm = given["t_wrm"]
    click.echo(
        f"\nA warmup to eta_trgt with the slope of {t_wrm} updates from 0, but started at eta_init:\n"
    )
    click.echo(_PLAN.format("seed", "eta_init", "eta_trgt", "t_reach", "saved", "t_save"))
    names = ("eta_init", "eta_trgt", "t_reach", "saved", "t_save")
    for seed, plan in enumerate(plans):
        click.echo(_PLAN.format(seed, *(number(plan[name]) for name in names)))
    middle = {name: statistics.median(plan[name] for plan in plans) for name in names}
    if len(plans) > 1:
        click.echo(_PLAN.format("median", *map(number, middle.values())))
    click.echo("\nIn updates. t_save: updates saved, each forward pass counted as half an update.")
    click.echo(f"{_verdict(t_wrm, middle, found)}\n")
    click.echo(f"To run this warmup with seed 0:\n  {plans[0]['command']}")


def _verdict(t_wrm: int, middle: dict[str, float], found: list[Critical]) -> str:
    """Whether it is worth it, in a sentence."""
    harmful, harm = [one for one in found if _is_harmful(one)], ""
    if harmful:
        harm = f" From a start at eta_c training may fail{_share(harmful, found)}: see above."
    if middle["t_save"] <= 0:
        return (
            f"It saves nothing: it skips {number(middle['saved'])} updates of {t_wrm}, and the search "
            f"costs as much or more.{harm}"
        )
    share = middle["t_save"] / t_wrm
    return f"It saves {number(middle['t_save'])} updates of {t_wrm}, {share:.0%}.{harm}"


def _document(
    given: dict[str, Any],
    spec: Spec,
    found: list[Critical],
    plans: list[dict[str, Any]],
    seconds: float,
) -> dict[str, Any]:
    from dataclasses import asdict

    search = ("method", "tolerance", "eta_0", "delta", "eta_most", "failure", "steps")
    summary = {
        name: dict(zip(_MARKS, _quantiles([getattr(one, name) for one in found]), strict=True))
        for name in ("eta_c", "eta_max", "eta_critical", "forward_passes")
    }
    plain = spec.as_dict()
    same = ("model", "optimizer", "batch_size", "layer_rates", "dtype")
    document = {
        "command": "critical",
        **{name: plain[name] for name in same},
        "search": {name: given[name] for name in search},
        "seeds": [
            {"seed": seed, **asdict(one), "usable": one.usable}
            for seed, one in zip(spec.seeds, found, strict=True)
        ],
        "summary": summary,
        "advice": _advice(found),
        "seconds": seconds,
    }
    if plans:
        names = ("eta_init", "eta_trgt", "t_reach", "updates", "saved", "t_save")
        document["schedule"] = {name: given[name] for name in ("eta_trgt", "t_wrm", "eta_unit")}
        document["plans"] = [{"seed": s, **p} for s, p in zip(spec.seeds, plans, strict=True)]
        document["median"] = {
            name: statistics.median(plan[name] for plan in plans) for name in names
        }
    return document
