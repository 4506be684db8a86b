"""A formula made wrong, and the tests that must notice it."""

from typing import NamedTuple


class Mutant(NamedTuple):
    """One replacement in one file; ``old`` occurs there once."""

    path: str
    old: str
    new: str
    tests: str


def of(path, tests, *changes):
    """The mutants of one file that the same tests must notice."""
    return [Mutant(path, old, new, tests) for old, new in changes]
