"""Where a command draws its figure, and how that looks. A figure that is there is not lost."""

from __future__ import annotations

import itertools
import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simulator.checks import InputError, one_of, printable
from simulator.commands.terminal import note, typed

if TYPE_CHECKING:
    from simulator.figures import Style

__all__ = ["DRAWING", "Drawing"]

# The options that say how a figure looks, and whether it may replace another.
DRAWING = {
    "figure", "style", "fig_width", "font_size", "cmap", "title", "caption", "overwrite",
}  # fmt: skip


@dataclass(frozen=True)
class Drawing:
    """A figure of a command, before there is one.

    Attributes
    ----------
    path : path
        Where it goes, or if it is not ``named`` and something else is there, a free name like it.
    named : bool
        Whether that was typed.
    overwrite : bool
        Replace whatever is there.
    style : Style
    about : mapping from str to str
        What it shows.
    """

    path: Path
    named: bool
    overwrite: bool
    style: Style
    about: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, given: Mapping[str, Any], default: Path) -> Drawing:
        """That which the options of a command ask for; refuses what could not be drawn."""
        import matplotlib as mpl

        from simulator import figures

        # A command opens no window.
        mpl.use("Agg")
        style = figures.STYLES[one_of("style", given["style"], figures.STYLES)]
        names = {"width": "fig_width"} | {name: name for name in ("font_size", "cmap", "title")}
        chosen = {name: given[typed] for name, typed in names.items() if given[typed] is not None}
        try:
            style = replace(style, **chosen, caption=given["caption"])
        except InputError as error:
            raise InputError(names[error.option], error.value, error.remedy) from None
        path = given.get("figure") or default
        figures.check_format(path)
        return cls(path, bool(given.get("figure")), given["overwrite"], style)

    def showing(self, about: Mapping[str, str], *before: Mapping[str, str]) -> Drawing:
        """It, once it is known what it shows, or what a figure that it may replace shows.

        Raises
        ------
        InputError
            If something else is there under a name that was typed.
        """
        if self.named and not self._may_replace(self.path, about, *before):
            raise InputError(
                "figure", self.path,
                "exists, and shows something else; give another name, or --overwrite",
            )  # fmt: skip
        path = self.path if self._may_replace(self.path, about, *before) else self._free(about)
        return replace(self, path=path, about=about, overwrite=self.overwrite or bool(before))

    def save(self, axes: Any) -> Path:
        """Write it, and say so if that replaced another."""
        from simulator import figures

        # Another program may have put something there meanwhile.
        path = self.path if self._may_replace(self.path, self.about) else self._free(self.about)
        there = path.exists()
        figures.save(axes, path, self.about, _without_folders(typed()))
        if there:
            note(f"Replaced {printable(path)}.")
        return path

    def _may_replace(self, path: Path, *abouts: Mapping[str, str]) -> bool:
        from simulator.figures.canvas import shows

        if self.overwrite or not os.path.lexists(path):
            return True
        return any(shows(path, about) for about in abouts)

    def _free(self, about: Mapping[str, str]) -> Path:
        """The first name like this one where nothing else is."""
        numbered = (self.path.with_stem(f"{self.path.stem}-{n}") for n in itertools.count(2))
        return next(path for path in numbered if self._may_replace(path, about))


def _without_folders(line: str) -> str:
    """A command without the paths of this machine: of a whole path the name only."""
    words = []
    for word in shlex.split(line):
        option, equals, value = word.rpartition("=") if word.startswith("-") else ("", "", word)
        words.append(option + equals + (Path(value).name if Path(value).is_absolute() else value))
    return shlex.join(words)
