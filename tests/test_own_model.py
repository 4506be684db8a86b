"""A model in a person's own file does what one of ours does, and says what is wrong with it."""

import functools
import itertools
import sys
from pathlib import Path

import numba
import numpy as np
import pytest
import xarray as xr

import simulator as sim
from simulator.sweeps.fingerprint import fingerprint

pytestmark = pytest.mark.usefixtures("folder")
jax = pytest.importorskip("jax")

CURVATURES = np.array([1.0, 3.0, 0.2])
OUTPUTS = 10
WIDTH = 6
MOODS = itertools.count(1.0)


# --- a quadratic, without data ------------------------------------------------------------------


def bowl_loss(theta):
    return 0.5 * np.sum(CURVATURES * theta * theta)


def bowl_gradient(theta):
    return CURVATURES * theta


def bowl_hvp(theta, v):
    return CURVATURES * v


def bowl_init(rng):
    return rng.standard_normal(CURVATURES.size)


BOWL = sim.Custom("bowl", loss=bowl_loss, gradient=bowl_gradient, hvp=bowl_hvp, init=bowl_init)


def test_a_quadratic_of_one_s_own_is_ours_bit_for_bit():
    runs = [
        sim.simulate(model, schedule=sim.Warmup(eta_trgt=0.6, t_wrm=4), steps=30)
        for model in (BOWL, sim.Quadratic(CURVATURES))
    ]
    np.testing.assert_array_equal(runs[0].theta, runs[1].theta)
    np.testing.assert_array_equal(runs[0].sharpness, runs[1].sharpness)
    assert sim.sharpness(BOWL, BOWL.init()) == pytest.approx(3.0, abs=1e-12)
    assert sim.eta_critical(BOWL, None, sim.GD()) == pytest.approx(2 / 3)
    ours, theirs = (
        sim.critical_learning_rate(model) for model in (BOWL, sim.Quadratic(CURVATURES))
    )
    assert ours == theirs
    with pytest.raises(sim.InputError, match="has no samples"):
        sim.simulate(BOWL, batch_size=2)


# --- a two-layer tanh network, in NumPy, Numba and JAX ------------------------------------------


@pytest.fixture(scope="module")
def few():
    """Of every digit a part: without the JIT all would take minutes."""
    whole = sim.load_data("digits", samples=16)
    return sim.Data(whole.x[:, 20:26], whole.targets)


def forward(theta, x):
    v = theta[: x.shape[1] * WIDTH].reshape(x.shape[1], WIDTH)
    w = theta[x.shape[1] * WIDTH :].reshape(WIDTH, OUTPUTS)
    h = np.tanh(x @ v)
    return v, w, h, h @ w


def net_loss(theta, x, y):
    residual = forward(theta, x)[3] - y
    return 0.5 * np.sum(residual * residual) / y.size


def net_gradient(theta, x, y):
    _, w, h, z = forward(theta, x)
    r = (z - y) / y.size
    back = (r @ w.T.copy()) * (1 - h * h)
    return np.concatenate(((x.T.copy() @ back).ravel(), (h.T.copy() @ r).ravel()))


def net_hvp(theta, v, x, y):
    _, w, h, z = forward(theta, x)
    dv, dw = v[: x.shape[1] * WIDTH].copy().reshape(x.shape[1], WIDTH), v[x.shape[1] * WIDTH :]
    dw = dw.copy().reshape(WIDTH, OUTPUTS)
    slope = 1 - h * h
    r, dh = (z - y) / y.size, slope * (x @ dv)
    dr = (dh @ w + h @ dw) / y.size
    back, dback = r @ w.T.copy(), dr @ w.T.copy() + r @ dw.T.copy()
    to_v = x.T.copy() @ (dback * slope - 2 * back * h * dh)
    return np.concatenate((to_v.ravel(), (dh.T.copy() @ r + h.T.copy() @ dr).ravel()))


def tree_loss(theta, x, y):
    z = jax.numpy.tanh(x @ theta["v"]) @ theta["w"]
    return 0.5 * jax.numpy.mean((z - y) ** 2)


THEIRS = sim.MLP(width=WIDTH, depth=2, activation="tanh")


def net_init(rng, x, y):
    return THEIRS.init(sim.Data(x, y), seed=0)


def tree_init(rng, x, y):
    theta = net_init(rng, x, y)
    v = theta[: x.shape[1] * WIDTH].reshape(x.shape[1], WIDTH)
    return {"v": v, "w": theta[v.size :].reshape(WIDTH, OUTPUTS)}


def compiled(function):
    """By Numba, with what it calls."""
    space = dict(function.__globals__, forward=numba.njit(forward))
    return numba.njit(type(function)(function.__code__, space))


