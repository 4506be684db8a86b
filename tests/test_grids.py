"""The grid grammar: one value, a list, a range, a logarithmic range."""

import math
from itertools import pairwise

import click
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from simulator.commands.grids import Grid

quick = settings(max_examples=50, deadline=None)

numbers = st.floats(-1e6, 1e6)
counts = st.integers(2, 200)
pieces = st.sampled_from(
    [":", ",", "log", "1", "2", "-3", "0", "1e300", "1e-300", "-1e308", "1e308", "nan", "inf", "x"]
)
texts = st.one_of(st.text(), st.lists(pieces, max_size=8).map("".join))


def values(text, **kwargs):
    return Grid(**kwargs).convert(text, None, None)


@quick
@given(value=numbers)
def test_one_value_is_a_grid_of_one(value):
    assert values(repr(value)) == (value,)


@quick
@given(listed=st.lists(numbers, min_size=1))
def test_a_list_is_kept_as_it_was_typed(listed):
    assert values(",".join(map(repr, listed))) == tuple(listed)


@quick
@given(start=numbers, length=st.floats(1e-3, 1e6), count=counts)
def test_a_range_rises_evenly_from_end_to_end(start, length, count):
    stop = start + length
    grid = values(f"{start!r}:{stop!r}:{count}")
    assert (grid[0], grid[-1], len(grid)) == (start, stop, count)
    assert all(before < after for before, after in pairwise(grid))
    step = (stop - start) / (count - 1)
    rounding = 1e-15 * max(abs(start), abs(stop))
    gaps = [after - before for before, after in pairwise(grid)]
    assert gaps == pytest.approx([step] * len(gaps), rel=1e-9, abs=4 * rounding)


@quick
@given(start=st.floats(1e-9, 1e9), factor=st.floats(1.01, 1e9), count=counts)
def test_a_log_range_has_one_ratio_from_end_to_end(start, factor, count):
    stop = start * factor
    grid = values(f"{start!r}:{stop!r}:{count}:log")
    assert (grid[0], grid[-1], len(grid)) == (start, stop, count)
    assert all(before < after for before, after in pairwise(grid))
    ratios = [after / before for before, after in pairwise(grid)]
    assert ratios == pytest.approx([(stop / start) ** (1 / (count - 1))] * len(ratios), rel=1e-12)


@quick
@given(start=st.integers(1, 1000), length=st.integers(1, 10**6), count=counts, log=st.booleans())
def test_a_whole_range_has_each_number_once_and_both_ends(start, length, count, log):
    grid = values(f"{start}:{start + length}:{count}{':log' * log}", whole=True)
    assert (grid[0], grid[-1]) == (start, start + length)
    assert all(type(value) is int for value in grid)
    assert all(before < after for before, after in pairwise(grid))


def test_a_range_of_one_value_is_its_start():
    assert values("3:3:1") == values("3:8:1") == values("3:8:1:log") == (3.0,)


def test_the_ranges_of_the_documentation_are_these():
    assert values("1:8:8") == (1, 2, 3, 4, 5, 6, 7, 8)
    assert values("1:256:9:log") == pytest.approx([2.0**i for i in range(9)], rel=1e-14)
    assert values("1,4,16", whole=True) == (1, 4, 16)


def test_a_grid_that_is_parsed_already_stays_as_it_is():
    assert Grid().convert((1.0, 2.0), None, None) == (1.0, 2.0)


@pytest.mark.parametrize("text", ["1.5", "1,2.5", "nan", "inf", "1:inf:3", "1e400"])
def test_a_whole_grid_takes_whole_numbers_only(text):
    with pytest.raises(click.BadParameter):
        values(text, whole=True)


@pytest.mark.parametrize(
    "text",
    ["", ",", "1,", "1,,2", ":", "1:2", "1:2:", "::", "1:2:3:4", "1:2:3:lin", "1:2:3:log:log",
     "4:1:3", "1:1:2", "0:1:3:log", "-1:1:3:log", "1:2:0", "1:2:-1", "1:2:1.5", "1:2:1000001",
     "nan", "inf", "-inf", "nan:1:3", "1:nan:3", "one", "1 2", "1;2"],
)  # fmt: skip
def test_what_is_no_grid_is_refused_with_its_text(text):
    with pytest.raises(click.BadParameter) as refusal:
        values(text)
    assert repr(text) in refusal.value.message


@quick
@given(text=texts, whole=st.booleans())
@example(text="-1e308:1e308:3", whole=False)
@example(text="-1e308:1e308:3", whole=True)
@example(text="1e-300:1e300:3:log", whole=False)
@example(text="1e-300:1e300:3:log", whole=True)
def test_any_text_gives_finite_numbers_or_a_bad_parameter(text, whole):
    try:
        grid = values(text, whole=whole)
    except click.BadParameter:
        return
    assert grid
    assert all(math.isfinite(value) for value in grid)
