"""What a subclass of a shipped class overrides is what is done: no shortcut speaks for it."""

import ast
import inspect
import math
from functools import partial
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import simulator as sim
from simulator.models import MODELS, BatchedModel, Objective
from simulator.models.network import NetworkObjective
from simulator.optimizers import OPTIMIZERS
from simulator.optimizers.base import Recurrence, has_recurrence
from simulator.reporting.closed_forms import closed_forms
from simulator.schedules import SCHEDULES
from simulator.shipped import is_shipped
from simulator.sweeps import Spec

PACKAGE = Path(sim.__file__).parent
EXAMPLE = sim.Data([[1.0, -0.5]], [[0.7]])
# Where a shortcut asks. A store asks too, but for names.
ASKING = ("optimizers.base", "training.ensemble", "training.rule", "sweeps.seed_constants")
# What describes a class, and is not called while it trains.
DESCRIPTIONS = {"options", "widths", "to_gram", "rank"}


def _methods(kind):
    """Names of the public methods and properties that a subclass may override."""
    final = {"threshold", "first_threshold", "eta_critical", "loss", "gradient", "hvp", "hessian"}
    named = inspect.getmembers(
        kind, lambda member: callable(member) or isinstance(member, property)
    )
    return [
        name for name, _ in named if not name.startswith("_") and name not in final | DESCRIPTIONS
    ]


def _other(value, arguments):
    """Something else of the same kind than a method gave; or did, to the last array given to it."""
    if value is None:
        arrays = [a for a in arguments if isinstance(a, np.ndarray)]
        if not arrays:
            return None
        arrays[-1][...] *= 0.9
        return None
    if isinstance(value, bool):
        return not value
    if isinstance(value, Recurrence):
        return value._replace(of_momentum=0.5 * value.of_momentum, of_gradient=0.5)
    if isinstance(value, sim.StabilityLimit):
        return sim.StabilityLimit(0.8 * value.over_eta, value.decay)
    if isinstance(value, BatchedModel):
        value.problem = value.problem._replace(target=0.0, per_residual=1.0)
        return value
    if isinstance(value, Objective):
        return _Scaled(value)
    if isinstance(value, tuple):
        return tuple(0.9 * part for part in value)
    if callable(value):
        return lambda *given: 0.9 * value(*given)
    return 0.9 * value


class _Scaled(Objective):
    def __init__(self, objective):
        super().__init__(objective.size, objective.samples, objective.dtype.name)
        self._objective, self.select = objective, objective.select

    def loss(self, theta):
        return 0.9 * self._objective.loss(theta)

    def gradient(self, theta, out):
        loss = self._objective.gradient(theta, out)
        out *= 0.9
        return 0.9 * loss

    def hvp(self, v, out):
        self._objective.hvp(v, out)
        out *= 0.9


def _overriding(kind, name):
    """A subclass of ``kind`` with another ``name``, one of its methods or properties."""
    is_property = isinstance(inspect.getattr_static(kind, name), property)

    def method(self, *arguments, **options):
        inherited = getattr(super(own, self), name)
        value = inherited if is_property else inherited(*arguments, **options)
        return _other(value, arguments)

    replaced = property(method) if is_property else method
    own = type(f"Own{kind.__name__}", (kind,), {name: replaced, "name": f"own-{kind.name}"})
    return own


CASES = [
    pytest.param(kind, name, id=f"{kind.__name__}.{name}")
    for kinds in (OPTIMIZERS, SCHEDULES, MODELS)
    for kind in kinds.values()
    for name in _methods(kind)
]


def _story(model, optimizer, schedule):
    """All that a run says, or why it cannot be."""
    data = None if isinstance(model, sim.Quadratic) else EXAMPLE
    try:
        run = sim.simulate(
            model, data, optimizer=optimizer, schedule=schedule, steps=6, sharpness_every=2
        )
    except (sim.InputError, NotImplementedError) as error:
        return repr(error)
    kept = ("loss", "sharpness", "eta", "threshold", "theta", "constant_loss", "forward_passes")
    return {name: getattr(run, name) for name in (*kept, "outcome", "n_catapults", "loss_final")}


