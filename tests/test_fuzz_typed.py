"""Readers of what is typed, and of a store's spec: a value, or a refusal in one line."""

import json
import math

import pytest
from fuzzing import (  # noqa: F401
    imported,
    numbers,
    often,
    read,
    reads_only,
    told,
    words,
)  # fmt: skip
from hypothesis import example, given
from hypothesis import strategies as st

from simulator import GD, MLP, UV, Adam, Quadratic
from simulator.commands import warmup
from simulator.commands.grids import Grid
from simulator.commands.replay import coordinates
from simulator.laws import LAWS
from simulator.studying import find_studies, load_study
from simulator.sweeps import Spec

grammar = st.sampled_from([":", ",", "log", "=", "1", "2", "-", "e", ".", "1e308", "1e-308", "nan"])
typed = st.one_of(words, st.lists(st.one_of(grammar, words), max_size=8).map("".join))


@often
@given(text=typed, whole=st.booleans())
@example("1:2:1000000", False)
@example("1e308", True)
@example("1:1e300:1000", True)
@example("1:2:" + "9" * 5000, False)
def test_any_grid_is_read_or_refused(text, whole):
    grid = read(Grid(whole=whole).convert, text, None, None)
    if grid is not None:
        assert all(map(math.isfinite, grid))
        read(lambda: Spec(model=Quadratic(), optimizer=GD(), eta_trgt=grid, steps=9))


names = st.one_of(st.sampled_from(["eta_trgt", "eta_init", "t_wrm", "seed"]), words)
SPEC = Spec(model=Quadratic(), optimizer=GD(), eta_trgt=(0.5, 8.0), t_wrm=(1, 4), steps=9)


@often
@given(text=st.one_of(typed, st.lists(st.tuples(names, typed).map("=".join)).map(",".join)))
@example("eta_trgt=8,eta_trgt=0.5,t_wrm=1")
@example("eta_trgt=8,t_wrm=4")
@example("eta_trgt=-1e308,t_wrm=4")
@example("\x1b[31m=1")
def test_any_cell_is_found_or_refused(text):
    found = read(lambda: SPEC.locate(coordinates("cell", text)))
    assert found is None or len(found) == 4


@often
@given(name=typed.filter(lambda name: name not in {*LAWS, *find_studies()}))
@example("a" * 100_000)
@example("warmup-deca\x1b[0m")
def test_no_name_but_a_study_s_is_one(name):
    assert read(load_study, name) is None


@often
@given(name=typed.filter(lambda name: name and name not in LAWS and "\0" not in name))
def test_no_name_but_a_law_s_is_one(name):
    assert told("theory", f"--law={name}") == 2


CHOICES = (
    "mlp", "uv", "quadratic", "digits", "teacher", "adam", "momentum", "mup", "cosine", "xent",
    "tanh", "absolute", "persistent-catapult", "threshold", "float32", "0.5", "8", "64",
)  # fmt: skip
OPTION_NAMES = {
    name: sorted({o for p in warmup.commands[name].params for o in p.opts if o != "--figure"})
    for name in ("run", "sweep", "explain", "critical", "plot", "info", "report")
}


@st.composite
def lines(draw):
    command = draw(st.sampled_from(list(OPTION_NAMES)))
    known = {p.opts[0]: p for p in warmup.commands[command].params}
    line = [command, *draw(st.lists(typed, max_size=1))]
    for _ in range(draw(st.integers(0, 5))):
        name = draw(st.sampled_from([*OPTION_NAMES[command], "--nonsense"]))
        line.append(name)
        if not getattr(known.get(name), "is_flag", False):
            line.append(draw(st.one_of(typed, numbers.map(str), st.sampled_from(CHOICES))))
    return line


@pytest.mark.usefixtures("reads_only")
@often
@given(line=lines().filter(lambda line: not any("\0" in word for word in line)))
def test_any_line_is_understood_or_refused(line):
    told(*line)


# --- the spec of a store ------------------------------------------------------------------------

long = numbers.filter(lambda n: not isinstance(n, int) or abs(n) < 10**4000)
json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), long, words),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(words, inner, max_size=3)),
    max_leaves=6,
)
WRITTEN = [
    SPEC.as_dict(),
    Spec(model=MLP(width=4, depth=2), optimizer=Adam(), eta_trgt=(0.5,), steps=9).as_dict(),
    Spec(model=UV(width=4), optimizer=GD(), eta_trgt=(0.5,), seeds=(0, 3), steps=9).as_dict(),
]


@st.composite
def specs(draw):
    """A spec with some of its entries gone, added, or of another kind."""
    plain = json.loads(json.dumps(draw(st.sampled_from(WRITTEN))))
    for _ in range(draw(st.integers(0, 3))):
        inner = plain.get(draw(st.sampled_from(["model", "optimizer", "none"])))
        place = inner if isinstance(inner, dict) else plain
        key = draw(st.one_of(st.sampled_from([*place, "name"]), words))
        if draw(st.integers(0, 3)) == 0:
            place.pop(key, None)
        else:
            place[key] = draw(st.one_of(json_values, st.lists(long, max_size=3)))
    return plain


@often
@given(plain=specs())
@example({**SPEC.as_dict(), "seeds": [0, 2**63]})
@example({**SPEC.as_dict(), "seeds": [10**400]})
@example({**SPEC.as_dict(), "model": {"name": ["mlp"]}})
@example({**SPEC.as_dict(), "\x1b[31m": 1})
def test_any_spec_is_one_or_refused(plain):
    spec = read(Spec.from_dict, plain)
    if spec is not None:
        assert Spec.from_dict(json.loads(json.dumps(spec.as_dict()))) == spec
