"""Networks with layer normalisation, against autograd, published definitions and exact laws."""

import itertools
from functools import partial

import jax
import numpy as np
import pytest
from hypothesis import given
from oracle import multipliers, network_loss, of_model

import simulator as sim
from simulator.models.mlp import NORMS
from simulator.numerics.activations import CODES
from simulator.numerics.dense import LOSSES
from simulator.parameterizations import PARAMETERIZATIONS

WIDTH, DEPTH = 5, 4


def _data(rng, loss, samples=7):
    x = rng.standard_normal((samples, 4))
    return sim.Data(
        x, rng.standard_normal((samples, 3)) if loss == "mse" else np.arange(samples) % 3
    )


def _close(ours, theirs, rtol):
    theirs = np.asarray(theirs)
    np.testing.assert_allclose(ours, theirs, rtol=rtol, atol=rtol * np.abs(theirs).max())


def _kinds():
    for norm, residual in itertools.product(NORMS, (False, True)):
        if (norm, residual) not in (("none", False), ("after", False)):
            yield norm, residual


KINDS = list(_kinds())


@pytest.mark.parametrize(("norm", "residual"), KINDS)
def test_derivatives_are_those_of_autograd(norm, residual):
    """Each with some values of the other options; all values occur with one or another."""
    others = itertools.cycle(itertools.product(CODES, LOSSES, PARAMETERIZATIONS))
    others = itertools.islice(others, 7 * KINDS.index((norm, residual)), None)
    rng = np.random.default_rng(list(NORMS).index(norm))
    for affine, bias in itertools.product((False, True), repeat=2):
        activation, loss, parameterization = next(others)
        data = _data(rng, loss)
        model = sim.MLP(
            WIDTH, DEPTH, activation, parameterization, loss, bias,
            norm=norm, residual=residual, affine=affine, norm_eps=0.01,
        )  # fmt: skip
        theta = model.init(data, seed=3)
        theta += 0.1 * rng.standard_normal(theta.size)
        v, widths = rng.standard_normal(theta.size), model.widths(data)
        options = (activation, loss, bias, widths, norm, residual, affine, 0.01)
        m = multipliers(parameterization, widths)
        function = partial(network_loss(*options), x=data.x, y=data.targets, m=m)
        # Not compiled: a compilation takes longer than a hundred of these.
        gradient, product = jax.jvp(jax.grad(function), (theta,), (v,))
        assert model.loss(theta, data) == pytest.approx(float(function(theta)), rel=1e-10)
        _close(model.gradient(theta, data), gradient, 1e-10)
        _close(model.hvp(theta, v, data), product, 1e-10)


@given(problem=sim.testing.problems("mlp"))
def test_check_model_finds_no_error(problem):
    model, theta, data = problem
    if model.activation == "relu":  # differences straddle its kinks
        model = model.with_options(activation="gelu")
    sim.check_model(model, data, theta=theta)


def test_the_hessian_is_that_of_autograd():
    data = _data(np.random.default_rng(1), "xent")
    options = {"norm": "activation", "affine": True, "norm_eps": 1e-3, "residual": True}
    model = sim.MLP(4, 3, "tanh", "mup", "xent", **options)
    theta = model.init(data, seed=3)
    theta += 0.1 * np.random.default_rng(2).standard_normal(theta.size)
    _close(model.hessian(theta, data), jax.jit(jax.hessian(of_model(model, data)))(theta), 1e-9)


@pytest.mark.parametrize(("norm", "residual"), KINDS)
def test_initial_weights_are_those_without_a_norm(norm, residual, digits):
    plain = sim.MLP(width=6, depth=4, bias=True).init(digits, 5)
    options = {"norm": norm, "residual": residual}
    same = sim.MLP(width=6, depth=4, bias=True, **options).init(digits, 5)
    np.testing.assert_array_equal(same, plain)
    norms = {"none": 0, "readout": 1, "inner": 2, "activation": 3}.get(norm, 3 - residual)
    affine = sim.MLP(width=6, depth=4, bias=True, affine=True, **options).init(digits, 5)
    np.testing.assert_array_equal(affine[: plain.size], plain)
    expected = np.tile(np.repeat([1.0, 0.0], 6), norms)
    np.testing.assert_array_equal(affine[plain.size :], expected)


