"""Every optimizer: the steps of another library, and its own threshold where that is exact."""

import dataclasses
from functools import partial

import jax
import numpy as np
import optax
import pytest
from frozen import linear_growth
from hypothesis import given
from hypothesis import strategies as st
from oracle import of_model
from profiles import fewer

import simulator as sim
from simulator import testing
from simulator.optimizers import OPTIMIZERS
from simulator.seeding import generator
from simulator.theory import quadratics

# Each optimizer that is linear, with the companion matrix of its update on eigenvalue z at eta = 1.
COMPANIONS = {
    "gd": lambda opt, z: np.array([[1 - opt.weight_decay - z]]),
    "momentum": lambda opt, z: quadratics.companion(
        z, opt.beta, opt.beta if opt.ema else opt.dampening, opt.weight_decay
    ),
    "nesterov": lambda opt, z: quadratics.nesterov_companion(z, opt.beta, opt.weight_decay),
}


def _dampened(opt):
    """PyTorch's momentum, which optax lacks: the first gradient is not dampened."""

    def update(gradient, state, theta=None):
        m, first = state
        later = opt.beta * m + (1 - opt.dampening) * gradient
        m = jax.numpy.where(first, gradient, later)
        return m, (m, False)

    return optax.GradientTransformation(lambda theta: (0 * theta, True), update)


def _decayed(update, opt):
    """optax's decoupled weight decay, behind an update."""
    return optax.chain(update, optax.add_decayed_weights(opt.weight_decay))


def _adam(opt, v0=None):
    rule = optax.scale_by_adam(opt.beta1, opt.beta2, opt.eps)

    def init(theta):
        state = rule.init(theta)
        return state if v0 is None else state._replace(nu=v0)

    return optax.GradientTransformation(init, rule.update)


# The same rule in optax: a function of our optimizer, the first gradient and the seed.
PEERS = {
    "gd": lambda opt, g, seed: _decayed(optax.identity(), opt),
    "momentum": lambda opt, g, seed: _decayed(
        optax.ema(opt.beta, debias=False) if opt.ema
        else _dampened(opt) if opt.dampening else optax.trace(opt.beta), opt
    ),
    "nesterov": lambda opt, g, seed: _decayed(optax.trace(opt.beta, nesterov=True), opt),
    "rmsprop": lambda opt, g, seed: optax.scale_by_rms(opt.beta2, opt.eps, eps_in_sqrt=False),
    "adam": lambda opt, g, seed: _adam(opt),
    "adamw": lambda opt, g, seed: _decayed(_adam(opt), opt),
    "gi-adam": lambda opt, g, seed: _adam(opt, g**2),
    "ri-adam": lambda opt, g, seed: _adam(opt, _random_moment(g, seed)),
    "radam": lambda opt, g, seed: optax.scale_by_radam(opt.beta1, opt.beta2, opt.eps),
}  # fmt: skip


def _random_moment(gradient, seed):
    r = generator(seed, "second_moment").standard_normal(gradient.size)
    return (r * np.sqrt(np.sum(gradient**2) / np.sum(r**2))) ** 2


CASES = [
    *(make() for make in OPTIMIZERS.values()),
    sim.GD(weight_decay=0.3), sim.Momentum(0.7, dampening=0.4, weight_decay=0.2),
    sim.Nesterov(0.5, weight_decay=1.0), sim.Momentum(0.7, dampening=0.4),
    sim.Momentum(0.8, ema=True), sim.Nesterov(0.5),
    sim.RMSProp(0.9, 1e-3), sim.Adam(0.5, 0.9, 1e-4), sim.AdamW(0.8, 0.95, weight_decay=0.3),
    sim.GIAdam(0.7, 0.9), sim.RIAdam(0.7, 0.9), sim.RAdam(0.8, 0.6), sim.RAdam(0.9, 0.99, 1e-3),
]  # fmt: skip


def test_every_optimizer_is_in_these_tables():
    assert set(PEERS) == set(OPTIMIZERS) == set(testing._OPTIMIZERS)
    assert set(COMPANIONS) == {name for name, rule in OPTIMIZERS.items() if not rule.adaptive}


