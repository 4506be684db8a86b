"""A user's functions may work in place on what they are given, keep it, or return it."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

import simulator as sim

pytestmark = pytest.mark.usefixtures("folder")

SIZE = 60
DATA = sim.Data(np.arange(8.0)[:, None], np.ones((8, 1)))


def _custom(**functions):
    """0.5 * 2 * |theta|^2 plus what its data says, which is constant."""
    made = {
        "loss": lambda t, x, y: float(t @ t + y.mean()),
        "gradient": lambda t, x, y: 2 * t,
        "hvp": lambda t, v, x, y: 2 * v,
        "init": lambda rng, x, y: rng.standard_normal(SIZE),
    }
    return sim.Custom("bowl", **(made | functions))


def _trained(model, data=DATA, **options):
    options = {"schedule": sim.Warmup(eta_trgt=0.2, t_wrm=3), "steps": 6} | options
    return sim.simulate(model, data, **options)


def _assert_same(run, other):
    for curve in ("loss", "sharpness", "eta", "theta"):
        np.testing.assert_array_equal(getattr(run, curve), getattr(other, curve))


def _doubled(array):
    array *= 2
    return array


def _remembering(function):
    """A function that answers from memory where theta is what it was given last."""
    last = []

    def remembered(theta, *rest):
        if last and np.array_equal(last[0], theta):
            return last[1]
        last[:] = theta, function(theta, *rest)
        return last[1]

    return remembered


def _reusing(function):
    """A function that returns the same array each time."""
    buffer = np.empty(SIZE)

    def reused(*arguments):
        buffer[:] = function(*arguments)
        return buffer

    return reused


def _overwritten():
    """Loss and gradient in one array: the loss is a view that the gradient's call overwrites."""
    shared = np.empty(SIZE + 1)

    def loss(t, x, y):
        shared[0] = t @ t + y.mean()
        return shared[0, ...]

    def gradient(t, x, y):
        shared[:] = 7.0
        return 2 * t

    return {"loss": loss, "gradient": gradient}


@pytest.mark.parametrize(
    "functions",
    [
        {"hvp": lambda t, v, x, y: _doubled(v)},
        {"hvp": lambda t, v, x, y: (_doubled(t), 2 * v)[1]},
        {"gradient": lambda t, x, y: _doubled(t)},
        {"loss": lambda t, x, y: (float(t @ t + y.mean()), _doubled(t))[0]},
        {"gradient": _remembering(lambda t, x, y: 2 * t)},
        {"loss": _remembering(lambda t, x, y: float(t @ t + y.mean()))},
        {"gradient": _reusing(lambda t, x, y: 2 * t), "hvp": _reusing(lambda t, v, x, y: 2 * v)},
        _overwritten(),
    ],
    ids=["hvp in place", "hvp spoils theta", "gradient in place", "loss in place",
         "gradient remembers", "loss remembers", "buffers", "loss is a view"],
)  # fmt: skip
def test_functions_of_a_model_may_do_as_they_like_with_theta_and_v(functions):
    expected = _trained(_custom())
    np.testing.assert_allclose(expected.sharpness, 2.0)
    own = _custom(**functions)
    _assert_same(_trained(own), expected)
    assert sim.sharpness(own, own.init(DATA), DATA) == pytest.approx(2.0, abs=1e-12)
    batches = {"batch_size": 3, "optimizer": sim.Momentum()}
    _assert_same(_trained(own, **batches), _trained(_custom(), **batches))


@pytest.mark.parametrize("name", ["loss", "gradient", "hvp", "init"])
@pytest.mark.parametrize("batch_size", [None, 3])
def test_data_is_only_read(name, batch_size):
    function = _custom().functions._asdict()[name]

    def writing(*arguments):
        arguments[-2][0] = 7.0  # x
        return function(*arguments)

    with pytest.raises(sim.InputError, match=f"{name} writes into an array that it was given"):
        sim.sweep(
            _custom(**{name: writing}), DATA, eta_trgt=[0.1], steps=2, batch_size=batch_size,
            output="made.zarr",
        )  # fmt: skip
    assert not Path("made.zarr").exists()
    np.testing.assert_array_equal(DATA.x[:, 0], np.arange(8.0))


def test_compiled_functions_too():
    numba = pytest.importorskip("numba")
    if numba.config.DISABLE_JIT:
        pytest.skip("nothing is compiled")

    @numba.njit
    def in_place(theta, v, x, y):
        v *= 2
        return v

    @numba.njit
    def writing(theta, v, x, y):
        x[0] = 7.0
        return 2 * v

    _assert_same(_trained(_custom(hvp=in_place)), _trained(_custom()))
    with pytest.raises(sim.InputError, match="hvp writes into an array"):
        _trained(_custom(hvp=writing))


def test_init_of_a_jax_model_only_reads_its_data():
    pytest.importorskip("jax")

    def init(rng, x, y):
        x += 1
        return rng.standard_normal(3)

    with pytest.raises(sim.InputError, match="init writes into an array"):
        sim.from_jax("bowl", loss=lambda t, x, y: t @ t, init=init).init(DATA)


# --- optimizers ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Own(sim.Optimizer):
    """Heavy ball by an exponential average, divided by a preconditioner of 2 if adaptive."""

    name: ClassVar[str] = "own"
    vectors: ClassVar[int] = 1

    def direction(self, theta, gradient, state, t, out):
        state[0] = 0.5 * state[0] + gradient
        out[:] = state[0] / 2

    def preconditioner(self, gradient, state, t):
        return np.full_like(gradient, 2.0)

    @property
    def limit(self):
        return sim.StabilityLimit(2.0)

    first_limit = limit