@functools.cache  # Numba takes its time
def net(kind="numpy", **changed):
    if kind == "jax":
        return sim.from_jax("net", loss=tree_loss, init=tree_init)
    functions = {"loss": net_loss, "gradient": net_gradient, "hvp": net_hvp} | changed
    if kind == "numba":
        functions = {name: compiled(function) for name, function in functions.items()}
    return sim.Custom("net", **functions, init=net_init)


KINDS = ["numpy", pytest.param("numba", marks=pytest.mark.slow), "jax"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_network_of_one_s_own_trains_as_ours_does(few, kind):
    model = net(kind)
    theta = model.init(few)
    v = np.random.default_rng(0).standard_normal(theta.size)
    np.testing.assert_array_equal(theta, THEIRS.init(few))
    assert model.loss(theta, few) == pytest.approx(THEIRS.loss(theta, few), rel=1e-12)
    for ours, theirs in (
        (model.gradient(theta, few), THEIRS.gradient(theta, few)),
        (model.hvp(theta, v, few), THEIRS.hvp(theta, v, few)),
    ):
        np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-12)
    expected = sim.sharpness(THEIRS, theta, few)
    assert sim.sharpness(model, theta, few) == pytest.approx(expected, rel=1e-9)
    unit = sim.eta_critical(THEIRS, few, sim.GD())
    for optimizer, eta in ((sim.GD(), 2 * unit), (sim.Adam(), 0.01)):
        one, other = (
            sim.simulate(
                made, few, optimizer=optimizer, schedule=sim.Warmup(eta_trgt=eta, t_wrm=8),
                steps=24, sharpness_every=8, batch_size=6, sharpness_tol=1e-10,
            )
            for made in (model, THEIRS)
        )  # fmt: skip
        np.testing.assert_allclose(one.loss, other.loss, rtol=1e-9)
        np.testing.assert_allclose(one.theta, other.theta, rtol=1e-7, atol=1e-9)
        measured = np.isfinite(other.sharpness)
        np.testing.assert_allclose(one.sharpness[measured], other.sharpness[measured], rtol=1e-8)


@pytest.mark.parametrize("kind", KINDS)
def test_a_right_model_passes_its_check(few, kind):
    found = sim.check_model(net(kind), few)
    assert max(found.gradient, found.hvp, found.asymmetry) < 1e-9
    assert found.judged == found.components


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["numpy", "jax"])
def test_searches_phases_stories_and_single_precision_are_as_of_ours(few, kind):
    model = net(kind)
    ours, theirs = (
        sim.critical_learning_rate(m, few, steps=16, failure="diverged") for m in (model, THEIRS)
    )
    assert ours.eta_c == pytest.approx(theirs.eta_c, rel=1e-6)
    assert ours.eta_max == pytest.approx(theirs.eta_max, rel=1e-6)
    phase = sim.natural_phase(model, few, optimizer=sim.GD(), steps=64)
    assert phase == sim.natural_phase(THEIRS, few, optimizer=sim.GD(), steps=64)
    run = sim.simulate(model, few, schedule=sim.PersistentCatapult(1.0), steps=8)
    assert run.forward_passes > 0
    assert "loss" in sim.explain(run).paragraph
    single = sim.simulate(model, few, steps=8, dtype="float32")
    double = sim.simulate(model, few, steps=8)
    assert single.theta.dtype == np.float32
    np.testing.assert_allclose(single.loss, double.loss, rtol=1e-4)


def test_without_double_precision_jax_is_refused_in_a_sentence(few):
    jax.config.update("jax_enable_x64", False)
    try:
        with pytest.raises(sim.InputError, match=r"jax\.config\.update\('jax_enable_x64', True\)"):
            sim.simulate(net("jax"), few, steps=1)
        assert sim.simulate(net("jax"), few, steps=1, dtype="float32").loss[0] > 0
    finally:
        jax.config.update("jax_enable_x64", True)


def test_parameters_in_jax_may_be_given_and_the_name_left_out(few):
    theta = tree_init(np.random.default_rng(3), few.x, few.targets)
    given = sim.from_jax(loss=tree_loss, init=theta)
    assert given.name == "tree_loss"
    drawn = sim.from_jax("drawn", loss=tree_loss, init=lambda rng, x, y: theta)
    assert (given.init(few, 0) == given.init(few, 1)).all()
    assert (given.init(few, 0) == drawn.init(few, 0)).all()
    assert sim.simulate(given, few, steps=2).loss.tolist() == (
        sim.simulate(drawn, few, steps=2).loss.tolist()
    )
    other = sim.from_jax(loss=tree_loss, init=jax.tree.map(lambda leaf: leaf + 1, theta))
    assert fingerprint(other) != fingerprint(given)
    with pytest.raises(sim.InputError, match="init 3: give a function, or a tree of arrays"):
        sim.from_jax("net", loss=tree_loss, init=3)