@pytest.mark.parametrize("optimizer", CASES, ids=repr)
def test_three_hundred_steps_are_those_of_optax(optimizer):
    """On autograd's gradients, with a schedule: rtol 1e-8."""
    rng = np.random.default_rng(1)
    data = sim.Data(rng.standard_normal((30, 4)), rng.standard_normal((30, 2)))
    model = sim.MLP(5, 2, "tanh", "mup", bias=True)
    rate = 3e-4 if optimizer.adaptive else 0.02
    schedule = sim.Warmup(0.1 * rate, rate, t_wrm=50, decay="cosine")
    run = sim.simulate(
        model, data, optimizer=optimizer, schedule=schedule, steps=300, seed=3, sharpness_every=0
    )
    gradient = jax.jit(jax.grad(of_model(model, data)))
    theta = model.init(data, 3)
    peer = PEERS[optimizer.name](optimizer, np.asarray(gradient(theta)), 3)
    state, update = peer.init(theta), jax.jit(peer.update)
    for eta in schedule.values(300):
        u, state = update(gradient(theta), state, theta)
        theta = theta - eta * np.asarray(u)
    np.testing.assert_allclose(run.theta, theta, rtol=1e-8, atol=1e-8 * np.abs(theta).max())
    assert run.loss_final < run.loss_init


@given(optimizer=testing.optimizers(*COMPANIONS), z=st.floats(1e-3, 8))
def test_the_threshold_is_where_the_companion_matrix_leaves_the_unit_circle(optimizer, z):
    limit = float(optimizer.threshold(1.0))
    radius = np.abs(np.linalg.eigvals(COMPANIONS[optimizer.name](optimizer, z))).max()
    if abs(z - limit) > 1e-6:
        assert (radius < 1) == (z < limit)


@given(optimizer=testing.optimizers(*COMPANIONS), z=st.floats(1e-2, 5), seed=testing.seeds())
def test_training_is_powers_of_the_companion_matrix(optimizer, z, seed):
    """theta_1 is of modulus theta_0 at the first limit: that update starts from no momentum."""
    theta0 = float(sim.Quadratic([z]).init(seed=seed)[0])
    run = sim.simulate(sim.Quadratic([z]), optimizer=optimizer, steps=50, seed=seed)
    matrix, kappa = COMPANIONS[optimizer.name](optimizer, z), optimizer.weight_decay
    share = (2 - kappa) / float(optimizer.first_threshold(1.0))
    state = np.array([theta0 * (1 - kappa - share * z), theta0])[: len(matrix)]
    assert run.loss[0] == pytest.approx(0.5 * z * theta0**2, rel=1e-9)
    # Where roots cancel, what is left is as exact as what has cancelled.
    largest = np.maximum.accumulate(run.loss)
    for loss, before in zip(run.loss[1:], largest[1:], strict=True):
        assert loss == pytest.approx(0.5 * z * state[0] ** 2, rel=1e-9, abs=1e-13 * before + 1e-300)
        state = matrix @ state


@given(optimizer=testing.optimizers(*COMPANIONS), below=st.sampled_from([0.02, -0.02]))
def test_decay_holds_a_negative_curvature_down_to_the_least(optimizer, below):
    """0 without decay: p(1) changes its sign there, at any learning rate."""
    curvature = optimizer.least_curvature - below
    radius = np.abs(np.linalg.eigvals(COMPANIONS[optimizer.name](optimizer, curvature))).max()
    assert (radius > 1) == (below > 0)


@fewer(0.5)
@given(
    optimizer=testing.optimizers(), side=st.sampled_from([0.999, 1.001]),
    curvature=st.floats(0.1, 10), seed=testing.seeds(),
)  # fmt: skip
def test_a_thousandth_decides_between_decay_and_growth(optimizer, side, curvature, seed):
    """Of the sharpness P^-1 H, with the preconditioner of adaptive optimizers held fixed."""
    p = np.random.default_rng(seed).uniform(0.3, 3.0, 3) if optimizer.adaptive else np.ones(3)
    curvatures = curvature * np.array([1.0, 0.6, 0.1]) * p
    growth = linear_growth(
        optimizer, np.diag(curvatures), p, side * optimizer.eta_critical(curvature)
    )
    assert (growth < 1) == (side < 1)


