"""Loss, gradient and curvature of every model, against autograd written from the definitions."""

import itertools
import warnings

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from oracle import derivatives, multipliers, of_model

import simulator as sim
from simulator.models import MODELS
from simulator.numerics import dense, products
from simulator.numerics.activations import CODES
from simulator.numerics.dense import LOSSES
from simulator.parameterizations import PARAMETERIZATIONS

WIDTH, SAMPLES, INPUTS, OUTPUTS = 5, 7, 4, 3


def _data(rng, loss, samples=SAMPLES):
    x = rng.standard_normal((samples, INPUTS))
    if loss == "mse":
        return sim.Data(x, rng.standard_normal((samples, OUTPUTS)))
    return sim.Data(x, np.arange(samples) % OUTPUTS)


def _close(ours, theirs, rtol):
    """Relative to the largest entry: a gradient's zeros have no digits of their own."""
    theirs = np.asarray(theirs)
    np.testing.assert_allclose(ours, theirs, rtol=rtol, atol=rtol * np.abs(theirs).max())


@pytest.mark.parametrize("depth", [2, 4])
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("activation", CODES)
def test_mlp_derivatives_are_those_of_autograd(activation, loss, depth):
    rng = np.random.default_rng(depth)
    for bias, parameterization in itertools.product((False, True), PARAMETERIZATIONS):
        data = _data(rng, loss)
        model = sim.MLP(WIDTH, depth, activation, parameterization, loss, bias)
        theta = model.init(data, seed=depth)
        # Away from the initial zeros of the biases, which would hide their derivatives.
        theta += 0.1 * rng.standard_normal(theta.size)
        v = rng.standard_normal(theta.size)
        widths = model.widths(data)
        m = multipliers(parameterization, widths)
        value, gradient, product = derivatives(activation, loss, bias, widths)(
            theta, v, data.x, data.targets, m
        )
        assert model.loss(theta, data) == pytest.approx(float(value), rel=1e-10)
        _close(model.gradient(theta, data), gradient, 1e-10)
        _close(model.hvp(theta, v, data), product, 1e-10)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("activation", CODES)
def test_mlp_hessian_is_that_of_autograd(activation, loss):
    import jax

    rng = np.random.default_rng(1)
    data = _data(rng, loss)
    for bias in (False, True):
        model = sim.MLP(4, 3, activation, "mup", loss, bias)
        theta = model.init(data, seed=3) + 0.1 * rng.standard_normal(model.init(data).size)
        reference = jax.jit(jax.hessian(of_model(model, data)))(theta)
        _close(model.hessian(theta, data), reference, 1e-9)


@given(
    seed=st.integers(0, 2**32 - 1),
    activation=st.sampled_from(list(CODES)),
    loss=st.sampled_from(list(LOSSES)),
    samples=st.integers(1, 9),
    width=st.integers(1, 6),
    depth=st.integers(2, 4),
)
def test_hessian_products_are_symmetric_and_linear(seed, activation, loss, samples, width, depth):
    rng = np.random.default_rng(seed)
    data = _data(rng, loss, samples)
    assume(data.classes != 1)
    model = sim.MLP(width, depth, activation, loss=loss, bias=True)
    theta = model.init(data, seed=seed % 100)
    a, b = rng.standard_normal((2, theta.size))
    ha, hb = model.hvp(theta, a, data), model.hvp(theta, b, data)
    scale = 1e-10 * (np.abs(ha).max() + np.abs(hb).max() + 1)
    assert abs(a @ hb - b @ ha) <= scale * theta.size
    np.testing.assert_allclose(model.hvp(theta, 2 * a - b, data), 2 * ha - hb, atol=scale)


@given(seed=st.integers(0, 1000), parameterization=st.sampled_from(list(PARAMETERIZATIONS)))
def test_a_directional_derivative_of_the_gradient_is_the_hessian_product(seed, parameterization):
    """Where nothing kinks: finite differences are no oracle for ReLU, but they are for tanh."""
    rng = np.random.default_rng(seed)
    data = _data(rng, "xent")
    model = sim.MLP(WIDTH, 3, "tanh", parameterization, "xent", True)
    theta = model.init(data, seed=seed)
    v = rng.standard_normal(theta.size)
    h = 1e-5
    ahead, behind = (model.gradient(theta + sign * h * v, data) for sign in (1, -1))
    _close(model.hvp(theta, v, data), (ahead - behind) / (2 * h), 1e-6)


