"""What the program says of itself, and how soon."""

import ast
import collections
import inspect
import math
import re
import subprocess
import sys

import click
import pytest
from program import HEAVY, ROOT, opened

from simulator import critical_learning_rate, load_data, simulate, sweep
from simulator.commands import warmup
from simulator.critical import FAILURES, METHODS
from simulator.data import LOADERS
from simulator.figures import FORMATS, STYLES
from simulator.models import DTYPES, MODELS
from simulator.numerics.activations import CODES
from simulator.numerics.dense import LOSSES
from simulator.optimizers import OPTIMIZERS
from simulator.parameterizations import PARAMETERIZATIONS
from simulator.schedules import DECAYS, SCHEDULES
from simulator.sweeps import Spec
from simulator.sweeps.spec import ETA_UNITS

pytestmark = pytest.mark.usefixtures("folder")

COMMANDS = {
    f"{name} {below}".strip(): command
    for name, one in warmup.commands.items()
    for below, command in getattr(one, "commands", {"": one}).items()
}
PAGES = {"": warmup, "study": warmup.commands["study"], **COMMANDS}

LIGHT = f"""
import sys
from simulator.commands import main
try:
    main(sys.argv[1:])
finally:
    print(sorted({HEAVY!r} & set(sys.modules)), file=sys.stderr)
"""


@pytest.mark.parametrize(
    "line", ["", "--version", "-h", *(f"{c} --help" for c in PAGES), "run --help-all", "run --lr 1"]
)
def test_help_loads_nothing_heavy(line):
    done = subprocess.run(
        [sys.executable, "-c", LIGHT, *line.split()], capture_output=True, text=True, check=False
    )
    assert done.stderr.splitlines()[-1] == "[]"
    assert done.returncode == (2 if "--lr" in line else 0)


