"""The central flow of networks on digits: its numbers, and how far it is from the run."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracle import multipliers, network_loss

import simulator as sim
from simulator.flows import central_flow
from simulator.flows.third import third_derivatives


@pytest.fixture(scope="module")
def data():
    return sim.load_data("digits", samples=64)


def network(activation, parameterization):
    return sim.MLP(width=16, depth=3, activation=activation, parameterization=parameterization)


GELU, TANH = network("gelu", "mup"), network("tanh", "sp")


def unit(model, data, seed=0):
    return sim.eta_critical(model, data, sim.GD(), seed)


@pytest.mark.parametrize("model", [GELU, TANH], ids=["gelu", "tanh"])
def test_third_derivatives_from_gradients_alone(model, data):
    """Against JAX's third derivative of the same network, in a pair of directions."""
    theta = model.init(data, 0)
    widths = (64, 16, 16, 10)
    loss = network_loss(model.activation, "mse", False, widths)
    m = multipliers(model.parameterization, widths)

    def curvature(at, u, v):
        def slope(one):
            return jax.jvp(lambda t: loss(t, data.x, data.targets, m), (one,), (u,))[1]

        return jax.jvp(slope, (at,), (v,))[1]

    exact = jax.jit(jax.grad(curvature))
    frame = np.linalg.qr(np.random.default_rng(0).standard_normal((theta.size, 2)))[0].T
    found = third_derivatives(
        lambda at: model.gradient(at, data), theta, model.gradient(theta, data), frame, 1e-3
    )
    for row, (i, j) in zip(found, ((0, 0), (0, 1), (1, 1)), strict=True):
        expected = np.sqrt(1 + (i != j)) * np.array(exact(jnp.array(theta), frame[i], frame[j]))
        assert np.linalg.norm(row - expected) < 1e-4 * np.linalg.norm(expected)


def test_where_nothing_is_critical_it_is_the_run(data):
    model = network("tanh", "mup")
    eta = [0.7 * unit(model, data, 2)] * 600
    flow = sim.central_flow(model, data, schedule=eta, steps=600, seed=2)
    assert flow.first_contact == -1
    assert np.isnan(flow.kappa_1)
    assert np.linalg.norm(flow.theta - flow.run.theta) < 1e-10
    assert flow.loss == pytest.approx(flow.run.loss, rel=1e-10)
    assert any("no success" in doubt for doubt in flow.doubts)


@pytest.fixture(scope="module")
def at_the_edge(data):
    """GELU at a constant rate, above the sharpness that it would reach without an oscillation."""
    eta = [5.524527182673515] * 600
    return sim.central_flow(GELU, data, schedule=eta, steps=600)


def test_the_numbers_of_a_flow_at_a_constant_rate(at_the_edge, data):
    flow = at_the_edge
    found = [curve[300] for curve in (flow.loss, flow.predicted_loss, flow.ratio, flow.variance)]
    assert found == pytest.approx([0.004190908, 0.0046153127, 1.000004, 0.0023446354], rel=2e-4)
    found = [curve[599] for curve in (flow.loss, flow.predicted_loss, flow.ratio, flow.variance)]
    assert found == pytest.approx([0.0011190818, 0.0013259942, 1.0, 0.0011430931], rel=1e-3)
    assert flow.rank[599] == 2
    moved = np.linalg.norm(flow.theta - GELU.init(data, 0))
    assert moved == pytest.approx(6.88508155, rel=1e-3)
    assert flow.doubts == ()


def test_it_predicts_the_averages_of_the_run(at_the_edge):
    flow, late = at_the_edge, slice(312, 600)
    mean = flow.run.loss[late].mean()
    assert flow.predicted_loss[late].mean() == pytest.approx(mean, rel=0.1)
    assert flow.loss[late].mean() < 0.9 * mean
    assert flow.distance[-1] < 0.3 * flow.stable_distance[-1]
    assert flow.distance[-1] < 0.05 * flow.path[-1]


def test_the_run_beside_it_is_that_of_simulate(at_the_edge, data):
    eta = 5.524527182673515
    run = sim.simulate(GELU, data, schedule=sim.Warmup(eta_trgt=eta), steps=600)
    assert np.array_equal(at_the_edge.run.loss, run.loss)
    assert np.array_equal(at_the_edge.run.theta, run.theta)


def test_it_does_not_depend_on_the_step_of_its_differences(at_the_edge, data):
    flow = central_flow(
        GELU, data, schedule=[5.524527182673515] * 600, steps=600, difference=1e-4, beside=False
    )
    assert np.linalg.norm(flow.theta - at_the_edge.theta) < 1e-4


def test_the_numbers_of_a_flow_under_warmup(data):
    schedule = sim.Warmup(eta_trgt=2.047523251319764, t_wrm=512)
    flow = sim.central_flow(TANH, data, schedule=schedule, steps=800, beside=False)
    assert flow.predicted_loss[[400, 799]] == pytest.approx([0.0091998566, 0.00070828835], rel=1e-3)
    moved = np.linalg.norm(flow.theta - TANH.init(data, 0))
    assert moved == pytest.approx(4.00915306, rel=1e-3)
    assert flow.rank.max() >= 3


def test_uv_models_have_the_same_flow_in_either_representation():
    """Directions that the Gram matrices cannot show are never moved along."""
    teacher = sim.load_data("teacher", samples=16)
    flows = []
    for representation in ("gram", "parameters"):
        model = sim.UV(width=200, representation=representation)
        schedule = sim.Warmup(eta_trgt=2 * unit(model, teacher), t_wrm=100)
        flows.append(sim.central_flow(model, teacher, schedule=schedule, steps=100, beside=False))
    gram, parameters = flows
    assert gram.critical.max() == 2
    assert gram.theta.size < parameters.theta.size
    assert gram.critical.tolist() == parameters.critical.tolist()
    assert gram.predicted_loss == pytest.approx(parameters.predicted_loss, rel=1e-2)
    assert gram.variance == pytest.approx(parameters.variance, rel=5e-2)
