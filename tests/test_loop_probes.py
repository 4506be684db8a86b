"""What the probes of PyTorch and JAX measure in a loop is what a run of ours measures."""

import itertools
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from test_from_torch import WIDTH, half_mse, nn, torch, twin

import simulator as sim
from simulator.logs import read_log

jax = pytest.importorskip("jax")
optax = pytest.importorskip("optax")
pytestmark = pytest.mark.usefixtures("folder")

STEPS = 200
OURS = sim.MLP(width=WIDTH, depth=3, activation="tanh", bias=True)
CURVES = ("loss", "eta", "directional_sharpness", "critical_sharpness")
BOTH = ("directional", "critical")
# Ours, and what PyTorch and optax make of it at a learning rate.
OPTIMIZERS = {
    "gd": (sim.GD(), 2.0, torch.optim.SGD, optax.sgd, {}),
    "momentum": (sim.Momentum(0.9), 0.3, torch.optim.SGD, optax.sgd, {"momentum": 0.9}),
    "nesterov": (
        sim.Nesterov(0.9), 0.2, torch.optim.SGD, optax.sgd, {"momentum": 0.9, "nesterov": True},
    ),
    "adam": (sim.Adam(), 0.01, torch.optim.Adam, optax.adam, {}),
    "adamw": (
        sim.AdamW(weight_decay=0.1), 0.01, torch.optim.AdamW, optax.adamw, {"weight_decay": 0.1},
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def few():
    whole = sim.load_data("digits", samples=24)
    return sim.Data(whole.x[:, 20:28], whole.y)


@pytest.fixture(scope="module")
def runs(few):
    """Ours, measured at every update."""
    return {
        name: sim.simulate(
            OURS, few, optimizer=ours, schedule=sim.Warmup(eta_trgt=eta, t_wrm=50), steps=STEPS,
            measure=BOTH,
        )
        for name, (ours, eta, *_) in OPTIMIZERS.items()
    }  # fmt: skip


def in_torch(data, run, make, log="log.jsonl", **options):
    """Train our MLP in a loop of PyTorch's with a probe; what it returned."""
    net = twin(data)
    x, y = torch.tensor(data.x), torch.tensor(data.targets)
    optimizer = make(net.parameters())
    probe = sim.torch.Probe(net, half_mse, optimizer, log=log, **options)
    readings = []
    for eta in run.eta:
        optimizer.param_groups[0]["lr"] = eta
        optimizer.zero_grad()
        loss = half_mse(net(x), y)
        loss.backward()
        readings.append(probe((x, y), loss))
        optimizer.step()
    return readings, nn.utils.parameters_to_vector(net.parameters()).detach().numpy()


def in_jax(data, run, make, log="log.jsonl", **options):
    """The same in JAX."""
    eta = jax.numpy.asarray(run.eta)
    sizes = [data.inputs, WIDTH, WIDTH, data.outputs]

    def loss_fn(theta, x, y):
        at = 0
        for a, b in itertools.pairwise(sizes):
            w, bias = theta[at : at + a * b].reshape(a, b), theta[at + a * b : at + (a + 1) * b]
            x, at = (x if at == 0 else jax.numpy.tanh(x)) @ w + bias, at + (a + 1) * b
        return 0.5 * jax.numpy.mean((x - y) ** 2)

    optimizer = make(lambda step: eta[step])
    probe = sim.jax.Probe(loss_fn, optimizer, lambda step: eta[step], log=log, **options)
    theta, batch = jax.numpy.asarray(OURS.init(data)), (data.x, data.targets)
    state, readings = optimizer.init(theta), []
    derivatives, update = jax.jit(jax.value_and_grad(loss_fn)), jax.jit(optimizer.update)
    for _ in run.eta:
        loss, gradient = derivatives(theta, *batch)
        readings.append(probe(gradient, state, theta, batch, loss))
        steps, state = update(gradient, state, theta)
        theta = optax.apply_updates(theta, steps)
    return readings, np.asarray(theta)


def loop(package, name):
    _, eta, in_torch_, in_optax, options = OPTIMIZERS[name]
    if package == "torch":
        return in_torch, lambda parameters: in_torch_(parameters, lr=eta, **options)
    return in_jax, lambda rate: in_optax(rate, **options)


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("package", ["torch", "jax"])
def test_the_logged_curves_are_those_of_our_run(package, name, runs, few):
    train, make = loop(package, name)
    run = runs[name]
    _, theta = train(few, run, make, every=1, measure=BOTH)
    np.testing.assert_allclose(theta, run.theta, rtol=1e-6, atol=1e-8)
    rows = [json.loads(line) for line in Path("log.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == list(range(STEPS))
    for curve in CURVES:
        logged = np.array([row[curve] for row in rows])
        ours = getattr(run, curve)
        apart = abs(logged - ours) / np.maximum(abs(ours), np.median(abs(ours[np.isfinite(ours)])))
        np.testing.assert_array_equal(np.isfinite(logged), np.isfinite(ours))
        assert np.nanmax(np.where(np.isfinite(ours), apart, 0.0)) < 1e-6, curve


@pytest.mark.parametrize("package", ["torch", "jax"])
@pytest.mark.parametrize("measure", ["directional", "critical"])
def test_at_a_cadence_every_loss_is_logged_and_some_updates_are_measured(
    package, measure, runs, few
):
    train, make = loop(package, "momentum")
    run, column = runs["momentum"], f"{measure}_sharpness"
    readings, _ = train(few, run, make, log="log.csv", every=25, measure=(measure,))
    assert [at for at, reading in enumerate(readings) if reading is not None] == [
        *range(0, 200, 25)
    ]
    table = np.genfromtxt("log.csv", delimiter=",", names=True)
    np.testing.assert_allclose(table["loss"], run.loss, rtol=1e-9)
    np.testing.assert_array_equal(np.flatnonzero(np.isfinite(table[column])), range(0, 200, 25))
    found, expected = table[column][::25], getattr(run, column)[::25]
    # Searches that begin elsewhere end within their tolerance.
    np.testing.assert_allclose(found, expected, rtol=1e-9 if measure == "directional" else 0.1)
    other = {"directional": "critical", "critical": "directional"}[measure]
    assert np.isnan(table[f"{other}_sharpness"]).all()


# --- PyTorch ------------------------------------------------------------------------------------


def regression(seed=0):
    torch.manual_seed(seed)
    net = nn.Sequential(nn.Linear(5, 4), nn.BatchNorm1d(4), nn.Tanh(), nn.Linear(4, 3)).double()
    return net, torch.randn(12, 5).double(), torch.randn(12, 3).double()


SGD, ADAM, ADAMW = torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW


@pytest.mark.parametrize(
    ("make", "options"),
    [
        (SGD, {"momentum": 0.8, "dampening": 0.3, "weight_decay": 0.1}),
        (SGD, {"momentum": 0.8, "nesterov": True, "maximize": True}),
        (SGD, {"weight_decay": 0.1, "maximize": True}),
        (ADAM, {"weight_decay": 0.1, "amsgrad": True, "betas": (0.7, 0.9)}),
        (ADAM, {"maximize": True, "eps": 1e-3, "foreach": True}),
        (ADAM, {"decoupled_weight_decay": True, "weight_decay": 0.1}),
        (ADAMW, {"weight_decay": 0.2, "amsgrad": True, "betas": (0.8, 0.95)}),
    ],
)
def test_it_measures_the_very_update_of_the_optimizer(make, options):
    """With groups of several rates, clipped gradients, and a layer that is not trained."""
    net, x, y = regression()
    groups = [{"params": net[0].parameters(), "lr": 0.02}, {"params": net[3].parameters()}]
    optimizer = make(groups, lr=0.01, **options)
    probe = sim.torch.Probe(net, half_mse, optimizer, every=1, measure=BOTH)
    for _ in range(5):
        optimizer.zero_grad()
        half_mse(net(x), y).backward()
        nn.utils.clip_grad_norm_(net.parameters(), 0.1)
        before = {name: p.detach().clone() for name, p in net.named_parameters()}
        line = probe._line((x, y), 0.02)
        bend, slope = line.bend(), line.slope()
        reading = probe((x, y))
        optimizer.step()
        along = {name: (before[name] - p.detach()) / 0.02 for name, p in net.named_parameters()}
        for name, u in along.items():
            known = line._along.get(name, torch.zeros_like(u))
            np.testing.assert_allclose(known, u, rtol=1e-9, atol=1e-12)
        # The loss along the very step that was taken, by differences.
        at = [
            half_mse(torch.func.functional_call(
                net, {name: before[name] - e * u for name, u in along.items()}, (x,)), y).item()
            for e in (-1e-4, 0.0, 1e-4)
        ]  # fmt: skip
        assert slope == pytest.approx((at[0] - at[2]) / 2e-4, rel=1e-5, abs=1e-6)
        assert bend == pytest.approx((at[0] - 2 * at[1] + at[2]) / 1e-8, rel=1e-3, abs=1e-4)
        assert reading.directional_sharpness == pytest.approx(bend / slope)
        assert reading.loss == pytest.approx(at[1])


def test_any_other_optimizer_by_a_function_that_gives_its_update():
    net, x, y = regression()
    optimizer = torch.optim.RMSprop(net.parameters(), lr=0.01)
    with pytest.raises(sim.InputError, match="RMSprop: is none of SGD, Adam and AdamW; give upd"):
        sim.torch.Probe(net, half_mse, optimizer)
    half_mse(net(x), y).backward()

    def update():
        return [p.grad / ((0.01 * p.grad**2).sqrt() + 1e-8) for p in net.parameters()]

    probe = sim.torch.Probe(net, half_mse, optimizer, update=update)
    before = nn.utils.parameters_to_vector(net.parameters()).detach().clone()
    found = probe((x, y)).directional_sharpness
    optimizer.step()
    u = (before - nn.utils.parameters_to_vector(net.parameters()).detach()) / 0.01
    nn.utils.vector_to_parameters(before, net.parameters())
    model = sim.from_torch(net, half_mse, (x, y))
    expected = sim.directional_sharpness(model, before.numpy(), update=u.numpy())
    assert found == pytest.approx(expected, rel=1e-9)
    wrong = sim.torch.Probe(net, half_mse, optimizer, update=lambda: update()[1:])
    with pytest.raises(sim.InputError, match="update returned 5 tensors: return"):
        wrong((x, y))


def test_training_stays_the_same_bit_for_bit():
    """Dropout draws what it would have drawn, and batch normalisation keeps what it would keep."""
    ends = []
    for probed in (False, True):
        torch.manual_seed(0)
        net = nn.Sequential(
            nn.Linear(5, 8), nn.BatchNorm1d(8), nn.Dropout(0.3), nn.ReLU(), nn.Linear(8, 3)
        )
        x, y = torch.randn(16, 5), torch.randn(16, 3)
        optimizer = ADAMW(net.parameters(), lr=0.01)
        probe = sim.torch.Probe(net, half_mse, optimizer, every=2, measure=BOTH)
        for _ in range(9):
            optimizer.zero_grad()
            half_mse(net(x), y).backward()
            if probed:
                probe((x, y))
            optimizer.step()
        ends.append({name: value.clone() for name, value in net.state_dict().items()})
        assert net.training
    assert all(torch.equal(value, ends[1][name]) for name, value in ends[0].items())


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"every": 0}, "every 0: give a whole number of at least 1"),
        ({"measure": ("full",)}, "measure full: give directional or critical, or both"),
        ({"log": "missing/log.csv"}, "log missing/log.csv: there is no folder"),
        ({"loss_fn": 3}, "loss_fn 3: give a function"),
        ({"model": 3}, "model int: give a Module"),
        ({"optimizer": 3}, "optimizer int: give a Optimizer"),
        (
            {"model": nn.Linear(5, 3)},
            "optimizer SGD: has parameters of another model; give the optimizer of this one",
        ),
    ],
)
def test_what_a_probe_cannot_use_is_refused(options, sentence):
    net, _, _ = regression()
    given = {"model": net, "loss_fn": half_mse, "optimizer": SGD(net.parameters(), lr=0.1)}
    with pytest.raises(sim.InputError, match=sentence):
        sim.torch.Probe(**(given | options))