def test_cli_py_is_the_same_program_and_loads_nothing_heavy():
    done = subprocess.run(
        [sys.executable, "-X", "importtime", ROOT / "cli.py", "--help"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    loaded = {line.split("|")[-1].strip().split(".")[0] for line in done.stderr.splitlines()}
    assert "simulator" in loaded
    assert not loaded & HEAVY
    assert done.stdout.startswith("Usage: warmup ")


@pytest.mark.parametrize("group", ["", "study"])
def test_the_help_lists_every_command_in_one_line_of_80_columns(run, group):
    result = run(f"{group} --help")
    assert result.code == 0
    listed = result.out.partition("Commands:\n")[2].partition("\n\n")[0].splitlines()
    names = sorted(PAGES[group].commands)
    assert [line.split()[0] for line in listed] == names
    for line, name in zip(listed, names, strict=True):
        assert line.endswith(PAGES[group].commands[name].paragraphs[0])
    assert max(map(len, result.out.splitlines())) <= 80


@pytest.mark.parametrize("name", PAGES)
def test_a_help_page_begins_with_what_the_command_does_and_three_examples(run, name):
    lines = run(f"{name} --help").out.splitlines()
    assert lines[2] == f"  {PAGES[name].paragraphs[0]}"
    assert lines[2].endswith(".")
    assert lines[4] == "Examples:"
    assert [line[:4] for line in lines[5:11:2]] == ["  # "] * 3
    assert all(re.match(f"  warmup {name}", line) for line in lines[6:11:2])
    assert lines[11] == ""
    assert max(map(len, lines)) <= 80


@pytest.mark.parametrize("name", COMMANDS)
def test_the_short_page_has_the_common_options_and_names_the_long_one(run, name):
    short, whole = (run(f"{name} {more}").out for more in ("--help", "--help-all"))
    listed = [
        option
        for option in COMMANDS[name].params
        if isinstance(option, click.Option) and re.search(rf"^  .*{option.opts[-1]} ", short, re.M)
    ]
    assert {option.opts[-1].lstrip("-") for option in listed} == {*COMMANDS[name].common}
    assert 1 <= len(listed) <= 13
    assert len(short.splitlines()) < len(whole.splitlines())
    assert short.splitlines()[-1] == f"warmup {name} --help-all lists every option."
    assert set(re.findall(r"^(\w+):$", short, re.M)) < set(re.findall(r"^(\w+):$", whole, re.M))


def test_help_texts_stand_once():
    """An option that several commands share is declared once."""
    found = collections.Counter(
        word.value.value
        for path in (ROOT / "simulator" / "commands").rglob("*.py")
        for call in ast.walk(ast.parse(path.read_text()))
        if isinstance(call, ast.Call)
        for word in call.keywords
        if word.arg == "help" and isinstance(word.value, ast.Constant)
    )
    assert len(found) > 80
    assert [text for text, times in found.items() if times > 1] == []


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("more", ["--help", "--help-all"])
def test_a_page_that_shows_GRID_defines_it(run, name, more):
    text = run(f"{name} {more}").out
    shows = re.search(r"^  .*--.* GRID\b", text, re.M) is not None
    assert shows == (name in ("run", "sweep"))
    assert text.count("GRID is a value, ") == shows


# --- examples -----------------------------------------------------------------------------------


class AcceptedError(Exception):
    """Everything that was typed is checked; what follows takes time."""


@pytest.fixture(scope="module")
def examples(tmp_path_factory):
    """A folder with the files that examples name."""
    from simulator.commands import main

    path = tmp_path_factory.mktemp("examples")
    line = "sweep --model quadratic --steps 128 --eta-trgt 1,16 --t-wrm 1,64 --seeds 1"
    with pytest.raises(SystemExit, match="0"):
        main([*line.split(), "-o", str(path / "sweep.zarr")])
    (path / "metrics.csv").write_text("step,loss,lr\n" + "".join(f"{t},1,.1\n" for t in range(9)))
    return path


def _accept(*_, **__):
    raise AcceptedError


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize(
    "line", sorted({line for page in PAGES.values() for line, _ in page.examples})
)
def test_an_example_is_accepted(run, examples, monkeypatch, line):
    """It gets to where kernels are compiled, after all checks, or to its end."""
    monkeypatch.chdir(examples)
    for name, module in [*sys.modules.items()]:
        if name.startswith("simulator.commands.") and hasattr(module, "announce_compilation"):
            monkeypatch.setattr(module, "announce_compilation", _accept)
    monkeypatch.setattr(sys, "argv", sys.argv)  # the lab replaces it
    monkeypatch.setattr("runpy.run_module", _accept)
    monkeypatch.setattr(sys.modules["simulator.commands.lab"], "find_spec", lambda name: True)
    program, _, words = line.partition(" | ")[0].partition(" ")
    assert program == "warmup"
    try:
        result = run(words)
    except AcceptedError:
        return
    assert result.code == 0, result.err
    assert (opened("sweep.zarr")["status"] == "done").all()


# --- options ------------------------------------------------------------------------------------

OPTIONS = [
    pytest.param(command, option, id=f"{name} {option.opts[-1]}")
    for name, command in COMMANDS.items()
    for option in command.params
    if isinstance(option, click.Option)
]
CHOICES = {
    "model": set(MODELS),
    "activation": set(CODES),
    "param": set(PARAMETERIZATIONS),
    "loss": set(LOSSES),
    "optimizer": set(OPTIMIZERS),
    "schedule": set(SCHEDULES),
    "decay": set(DECAYS),
    "eta_unit": set(ETA_UNITS),
    "dtype": set(DTYPES),
    "method": set(METHODS),
    "failure": set(FAILURES),
    "data": {*LOADERS, "FILE"},
    "representation": {"gram", "parameters"},
    "style": set(STYLES),
    "figure": {"FILE.png", *(ending.lstrip(".") for ending in FORMATS if ending != ".png")},
}


MODEL = "Model Data Loss Optimizer"


@pytest.mark.parametrize(
    ("name", "groups"),
    [
        ("run", f"{MODEL} Schedule Curvature Seeds Execution Output Config"),
        ("sweep", f"{MODEL} Schedule Curvature Seeds Execution Output Config"),
        ("critical", f"{MODEL} Schedule Search Seeds Execution Output Config"),
        ("flow", f"{MODEL} Schedule Seeds Execution Output Config"),
        ("explain", f"Arguments {MODEL} Schedule Curvature Seeds Execution Output Config"),
        ("lab", "Arguments Execution"),
        ("theory", "Law Seeds Execution Output Config"),
        ("study list", "Output"),
        ("study run", "Arguments Data Seeds Execution Output"),
        ("plot", "Arguments Schedule Execution Output Config"),
        ("report", "Arguments Data Output Config"),
        ("info", "Arguments Output"),
    ],
)
def test_all_options_are_listed_group_by_group(run, name, groups):
    result = run(f"{name} --help-all")
    assert result.code == 0
    assert re.findall(r"^(\w+):$", result.out, re.M) == ["Examples", *groups.split(), "Help"]
    for option in COMMANDS[name].params:
        if isinstance(option, click.Option):
            assert option.opts[-1] in result.out


@pytest.mark.parametrize(("command", "option"), OPTIONS)
def test_an_option_shows_its_default_and_the_choices_that_there_are(command, option):
    _, text = option.get_help_record(click.Context(command, show_default=None))
    without = option.is_flag and not option.secondary_opts
    assert ("[default: " in text) != (without or option.name in ("replay", "cell", "config"))
    if option.name in CHOICES:
        assert set(option.metavar.split("|")) == CHOICES[option.name]


def shown(option):
    return re.search(r"\[default: (.*)\]", option.help)[1]


def as_text(default, name="bias"):
    if isinstance(default, bool):
        return name if default else f"no-{name}"
    if isinstance(default, tuple):
        return ",".join(f"{value:g}" for value in default)
    return default if isinstance(default, str) else f"{default:g}"


@pytest.mark.parametrize("command", ["run", "sweep", "critical"])
def test_a_default_that_is_shown_as_text_is_the_constructor_s(command):
    options = {option.name: option for option in warmup.commands[command].params}
    arguments = {"param": "parameterization", "momentum": "beta"}
    of_models = ("width", "depth", "activation", "param", "s", "var_w", "bias", "representation",
                 "curvatures", "loss")  # fmt: skip
    of_rules = ("momentum", "dampening", "ema", "beta1", "beta2", "eps", "weight_decay")
    for kinds, names in ((MODELS, of_models), (OPTIMIZERS, of_rules)):
        for name in names:
            found = {}
            for kind, made in kinds.items():
                taken = inspect.signature(made).parameters.get(arguments.get(name, name))
                if taken is not None:
                    found[kind] = as_text(taken.default, name)
            first, *others = found.items()
            expected = [first[1], *(f"{kind} {text}" for kind, text in others if text != first[1])]
            assert shown(options[name]) == "; ".join(expected)
    assert shown(options["samples"]) == f"{load_data('digits').samples}; all of a file"


@pytest.mark.parametrize(
    ("command", "function"),
    [("run", simulate), ("sweep", Spec), ("critical", critical_learning_rate)],
)
def test_a_default_that_the_library_has_too_is_the_same(command, function):
    parameters = inspect.signature(function).parameters
    both = [option for option in warmup.commands[command].params if option.name in parameters]
    compared = 0
    for option in both:
        theirs = parameters[option.name].default
        # The command line's unit is critical: a first sweep must not need to know the sharpness.
        if isinstance(theirs, (int, float, str)) and option.name != "eta_unit":
            assert option.default == theirs, option.name
            compared += 1
    assert compared >= 5


WHOLE = ("model", "optimizer", "schedule")
PAIRS = {"run": simulate, "sweep": sweep, "critical": critical_learning_rate}


def _defaults(function, argument):
    """What Python has for an argument: in the function, or in what it is given."""
    classes = (one for kinds in (MODELS, OPTIMIZERS, SCHEDULES) for one in kinds.values())
    signatures = [inspect.signature(one).parameters for one in (function, load_data, *classes)]
    return [s[argument].default for s in signatures if argument in s]


@pytest.mark.parametrize("command", PAIRS)
def test_python_and_the_command_line_agree_on_names_and_defaults_or_a_page_says_so(command):
    page = (ROOT / "docs" / "names.md").read_text()
    listed = set(re.findall(r"--[a-z0-9-]+", page))
    groups = {"model", "data", "loss", "optimizer", "schedule", "search", "curvature"}
    for option in warmup.commands[command].params:
        if getattr(option, "group", "") not in groups or option.name in WHOLE:
            continue
        known = _defaults(PAIRS[command], option.argument)
        typed = option.opts[-1]
        assert known or typed in listed, f"Python has no {option.argument}"
        assert option.name == option.argument or typed in listed, typed
        given = option.default
        if isinstance(given, (str, int, float)) and not _same_default(given, known):
            assert typed in listed, f"{typed} {given}, in Python {known}"


def _same_default(given, known):
    def number(value):
        try:
            return float(value[0] if isinstance(value, tuple) else value)
        except (TypeError, ValueError):
            return math.nan

    return given in known or any(number(given) == number(value) for value in known)
