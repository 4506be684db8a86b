"""No closed form without a law or a property that could refute it, and a docstring."""

import inspect
import re
from pathlib import Path

import pytest

from simulator import laws, theory

LAWS = Path(laws.__file__).parent
FUNCTIONS = [
    (topic, name)
    for topic in theory.__all__
    for name in getattr(theory, topic).__all__
    if callable(getattr(getattr(theory, topic), name))
]


@pytest.mark.parametrize(("topic", "name"), FUNCTIONS)
def test_a_closed_form_is_tested_and_says_what_it_computes(topic, name):
    tests = [*Path(__file__).parent.glob(f"test_{topic}*.py"), *LAWS.glob("*.py")]
    text = "".join(path.read_text() for path in tests)
    assert re.search(rf"\b{name}\b", text), f"nothing tests {topic}.{name}"
    documented = inspect.getdoc(getattr(getattr(theory, topic), name))
    assert documented
    assert len(documented.split()) >= 8


@pytest.mark.parametrize("topic", theory.__all__)
def test_every_topic_has_a_test_of_its_name(topic):
    assert Path(__file__).with_name(f"test_{topic}.py").is_file()


def test_theory_is_reached_by_its_name_alone():
    import simulator as sim

    assert sim.theory.uv.eta_max(-1.0, 2.0, 0.5, 1.0) > 0