# --- JAX ----------------------------------------------------------------------------------------


def test_where_the_learning_rate_is_0_the_next_update_is_measured():
    """The update of optax is a product with it."""
    optimizer = optax.sgd(lambda step: 0.1 * step)
    probe = sim.jax.Probe(lambda theta: theta @ theta, optimizer, lambda step: 0.1 * step, every=5)
    theta = jax.numpy.ones(3)
    state, found = optimizer.init(theta), []
    for _ in range(7):
        found.append(probe(2 * theta, state, theta, ()))
        _, state = optimizer.update(2 * theta, state, theta)
    assert [reading is not None for reading in found] == [False, True, *[False] * 3, True, False]
    assert found[1].directional_sharpness == pytest.approx(2.0)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"loss_fn": 3}, "loss_fn 3: give a function"),
        ({"optimizer": 3}, "optimizer int: give one of optax"),
        ({"eta": -1.0}, "eta -1.0: give a number of at least 0"),
    ],
)
def test_what_a_probe_of_jax_cannot_use_is_refused(options, sentence):
    given = {"loss_fn": lambda theta: theta @ theta, "optimizer": optax.sgd(0.1), "eta": 0.1}
    with pytest.raises(sim.InputError, match=sentence):
        sim.jax.Probe(**(given | options))


