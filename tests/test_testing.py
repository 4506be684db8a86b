"""The strategies: everything that they draw can be trained, and reaches the ends it promises."""

import inspect
import re

import numpy as np
import pytest
from hypothesis import find, given, settings
from profiles import fewer

import simulator as sim
from simulator import testing
from simulator.models import MODELS
from simulator.optimizers import OPTIMIZERS
from simulator.schedules import DECAYS

QUICK = settings(max_examples=2000, database=None, derandomize=True)


def test_every_model_and_optimizer_has_a_strategy():
    assert set(testing._MODELS) == set(MODELS)
    assert set(testing._OPTIMIZERS) == set(OPTIMIZERS)


@fewer(0.5)
@given(
    problem=testing.problems(), optimizer=testing.optimizers(), schedule=testing.schedules(),
    seed=testing.seeds(),
)  # fmt: skip
def test_whatever_is_drawn_can_be_trained(problem, optimizer, schedule, seed):
    model, theta, data = problem
    if optimizer.adaptive and not model.steps_weights:
        return
    run = sim.simulate(
        model, data, optimizer=optimizer, schedule=schedule, theta0=theta, steps=4, seed=seed
    )
    assert run.loss[0] == pytest.approx(model.loss(theta, data), rel=1e-12)
    assert run.outcome in sim.regimes.OUTCOMES


@given(
    problem=testing.problems(), optimizer=testing.optimizers(), schedule=testing.schedules()
)  # fmt: skip
def test_a_repr_makes_the_object_again(problem, optimizer, schedule):
    for thing in (problem.model, optimizer, schedule):
        assert eval(repr(thing), {name: getattr(sim, name) for name in sim.__all__}) == thing
    for thing in (problem.model, optimizer):
        assert thing.with_options() == thing


@given(problem=testing.one_example(representation="parameters"))
def test_one_example_has_one_example_and_one_output(problem):
    model, theta, data = problem
    assert (data.samples, data.outputs) == (1, 1)
    assert theta.size == model.width * (data.inputs + 1)


@given(data=testing.data_sets(labels=True))
def test_labels_are_of_every_class(data):
    assert set(data.y) == set(range(data.classes))
    assert 2 <= data.classes <= data.samples


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizers_are_drawn_with_their_options(name):
    drawn = find(testing.optimizers(name), lambda opt: True, settings=QUICK)
    assert drawn.name == name
    if drawn.options():
        assert find(testing.optimizers(name), lambda opt: opt != OPTIMIZERS[name](), settings=QUICK)


@pytest.mark.parametrize("decay", DECAYS)
@pytest.mark.parametrize("rises", [True, False])
def test_schedules_of_every_shape_are_drawn(decay, rises):
    found = find(
        testing.schedules(),
        lambda s: s.decay == decay and (s.eta_init < s.eta_trgt) == rises and s.t_wrm > 1,
        settings=QUICK,
    )
    assert np.isfinite(found.values(80)).all()


def test_a_bad_name_is_refused():
    with pytest.raises(sim.InputError, match="did you mean gi-adam"):
        testing.optimizers("gi-adma")


def test_the_conjecture_of_the_docstring_is_a_test_as_printed():
    lines = inspect.getdoc(testing).split("::\n\n", 1)[1].split("\n\nInputs", 1)[0]
    code = re.sub(r"^    ", "", lines, flags=re.M)
    space = {}
    exec(code, space)
    (test,) = (value for name, value in space.items() if name.startswith("test_"))
    settings(deadline=None, max_examples=20)(test)()