# Measured by a program in JAX from the same theta: sharpness and loss at initialisation.
RELU = {"width": 32, "norm_eps": 0.0}
DEEP = {**RELU, "depth": 8, "parameterization": "mup", "residual": True}
MEASURED = [
    ({**RELU, "norm": "activation"}, 0, 6.97119896269, 0.533731034598),
    ({**RELU, "norm": "activation"}, 1, 5.50426487066, 0.700862334704),
    ({**RELU, "norm": "activation"}, 2, 9.42190850408, 0.528204149031),
    ({**RELU, "norm": "preactivation"}, 0, 3.71824929976, 0.267226688345),
    ({**RELU, "norm": "preactivation"}, 1, 3.05332682154, 0.400953828730),
    ({**RELU, "norm": "preactivation"}, 2, 3.47030146496, 0.440640281515),
    ({**RELU, "norm": "readout"}, 0, 8.0104087171, 0.445509833343),
    ({**RELU, "norm": "readout"}, 1, 6.86144091428, 0.703839769367),
    ({**RELU, "norm": "readout"}, 2, 7.77037572107, 0.689543206835),
    (RELU, 0, 5.63894996489, 0.315022653121),
    (RELU, 1, 10.2981277239, 0.835119703470),
    (RELU, 2, 12.1838525247, 0.955372605722),
    ({**RELU, "parameterization": "mup", "norm": "activation"}, 0, 0.151768250304, 0.0635980502052),
    (
        {**RELU, "parameterization": "mup", "norm": "preactivation"},
        0, 0.0890810557715, 0.0582514756907,
    ),
    ({**RELU, "parameterization": "mup", "norm": "readout"}, 0, 0.186884044441, 0.0609818500029),
    ({**RELU, "norm": "activation", "affine": True}, 0, 7.48234847686, 0.533731034598),
    (
        {**RELU, "norm": "preactivation", "activation": "tanh", "loss": "xent"},
        0, 3.21373947574, 2.64519500919,
    ),
    (
        {"width": 32, "norm": "preactivation", "activation": "gelu"},
        0, 3.420188024, 0.221827135867,
    ),
    ({**DEEP, "norm": "after"}, 0, 0.260469287029, None),
    *(
        ({**DEEP, "norm": norm}, seed, value, None)
        for norm, values in {
            "activation": (
                0.171853039998, 0.160267627372, 0.149321052172, 0.169582360451, 0.146976539231,
            ),
            "inner": (2.41932547597, 2.39571668963, 2.19898706023, 1.80959815455, 2.01808641551),
        }.items()
        for seed, value in enumerate(values)
    ),
]  # fmt: skip


@pytest.fixture(scope="module")
def some_digits():
    return sim.load_data("digits", 128)


@pytest.mark.parametrize(("options", "seed", "sharpness", "loss"), MEASURED)
def test_sharpness_at_initialisation(options, seed, sharpness, loss, some_digits):
    model = sim.MLP(**options)
    theta = model.init(some_digits, seed)
    assert sim.sharpness(model, theta, some_digits) == pytest.approx(sharpness, rel=1e-8)
    if loss is not None:
        assert model.loss(theta, some_digits) == pytest.approx(loss, rel=1e-8)


def test_gradients_at_initialisation(some_digits):
    for options, norm in (
        ({"norm": "activation"}, 1.04578404598),
        ({"norm": "preactivation"}, 0.794420388525),
        ({"norm": "activation", "affine": True}, 1.08741136189),
    ):
        model = sim.MLP(**RELU, **options)
        gradient = model.gradient(model.init(some_digits, 0), some_digits)
        assert np.linalg.norm(gradient) == pytest.approx(norm, rel=1e-8)


