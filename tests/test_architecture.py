"""The plan of CONTRIBUTING: arrows go one way, and importing costs nothing."""

import ast
import importlib
import inspect
import subprocess
import sys
from pathlib import Path

import click
import pytest

import simulator
from simulator.commands import warmup
from simulator.models import MODELS
from simulator.optimizers import OPTIMIZERS
from simulator.schedules import SCHEDULES

PACKAGE, TESTS = Path(simulator.__file__).parent, Path(__file__).parent

# Each room may import from rooms below it only.
FLOORS = [
    {"nearest"},
    {"checks", "blas", "timing", "arrays", "value"},
    {"seeding", "catapult_search", "named", "limits", "regimes", "parameterizations", "numerics"}
    | {"files", "shipped", "lending", "measures"},
    {"npz"},
    {"tables"},
    {"schedules", "theory", "data", "trajectory", "logs"},
    {"models", "optimizers", "events", "runs"},
    {"curvature", "testing", "derivatives", "experiment"},
    {"training", "probing"},
    {"advice", "critical", "flows", "jax", "saved_runs", "torch"},
    {"sweeps"},
    {"figures"},
    {"laws", "reporting", "studying"},
    {"commands"},
    {"__main__"},
]


def _floor(room):
    return next(level for level, rooms in enumerate(FLOORS) if room in rooms)


def _room(path):
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def _imports(path):
    """The rooms that a file imports, type-checking imports aside."""
    tree = ast.parse(path.read_text())
    hidden = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if node in hidden:
            continue
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("simulator"):
            parts = node.module.split(".")
            yield from [parts[1]] if len(parts) > 1 else [alias.name for alias in node.names]


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda p: p.name)
def test_arrows_point_downwards(path):
    if path.parent == PACKAGE and path.stem == "__init__":
        return
    for target in _imports(path):
        if target != _room(path):
            assert _floor(target) < _floor(_room(path)), f"{path.name} imports {target}"


@pytest.mark.parametrize(
    "path", sorted([*PACKAGE.rglob("*.py"), *TESTS.rglob("*.py")]), ids=lambda p: p.name
)
def test_a_file_can_be_read_in_one_sitting(path):
    assert len(path.read_text().splitlines()) <= 450


@pytest.mark.parametrize("name", simulator.__all__)
def test_every_public_name_is_documented(name):
    documented = inspect.getdoc(getattr(simulator, name))
    assert documented
    assert not documented.startswith(f"{name}(")


def test_everything_public_can_be_reached_and_nothing_else():
    assert {*simulator._HOMES, *simulator._MODULES} == set(simulator.__all__)
    assert set(simulator.__all__) <= set(dir(simulator))
    with pytest.raises(AttributeError, match="nonsense"):
        simulator.nonsense  # noqa: B018


REGISTERED = [
    kind for kinds in (MODELS, OPTIMIZERS, SCHEDULES) for kind in kinds.values()
]  # fmt: skip


@pytest.mark.parametrize("kind", REGISTERED, ids=lambda kind: kind.name)
def test_what_is_registered_is_public_and_in_the_reference(kind):
    """A model, an optimizer or a schedule; ``test_help`` and ``test_testing`` hold the rest."""
    assert kind.__name__ in simulator.__all__
    reference = (PACKAGE.parent / "docs" / "reference" / "python.md").read_text()
    assert f".. autoclass:: {kind.__name__}\n" in reference


@pytest.mark.parametrize("path", sorted((PACKAGE / "commands").glob("*.py")), ids=lambda p: p.stem)
def test_every_command_is_registered_and_in_the_readme(path):
    module = importlib.import_module(f"simulator.commands.{path.stem}")
    for name, command in vars(module).items():
        mine = getattr(getattr(command, "callback", None), "__module__", "") == module.__name__
        if isinstance(command, click.Command) and mine and name == path.stem:
            assert warmup.commands[command.name] is command
            assert f"| `warmup {command.name}" in (PACKAGE.parent / "README.md").read_text()


def test_no_module_hides_a_public_name():
    """A submodule, once imported, becomes an attribute of its package, in place of a function."""
    modules = {path.stem for path in PACKAGE.iterdir()} - set(simulator._MODULES)
    assert not modules & set(simulator.__all__)


def test_importing_the_package_imports_nothing_heavy():
    code = "import simulator, sys; print({'numpy', 'numba', 'xarray'} & set(sys.modules))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "set()"
