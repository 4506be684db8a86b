"""``warmup critical --safe`` and ``--shortest-warmup``: a bound, and a measurement."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from simulator.checks import InputError, at_least, count
from simulator.commands import options
from simulator.commands.options import option
from simulator.commands.seeds import number, of_each
from simulator.commands.terminal import announce_compilation, emit

if TYPE_CHECKING:
    from simulator.advice import SafeRate, ShortestWarmup
    from simulator.data import Data
    from simulator.sweeps import Spec

__all__ = ["ADVICE", "advice_options", "check_advice", "report_advice"]

ADVICE = ("safe", "shortest_warmup")
# Options of the search for eta_c and eta_max, and of what is advised, that one of the two has too.
_SEARCH = ("t_wrm", "method", "eta_0", "delta", "eta_most", "failure")
_NO_USE = {
    "safe": (*_SEARCH, "eta_trgt", "eta_unit", "steps", "tolerance", "t_most"),
    "shortest_warmup": _SEARCH,
}
# Seeds of one network differ by up to a factor of 128.
_LEAST_SEEDS = 5
_ROW, _SHORTEST_ROW = "  {:>6} {:>11} {:>11} {:>11} {:>11}", "  {:>6} {:>11} {:>7}   {}"


advice_options = options.together(
    option("search", "--safe", is_flag=True, help="Find only a learning rate that is safe without warmup. It is a lower bound of eta_max, measured in 64 updates (gd on all samples)."),
    option("search", "--shortest-warmup", is_flag=True, help="Find only the shortest warmup to --eta-trgt that trains, by bisection, over at least 5 seeds."),
    option("search", "--t-most", type=int, default_text="steps / 2", help="Longest warmup that --shortest-warmup tries."),
)  # fmt: skip


def check_advice(given: dict[str, Any]) -> str | None:
    """Which of the two was asked for, if any; refuses what it has no use for."""
    asked = [name for name in ADVICE if given[name]]
    if len(asked) > 1:
        raise InputError("safe", "with --shortest-warmup", "give one of the two")
    if not asked:
        if options.was_given("t_most"):
            raise InputError(
                "t_most", given["t_most"], "belongs to --shortest-warmup; give that too"
            )
        return None
    (name,) = asked
    typed = f"--{name.replace('_', '-')}"
    for other in filter(options.was_given, _NO_USE[name]):
        raise InputError(other, given[other], f"is not used with {typed}; leave it out")
    if name == "safe":
        usual = {"optimizer": "gd", "batch_size": None, "layer_rates": False, "weight_decay": None}
        for other in usual:
            if given[other] != usual[other]:
                remedy = "the bound holds for plain gd on all samples; leave it out"
                raise InputError(other, given[other], remedy)
        return name
    if given["eta_trgt"] is None:
        raise InputError("shortest_warmup", "without eta_trgt", "give the --eta-trgt to warm up to")
    if at_least("seeds", given["seeds"], 1) < _LEAST_SEEDS:
        raise InputError(
            "seeds", given["seeds"], f"too few, because seeds differ; give at least {_LEAST_SEEDS}"
        )
    count("steps", given["steps"], 1)
    return name


def report_advice(name: str, given: dict[str, Any], spec: Spec, data: Data | None) -> None:
    """Measure, and print it."""
    announce_compilation()
    began = time.monotonic()
    measure = {"safe": _safe, "shortest_warmup": _shortest}[name]
    measure(given, spec, data, began)


# --- a safe learning rate -------------------------------------------------------------------------


def _safe(given: dict[str, Any], spec: Spec, data: Data | None, began: float) -> None:
    from simulator.advice import LARGEST_OVER_SAFE, PROBED, safe_learning_rate

    def probe(seed: int, stop: Callable[[], bool]) -> SafeRate:
        return safe_learning_rate(spec.model, data, seed=seed, dtype=spec.dtype)

    found = of_each(spec.seeds, probe, given["workers"])
    if given["as_json"]:
        emit(
            _document("safe", spec, began)
            | {
                "seeds": [
                    {"seed": s, **one._asdict()} for s, one in zip(spec.seeds, found, strict=True)
                ],
                "largest_over_safe": {f"{part:g}": v for part, v in LARGEST_OVER_SAFE.items()},
            }
        )
        return
    click.echo(f"{spec.model.name}, gd, {PROBED[-1]} updates at half of 2 / sharpness\n")
    click.echo(_ROW.format("seed", "eta_safe", *(f"sharpness {step}" for step in PROBED)))
    for seed, one in zip(spec.seeds, found, strict=True):
        click.echo(_ROW.format(seed, *map(number, (one.eta, *one.sharpness))))
    _explain_safe(found)


def _explain_safe(found: list[SafeRate]) -> None:
    from simulator.advice import LARGEST_OVER_SAFE

    least, *_, most = LARGEST_OVER_SAFE.values()
    click.echo(
        "\neta_safe is 2 over the largest sharpness before updates 0, 16 and 64 of the probe: a "
        "lower bound\non the largest constant rate that trains. In 120 measured networks that "
        f"rate was {least:.3g} to {most:.3g}\ntimes eta_safe:\n"
    )
    click.echo("  quantile  " + " ".join(f"{part:>5.0%}" for part in LARGEST_OVER_SAFE))
    click.echo("  times     " + " ".join(f"{value:>5.3g}" for value in LARGEST_OVER_SAFE.values()))
    click.echo(f"\nSet eta_trgt without warmup to at most {number(min(o.eta for o in found))}.")
    if any(not one.eta for one in found):
        click.echo("Where eta_safe is 0 the probe itself diverged.")


# --- the shortest warmup --------------------------------------------------------------------------


def _shortest(given: dict[str, Any], spec: Spec, data: Data | None, began: float) -> None:
    from simulator.advice import shortest_warmup
    from simulator.sweeps import seed_constants

    def search(seed: int, stop: Callable[[], bool]) -> tuple[float, ShortestWarmup]:
        unit = spec.unit(seed_constants(spec, data, seed)["eta_critical"])
        eta_trgt = spec.eta_trgt[0] * unit
        return eta_trgt, shortest_warmup(
            spec.model, data, eta_trgt=eta_trgt, optimizer=spec.optimizer, seed=seed,
            steps=spec.steps, t_most=given["t_most"], tolerance=given["tolerance"],
            batch_size=spec.batch_size, layer_rates=spec.layer_rates, dtype=spec.dtype, stop=stop,
        )  # fmt: skip

    found = of_each(spec.seeds, search, given["workers"])
    lengths = [one.t_wrm for _, one in found]
    updates = sum(one.updates for _, one in found)
    if given["as_json"]:
        seeds = [
            {"seed": seed, "eta_trgt": eta, **one._asdict()}
            for seed, (eta, one) in zip(spec.seeds, found, strict=True)
        ]
        emit(
            _document("shortest_warmup", spec, began)
            | {"seeds": seeds, "updates": updates, "infeasible": sum(map(math.isinf, lengths))}
        )
        return
    unit = " eta_critical" if spec.eta_unit == "critical" else ""
    click.echo(
        f"{spec.model.name}, {spec.optimizer.name}, to eta_trgt = {spec.eta_trgt[0]:g}{unit}\n"
    )
    click.echo(_SHORTEST_ROW.format("seed", "eta_trgt", "t_wrm", "tried (- did not train)"))
    for seed, (eta, one) in zip(spec.seeds, found, strict=True):
        tried = " ".join(f"{t}" if trained else f"-{t}" for t, trained in one.tried.items())
        click.echo(_SHORTEST_ROW.format(seed, number(eta), number(one.t_wrm), tried))
    click.echo(
        f"\nA warmup trains if after {spec.steps} updates the loss is finite and 10 % below that of the\n"
        f"best constant prediction. The search took {updates} updates, {time.monotonic() - began:.1f} s."
    )
    click.echo(f"\n{_verdict(lengths, max(found[0][1].tried))}")


def _verdict(lengths: list[float], t_most: int) -> str:
    """What the seeds say together."""
    feasible = [int(length) for length in lengths if math.isfinite(length)]
    shortest = f"{min(feasible)} to {max(feasible)} updates" if feasible else ""
    lost = len(lengths) - len(feasible)
    if not lost:
        return f"The shortest warmup is {shortest}. Use a longer one: other seeds will differ."
    others = f" In the other seeds the shortest warmup is {shortest}." if feasible else ""
    return (
        f"The target is infeasible in {lost} of {len(lengths)} seeds: the longest warmup tried, "
        f"{t_most} updates, does not train.{others}"
    )


def _document(name: str, spec: Spec, began: float) -> dict[str, Any]:
    plain = spec.as_dict()
    same = ("model", "optimizer", "batch_size", "layer_rates", "dtype")
    document = {"command": "critical", "advice": name, **{key: plain[key] for key in same}}
    if name == "shortest_warmup":
        document |= {
            "schedule": {"eta_trgt": spec.eta_trgt[0], "eta_unit": spec.eta_unit},
            "steps": spec.steps,
        }
    return document | {"seconds": time.monotonic() - began}
