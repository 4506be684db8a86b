"""The contract of a study: one small file in ``studies/``.

To add one, write ``studies/NAME.py``:

1. Its docstring: a title, then what is claimed and from which figure of Kalra & Barkeshli 2024 it
   is, and where it does not hold.
2. ``measure(lab)``: an `xarray.Dataset` of everything that is measured, by the public API only,
   with a dimension ``seed`` over ``lab.seeds``. It is kept: a second run only judges and draws.
3. ``claims(found)``: a list of `claim` and `in_median`, each a sentence with its tolerance.
4. ``draw(found)``: Axes, by `simulator.studying.style`.

Nothing else: studies hold no simulation code.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simulator.checks import InputError, one_of
from simulator.files import scripts
from simulator.studying.claim import Claim
from simulator.studying.lab import Lab

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["Study", "find_studies", "load_study"]


@dataclass(frozen=True, eq=False)
class Study:
    """A study, loaded.

    Attributes
    ----------
    name : str
        The file's.
    measure, claims, draw : callables
        As the module says.
    source, said : str
        The file, and its docstring.
    """

    name: str
    source: str
    said: str
    measure: Callable[[Lab], xr.Dataset]
    claims: Callable[[xr.Dataset], list[Claim]]
    draw: Callable[[xr.Dataset], Any]

    @property
    def title(self) -> str:
        return self.said.strip().partition("\n")[0].rstrip(".")

    @property
    def text(self) -> str:
        return inspect.cleandoc(self.said).partition("\n\n")[2]

    def found(self, lab: Lab) -> xr.Dataset:
        """What it measures, from the store if it has been measured before."""
        # What is said, claimed and drawn may change without measuring again.
        source = self.source.replace(self.said, "")
        for part in (self.claims, self.draw):
            source = source.replace(inspect.getsource(part), "")
        return lab.keep(self.name, source, lambda: self.measure(lab))


def find_studies() -> dict[str, Path]:
    """The files of all studies by name, of a checkout or of an installed package."""
    return scripts("studies", "studies")


def load_study(name: str) -> Study:
    """One study by its name.

    Raises
    ------
    InputError
        Where there is none of that name.
    """
    files = find_studies()
    path = files[one_of("study", name, files)] if files else None
    if path is None:
        raise InputError("study", name, "no studies are installed; install the package again")
    spec = spec_from_file_location(f"simulator_study_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    # inspect finds a function's source through it.
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    source = path.read_text(encoding="utf-8")
    return Study(name, source, module.__doc__ or "", module.measure, module.claims, module.draw)
