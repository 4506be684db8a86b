"""The preconditioned sharpness: that of the update about to be taken, by dense algebra."""

import json

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from profiles import fewer

import simulator as sim
from simulator import testing
from simulator.sweeps import Destination, Spec, execute, open_store

ADAPTIVE = ("rmsprop", "adam", "adamw", "gi-adam", "ri-adam", "radam")


def _dense(model, data, theta, p):
    """Largest eigenvalue of P^-1 H, which is not symmetric, by a solver that knows no better."""
    product = model.hessian(theta, data) / p[:, None]
    return np.linalg.eigvals(product).real.max()


@fewer(0.5)
@given(
    optimizer=testing.optimizers(*ADAPTIVE), problem=testing.problems("mlp", "quadratic"),
    seed=testing.seeds(),
)  # fmt: skip
def test_each_update_meets_the_curvature_of_its_own_preconditioner(optimizer, problem, seed):
    """P^-1 H with the P that holds this update's gradient, at every step of a run."""
    model, theta, data = problem
    assume(optimizer.name == "radam" or optimizer.eps > 0)
    steps, eta = 6, 1e-3
    run = sim.simulate(
        model, data, optimizer=optimizer, schedule=sim.Warmup(eta_trgt=eta), steps=steps,
        theta0=theta, seed=seed, sharpness_tol=1e-10,
    )  # fmt: skip
    state, u = None, np.empty_like(theta)
    for step in range(steps + 1):
        gradient = model.gradient(theta, data)
        state = optimizer.start(theta, gradient, seed) if state is None else state
        p = optimizer.preconditioner(gradient, state, step + 1)
        found = (
            run.preconditioned_sharpness_final if step == steps else run.effective_sharpness[step]
        )
        scale = np.abs(model.hessian(theta, data) / np.sqrt(np.outer(p, p))).max()
        assert found == pytest.approx(_dense(model, data, theta, p), rel=1e-6, abs=1e-7 * scale)
        if step < steps:
            optimizer.direction(theta, gradient, state, step + 1, u)
            theta = theta - eta * u
    np.testing.assert_allclose(run.theta, theta, rtol=1e-9, atol=1e-12)


SETTINGS = {
    # optimizer, parameterization, activation, loss, eta
    "SP ReLU Adam": (sim.Adam(), "sp", "relu", "mse", 0.01),
    "SP ReLU Adam, too fast": (sim.Adam(), "sp", "relu", "mse", 0.06),
    "muP tanh Adam": (sim.Adam(), "mup", "tanh", "mse", 0.02),
    "SP ReLU GI-Adam": (sim.GIAdam(), "sp", "relu", "mse", 0.1),
    "SP tanh cross-entropy RMSProp": (sim.RMSProp(), "sp", "tanh", "xent", 0.001),
    "muP ReLU cross-entropy RAdam": (sim.RAdam(), "mup", "relu", "xent", 0.01),
}


@pytest.mark.slow
@pytest.mark.parametrize("setting", SETTINGS)
def test_along_a_run_it_is_as_accurate_as_the_sharpness(setting, digits):
    """Median 1e-5, maximum 1e-4 at the default accuracy, though P moves by decades at first."""
    optimizer, parameterization, activation, loss, eta = SETTINGS[setting]
    model = sim.MLP(10, 3, activation, parameterization, loss)
    run = sim.simulate(
        model, digits, optimizer=optimizer, schedule=sim.Warmup(eta_trgt=eta, t_wrm=8), steps=80
    )
    theta, u, errors = model.init(digits), np.empty(run.theta.size), []
    state = None
    for step, rate in enumerate(run.eta):
        gradient = model.gradient(theta, digits)
        state = optimizer.start(theta, gradient, 0) if state is None else state
        if step < 10 or step % 7 == 0:
            root = np.sqrt(optimizer.preconditioner(gradient, state, step + 1))
            hessian = model.hessian(theta, digits) / root / root[:, None]
            exact = np.linalg.eigvalsh(hessian)[-1]
            # A network that has died on the way is flat: 0 on both sides.
            errors.append(abs(run.preconditioned_sharpness[step] - exact) / (exact or 1.0))
        optimizer.direction(theta, gradient, state, step + 1, u)
        theta = theta - rate * u
    np.testing.assert_array_equal(theta, run.theta)
    assert np.median(errors) <= 1e-5
    assert np.max(errors) <= 1e-4


