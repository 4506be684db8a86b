"""What the site shows of the code itself: pictures of laws, tables, what is reproduced.

Made into ``docs/made/`` before a build, from the code as it is; nothing of it is kept in git.
"""

import re
from pathlib import Path
from textwrap import dedent

DOCS = Path(__file__).parents[1]
MADE = DOCS / "made"


def setup(app):
    """Make the pages before Sphinx looks for them."""
    app.connect("builder-inited", lambda app: make())
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def make():
    """All of it; pictures that are there are kept."""
    (MADE / "laws").mkdir(parents=True, exist_ok=True)
    pictures()
    makers = (commands, laws, reproduced, store, studies, words)
    for name, text in ((maker.__name__, maker()) for maker in makers):
        path = MADE / f"{name}.md"
        if not path.exists() or path.read_text() != text:
            path.write_text(text)


def pictures():
    """The picture of each law that has one."""
    from simulator.figures import new_axes, save
    from simulator.laws import LAWS

    for law in LAWS.values():
        path = MADE / "laws" / f"{law.name}.png"
        if law.picture is not None and not path.exists():
            axes = new_axes()
            law.picture(axes, law.generator(0))
            save(axes, path)


def laws():
    """A table of all laws, topic by topic."""
    from simulator.laws import LAWS, TOPICS

    lines = [
        "# All laws",
        "",
        f"Each of the {len(LAWS)} statements below is measured on fresh random instances by",
        "`warmup theory`; `warmup theory --law NAME` explains one and names its source.",
    ]
    for topic in TOPICS:
        lines += [
            "",
            "## " + topic.replace("_", " ").capitalize(),
            "",
            "| law | statement | tolerance |",
            "|---|---|---|",
        ]
        lines += [
            f"| `{law.name}` | {_plain(law.statement)} | {law.tolerance:g} |"
            for law in LAWS.values()
            if law.topic == topic
        ]
    return "\n".join(lines) + "\n"


def commands():
    """Each command with its examples and options; an option that several share stands once."""
    from simulator.commands import options, warmup

    pages, takers = {}, {}
    for name, command in warmup.commands.items():
        below = getattr(command, "commands", {})
        pages |= {f"{name} {sub}": one for sub, one in below.items()} or {name: command}
    for name, command in pages.items():
        sections = command.sections(command.context_class(command), every=True)
        for row in ((group, *record) for group in sections for record in sections[group]):
            takers.setdefault(row, []).append(name)
    shared = {row for row, names in takers.items() if len(names) > 1 and row[0] != "arguments"}
    lines = []
    for name, command in pages.items():
        usage = command.collect_usage_pieces(command.context_class(command))
        first, *others = command.paragraphs
        lines += ["", f"## warmup {name}", "", f"`warmup {name} {' '.join(usage)}`", ""]
        lines += [_plain(first), "", "```bash", dedent(command.example_lines) + "```", ""]
        lines += [_plain(text) + "\n" for text in others]
        taken = [row for row, names in takers.items() if name in names and row[0] != "help"]
        own = [row for row in taken if row not in shared]
        lines += _options(own, ["group", "option", "what it is"], lambda row: [])
        groups = ", ".join(dict.fromkeys(row[0] for row in taken if row in shared))
        lines += ["", f"[Shared options](#shared-options) of: {groups}."]
    lines += ["", "## Shared options", ""]
    titles = ["group", "option", "what it is", "commands"]
    ordered = sorted(shared, key=lambda row: (options.GROUPS.index(row[0]), [*takers].index(row)))
    return "\n".join(lines + _options(ordered, titles, lambda row: [", ".join(takers[row])])) + "\n"


def _options(rows, titles, more):
    """A table of options, group by group, with more cells in each row."""
    lines, last = [f"| {' | '.join(titles)} |", "|---" * len(titles) + "|"] if rows else [], ""
    for group, option, text in rows:
        shown = option.replace("|", "\\|")
        cells = ["" if group == last else group, f"`{shown}`", _plain(text)]
        lines.append(f"| {' | '.join([*cells, *more((group, option, text))])} |")
        last = group
    return lines


def store():
    """The variables of a store."""
    from simulator.measures import CURVES as CURVES_OF
    from simulator.sweeps.layout import CURVES, STATUS, VARIABLES

    lines = ["| variable | type | unit | meaning | where |", "|---|---|---|---|---|"]
    needs = {
        "": "always", "classes": "data with classes", "test": "data with a test split",
        "classes test": "classes and a test split", "preconditioner": "adaptive optimizers",
        "probes": "schedules that search", "closed_form": "linear models",
        "one_example": "one example", "rises": "`--measure directional` or `critical`",
        "step_threshold": "`--measure` of more than sharpness",
        **{name: f"`--measure {name}`" for name in CURVES_OF},
    }  # fmt: skip
    for variable in (STATUS, *VARIABLES):
        cells = (f"`{variable.name}`", variable.dtype, variable.units, _plain(variable.long_name))
        lines.append(f"| {' | '.join(cells)} | {needs[variable.needs]} |")
    lines += ["", "With `--curves`, over `step`:", "", *lines[:2]]
    for variable in CURVES:
        cells = (f"`{variable.name}`", variable.dtype, variable.units, _plain(variable.long_name))
        lines.append(f"| {' | '.join(cells)} | {needs[variable.needs]} |")
    return "\n".join(lines) + "\n"


def words():
    """What each word means, as the code defines it."""
    from simulator.regimes import NATURAL_PHASES, OUTCOMES

    lines = ["How a run ended (`outcome`):", ""]
    lines += [f"`{name}`\n: {_plain(meaning)}.\n" for name, meaning in OUTCOMES.items()]
    lines += [
        "How the sharpness moves before it first crosses the threshold (`natural_phase`):",
        "",
    ]
    lines += [f"`{name}`\n: {_plain(meaning)}.\n" for name, meaning in NATURAL_PHASES.items()]
    return "\n".join(lines)


def studies():
    """The studies' page with its links and pictures where the site has them."""
    text = (DOCS.parent / "studies" / "README.md").read_text()
    text = re.sub(r'<a id="([\w-]+)"></a>', r"(\1)=", text)
    return text.replace("](pictures/", "](../../studies/pictures/")


def reproduced():
    """README's two tables of what holds."""
    readme = (DOCS.parent / "README.md").read_text()
    section = readme.split("## What is reproduced")[1].split("\n## ")[0]
    section = re.sub(r"\[studies\]\(studies/README.md\)", "[studies](studies.md)", section)
    section = re.sub(r"\]\(studies/README.md#", "](#", section)
    return f"# What is reproduced\n{section}"


def _plain(text):
    """Text in a table, where bars and stars mean something else."""
    return text.replace("|", "\\|").replace("*", "\\*").replace("_", "\\_").replace("<", "&lt;")
