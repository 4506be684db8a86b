"""What a figure shows, as text: for the metadata of its file, and for its corner."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from typing import Any

from simulator.checks import printable
from simulator.data import Data
from simulator.experiment import Experiment
from simulator.flows import Flow
from simulator.named import Named
from simulator.runs import Run
from simulator.schedules import GRID
from simulator.sweeps import Spec, text_of
from simulator.sweeps.declare import describe

__all__ = ["About", "about", "about_cell", "about_experiment", "in_short", "merged"]

# What is shown, by name: the model, the optimizer, the seed and so on.
About = dict[str, str]

_MOST = 300


def about(of: object) -> About:
    """What is known of a Run, a Story, a Flow, Spectra or the Dataset of a sweep.

    Nothing is known of the log of another program.
    """
    of = (getattr(of, "events", None) and getattr(of, "curves", None)) or getattr(of, "run", of)
    if isinstance(of, (Run, Flow)):
        data = describe(of.given.data) if isinstance(of, Run) else None
        return about_experiment(of.experiment, data, (of.seed,))
    attributes = getattr(of, "attrs", {})
    try:
        spec = Spec.from_dict(json.loads(attributes["spec"]))
        found = about_experiment(spec, json.loads(attributes["data"]), spec.seeds)
    except (KeyError, ValueError):  # a part of a sweep that a notebook put together
        return {}
    return found


def about_experiment(of: Experiment, data: Mapping[str, Any] | None, seeds: Iterable[int]) -> About:
    """Everything that differs from its default, of a run or of a sweep.

    Parameters
    ----------
    of : Experiment or Spec
    data : mapping, optional
        As a store describes it. The path of a file is left out.
    seeds : sequence of int
    """
    grid = GRID if isinstance(of, Spec) else ()
    shown: dict[str, Any] = {}
    for field in fields(of):
        value = getattr(of, field.name)
        if isinstance(value, Named):
            text = value.brief(grid if field.name == "schedule" else ())
            # The address of a function is another in each process.
            shown[field.name] = re.sub(r" at 0x[0-9a-f]+", "", text)
        elif field.name == "over":
            shown |= {axis.name: text_of(axis.labels) for axis in value}
        elif field.name not in ("seeds", "curves") and value != field.default:
            shown[field.name] = text_of(value)
    if data is not None and data["name"] != "none":
        shown["data"] = ", ".join(f"{k} {v}" for k, v in data.items() if k not in ("path", "shape"))
    shown["seed"] = text_of(tuple(seeds))
    return {name: printable(text, _MOST) for name, text in shown.items()}


def about_cell(spec: Spec, data: Data | None, cell: Sequence[int] | None = None) -> About:
    """The same of a spec and its data: of the sweep, or of the cell at these indices."""
    if cell is None:
        return about_experiment(spec, describe(data), spec.seeds)
    shown = about_experiment(spec, describe(data), (spec.seeds[cell[0]],))
    at = {name: value for name, value in spec.coordinates_of(cell).items() if name != "seed"}
    return shown | {name: text_of(value) for name, value in at.items()}


def merged(every: Iterable[About]) -> About:
    """What is known of several results that one figure shows."""
    found: dict[str, list[str]] = {}
    for one in every:
        for name, text in one.items():
            found.setdefault(name, []).append(text)
    return {name: printable("; ".join(dict.fromkeys(v)), _MOST) for name, v in found.items()}


def in_short(about: Mapping[str, str]) -> str:
    """The model, the optimizer and the seed in a line."""
    names = ("law", "study", "model", "optimizer", "seed")
    return ", ".join(f"{name} " * (name == "seed") + about[name] for name in names if name in about)