@given(problem=testing.problems("mlp"), beta2=st.floats(0.5, 0.9999), seed=testing.seeds())
def test_gi_adam_starts_flatter_than_adam_by_the_root_of_what_beta2_forgets(problem, beta2, seed):
    """sqrt(1 - beta2) at eps = 0, to 1e-10: 31.6 times at 0.999."""
    model, theta, data = problem
    gradient = model.gradient(theta, data)
    assume((np.abs(gradient) > 1e-100).all())
    tops = [
        sim.simulate(
            model, data, optimizer=make(beta2=beta2, eps=0.0), steps=1, theta0=theta,
            schedule=sim.Warmup(eta_trgt=1e-3), sharpness_tol=1e-13,
        ).preconditioned_sharpness_init
        for make in (sim.Adam, sim.GIAdam)
    ]  # fmt: skip
    assert tops[1] == pytest.approx(tops[0] * np.sqrt(1 - beta2), rel=1e-10)


@given(problem=testing.problems("mlp"), eps=st.floats(1e-6, 1.0))
def test_eps_makes_gi_adam_s_factor_one_of_each_parameter(problem, eps):
    """(|g| + eps) / (|g| / sqrt(1 - beta2) + eps), by the preconditioners of both."""
    model, theta, data = problem
    gradient, beta2 = model.gradient(theta, data), 0.999
    adam, gi = (
        opt.preconditioner(gradient, opt.start(theta, gradient, 0), 1)
        for opt in (sim.Adam(beta2=beta2, eps=eps), sim.GIAdam(beta2=beta2, eps=eps))
    )
    size = np.abs(gradient)
    expected = (size + eps) / (size / np.sqrt(1 - beta2) + eps)
    np.testing.assert_allclose(adam / gi, expected, rtol=1e-10)


@given(
    curvatures=st.lists(st.floats(0.1, 10), min_size=2, max_size=6), seed=testing.seeds(),
    optimizer=testing.optimizers("gd", "momentum", "nesterov"), side=st.sampled_from([0.99, 1.01]),
)  # fmt: skip
def test_rates_of_their_own_make_e_h_the_hessian_that_counts(curvatures, seed, optimizer, side):
    """Stable iff the top of E^1/2 H E^1/2 is below the threshold; E the diagonal of the rates."""
    rates = np.random.default_rng(seed).uniform(0.1, 3.0, len(curvatures))
    model = sim.Quadratic(curvatures)
    unit = sim.eta_critical(model, None, optimizer, rates=rates)
    assert unit == pytest.approx(optimizer.eta_critical(max(rates * curvatures)), rel=1e-9)
    run = sim.simulate(
        model, optimizer=optimizer, schedule=sim.Warmup(eta_trgt=side * unit), steps=6, seed=seed,
        rates=rates,
    )  # fmt: skip
    np.testing.assert_allclose(run.ratio, side, rtol=1e-9)
    # The same run, coordinate by coordinate, each at its own learning rate.
    for i, (curvature, rate) in enumerate(zip(curvatures, rates, strict=True)):
        alone = sim.simulate(
            sim.Quadratic([curvature]), optimizer=optimizer, steps=6,
            theta0=model.init(seed=seed)[i : i + 1],
            schedule=sim.Warmup(eta_trgt=side * unit * rate),
        )  # fmt: skip
        assert run.theta[i] == pytest.approx(alone.theta[0], rel=1e-12)


def test_a_rate_of_zero_holds_a_parameter_still():
    model = sim.Quadratic([1.0, 5.0])
    run = sim.simulate(model, schedule=sim.Warmup(eta_trgt=0.1), steps=4, rates=[1.0, 0.0])
    assert run.theta[1] == model.init()[1]
    np.testing.assert_allclose(run.preconditioned_sharpness, 1.0)
    np.testing.assert_allclose(run.sharpness, 5.0)


@pytest.mark.parametrize("bias", [False, True])
def test_the_rates_of_mup_are_one_for_each_layer_and_one_for_gradient_descent(digits, bias):
    """1 / sqrt(fan_out), 1 / fan_in, 1 / sqrt(fan_in); biases with their layer."""
    model = sim.MLP(16, 4, parameterization="mup", bias=bias)
    assert (model.layer_rates(digits, adaptive=False) == 1).all()
    rates = model.layer_rates(digits, adaptive=True)
    sizes = [(64 + bias) * 16, (16 + bias) * 16, (16 + bias) * 16, (16 + bias) * 10]
    np.testing.assert_allclose(rates, np.repeat([1 / 4, 1 / 16, 1 / 16, 1 / 4], sizes))