@dataclass(frozen=True)
class Adaptive(Own):
    adaptive: ClassVar[bool] = True


@dataclass(frozen=True)
class Spoiling(Adaptive):
    """Works in place on all that it is given."""

    def start(self, theta, gradient, seed):
        theta *= 0
        gradient *= 0
        return gradient[None]

    def direction(self, theta, gradient, state, t, out):
        state *= 0.5
        state += gradient
        gradient *= 0
        theta *= 0
        np.divide(state[0], 2, out=out)

    def preconditioner(self, gradient, state, t):
        gradient[:] = 2.0
        state[:] = 7.0
        return gradient


KEPT = []
STATE = np.zeros((1, SIZE))


@dataclass(frozen=True)
class Keeping(Adaptive):
    """Reuses one array for the state of every run, and adds up gradients that it keeps."""

    def start(self, theta, gradient, seed):
        KEPT.clear()
        return STATE

    def direction(self, theta, gradient, state, t, out):
        KEPT.append(gradient)
        state[0] = sum(g * 0.5 ** (len(KEPT) - 1 - i) for i, g in enumerate(KEPT))
        np.divide(state[0], 2, out=out)


QUADRATIC = sim.Quadratic(np.linspace(0.5, 2.0, SIZE))


@pytest.mark.parametrize("optimizer", [Spoiling(), Keeping()], ids=lambda rule: type(rule).__name__)
def test_an_optimizer_may_do_as_it_likes_with_what_it_is_given(optimizer):
    expected = _trained(QUADRATIC, None, optimizer=Adaptive())
    for _ in range(2):
        run = _trained(QUADRATIC, None, optimizer=optimizer)
        np.testing.assert_allclose(run.loss, expected.loss, rtol=1e-12)
        np.testing.assert_allclose(run.theta, expected.theta, rtol=1e-12)
        np.testing.assert_array_equal(
            run.preconditioned_sharpness, expected.preconditioned_sharpness
        )


def test_a_probed_optimizer_may_too():
    """A schedule that asks for the loss after an update has `direction` called more often."""
    schedule = sim.PersistentCatapult(0.9)
    runs = [
        _trained(QUADRATIC, None, optimizer=optimizer, schedule=schedule)
        for optimizer in (Adaptive(), Spoiling())
    ]
    np.testing.assert_allclose(runs[0].theta, runs[1].theta, rtol=1e-12)
    found = [
        sim.critical_learning_rate(QUADRATIC, optimizer=optimizer, steps=0)
        for optimizer in (Adaptive(), Spoiling())
    ]
    assert found[0] == found[1]


class Returning(Own):
    def direction(self, theta, gradient, state, t, out):
        return gradient


def test_an_optimizer_that_returns_its_update_is_refused():
    with pytest.raises(sim.InputError, match="direction returned a value: let it fill out"):
        _trained(QUADRATIC, None, optimizer=Returning())


# --- schedules, models and callbacks ------------------------------------------------------------

PLAN = np.linspace(0.1, 0.2, 6)


class Planned(sim.Schedule):
    """One array for every run, which is not for the run to fill in."""

    name = "planned"

    def values(self, steps):
        return PLAN

    def chooser(self):
        return lambda probe: 0.3


def test_a_schedule_keeps_its_plan():
    assert (_trained(QUADRATIC, None, schedule=Planned()).eta == 0.3).all()
    np.testing.assert_array_equal(PLAN, np.linspace(0.1, 0.2, 6))
    with pytest.raises(sim.InputError, match=r"schedule with values of shape \(6,\): give shape"):
        _trained(QUADRATIC, None, schedule=Planned(), steps=7)


START = np.ones(SIZE)


class Fixed(sim.Quadratic):
    name = "fixed"

    def init(self, data=None, seed=0, dtype="float64"):
        return START


def test_a_model_keeps_its_start():
    model = Fixed(QUADRATIC.curvatures)
    _assert_same(_trained(model, None), _trained(model, None))
    np.testing.assert_array_equal(START, 1.0)


@pytest.mark.parametrize("curve", ["loss", "sharpness", "eta"])
def test_who_watches_only_reads(curve):
    def spoil(sight):
        getattr(sight, curve)[:] = 7.0

    with pytest.raises(sim.InputError, match="callback writes into an array that it was given"):
        _trained(QUADRATIC, None, callback=spoil)
    sights = []
    run = _trained(QUADRATIC, None, callback=sights.append)
    np.testing.assert_array_equal(getattr(sights[0], curve), getattr(run, curve))


def test_an_error_of_its_own_passes():
    def fail(sight):
        raise ValueError("of its own")

    with pytest.raises(ValueError, match=r"^of its own$"):
        _trained(QUADRATIC, None, callback=fail)


class _Doubling(sim.Objective):
    def __init__(self, what):
        super().__init__(3, 0, "float64")
        self._what = what

    def loss(self, theta):
        return float(theta @ theta) / 2

    def gradient(self, theta, out):
        out[:] = theta
        if self._what == "gradient":
            theta *= 2
        return self.loss(theta)

    def hvp(self, v, out):
        out[:] = v
        if self._what == "hvp":
            v *= 2


@dataclass(frozen=True)
class Bound(sim.Model):
    name: ClassVar[str] = "bound"
    what: str = ""

    def init(self, data=None, seed=0, dtype="float64"):
        return np.ones(3)

    def bind(self, data=None, dtype="float64"):
        return _Doubling(self.what)


@pytest.mark.parametrize("what", ["gradient", "hvp"])
def test_the_check_finds_an_objective_that_changes_what_it_is_given(what):
    with pytest.raises(sim.InputError, match=f"{what} changed its arguments"):
        sim.check_model(Bound(what))
    sim.check_model(Bound())