@given(
    optimizer=testing.optimizers(), side=st.sampled_from([0.999, 1.001]), seed=testing.seeds(),
    gradient=st.floats(0.1, 10),
)  # fmt: skip
def test_the_first_update_raises_the_loss_beyond_the_first_threshold(
    optimizer, side, seed, gradient
):
    """With the preconditioner that it reports for itself; RMSProp's and Adam's depend on theta."""
    if optimizer.name == "radam" or getattr(optimizer, "eps", 0) > 1e-6:
        optimizer = dataclasses.replace(optimizer, eps=0.0)
    curvature = 2.0
    theta, g = np.array([gradient / curvature]), np.array([gradient])
    state = optimizer.start(theta, g, seed)
    p = optimizer.preconditioner(g, state, 1)[0] if optimizer.adaptive else 1.0
    # The learning rate at which the sharpness lies at 1 / side of what the first update bears.
    eta = side * optimizer.first_limit.eta(curvature / p)
    if not np.isfinite(eta):
        return
    u = np.empty(1)
    optimizer.direction(theta, g, state, 1, u)
    after = theta[0] - eta * u[0]
    assert (abs(after) < abs(theta[0])) == (side < 1)


@given(optimizer=testing.optimizers(), seed=testing.seeds(), t=st.integers(1, 50))
def test_the_preconditioner_is_the_one_of_the_update_about_to_be_taken(optimizer, seed, t):
    """u_t = m_t / P, with m_t the average that already holds this gradient; decay apart."""
    if not optimizer.adaptive:
        with pytest.raises(NotImplementedError, match=optimizer.name):
            optimizer.preconditioner(np.ones(1), np.ones((0, 1)), 1)
        return
    rng = np.random.default_rng(seed)
    theta, gradients = rng.standard_normal(6), rng.standard_normal((t, 6))
    state, u = optimizer.start(theta, gradients[0], seed), np.empty(6)
    for step, gradient in enumerate(gradients, start=1):
        p = optimizer.preconditioner(gradient, state, step)
        optimizer.direction(theta, gradient, state, step, u)
    m = gradients[-1] if optimizer.name == "rmsprop" else state[0]
    decay = getattr(optimizer, "weight_decay", 0.0) * theta
    np.testing.assert_allclose(u - decay, m / p, rtol=1e-9, atol=1e-12)


@given(seed=testing.seeds(), beta=st.floats(0, 0.95), eta=st.floats(0.01, 1))
def test_a_moving_average_is_heavy_ball_at_one_minus_beta_of_the_rate(seed, beta, eta):
    model = sim.Quadratic([0.3, 1.0, 2.0])
    train = partial(sim.simulate, model, steps=40, seed=seed, sharpness_every=0)
    average = train(
        optimizer=sim.Momentum(beta, ema=True), schedule=sim.Warmup(eta_trgt=eta, t_wrm=10)
    )
    plain = train(
        optimizer=sim.Momentum(beta), schedule=sim.Warmup(eta_trgt=eta * (1 - beta), t_wrm=10)
    )
    scale = np.abs(model.init(seed=seed)).max()
    np.testing.assert_allclose(average.theta, plain.theta, rtol=1e-10, atol=1e-10 * scale)


class Half(sim.GD):
    """A recurrence of one's own: the update and both limits follow from it."""

    def recurrence(self, t):
        return super().recurrence(t)._replace(of_gradient=0.5)


@pytest.mark.parametrize(("curvature", "grows"), [(3.9, False), (4.1, True)])
def test_update_and_limits_follow_from_the_same_recurrence(curvature, grows):
    assert Half().limit.over_eta == Half().first_limit.over_eta == 4.0
    run = sim.simulate(sim.Quadratic([curvature]), optimizer=Half(), steps=20)
    assert (run.loss_final > run.loss_init) == grows


@given(optimizer=testing.optimizers())
def test_critical_eta_is_the_inverse_of_the_threshold(optimizer):
    eta = optimizer.eta_critical(3.0)
    assert float(optimizer.threshold(eta)) == pytest.approx(3.0)
    assert np.isinf(optimizer.threshold(0.0))
    assert np.isinf(optimizer.first_threshold(0.0))
    assert np.isinf(optimizer.eta_critical(-1e6))
    assert type(optimizer)(**optimizer.options()) == optimizer