def test_a_run_without_a_preconditioner_has_no_pre_conditioned_sharpness():
    run = sim.simulate(sim.Quadratic([2.0]), steps=3, schedule=sim.Warmup(eta_trgt=0.1))
    assert run.preconditioned_sharpness is None
    assert run.effective_sharpness is not None
    assert np.isnan([run.preconditioned_sharpness_init, run.preconditioned_sharpness_max]).all()


def test_unmeasured_it_is_nan_and_changes_no_step(digits):
    runs = [
        sim.simulate(
            sim.MLP(6), digits, optimizer=sim.Adam(), schedule=sim.Warmup(eta_trgt=0.01), steps=9,
            sharpness_every=every,
        )
        for every in (0, 3)
    ]  # fmt: skip
    assert np.isnan(runs[0].preconditioned_sharpness).all()
    assert np.isfinite(runs[1].preconditioned_sharpness[::3]).all()
    np.testing.assert_array_equal(runs[0].theta, runs[1].theta)


@pytest.mark.parametrize(
    "call",
    [
        lambda model, data: sim.simulate(model, data, optimizer=sim.Adam(), steps=1),
        lambda model, data: sim.simulate(model, data, rates=np.ones(model.init(data).size)),
        lambda model, data: sim.eta_critical(model, data, sim.GIAdam()),
        lambda model, data: sim.sharpness(
            model, model.init(data), data, preconditioner=np.ones(model.init(data).size)
        ),
        lambda model, data: sim.sweep(model, data, optimizer=sim.Adam(), eta_trgt=[0.1], steps=1),
    ],
)
def test_gram_space_has_no_weights_to_act_on(call):
    data = sim.load_data("teacher", samples=4)
    with pytest.raises(sim.InputError, match="parameters") as error:
        call(sim.UV(8), data)
    assert error.value.option == "representation"


@pytest.mark.parametrize(
    ("rates", "match"), [([1.0], "shape"), ([1.0, -1.0], "-1"), ([1.0, np.nan], "nan")]
)
def test_rates_that_cannot_be_are_refused(rates, match):
    with pytest.raises(sim.InputError, match=match) as error:
        sim.simulate(sim.Quadratic([1.0, 2.0]), rates=rates, steps=1)
    assert error.value.option == "rates"


@pytest.mark.parametrize("model", [sim.MLP(4), sim.MLP(4, parameterization="ntp"), sim.UV(4)])
def test_layer_rates_are_those_of_mup_only(model, digits):
    with pytest.raises(sim.InputError, match="leave it out") as error:
        sim.sweep(model, digits, eta_trgt=[0.1], steps=1, layer_rates=True)
    assert error.value.option == "layer_rates"


def test_a_sweep_of_adam_keeps_the_pre_conditioned_sharpness(tmp_path, digits):
    spec = Spec(
        model=sim.MLP(4, 2, parameterization="mup"), optimizer=sim.GIAdam(beta2=0.99),
        eta_trgt=(0.5, 2.0), steps=6, eta_unit="critical", sharpness_every=2, curves=True,
        layer_rates=True,
    )  # fmt: skip
    assert Spec.from_dict(json.loads(json.dumps(spec.as_dict()))) == spec
    execute(spec, digits, Destination(tmp_path / "adam.zarr"))
    found, again, _ = open_store(tmp_path / "adam.zarr")
    assert again == spec
    names = {f"preconditioned_sharpness{end}" for end in ("", "_init", "_max", "_final")}
    assert names <= set(found.data_vars)
    curve = found["preconditioned_sharpness"].values
    assert np.isfinite(curve[..., ::2]).all()
    np.testing.assert_array_equal(curve[..., 0], found["preconditioned_sharpness_init"])
    # In units of eta_critical the first ratio is the multiple itself.
    ratio = curve[..., 0] * found["eta"].values[..., 0] / (2 * 1.9 / 0.1)
    np.testing.assert_allclose(ratio.ravel(), [0.5, 2.0], rtol=spec.sharpness_tol)
