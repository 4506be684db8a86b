"""What the site shows of the code itself: pictures of laws, tables, what is reproduced.

Made into ``docs/made/`` before a build, from the code as it is; nothing of it is kept in git.
"""

import inspect
import re
from pathlib import Path

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
    """Each command: what it does, and its options group by group, as its help has them."""
    import click

    from simulator.commands import warmup
    from simulator.commands.options import GROUPS

    lines = []
    for name, command in warmup.commands.items():
        context = click.Context(command, info_name=f"warmup {name}", max_content_width=100)
        usage = command.collect_usage_pieces(context)
        lines += ["", f"## warmup {name}", "", f"`warmup {name} {' '.join(usage)}`", ""]
        lines += [_plain(inspect.cleandoc(command.help).replace("\b", "")), ""]
        groups = {}
        for option in command.get_params(context):
            record = option.get_help_record(context)
            if record is not None:
                groups.setdefault(getattr(option, "group", "help"), []).append(record)
        lines += ["| group | option | what it is |", "|---|---|---|"]
        for group in sorted(groups, key=GROUPS.index):
            for at, (option, told) in enumerate(groups[group]):
                option = option.replace("|", "\\|")
                lines.append(f"| {'' if at else group} | `{option}` | {_plain(told)} |")
    return "\n".join(lines) + "\n"


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