def test_what_has_never_had_a_gradient_does_not_move_at_eps_zero():
    for optimizer in (sim.Adam(eps=0.0), sim.GIAdam(eps=0.0), sim.RMSProp(eps=0.0)):
        theta, g, u = np.ones(2), np.array([0.0, 2.0]), np.empty(2)
        state = optimizer.start(theta, g, 0)
        p = optimizer.preconditioner(g, state, 1)
        optimizer.direction(theta, g, state, 1, u)
        assert (u[0], p[0]) == (0.0, np.inf)
        assert u[1] > 0
        assert np.isfinite(p[1])


def test_thresholds_are_two_over_eta_and_its_kin():
    eta = np.array([0.1, 0.5])
    np.testing.assert_allclose(sim.GD().threshold(eta), [20, 4])
    np.testing.assert_allclose(sim.Momentum(beta=0.9).threshold(eta), [38, 7.6])
    np.testing.assert_allclose(sim.Momentum(0.9, ema=True).threshold(eta), [380, 76])
    np.testing.assert_allclose(sim.Nesterov(0.9).threshold(1.0), 3.8 / 2.8)
    np.testing.assert_allclose(sim.RMSProp().threshold(eta), [20, 4])
    np.testing.assert_allclose(sim.Adam().threshold(eta), [380, 76])
    np.testing.assert_allclose(sim.AdamW(weight_decay=0.5).threshold(1.0), 19 * 1.5)
    np.testing.assert_allclose(sim.GD(weight_decay=0.5).threshold(eta), [19.5, 3.5])
    np.testing.assert_allclose(sim.Momentum(0.9, weight_decay=0.5).threshold(1.0), 1.9 * 1.5)
    np.testing.assert_allclose(sim.Nesterov(0.9, weight_decay=0.5).threshold(1.0), 1.9 * 1.5 / 2.8)
    np.testing.assert_allclose(sim.Adam().first_threshold(eta), [200, 40])


def _rises(optimizer, step):
    """Whether a quadratic's loss ever rises, from rest at eta * curvature = step."""
    schedule = sim.Warmup(eta_trgt=step)
    run = sim.simulate(sim.Quadratic([1.0]), optimizer=optimizer, schedule=schedule, steps=400)
    return bool((np.diff(run.loss) > 1e-12 * run.loss[:-1]).any())


@given(beta=st.floats(0.3, 0.95), share=st.floats(0.05, 0.95), step=st.floats(0.01, 1.99))
def test_momentum_raises_a_quadratic_s_loss_far_below_its_threshold(beta, share, step):
    """Iff the roots of its recursion are complex: from eta lambda = (1 - sqrt(beta))^2 on."""
    turn = (1 - np.sqrt(beta)) ** 2
    assert not _rises(sim.Momentum(beta), share * turn)
    assert _rises(sim.Momentum(beta), turn + share * (1 - turn))
    assert not _rises(sim.GD(), step)


@pytest.mark.parametrize(
    ("make", "option"),
    [
        *((partial(sim.Momentum, beta=beta), "momentum") for beta in (1.0, -0.1, float("nan"))),
        (partial(sim.Nesterov, beta=1.0), "momentum"),
        (partial(sim.Momentum, dampening=1.0), "dampening"),
        (partial(sim.Momentum, dampening=0.1, ema=True), "dampening"),
        (partial(sim.RMSProp, beta2=1.0), "beta2"),
        (partial(sim.Adam, beta1=-0.5), "beta1"),
        (partial(sim.GIAdam, beta2="0.9"), "beta2"),
        (partial(sim.RAdam, eps=-1e-8), "eps"),
        *(
            (partial(make, weight_decay=decay), "weight_decay")
            for make in (sim.GD, sim.Momentum, sim.Nesterov, sim.AdamW)
            for decay in (float("inf"), -0.1)
        ),
    ],
)
def test_options_that_cannot_be_are_refused_by_name(make, option):
    with pytest.raises(sim.InputError) as error:
        make()
    assert error.value.option == option
