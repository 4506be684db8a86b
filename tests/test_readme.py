"""README says what is true, and its example runs as printed."""

import re
from pathlib import Path

import pytest

import simulator

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


FIRST, CONJECTURE, SLURM = re.findall(r"```python\n(.*?)```", README, re.S)


def test_the_python_example_runs_as_printed(capsys):
    assert len(FIRST.split("\n\n", 1)[-1].strip().splitlines()) <= 5
    exec(FIRST, {})
    outcome, catapults, first, _, last = capsys.readouterr().out.split()
    assert outcome in simulator.regimes.OUTCOMES
    assert int(catapults) >= 1
    assert float(last) < 0.5 * float(first)


def test_the_conjecture_is_a_test_as_printed():
    space = {}
    exec(CONJECTURE, space)
    (test,) = (value for name, value in space.items() if name.startswith("test_"))
    test()


def test_the_lines_for_clusters_are_python_and_options_that_exist():
    compile(SLURM, "README.md", "exec")
    from simulator.commands import warmup

    lines = re.findall(r"^warmup (\w+) ([^#\n]*)", README, re.M)
    assert len(lines) >= 6
    for name, rest in lines:
        known = {o for p in warmup.commands[name].params for o in p.opts}
        assert set(re.findall(r"--?[a-z][\w-]*", rest)) <= known, rest


@pytest.mark.parametrize("path", re.findall(r"`((?:studies|tests|simulator)/[\w./]+)`", README))
def test_files_that_readme_names_exist(path):
    assert (ROOT / path).exists()


def test_commands_and_options_that_readme_names_exist():
    from simulator.commands import warmup

    for name, rest in re.findall(r"`warmup (\w+)([^`]*)`", README):
        command = warmup.commands[name]
        for word in rest.split()[:1]:
            command = getattr(command, "commands", {}).get(word, command)
        known = {o for p in command.params for o in p.opts}
        assert set(re.findall(r"--[\w-]+", rest)) <= known
    from simulator.laws import LAWS

    assert set(re.findall(r"--law ([a-z-]+)", README)) <= set(LAWS)