def test_without_jax_it_is_named(monkeypatch, few):
    monkeypatch.setitem(sys.modules, "jax", None)
    with pytest.raises(sim.InputError, match=r"pip install 'warmup-simulator\[jax\]'"):
        net("jax").init(few)
    with pytest.raises(sim.InputError, match="loss None: give a function"):
        sim.from_jax("net", loss=None, init=tree_init)


# --- what is wrong ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"loss": lambda t, x, y: t}, r"loss returned shape \(124,\): let it return one real"),
        ({"loss": lambda t, x, y: 1j}, "loss returned type complex128"),
        ({"loss": lambda t, x, y: np.float32(1)}, "loss returned type float32: .* float64"),
        ({"loss": lambda t, x, y: None}, "loss returned type object"),
        ({"gradient": lambda t, x, y: t[1:]}, r"gradient returned shape \(123,\): .* \(124,\)"),
        ({"gradient": lambda t, x, y: t.astype(int)}, "gradient returned type int64"),
        ({"gradient": lambda t, x, y: [t, t[1:]]}, "gradient with rows of several lengths"),
        ({"hvp": lambda t, v, x, y: v[:, None]}, r"hvp returned shape \(124, 1\)"),
        ({"init": lambda rng, x, y: np.ones((2, 2))}, r"init returned shape \(2, 2\)"),
        ({"init": lambda rng, x, y: np.full(4, np.nan)}, "init returned NaN"),
        ({"init": lambda rng, x, y: np.empty(0)}, "init returned nothing"),
        ({"loss": "mse"}, "loss mse: give a function"),
        ({"name": " "}, "name  : give a short text"),
        ({"options": {"width": [1, 2]}}, "width of type list: give a number"),
        ({"options": {"name": 1}}, "options name"),
        ({"options": 3}, "options 3: give a mapping"),
    ],
)
def test_what_a_model_cannot_be_is_refused_by_name(changed, sentence):
    rng = np.random.default_rng(0)
    data = sim.Data(rng.standard_normal((5, 4)), rng.standard_normal((5, 1)))
    made = {
        "name": "plain", "loss": lambda t, x, y: t @ t / 2, "gradient": lambda t, x, y: t,
        "hvp": lambda t, v, x, y: v, "init": lambda rng, x, y: np.ones(124),
    }  # fmt: skip
    with pytest.raises(sim.InputError, match=sentence):
        sim.sweep(sim.Custom(**(made | changed)), data, eta_trgt=[0.1], steps=2, output="made.zarr")
    assert not Path("made.zarr").exists()


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        (
            {"hvp": lambda t, v, x, y: net_hvp(t, v, x, y) + 1e-4 * v},
            r"hvp with \S+ in component \d+: differences of the gradient give \S+; \d+ of",
        ),
        (
            {"gradient": lambda t, x, y: net_gradient(t, x, y) * (np.arange(t.size) != 7)},
            r"gradient with 0 in component 7: differences of the loss give \S+; 1 of 64 are off",
        ),
        ({"loss": lambda t, x, y: net_loss(t, x, y) / 2}, "gradient with"),
        (
            {"hvp": lambda t, v, x, y: net_hvp(t, v, x, y) + 1e-4 * np.roll(v, 1)},
            r"hvp with a\.Hb = ",
        ),
        ({"loss": lambda t, x, y: next(MOODS)}, "loss gave two results for one theta"),
        ({"loss": lambda t, x, y: np.nan}, "loss not finite"),
        ({"loss": lambda t, x, y: net_loss(t, x, y) + 1e-8 * np.sin(1e9 * t.sum())}, "can judge"),
    ],
)
def test_wrong_mathematics_is_found_and_named(few, changed, sentence):
    with pytest.raises(sim.InputError, match=sentence):
        sim.check_model(net(**changed), few)


def test_kinks_do_not_disturb_the_check_of_a_right_model(few):
    found = sim.check_model(sim.MLP(width=4, activation="relu"), few, seed=1)
    assert max(found.gradient, found.hvp) < 1e-7
    assert found.judged > 0.9 * found.components


def test_a_sweep_on_threads_is_the_runs_one_by_one(few):
    grid = {"eta_trgt": [0.1, 0.2, 0.4], "seeds": 2, "steps": 6, "curves": True}
    alone, together = (sim.sweep(net("jax"), few, **grid, workers=n) for n in (1, 3))
    xr.testing.assert_equal(alone, together)