def _blocks(model, data):
    """Where in theta each hidden W is."""
    widths, at = model.widths(data), 0
    for fan_in, fan_out in itertools.pairwise(widths[:-1]):
        yield slice(at, at := at + fan_in * fan_out)


def _unlike_scale_invariance(model, data):
    """|w.g| / (|w| |g|) and |H w + g| / |g| of the first two hidden layers, the worse of each."""
    theta = model.init(data, 3)
    gradient, along, slope = model.gradient(theta, data), 0.0, 0.0
    for block in list(_blocks(model, data))[:2]:
        w, g = np.zeros_like(theta), gradient[block]
        w[block] = theta[block]
        along = max(along, abs(w @ gradient) / np.linalg.norm(w) / np.linalg.norm(g))
        product = model.hvp(theta, w, data)[block]
        slope = max(slope, np.linalg.norm(product + g) / np.linalg.norm(g))
    return along, slope


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize(
    ("activation", "norm"),
    [
        ("relu", "activation"), ("relu", "readout"), ("relu", "preactivation"),
        ("tanh", "preactivation"), ("gelu", "preactivation"),
    ],
)  # fmt: skip
def test_normalised_weights_have_no_scale(activation, norm, loss, some_digits):
    """w.g = 0 and H w = -g, layer by layer: the loss does not depend on |w| (eps = 0)."""
    model = sim.MLP(32, 3, activation, loss=loss, norm=norm, norm_eps=0.0)
    along, slope = _unlike_scale_invariance(model, some_digits)
    assert along < 1e-12
    assert slope < 1e-12
    theta = model.init(some_digits, 3)
    scaled = theta.copy()
    scaled[: -32 * some_digits.outputs] *= 2.5
    assert model.loss(scaled, some_digits) == pytest.approx(model.loss(theta, some_digits))


def test_an_activation_that_is_not_homogeneous_before_the_norm_gives_weights_a_scale(some_digits):
    model = sim.MLP(32, 3, "gelu", norm="activation", norm_eps=0.0)
    assert _unlike_scale_invariance(model, some_digits)[1] > 0.05


def test_a_dead_sample_is_finite_with_eps_and_not_without():
    data = sim.Data(np.ones((2, 3)), np.ones((2, 1)))
    losses = {}
    for norm, eps in (("activation", 0.0), ("activation", 1e-5), ("preactivation", 0.0)):
        model = sim.MLP(4, 3, norm=norm, norm_eps=eps)
        theta = model.init(data)
        theta[:12] = -np.arange(1.0, 13.0)  # all units of the first layer are below zero
        losses[norm, eps] = model.loss(theta, data)
    assert np.isnan(losses.pop(("activation", 0.0)))
    assert np.isfinite(list(losses.values())).all()


def test_a_sweep_along_norm(tmp_path, digits):
    """None beside others: none's cells are those of the plain MLP, and a replay is exact."""
    grid = {"eta_trgt": [1.0, 4.0], "t_wrm": [1, 8], "seeds": 2, "steps": 16}
    model, norms = sim.MLP(width=8), ["none", "activation", "preactivation"]
    store = tmp_path / "norms.zarr"
    found = sim.sweep(model, digits, over={"norm": norms}, output=store, **grid)
    assert list(found.norm.values) == norms
    plain = sim.sweep(model, digits, **grid)
    one = found.sel(norm="none", drop=True)
    for name in ("loss_final", "sharpness_final", "eta_critical"):
        np.testing.assert_array_equal(one[name].transpose(*plain[name].dims), plain[name])


def test_single_precision_is_near_double(digits):
    for norm, residual in KINDS:
        model = sim.MLP(8, 3, "gelu", norm=norm, residual=residual, affine=True)
        theta = model.init(digits, dtype="float32")
        gradient = model.gradient(theta, digits)
        assert gradient.dtype == np.float32
        _close(gradient, model.gradient(theta.astype(float), digits), 1e-4)
