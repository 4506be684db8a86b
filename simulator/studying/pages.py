"""Claims as Markdown: between two marks of a page that is there, or as a page of their own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from simulator.checks import InputError

__all__ = ["BEGIN", "END", "write_page"]

BEGIN, END = "<!-- studies: from here -->", "<!-- studies: to here -->"


def write_page(path: Path, results: Sequence[Any]) -> None:
    """Write the claims of (study, claims, seconds, figure) to ``path``.

    A page with the two marks keeps all that is not between them, and gets a table with a row
    for each study; any other becomes one section a study, with its picture.
    """
    old = path.read_text(encoding="utf-8") if path.exists() else ""
    if BEGIN in old and END in old:
        before, after = old.split(BEGIN)[0], old.split(END)[1]
        text = f"{before}{BEGIN}\n{_table_of_all(results)}\n{END}{after}"
    elif old and not old.startswith("# Studies"):
        raise InputError("page", path, f"has no place for it: put {BEGIN} and {END} there")
    else:
        text = _sections(path, results)
    path.write_text(text, encoding="utf-8")


def _spread(claim: Any) -> str:
    return "[{:.3g} {:.3g} {:.3g}]".format(*claim.spread)


def _cell(text: str) -> str:
    """Text in a table, where a bar would end a cell."""
    return text.replace("|", "\\|")


def _table_of_all(results: Sequence[Any]) -> str:
    """A row for each study: its finding, and the first of its claims with its number."""
    lines = [
        "| finding | its first claim, measured [min median max] over seeds | claims that hold |",
        "|---|---|---|",
    ]
    for study, claims, _, _ in results:
        first, holding = claims[0], sum(claim.holds for claim in claims)
        finding = f"[{_cell(study.title)}](studies/README.md#{study.name})"
        result = _cell(f"{first.sentence}: {_spread(first)}; expected {first.expected}")
        lines.append(f"| {finding} | {result} | {holding} of {len(claims)} |")
    return "\n".join(lines)


def _sections(path: Path, results: Sequence[Any]) -> str:
    count = sum(len(claims) for _, claims, _, _ in results)
    seconds = sum(seconds for _, _, seconds, _ in results)
    lines = [
        "# Studies",
        "",
        f"{count} claims, measured by `warmup study run all` in {seconds / 60:.1f} minutes. This "
        "page is written by it.",
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
        lines += ["", f"`warmup study run {study.name}`: {seconds:.0f} s."]
    return "\n".join(lines) + "\n"
