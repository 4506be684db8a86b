"""``warmup study``: the findings as claims, checked and drawn."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from simulator.checks import InputError, at_least
from simulator.commands import options
from simulator.commands.completion import one_of_these
from simulator.commands.drawing import Drawing
from simulator.commands.options import option
from simulator.commands.terminal import announce_compilation, emit, marked, progress, report
from simulator.files import check_target

if TYPE_CHECKING:
    from simulator.studying import Claim, Lab, Study

__all__ = ["study"]


@click.group(
    cls=options.CommandGroup,
    examples=(
        ("warmup study list", "The names of the studies, each with its finding"),
        ("warmup study run edge-of-stability --quick", "One study, in seconds"),
        ("warmup study run all", "Every study"),
    ),
)
def study() -> None:
    """List and run the studies that reproduce published findings.

    A study states a finding as claims about numbers, measures them over several seeds, and says
    which hold.
    """


@study.command(
    "list",
    cls=options.GroupedCommand,
    common="json",
    examples=(
        ("warmup study list", "Names and findings"),
        ("warmup study list | grep -i adam", "Those about Adam"),
        ("warmup study list --json", "Names, findings and full texts, for a program"),
    ),
)
@options.json_option
@options.terminal_options
def list_studies(as_json: bool) -> None:
    """List the studies, each with its finding."""
    from simulator.studying import find_studies, load_study

    studies = [load_study(name) for name in find_studies()]
    if as_json:
        emit({"studies": [{"name": s.name, "title": s.title, "text": s.text} for s in studies]})
        return
    width = max(len(s.name) for s in studies)
    for one in studies:
        click.echo(f"{one.name:{width}}  {one.title}")


def _offer(ctx: click.Context, param: click.Parameter, typed: str) -> list[CompletionItem]:
    from simulator.studying import find_studies

    return one_of_these(["all", *find_studies()])(ctx, param, typed)


@study.command(
    "run",
    cls=options.GroupedCommand,
    common="seeds quick data workers fresh output",
    examples=(
        ("warmup study run edge-of-stability --quick", "One study, in seconds"),
        ("warmup study run catapult-window momentum --seeds 10", "Two studies, with 10 seeds"),
        ("warmup study run all", "Every study"),
    ),
)
@options.positional("names", "Studies of warmup study list, or all.", nargs=-1, required=True, metavar="NAME...|all", shell_complete=_offer)  # fmt: skip
@options.seeds_option(5)
@option("seeds", "--quick", is_flag=True, help="Coarser grids: seconds instead of minutes.")
@option("seeds", "--first-seed", type=int, default=0, help="First seed.")
@options.data_option("digits")
@options.data_seed_option
@options.workers_option
@option("execution", "--fresh", is_flag=True, help="Ignore stored measurements and measure again.")
@option("output", "-o", "--output", type=click.Path(path_type=Path), default="studies-found", help="Folder for figures and measurements.")  # fmt: skip
@option("output", "--figures", type=click.Path(path_type=Path), default_text="the output folder", help="Folder for figures.")  # fmt: skip
@option("output", "--page", type=click.Path(path_type=Path), metavar="FILE.md", multiple=True, default_text="none", help="Also write the claims to this page; can be repeated.")  # fmt: skip
@options.overwrite_figure_option
@options.style_options
@options.json_option
@options.terminal_options
def run_studies(**given: Any) -> None:
    """Run studies: measure, check the claims, draw.

    Measurements are stored: a second run only checks and draws them. The exit code is 1 if a claim
    fails.
    """
    from simulator.studying import Lab, find_studies, load_study
    from simulator.studying.pages import write_page

    names = list(given["names"])
    chosen = [load_study(name) for name in (find_studies() if names == ["all"] else names)]
    at_least("seeds", given["seeds"], 1)
    at_least("first_seed", given["first_seed"], 0)
    if given["workers"] is not None:
        at_least("workers", given["workers"], 1)
    output: Path = given["output"]
    for name in ("output", "figures"):
        if given[name] is not None and given[name].exists() and not given[name].is_dir():
            raise InputError(name, given[name], "is a file; name a folder")
    for page in given["page"]:
        check_target("page", page)
    lab = Lab(
        given["seeds"], given["quick"], given["data"], given["data_seed"], output / "stores",
        given["workers"], given["first_seed"],
    )  # fmt: skip
    lab.data(2)  # refuses data that cannot be
    drawings = {one.name: _drawing_of(one, lab, given) for one in chosen}
    if given["fresh"]:
        shutil.rmtree(output / "stores", ignore_errors=True)
    announce_compilation()
    results = []
    with progress(len(chosen), "studies") as on_progress:
        for one in chosen:
            try:
                results.append(_run(one, lab, drawings[one.name]))
            except InputError as error:
                # A study of classes, say, and data without: the others go on.
                if len(chosen) == 1:
                    raise
                report(f"{one.name} cannot use this data: {error}.")
            on_progress(1)
    for page in given["page"]:
        write_page(page, results, lab)
    if given["as_json"]:
        emit(_document(results, lab))
    else:
        _report(results)
    if not all(claim.holds for _, claims, _, _ in results for claim in claims):
        raise click.exceptions.Exit(1)


Result = tuple["Study", "list[Claim]", float, Path]


def _drawing_of(one: Study, lab: Lab, given: dict[str, Any]) -> Drawing:
    from simulator.sweeps import text_of

    folder: Path = given["figures"] or given["output"]
    folder.mkdir(parents=True, exist_ok=True)
    drawing = Drawing.of(given, folder / f"{one.name}.png")
    quick = {"quick": "yes"} if lab.quick else {}
    data = {"data": f"name {lab.dataset}, data_seed {lab.slice}"}
    return drawing.showing({"study": one.name, **data, **quick, "seed": text_of(tuple(lab.seeds))})


def _run(one: Study, lab: Lab, drawing: Drawing) -> Result:
    from simulator.figures.canvas import describe
    from simulator.figures.style import in_style

    began = time.monotonic()
    found = one.found(lab)
    claims = one.claims(found)
    with in_style(drawing.style):
        axes = one.draw(found)
        describe(axes, drawing.about)
        figure = drawing.save(axes)
    # What it took when it was measured, not when it was read again.
    seconds = float(found.attrs.get("seconds", time.monotonic() - began))
    return one, claims, seconds, figure


def _report(results: list[Result]) -> None:
    head = ("claim", "expected", "measured [min median max]", "")
    for one, claims, seconds, figure in results:
        click.echo(f"\n{one.title}\n({one.name}; {seconds:.0f} s; {figure})")
        rows = [
            (c.sentence, c.expected, "[{:.3g} {:.3g} {:.3g}]".format(*c.spread),
             "holds" if c.holds else "FAILS")
            for c in claims
        ]  # fmt: skip
        widths = [max(len(row[i]) for row in (head, *rows)) for i in range(4)]
        for row in (head, *rows):
            cells = (cell.ljust(width) for cell, width in zip(row[:-1], widths, strict=False))
            click.echo(f"  {'  '.join([*cells, marked(row[-1])]).rstrip()}")
    claims = [claim for _, claims, _, _ in results for claim in claims]
    holding = sum(claim.holds for claim in claims)
    click.echo(f"\n{holding} of {len(claims)} claims hold.")


def _document(results: list[Result], lab: Lab) -> dict[str, Any]:
    return {
        "command": "study",
        "seeds": lab.count,
        "first_seed": lab.first,
        "quick": lab.quick,
        "data": lab.dataset,
        "data_seed": lab.slice,
        "studies": [
            {
                "name": one.name, "title": one.title, "seconds": seconds, "figure": str(figure),
                "claims": [claim.as_dict() for claim in claims],
            }
            for one, claims, seconds, figure in results
        ],
    }  # fmt: skip
