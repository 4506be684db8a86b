"""A run of a store, to be done again."""

from __future__ import annotations

from dataclasses import replace
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from simulator.checks import InputError
from simulator.commands import options

if TYPE_CHECKING:
    from simulator.data import Data
    from simulator.sweeps import Spec

__all__ = ["Replay", "coordinates", "data_again", "refuse_others", "replay"]


class Replay(NamedTuple):
    """Spec, data and indices along ``AXES`` of the run to do again, and what the store says of it.

    Where other options vary, the spec is that of its part.
    """

    spec: Spec
    data: Data | None
    cell: tuple[int, ...]
    stored: dict[str, Any]


def replay(
    store: Path, option: str, cell: str | None, data: str | None, sharpness_every: int | None
) -> Replay:
    """Find a run in a store that ``option`` names.

    Parameters
    ----------
    cell : str, optional
        Where: ``eta_trgt=8,t_wrm=64``.
    data : str, optional
        The data's name or file, if given.
    sharpness_every : int, optional
        If given, how often to measure this time. A schedule that depends on the sharpness would then
        make another run: it keeps its own.
    """
    from simulator.sweeps import load, open_store

    dataset, spec, description = open_store(store, option)
    if spec.schedule.needs_sharpness:
        if options.was_given("sharpness_every") and sharpness_every != spec.sharpness_every:
            raise InputError(
                "sharpness_every", sharpness_every,
                f"the schedule {spec.schedule.name} depends on it; leave it out",
            )  # fmt: skip
        sharpness_every = None
    again = data_again(store, option, data, description)
    at = spec.locate(coordinates("cell", cell))
    here = dataset.isel(dict(zip(spec.axes, at, strict=True))).drop_dims("step", errors="ignore")
    here = load(here, store, option)
    if here["status"].item() != "done":
        raise InputError(
            "cell", cell, f"has status {here['status'].item()} in {store}; name another"
        )
    stored = {str(name): here[name].item() for name in here.data_vars}
    del stored["status"]
    others = len(spec.over)
    spec, at = spec.part(at[:others]), at[others:]
    if sharpness_every is not None and sharpness_every != spec.sharpness_every:
        # Measuring more often changes no step of this training, only what is seen of it.
        spec = replace(spec, sharpness_every=sharpness_every)
        stored = {name: stored[name] for name in stored if name.startswith("loss") or "acc" in name}
    return Replay(spec, again, at, stored)


def coordinates(option: str, text: str | None) -> dict[str, float | str]:
    """Parse ``eta_trgt=8,param=mup``; numbers are numbers."""
    found: dict[str, float | str] = {}
    for part in filter(None, (text or "").split(",")):
        name, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals or not name or not value:
            raise InputError(option, part, "give NAME=VALUE, as in eta_trgt=8")
        name = options.argument(name)
        if name in found:
            raise InputError(option, text, f"has {name} twice; name it once")
        try:
            found[name] = float(value)
        except ValueError:
            found[name] = value
        if isinstance(found[name], float) and not isfinite(float(value)):
            raise InputError(option, text, "give finite numbers")
    return found


def data_again(
    store: Path, option: str, given: str | None, description: dict[str, Any]
) -> Data | None:
    """The data of a store: made again, or given again, and the same to the last bit."""
    from simulator.data import LOADERS, load_data

    name = description.get("name")
    if name == "none":
        return None
    samples, data_seed = description.get("samples"), description.get("data_seed", 0)
    if type(data_seed) is not int or type(samples) not in (int, type(None)):
        raise InputError(option, store, "does not say which samples it was made from; sweep again")
    if given is not None:
        data = load_data(given, samples, data_seed, label=description.get("label"))
    elif isinstance(name, str) and name in LOADERS:
        data = load_data(name, samples, data_seed)
    else:
        # A store is somebody else's file: the path it names is not followed.
        raise InputError(option, store, "was made from a file; name it with --data")
    if data.digest != description.get("digest"):
        if given is None:
            raise InputError(option, store, "was made from other data; name them with --data")
        raise InputError("data", given, "differs from the data of the store; name the same file")
    return data


def refuse_others(given: dict[str, Any], allowed: set[str], source: str) -> None:
    """Refuse options that a source settles: they would be ignored."""
    for name, value in given.items():
        if options.was_given(name) and name not in allowed:
            raise InputError(name.removeprefix("as_"), value, f"comes from {source}; leave it out")