# --- the log ------------------------------------------------------------------------------------


@pytest.mark.parametrize("log", ["log.csv", "log.jsonl"])
def test_a_loop_that_was_killed_and_resumed_goes_on_in_its_log(log):
    net, x, y = regression()
    optimizer = SGD(net.parameters(), lr=0.1)
    half_mse(net(x), y).backward()
    for begins, ends in ((0, 5), (3, 7)):
        probe = sim.torch.Probe(net, half_mse, optimizer, log=log, every=2)
        probe.step = begins
        for step in range(begins, ends):
            probe((x, y), loss=float(begins + step))
        with open(log, "a") as file:  # noqa: PTH123
            file.write("5,0.")
    read = read_log(log)
    np.testing.assert_array_equal(read.step, range(7))
    np.testing.assert_array_equal(read.loss, [0, 1, 2, 6, 7, 8, 9])


def test_a_loss_that_is_not_finite_is_logged():
    net, x, y = regression()
    with torch.no_grad():
        net[3].weight[0, 0] = torch.nan
    optimizer = SGD(net.parameters(), lr=0.1)
    half_mse(net(x), y).backward()
    reading = sim.torch.Probe(net, half_mse, optimizer, log="log.jsonl", measure=BOTH)((x, y))
    assert np.isnan(reading.loss)
    assert "NaN" in Path("log.jsonl").read_text()


def test_without_their_packages_they_are_named(monkeypatch):
    net, _, _ = regression()
    optimizer = SGD(net.parameters(), lr=0.1)
    for name in ("torch", "jax"):
        monkeypatch.setitem(sys.modules, name, None)
        with pytest.raises(
            sim.InputError, match=rf"{name} not installed: pip install .*\[{name}\]"
        ):
            getattr(sim, name).Probe(net, half_mse, optimizer)
