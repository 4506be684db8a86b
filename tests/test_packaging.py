"""What is installed, and what the files about a release say of it."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.version import Version
from warm import warmup

import simulator

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
CITATION = yaml.safe_load((ROOT / "CITATION.cff").read_text())
WORKFLOW = (ROOT / ".github" / "workflows" / "tests.yml").read_text()


def test_the_module_is_the_program(tmp_path):
    ran = subprocess.run(
        [sys.executable, "-m", "simulator", "--version"],
        cwd=tmp_path, env={"PYTHONPATH": str(Path(simulator.__file__).parents[1])},
        capture_output=True, text=True,
    )  # fmt: skip
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout == warmup("--version") == f"warmup, version {simulator.__version__}\n"


def test_all_name_one_version_and_one_date():
    from simulator.sweeps.origin import versions

    version, date = re.findall(r"^## (\S+) \((\S+)\)$", (ROOT / "CHANGELOG.md").read_text(), re.M)[
        0
    ]
    assert version == simulator.__version__ == versions()["warmup-simulator"]
    assert (version, date) == (CITATION["version"], str(CITATION["date-released"]))
    assert PROJECT["dynamic"] == ["version"]


def test_the_paper_is_cited_by_one_number():
    (paper,) = CITATION["references"]
    assert paper["url"] == PROJECT["urls"]["Paper"]
    assert paper["identifiers"][0]["value"] == f"arXiv:{paper['url'].rpartition('/')[2]}"
    assert f"*{paper['title']}*" in " ".join((ROOT / "README.md").read_text().split())


def requirements():
    """Those of the package and of its extras but PyTorch, which constraints name for one system."""
    extras = PROJECT["optional-dependencies"]
    lines = [*PROJECT["dependencies"], *(x for n, of in extras.items() if n != "torch" for x in of)]
    return [Requirement(line) for line in lines if not line.startswith(PROJECT["name"])]


def test_the_lowest_versions_are_those_of_pyproject():
    lines = (ROOT / "constraints-lowest.txt").read_text().splitlines()
    pins = dict(line.split("==") for line in lines if line and line[0] != "#")
    tools = {"mypy", "ruff"}
    for requirement in requirements():
        if requirement.name not in tools:
            (bound,) = requirement.specifier
            assert (bound.operator, Version(bound.version)) == (
                ">=",
                Version(pins.pop(requirement.name)),
            )
    assert not pins


def test_the_workflow_tests_the_pythons_that_pyproject_names():
    jobs = yaml.safe_load(WORKFLOW)["jobs"]
    tested = jobs["tests"]["strategy"]["matrix"]["python"]
    named = [re.fullmatch(r".* :: (3\.\d+)", line) for line in PROJECT["classifiers"]]
    assert tested == [found[1] for found in named if found]
    assert PROJECT["requires-python"] == f">={tested[0]}"
    for job in jobs.values():
        for step in job["steps"]:
            assert ("uses" in step) != ("run" in step)
            assert re.fullmatch(r"[\w-]+/[\w-]+@v\d+", step.get("uses", "a/b@v1"))


@pytest.mark.parametrize(
    "path", sorted({*re.findall(r"tests/\w+\.py|constraints[\w-]*\.txt", WORKFLOW)})
)
def test_files_that_the_workflow_names_exist(path):
    assert (ROOT / path).exists()


def test_the_hooks_are_the_commands_of_the_workflow():
    (hooks,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    for hook in hooks["hooks"]:
        assert f"- run: {hook['entry']}" in WORKFLOW
        assert hook["language"] == "system"