def _searched(model, optimizer):
    data = None if isinstance(model, sim.Quadratic) else EXAMPLE
    return sim.critical_learning_rate(model, data, optimizer=optimizer, steps=6, tolerance=0.5)


def _swept(model, optimizer):
    """A sweep, and the lines that a report would draw on it."""
    data = None if isinstance(model, sim.Quadratic) else EXAMPLE
    found = sim.sweep(
        model, data, optimizer=optimizer, eta_trgt=[0.1, 0.4], steps=6, sharpness_every=2,
        curves=True, workers=1,
    )  # fmt: skip
    spec = Spec(model, optimizer, eta_trgt=(0.1, 0.4), steps=6)
    return found, closed_forms(found, spec, data, np.array([0.1, 0.4]))


def _alike(one, other):
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_alike(one[k], other[k]) for k in one)
    if isinstance(one, (str, type(None))):
        return one == other
    return np.array_equal(one, other, equal_nan=True)


def _setting(thing):
    """Model, optimizer and schedule of which one is ``thing``."""
    optimizer = thing if isinstance(thing, sim.Optimizer) else sim.GD()
    schedule = thing if isinstance(thing, sim.Schedule) else sim.Warmup(eta_trgt=0.3, t_wrm=3)
    model = sim.UV(8, representation="parameters" if optimizer.adaptive else "gram")
    return thing if isinstance(thing, sim.Model) else model, optimizer, schedule


def _made(kind):
    if issubclass(kind, sim.Quadratic):
        return kind((1.0, 3.0))
    return kind(eta_trgt=0.3) if issubclass(kind, sim.Schedule) else kind()


def _forced(monkeypatch):
    """Have everything done by the general loop."""
    for module in ASKING:
        home = import_module(f"simulator.{module}")
        monkeypatch.setattr(home, "is_shipped", lambda *arguments: False)


@pytest.mark.parametrize(("kind", "name"), CASES)
def test_an_overridden_method_does_what_it_does_in_the_loop(monkeypatch, kind, name):
    thing = _made(_overriding(kind, name))
    model, optimizer, schedule = _setting(thing)
    by_itself = _story(model, optimizer, schedule)
    # Sweeps and searches of what a shortcut could be taken for; the schedules there are shipped.
    shortcut = thing is not schedule and isinstance(model, (sim.UV, sim.Quadratic))
    asked = shortcut and not isinstance(by_itself, str) and not optimizer.adaptive
    if asked:
        searched, (swept, lines) = _searched(model, optimizer), _swept(model, optimizer)
        assert not [v for v in swept if v.startswith("theory_")]
        assert np.isnan([lines.eta_max, lines.ceiling, *lines.shortest]).all()
    _forced(monkeypatch)
    assert _alike(by_itself, _story(model, optimizer, schedule))
    if asked:
        assert searched == _searched(model, optimizer)
        xr.testing.assert_equal(swept, _swept(model, optimizer)[0])


def test_shortcuts_are_taken_by_what_is_shipped(monkeypatch):
    """Otherwise the test above would hold of a package without any."""
    taken = set()

    def noting(*arguments, shipped, **options):
        taken.add(shipped)
        return shipped(*arguments, **options)

    for home, name in (("training.loop", "batched_run"), ("sweeps.work", "run_batched")):
        module = import_module(f"simulator.{home}")
        monkeypatch.setattr(module, name, partial(noting, shipped=getattr(module, name)))
    _story(sim.UV(8), sim.GD(), sim.Warmup())
    found, lines = _swept(sim.UV(8), sim.GD())
    _story(sim.UV(8), sim.GD(weight_decay=0.1), sim.Warmup())
    _swept(sim.UV(8), sim.GD(weight_decay=0.1))
    assert len(taken) == 2
    assert "theory_eta_ceiling" in found
    assert np.isfinite(lines.eta_max)
    assert "theory_eta_max" in _swept(sim.Quadratic([1.0]), sim.Momentum())[0]
    assert {kind for kind in OPTIMIZERS.values() if has_recurrence(kind())} == {
        sim.GD, sim.Momentum, sim.Nesterov
    }  # fmt: skip


