"""Every closed form over the whole of its domain, edges included, and a sentence outside."""

import inspect
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator import theory
from simulator.checks import InputError
from simulator.theory.widths import Layers

FORMS = {
    f"{topic}.{name}": getattr(module, name)
    for topic in theory.__all__
    for module in [getattr(theory, topic)]
    for name in module.__all__
    if inspect.isfunction(getattr(module, name))
}
TINY = 5e-324
EDGES = [0.0, TINY, 1e-308, 2.3e-308, 1e-160, 1e-20, 1e-8, 0.1, 0.5, 1 - 2**-53, 1.0,
         1 + 2**-52, 1.5, 2.0, 3.0, 4.0, 1e8, 1e20, 1e40, 1e155, 1e308, 1.7e308]  # fmt: skip
# A closed form loops as often as a whole number says.
MOST = 4


def numbers(condition, lower, upper):
    """What meets the condition: its ends, their neighbours, and others of every size."""
    top = np.finfo(float).max if condition.upper is None else upper
    with np.errstate(over="ignore"):
        ends = [lower, np.nextafter(lower, np.inf), top, np.nextafter(top, -np.inf)]
    signed = [side * edge for side in (1, -1) for edge in EDGES]
    above = [lower + edge for edge in EDGES] if np.isfinite(lower) else []

    def meets(number):
        return (number > lower if condition.open_below else number >= lower) and (
            number < top if condition.open_above else number <= top
        )

    fit = [float(number) for number in {*ends, *signed, *above} if meets(number)]
    low, high = max(lower, -np.finfo(float).max), min(top, np.finfo(float).max)
    return st.sampled_from(sorted(fit)) | st.floats(low, high).filter(meets)


@st.composite
def arguments(draw, form):
    """Arguments that meet every condition; a joint bound after what it depends on."""
    kinds = {name: str(of.annotation) for name, of in inspect.signature(form).parameters.items()}
    conditions = [c for c in form.domain if not c.property]
    properties = {c.name: c.property for c in form.domain if c.property}
    scope, sizes = {"inf": np.inf, "sqrt": np.sqrt, "max": np.maximum}, {}
    scope |= {name: draw(st.sampled_from([*EDGES, -1.0, np.inf, -np.inf, np.nan]))
              for name, kind in properties.items() if kind == "any"}  # fmt: skip
    while conditions:
        condition = conditions.pop(0)
        name = condition.name
        if condition.choices:
            scope[name] = draw(st.sampled_from(condition.choices))
            continue
        try:
            with np.errstate(all="ignore"):
                lower, upper = condition.bounds(scope, inspect.unwrap(form).__globals__)
        except NameError:  # of an argument that is not drawn yet
            conditions.append(condition)
            continue
        if "int" in kinds[name]:
            whole = st.integers(int(lower), int(min(upper - condition.open_above, lower + MOST)))
        if condition.shape is None:
            number = draw(whole if kinds[name] == "int" else numbers(condition, lower, upper))
            scope[name] = number * draw(st.sampled_from([1, -1])) if condition.size else number
            continue
        shape = tuple(size_of(draw, sizes, dim) for dim in condition.shape if dim != "...")
        entries = whole if "int" in kinds[name] else numbers(condition, lower, upper)
        n = math.prod(shape)
        array = np.array(draw(st.lists(entries, min_size=n, max_size=n)))
        scope[name] = fitting(draw, array.reshape(shape), properties.get(name))
        if kinds[name] == "Layers":
            scope[name] = Layers(*scope[name])
        if "Sequence" in kinds[name]:
            scope[name] = tuple(map(int, scope[name]))
    return {name: scope[name] for name in kinds}


def size_of(draw, sizes, dim):
    return sum(
        int(term) if term.isdigit() else sizes.setdefault(term, draw(st.integers(1, 3)))
        for term in dim.split(" + ")
    )


def fitting(draw, array, wanted):
    """An array with a property, of every scale."""
    if wanted is None:
        return array
    if wanted == "nonzero_rows":
        return np.where(np.abs(array).max(axis=-1, keepdims=True) < 1e-40, 1.0, array)
    if wanted == "symmetric":
        return np.maximum(array, array.T)
    n = len(array)
    seed, size = draw(st.integers(0, 2**32 - 1)), draw(st.sampled_from([1e-300, 1e-20, 1.0, 1e19]))
    rank = n if wanted == "definite" else draw(st.integers(0, n))
    weights = np.linalg.qr(np.random.default_rng(seed).normal(size=(n, n)))[0][:rank]
    return size * weights.T @ np.diag(np.logspace(0, -draw(st.integers(0, 6)), rank)) @ weights


@pytest.mark.parametrize("name", FORMS)
def test_a_closed_form_states_its_domain(name):
    form = FORMS[name]
    assert {c.name for c in form.domain} == set(inspect.signature(form).parameters)
    assert all(condition.text in inspect.getdoc(form) for condition in form.domain)


@pytest.mark.parametrize("name", FORMS)
def test_a_closed_form_gives_a_number_all_over_its_domain(name):
    form = FORMS[name]

    @given(st.data())
    def walk(data):
        given = data.draw(arguments(form))
        found = form(**given)  # warnings are errors
        lower, upper = form.gives.bounds({}, {})
        for part in found if isinstance(found, tuple) else (found,):
            if np.asarray(part).dtype.kind in "bU":
                continue
            assert not np.isnan(part).any(), found
            if np.isrealobj(part):
                assert (np.asarray(part) >= lower).all(), found
                assert (np.asarray(part) <= upper).all(), found

    walk()


def outside(form):
    """A value below the lower end of each condition, or a name that is not listed."""
    for condition in form.domain:
        if condition.choices:
            yield condition.name, "nonsense"
        elif not condition.property and isinstance(condition.lower, float):
            below = condition.lower if condition.open_below else np.nextafter(condition.lower, -1e9)
            yield condition.name, below if np.isfinite(below) else np.nan
            yield condition.name, np.nan


@pytest.mark.parametrize("name", [name for name, form in FORMS.items() if form.domain])
@given(data=st.data())
def test_outside_its_domain_a_closed_form_says_so_in_one_sentence(name, data):
    form = FORMS[name]
    given = data.draw(arguments(form))
    argument, value = data.draw(st.sampled_from(list(outside(form)) or [(None, None)]))
    if argument is None:
        return
    if isinstance(given[argument], tuple):
        value = (value, *given[argument][1:]) if not hasattr(given[argument], "_fields") else value
    elif np.ndim(given[argument]):
        value = np.full_like(given[argument], value)
    with pytest.raises(InputError) as caught:
        form(**given | {argument: value})
    assert "\n" not in str(caught.value)