@pytest.mark.parametrize("parameterization", PARAMETERIZATIONS)
def test_initial_weights_have_the_variance_of_their_parameterization(parameterization):
    """SP var/fan_in, NTP 1, muP var/fan_out; readouts gain 1; cut at two standard deviations."""
    data = sim.Data(np.ones((1, 96)), np.zeros((1, 64)))
    n = 128
    model = sim.MLP(n, 3, parameterization=parameterization, var_w=2.0)
    expected = {
        "sp": (2 / 96, 2 / n, 1 / n),
        "ntp": (1.0, 1.0, 1.0),
        "mup": (2 / n, 2 / n, 1 / n),
    }[parameterization]
    draws = np.array([model.init(data, seed) for seed in range(8)])
    at = 0
    for count, variance in zip((96 * n, n * n, n * 64), expected, strict=True):
        weights = draws[:, at : at + count]
        at += count
        # Relative error of a variance from N draws of a cut normal: about 1.2 / sqrt(N).
        assert weights.var() == pytest.approx(variance, rel=6 / np.sqrt(weights.size))
        assert abs(weights.mean()) < 5 * np.sqrt(variance / weights.size)
        assert np.abs(weights).max() <= 2 / 0.8796256610342398 * np.sqrt(variance)


# In one piece, in several with a smaller last one, too thin for pieces, and a single output.
@pytest.mark.parametrize(
    ("samples", "fan_in", "fan_out"),
    [(7, 4, 3), (300, 64, 64), (501, 64, 128), (70, 130, 200), (300, 64, 1), (1, 5, 1)],
)
@pytest.mark.parametrize(("dtype", "rtol"), [("float64", 1e-13), ("float32", 1e-5)])
def test_products_do_not_depend_on_their_pieces(samples, fan_in, fan_out, dtype, rtol):
    rng = np.random.default_rng(samples)
    h, w, d = (
        rng.standard_normal(shape).astype(dtype)
        for shape in ((samples, fan_in), (fan_in, fan_out), (samples, fan_out))
    )
    exact_h, exact_w, exact_d = (a.astype(float) for a in (h, w, d))
    spare, z, out, e = (np.full_like(a, np.nan) for a in (w.ravel(), d, w, h))
    products.forward(h, w, z)
    _close(z, exact_h @ exact_w, rtol)
    products.backward(d, w, spare, e)
    _close(e, exact_d @ exact_w.T, rtol)
    products.outer(h, d, 0.0, spare, out)
    _close(out, exact_h.T @ exact_d, rtol)
    products.outer(h, d, 1.0, spare, out)
    _close(out, 2 * exact_h.T @ exact_d, rtol)


@pytest.mark.parametrize("loss", LOSSES)
def test_the_loss_of_a_gradient_is_the_loss(loss):
    rng = np.random.default_rng(5)
    data = _data(rng, loss, samples=23)
    model = sim.MLP(6, 3, "gelu", "mup", loss, True)
    theta, objective = model.init(data), model.bind(data)
    assert objective.gradient(theta, np.empty_like(theta)) == objective.loss(theta)


def test_cross_entropy_keeps_outputs_that_exponentials_cannot_take():
    z, y = np.array([[1e4, 0.0, -1e4], [-1e4, -1e4, -1e4 + 1]]), np.eye(3)[[1, 2]]
    slope = np.empty_like(z)
    value = dense.loss(LOSSES["xent"], z, y, 1.0, slope)
    assert value == pytest.approx((1e4 + np.log1p(2 * np.exp(-1.0))) / 2, rel=1e-15)
    np.testing.assert_allclose(slope.sum(axis=1), 0.0, atol=1e-15)
    np.testing.assert_array_equal(slope[0], [0.5, -0.5, 0.0])
    slope = np.empty_like(z)
    z[0, 1] = np.nan
    assert np.isnan(dense.loss(LOSSES["xent"], z, y, 1.0, slope))


def test_sp_and_ntp_are_the_same_function_at_initialisation():
    rng = np.random.default_rng(0)
    data = _data(rng, "mse")
    sp, ntp = (sim.MLP(8, 4, "tanh", parameterization=p) for p in ("sp", "ntp"))
    assert sp.loss(sp.init(data, 5), data) == pytest.approx(ntp.loss(ntp.init(data, 5), data))