class Halved(sim.GD):
    def direction(self, theta, gradient, state, t, out):
        out[:] = 0.5 * gradient


class HalvedWarmup(sim.Warmup):
    def values(self, steps):
        return 0.5 * super().values(steps)


def test_half_of_gradient_descent_is_gradient_descent_at_half_the_rate():
    """Known without the loop; in either file of a user."""
    replaced = sim.GD()
    object.__setattr__(replaced, "direction", Halved().direction)
    shipped = sim.simulate(sim.UV(8), EXAMPLE, schedule=sim.Warmup(eta_trgt=0.15), steps=9)
    for optimizer, schedule in (
        (Halved(), sim.Warmup(eta_trgt=0.3)),
        (replaced, sim.Warmup(eta_trgt=0.3)),
        (sim.GD(), HalvedWarmup(eta_trgt=0.3)),
    ):
        run = sim.simulate(sim.UV(8), EXAMPLE, optimizer=optimizer, schedule=schedule, steps=9)
        np.testing.assert_allclose(run.loss, shipped.loss, rtol=1e-9, atol=1e-18)
    np.testing.assert_array_equal(run.eta, 0.15)
    with pytest.raises(sim.InputError, match="is the name of a built-in optimizer"):
        sim.sweep(sim.UV(8), EXAMPLE, optimizer=replaced, eta_trgt=[0.3], steps=2)


def test_a_subclass_that_takes_a_shipped_name_and_module_is_still_a_subclass():
    same = type("GD", (sim.GD,), {"__module__": "simulator.optimizers.linear"})
    lost = type("GD", (sim.GD,), {"__module__": "simulator.nowhere"})
    assert not is_shipped(same())
    assert not is_shipped(lost())
    assert is_shipped(sim.GD(), sim.Optimizer)
    assert not is_shipped(sim.GD(), sim.Momentum)


@pytest.mark.parametrize(
    ("contract", "name", "source"),
    [
        (sim.GD, "threshold", "limit"),
        (sim.Adam, "eta_critical", "limit"),
        (sim.Optimizer, "first_threshold", "first_limit"),
        (sim.MLP, "loss", "bind"),
        (sim.Model, "gradient", "bind"),
        (sim.UV, "hvp", "bind"),
        (sim.Quadratic, "hessian", "bind"),
    ],
)
def test_a_method_that_nothing_calls_cannot_be_overridden(contract, name, source):
    sentence = rf"Own\.{name} overridden: it follows from {source}; override that"
    mixin = type("Mixin", (), {name: lambda self, *arguments: None})
    for bases, body in (((contract,), vars(mixin)), ((mixin, contract), {})):
        own = {name: body[name]} if body else {}
        with pytest.raises(sim.InputError, match=sentence):
            type("Own", bases, own)
    type("Own", (contract,), {name: "an option"})


def test_no_shortcut_asks_by_isinstance():
    """Each asks `is_shipped`; ``testing`` draws its classes itself."""
    shipped = {
        kind.__name__ for kinds in (OPTIMIZERS, SCHEDULES, MODELS) for kind in kinds.values()
    }
    for path in sorted(PACKAGE.rglob("*.py")):
        tree = ast.parse(path.read_text())
        checked = {n for a in ast.walk(tree) if isinstance(a, ast.Assert) for n in ast.walk(a)}
        for node in ast.walk(tree):
            asks = isinstance(node, ast.Call) and getattr(node.func, "id", "") == "isinstance"
            if asks and node not in checked and path.name != "testing.py":
                named = {n.id for n in ast.walk(node.args[1]) if isinstance(n, ast.Name)}
                assert not named & shipped, f"{path.name}:{node.lineno}"


# --- products in single precision ---------------------------------------------------------------


