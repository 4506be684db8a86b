"""What counts as another version of a person's code, and what does not."""

import functools
import pickle
import re

import numpy as np
import pytest

from simulator.sweeps.fingerprint import fingerprint

PLAIN = """
SCALE = 2.0
TABLE = {"a": [1, 2], "b": {"x", "y", "z"}}

def helper(x, times=3):
    return SCALE * x * times

def made(strength):
    def inner(x):
        return strength * helper(x)
    return inner

class Rule:
    rate = 0.5

    def __init__(self, kept):
        self.kept = kept

    @property
    def double(self):
        return 2 * self.rate

    @classmethod
    def new(cls):
        return cls(1)

    def step(self, x):
        return self.double * helper(x) + self.kept

def whole(x):
    "What it does."
    return made(1.5)(x) + Rule(4).step(x) + sum(TABLE["a"]) + len([helper(y) for y in x])
"""


def of(code=PLAIN, name="whole", file="here.py"):
    space = {"__name__": "notebook"}
    exec(compile(code, file, "exec"), space)
    return fingerprint(space[name])


def test_it_names_the_version_of_python():
    assert re.fullmatch(r"py3\.\d+-[0-9a-f]{16}", of())


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"What it does."', '"What it does, in other words."'),
        ("return SCALE * x * times", "# a comment\n    return SCALE * x * times"),
        ("SCALE = 2.0", "SCALE = 2.0\nUNUSED = 3"),
        ("SCALE = 2.0", "def unused(x):\n    return x\n\nSCALE = 2.0"),
    ],
)
def test_words_and_the_rest_of_the_file_do_not_count(old, new):
    assert old in PLAIN
    assert of(PLAIN.replace(old, new), file="there.py") == of()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("SCALE = 2.0", "SCALE = 2.5"),
        ("SCALE = 2.0", "SCALE = 2"),
        ("[1, 2]", "[1, 3]"),
        ('"y", "z"', '"y", "w"'),
        ("times=3", "times=4"),
        ("SCALE * x * times", "SCALE * times * x"),
        ("strength * helper(x)", "strength + helper(x)"),
        ("rate = 0.5", "rate = 0.25"),
        ("2 * self.rate", "3 * self.rate"),
        ("cls(1)", "cls(2)"),
        ("self.kept = kept", "self.kept = -kept"),
        ("made(1.5)", "made(1.25)"),
        ("helper(y) for", "helper(-y) for"),
    ],
)
def test_what_it_does_counts_however_deep(old, new):
    assert old in PLAIN
    assert of(PLAIN.replace(old, new)) != of()


def test_of_installed_packages_the_names_count():
    assert fingerprint(np.linalg.norm) == fingerprint(np.linalg.norm) != fingerprint(np.linalg.det)
    assert fingerprint(np.sin) != fingerprint(np.cos)
    assert fingerprint(len) != fingerprint(sum)
    assert fingerprint(np) != fingerprint(np.linalg)


def scaled(x, by=1.0):
    return by * x


class Scale:
    def __init__(self, by):
        self.by = by

    def __call__(self, x):
        return scaled(x, self.by)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (functools.partial(scaled, by=2.0), functools.partial(scaled, by=3.0)),
        (Scale(2.0), Scale(3.0)),
        (Scale(2.0).__call__, Scale(3.0).__call__),
        (functools.lru_cache(scaled), functools.lru_cache(lambda x: x)),
        (np.arange(3.0), np.arange(3)),
        (np.arange(6.0).reshape(2, 3), np.arange(6.0).reshape(3, 2)),
        ((1, 2), [1, 2]),
        (((1,), 2), ((1, 2),)),
        (1, True),
        ("1", 1),
    ],
)
def test_what_is_hidden_in_objects_counts(one, other):
    assert fingerprint(one) == fingerprint(one) != fingerprint(other)


def test_what_refers_to_itself_has_one_too():
    circle = [1]
    circle.append(circle)
    assert fingerprint(circle) != fingerprint([1])
    first, second = (
        of(f"def f(n):\n    return n * f(n - {k})\ndef whole(n):\n    return f(n)") for k in (1, 2)
    )
    assert first != second


def test_whether_equal_parts_are_one_object_does_not_count():
    shared = (1.5, "a")
    assert fingerprint([shared, shared]) == fingerprint(
        pickle.loads(pickle.dumps([shared, (1.5, "a")]))
    )
    array = np.ones(2)
    assert fingerprint(Scale(array)) == fingerprint(pickle.loads(pickle.dumps(Scale(array))))