def test_sp_and_ntp_train_alike_up_to_one_learning_rate_where_all_layers_are_as_wide():
    """Equal var / fan_in in all layers: NTP is SP with eta divided by it (physics, trap 2)."""
    rng = np.random.default_rng(1)
    n = 6
    data = sim.Data(rng.standard_normal((9, n)), rng.standard_normal((9, 2)))
    sp, ntp = (sim.MLP(n, 3, parameterization=p, var_w=1.0) for p in ("sp", "ntp"))
    losses = [
        sim.simulate(
            model, data, schedule=sim.Warmup(eta_trgt=eta), steps=30, sharpness_every=0
        ).loss
        for model, eta in ((sp, 0.05), (ntp, 0.05 * n))
    ]
    np.testing.assert_allclose(*losses, rtol=1e-10)


@given(curvatures=st.lists(st.floats(-10, 10), min_size=1, max_size=8), seed=st.integers(0, 100))
def test_the_quadratic_is_its_own_hessian(curvatures, seed):
    model = sim.Quadratic(curvatures)
    theta = model.init(seed=seed)
    c = np.array(curvatures)
    assert model.loss(theta) == pytest.approx(0.5 * np.sum(c * theta**2))
    np.testing.assert_array_equal(model.gradient(theta), c * theta)
    np.testing.assert_array_equal(model.hessian(theta), np.diag(c))
    with warnings.catch_warnings():
        if abs(c.max()) < 1e-9 * np.abs(c).max():
            warnings.simplefilter("ignore")  # it has no digits, and `sharpness` says so
        assert sim.sharpness(model, theta) == pytest.approx(c.max(), abs=1e-12)


@pytest.mark.parametrize("name", MODELS)
def test_every_model_can_be_made_again_from_its_options(name):
    model = MODELS[name]()
    assert MODELS[name](**model.options()) == model


@pytest.mark.parametrize(
    ("model", "option"),
    [
        (lambda: sim.MLP(width=0), "width"),
        (lambda: sim.MLP(depth=1), "depth"),
        (lambda: sim.MLP(width=2.5), "width"),
        (lambda: sim.MLP(activation="rulu"), "activation"),
        (lambda: sim.MLP(parameterization="mu"), "parameterization"),
        (lambda: sim.MLP(loss="l2"), "loss"),
        (lambda: sim.MLP(var_w=0), "var_w"),
        (lambda: sim.UV(width=0), "width"),
        (lambda: sim.UV(s=-0.1), "s"),
        (lambda: sim.UV(s=1.5), "s"),
        (lambda: sim.UV(var_w=float("nan")), "var_w"),
        (lambda: sim.UV(representation="weights"), "representation"),
        (lambda: sim.Quadratic([]), "curvatures"),
        (lambda: sim.Quadratic([float("inf")]), "curvatures"),
        (lambda: sim.MLP().init(), "data"),
        (lambda: sim.UV().bind(), "data"),
    ],
)
def test_options_that_cannot_be_are_refused_by_name(model, option):
    with pytest.raises(sim.InputError) as error:
        model()
    assert error.value.option == option


def test_cross_entropy_wants_distributions():
    data = sim.Data(np.ones((2, 1)), np.array([[0.5, 0.6], [1.0, 0.0]]))
    with pytest.raises(sim.InputError, match="probabilities"):
        sim.MLP(loss="xent").bind(data)


def test_vectors_of_the_wrong_length_are_refused(digits):
    model = sim.MLP(width=4)
    theta = model.init(digits)
    with pytest.raises(sim.InputError, match="theta"):
        model.loss(theta[:-1], digits)
    with pytest.raises(sim.InputError, match="v of shape"):
        model.hvp(theta, theta[:-1], digits)


def test_single_precision_stays_single_and_near_double(digits):
    model = sim.MLP(width=8, activation="gelu")
    theta = model.init(digits, dtype="float32")
    gradient = model.gradient(theta, digits)
    assert gradient.dtype == np.float32
    _close(gradient, model.gradient(theta.astype(float), digits), 1e-4)


@pytest.mark.parametrize("loss", LOSSES)
def test_no_constant_output_has_a_lower_loss_than_the_constant_loss(loss):
    from scipy.optimize import minimize

    data = _data(np.random.default_rng(2), loss, samples=20)
    # A network of zero hidden weights and a readout bias outputs a constant.
    model = sim.MLP(2, 2, loss=loss, bias=True)
    theta = np.zeros_like(model.init(data))

    def constant(bias):
        theta[-OUTPUTS:] = bias
        return model.loss(theta, data)

    best = minimize(constant, np.zeros(OUTPUTS), tol=1e-12).fun
    assert model.constant_loss(data) == pytest.approx(best, rel=1e-8)