class RidgeObjective(NetworkObjective):
    """A network with a ridge of 100 |theta|^2 / 2."""

    def loss(self, theta):
        return super().loss(theta) + 50.0 * float(theta @ theta)

    def gradient(self, theta, out):
        loss = super().gradient(theta, out)
        out += 100.0 * theta
        return loss + 50.0 * float(theta @ theta)

    def hvp(self, v, out):
        super().hvp(v, out)
        out += 100.0 * v


class Ridge(sim.MLP):
    name = "ridge"

    def bind(self, data=None, dtype="float64"):
        return RidgeObjective(self._architecture(data), data, dtype)


def test_the_sharpness_of_an_overridden_product_is_its_own():
    """Products in single precision are those of the plain network."""
    data = sim.load_data("teacher", 16)
    plain, ridge = sim.MLP(width=16, depth=2), Ridge(width=16, depth=2)
    theta = plain.init(data)
    assert theta.size > 48
    top = np.linalg.eigvalsh(plain.hessian(theta, data))[-1]
    still = sim.simulate(
        ridge, data, theta0=theta, schedule=sim.Warmup(eta_trgt=1e-12), steps=40
    ).sharpness
    np.testing.assert_allclose(still, top + 100.0, rtol=1e-5)


# --- where the gradient has vanished --------------------------------------------------------------


class Decaying(sim.GD):
    name = "decaying"

    def direction(self, theta, gradient, state, t, out):
        out[:] = gradient + 0.5 * theta


FLAT = sim.Quadratic([0.0, 0.0])


@pytest.mark.parametrize(
    "optimizer",
    [
        Decaying(), sim.AdamW(weight_decay=0.5), sim.GD(weight_decay=0.5),
        sim.Momentum(weight_decay=0.5), sim.Nesterov(weight_decay=0.5),
    ],
    ids=lambda rule: rule.name,
)  # fmt: skip
def test_a_decay_goes_on_without_a_gradient(optimizer):
    run = sim.simulate(FLAT, optimizer=optimizer, schedule=sim.Warmup(eta_trgt=0.1), steps=20)
    np.testing.assert_allclose(run.theta, 0.95**20 * FLAT.init(), rtol=1e-12)


@pytest.mark.parametrize("optimizer", [sim.GD(), sim.Momentum(), sim.Nesterov()])
def test_what_rests_is_not_run_to_the_end(optimizer):
    calls = []
    run = sim.simulate(
        FLAT, optimizer=optimizer, steps=1000, stop=lambda: calls.append(1), sharpness_every=0
    )
    assert len(calls) == 1
    np.testing.assert_array_equal(run.theta, FLAT.init())
    np.testing.assert_array_equal(run.loss, np.zeros(1000))


class Counting(sim.Schedule):
    name = "counting"

    def chooser(self):
        return lambda probe: 0.01 * (probe.step + 1)


def test_a_schedule_and_a_watch_are_asked_at_each_update_of_what_rests():
    seen = []
    run = sim.simulate(
        FLAT, schedule=Counting(), steps=9, callback=lambda sight: seen.append(sight.step)
    )
    np.testing.assert_allclose(run.eta, 0.01 * np.arange(1, 10))
    assert seen == list(range(9))


@pytest.mark.parametrize("optimizer", [sim.AdamW, sim.GD], ids=lambda rule: rule.name)
def test_a_decay_alone_can_raise_the_loss(optimizer):
    """From a maximum at 1, (u^2 - 1)^2 / 4 of u = theta - 1: decay moves to u = -kappa eta."""
    model = sim.Custom(
        "hill", loss=lambda t: float(((t - 1) ** 2 - 1) ** 2 @ np.full(1, 0.25)),
        gradient=lambda t: (t - 1) * ((t - 1) ** 2 - 1), init=lambda rng: np.ones(1),
        hvp=lambda t, v: (3 * (t - 1) ** 2 - 1) * v,
    )  # fmt: skip
    found = sim.critical_learning_rate(
        model, optimizer=optimizer(weight_decay=0.5), steps=0, tolerance=0.01
    )
    assert found.eta_c == pytest.approx(math.sqrt(2) / 0.5, rel=0.02)
    assert sim.critical_learning_rate(model, steps=0).eta_c == math.inf
