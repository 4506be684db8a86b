"""Every public name says what it is, of what shape, what it raises, and where it is from."""

import ast
import inspect
import re
import textwrap
from functools import cached_property

import pytest
from numpydoc.docscrape import ClassDoc, FunctionDoc

import simulator as sim
from simulator import theory
from simulator.sweeps import load, open_store

# A shape is written as what NumPy prints, with names for numbers: (P,), (steps, k).
SHAPE = re.compile(r"\([A-Za-z\d.…]+,( ?[A-Za-z\d.…]+,?)*\)")
# Calls that refuse an argument.
CHECKS = {
    "at_least",
    "count",
    "finite",
    "nonnegative",
    "one_of",
    "positive",
    "checked_vector",
    "required",
}

BESIDES = {"load": load, "open_store": open_store}


def _public():
    """(name, object) of all that a person may use."""
    for name in sim.__all__:
        value = getattr(sim, name)
        if inspect.ismodule(value):
            for inner in value.__all__:
                if not inspect.ismodule(getattr(value, inner)):
                    yield f"{name}.{inner}", getattr(value, inner)
        else:
            yield name, value
    yield from BESIDES.items()


def _members():
    """(name, function, docstring) of public methods and properties, inherited docstrings too."""
    for name, value in _public():
        if inspect.isclass(value):
            for inner, member in vars(value).items():
                function = member.fget if isinstance(member, property) else member
                if not inner.startswith("_") and inspect.isfunction(function):
                    yield f"{name}.{inner}", function, inspect.getdoc(getattr(value, inner))


def _closed_forms():
    for module in theory.__all__:
        for name in getattr(theory, module).__all__:
            yield (
                f"{module}.{name}",
                getattr(theory, module),
                getattr(getattr(theory, module), name),
            )


PUBLIC = dict(_public())
FUNCTIONS = {n: o for n, o in PUBLIC.items() if inspect.isfunction(o)}
CLASSES = {n: o for n, o in PUBLIC.items() if inspect.isclass(o)}
MEMBERS = {name: rest for name, *rest in _members()}
CLOSED_FORMS = {name: rest for name, *rest in _closed_forms()}


class Source:
    """What a function's code says of it."""

    def __init__(self, function):
        self._function = function

    @cached_property
    def tree(self):
        try:
            return ast.parse(textwrap.dedent(inspect.getsource(inspect.unwrap(self._function))))
        except OSError:  # hypothesis makes its composite strategies as it goes
            return ast.Module([], [])

    @property
    def refuses(self):
        """Whether it raises `InputError` itself, or checks an argument."""
        return any(
            getattr(node.func, "id", "") in CHECKS | {"InputError"}
            for node in ast.walk(self.tree)
            if isinstance(node, ast.Call)
        )


def arrays(function):
    """Names of the arguments that are arrays; ``return`` for what it gives back."""
    notes = inspect.unwrap(function).__annotations__
    return [name for name, kind in notes.items() if re.search(r"\bArray|NDArray", str(kind))]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_describes_its_arguments_and_what_it_returns(name):
    function = FUNCTIONS[name]
    doc = FunctionDoc(function)
    signature = inspect.signature(function)
    described = [n.strip() for entry in doc["Parameters"] for n in entry.name.split(",")]
    given = [f"{'*' * (p.kind == p.VAR_POSITIONAL)}{n}" for n, p in signature.parameters.items()]
    assert sorted(described) == sorted(given)
    assert all(e.type or " ".join(e.desc).startswith("As ") for e in doc["Parameters"])
    assert doc["Returns"] or signature.return_annotation == "None"
    if Source(function).refuses:
        assert doc["Raises"]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_an_array_has_a_shape(name):
    function = FUNCTIONS[name]
    doc = FunctionDoc(function)
    for argument in arrays(function):
        entries = doc["Returns"] if argument == "return" else doc["Parameters"]
        (entry,) = [e for e in entries if argument == "return" or argument in e.name.split(", ")]
        assert SHAPE.search(entry.type + " ".join(entry.desc)), argument


@pytest.mark.parametrize("name", CLASSES)
def test_a_class_describes_its_fields(name):
    value = CLASSES[name]
    doc = ClassDoc(value, config={"show_class_members": False})
    described = {n.strip() for part in ("Parameters", "Attributes") for e in doc[part]
                 for n in e.name.split(",")}  # fmt: skip
    fields = set(inspect.signature(value).parameters) if "__init__" in vars(value) else set()
    fields |= set(getattr(value, "_fields", ()))
    assert not fields - described
    if "__post_init__" in vars(value) and Source(value.__post_init__).refuses:
        assert doc["Raises"]


@pytest.mark.parametrize("name", MEMBERS)
def test_a_method_says_what_it_is_and_of_what_shape(name):
    function, docstring = MEMBERS[name]
    assert docstring
    if arrays(function):
        assert SHAPE.search(docstring)
    if Source(function).refuses:
        assert re.search(r"Raises|[Rr]efuse", docstring)


@pytest.mark.parametrize("name", CLOSED_FORMS)
def test_a_closed_form_names_its_equation_its_shape_and_its_source(name):
    module, function = CLOSED_FORMS[name]
    together = f"{inspect.getdoc(module)}\n{inspect.getdoc(function)}"
    assert re.search(r"[=<>+*/^(\[]|[Nn]umber|[Ll]argest|[Ww]hether", inspect.getdoc(function))
    assert re.search(r"broadcast|shape", f"{inspect.getdoc(theory)}{together}")
    assert re.search(r"\d{4}\.\d{4,5}|derived here|19\d\d|20\d\d|[Tt]extbook|equation", together)


def test_the_package_is_typed():
    """Tools of other projects read the types of this one where this file is."""
    from importlib.resources import files

    assert (files("simulator") / "py.typed").is_file()
