"""Write claims as Markdown: between two markers of an existing page, or as a new page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from simulator.checks import InputError
from simulator.studying.lab import SET_ON, Lab

__all__ = ["BEGIN", "END", "write_page"]

BEGIN, END = "<!-- studies: from here -->", "<!-- studies: to here -->"


def write_page(path: Path, results: Sequence[Any], lab: Lab) -> None:
    """Write the claims of (study, claims, seconds, figure), measured in ``lab``, to ``path``.

    A page with the two markers keeps its text outside them and gets a table with a row for each
    study. Other pages get one section per study, with its picture.
    """
    old = path.read_text(encoding="utf-8") if path.exists() else ""
    if BEGIN in old and END in old:
        before, after = old.split(BEGIN)[0], old.split(END)[1]
        text = f"{before}{BEGIN}\n{_table_of_all(results)}\n{END}{after}"
    elif old and not old.startswith("# Studies"):
        raise InputError("page", path, f"has no place for the text; add lines {BEGIN} and {END}")
    else:
        text = _sections(path, results, lab)
    path.write_text(text, encoding="utf-8")


def _spread(claim: Any) -> str:
    return "[{:.3g} {:.3g} {:.3g}]".format(*claim.spread)


def _cell(text: str) -> str:
    """Text for a table cell, with escaped bars."""
    return text.replace("|", "\\|")


def _table_of_all(results: Sequence[Any]) -> str:
    """A row for each study: its finding, and how many of its claims hold."""
    lines = ["| finding | claims that hold |", "|---|---|"]
    for study, claims, _, _ in results:
        holding = sum(claim.holds for claim in claims)
        finding = f"[{_cell(study.title)}](studies/README.md#{study.name})"
        lines.append(f"| {finding} | {holding} of {len(claims)} |")
    return "\n".join(lines)


def _tolerances(lab: Lab) -> str:
    """Which seeds and slices the tolerances come from, and whether this run uses them."""
    seen = any({*lab.seeds} & {*seeds} or lab.slice in slices for seeds, slices in SET_ON.items())
    where = " and ".join(
        f"on seeds {seeds[0]} to {seeds[-1]} of {'slice' if len(slices) == 1 else 'slices'} "
        f"{', '.join(map(str, slices))}"
        for seeds, slices in SET_ON.items()
    )
    used = "some of them" if seen else "none of them"
    return (
        f"It uses seeds {lab.seeds[0]} to {lab.seeds[-1]} and slice {lab.slice} of the data. The "
        f"tolerances were set {where} of the digits: this run uses {used}."
    )


def _options(lab: Lab) -> str:
    """Of the line that measures this, those that are not the default."""
    default = Lab()
    given = {
        "--seeds": (lab.count, default.count), "--first-seed": (lab.first, default.first),
        "--data": (lab.dataset, default.dataset), "--data-seed": (lab.slice, default.slice),
    }  # fmt: skip
    words = [f" {name} {value}" for name, (value, usual) in given.items() if value != usual]
    return "".join(words) + " --quick" * lab.quick


def _sections(path: Path, results: Sequence[Any], lab: Lab) -> str:
    count = sum(len(claims) for _, claims, _, _ in results)
    seconds = sum(seconds for _, _, seconds, _ in results)
    lines = [
        "# Studies",
        "",
        f"{count} claims, measured by `warmup study run all{_options(lab)}` in "
        f"{seconds / 60:.1f} minutes, which writes this page. {_tolerances(lab)}",
    ]
    for study, claims, seconds, figure in results:
        picture = figure.resolve()
        here = path.resolve().parent
        link = picture.relative_to(here) if picture.is_relative_to(here) else picture.name
        lines += [
            "", f'<a id="{study.name}"></a>', "", f"## {study.title}", "", study.text, "",
            f"![{study.title}]({link})", "", "| claim | expected | measured [min median max] | |",
            "|---|---|---|---|",
        ]  # fmt: skip
        for claim in claims:
            verdict = "holds" if claim.holds else "**fails**"
            lines.append(
                f"| {_cell(claim.sentence)} | {claim.expected} | {_spread(claim)} | {verdict} |"
            )
        lines += ["", f"`warmup study run {study.name}{_options(lab)}`: {seconds:.0f} s."]
    return "\n".join(lines) + "\n"
