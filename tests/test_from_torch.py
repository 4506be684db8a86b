"""A model from a PyTorch module: ours in PyTorch is ours, and others agree with dense Hessians."""

import itertools
import subprocess
import sys

import numpy as np
import pytest
import xarray as xr

import simulator as sim

torch = pytest.importorskip("torch", reason="needs PyTorch: pip install 'warmup-simulator[torch]'")
nn = torch.nn
pytestmark = pytest.mark.usefixtures("folder")

WIDTH = 6
OURS = sim.MLP(width=WIDTH, depth=3, activation="tanh", bias=True)


class Layer(nn.Module):
    """W as (fan_in, fan_out), and the bias after it, as in our theta."""

    def __init__(self, fan_in, fan_out):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(fan_in, fan_out))
        self.bias = nn.Parameter(torch.zeros(fan_out))

    def forward(self, x):
        return x @ self.weight + self.bias


def half_mse(z, y):
    return 0.5 * torch.mean((z - y) ** 2)


def twin(data, seed=0, ours=OURS):
    """Our MLP in PyTorch, at our initial parameters."""
    sizes = [data.inputs, *[WIDTH] * (ours.depth - 1), data.outputs]
    layers = [Layer(a, b) for a, b in itertools.pairwise(sizes)]
    net = nn.Sequential(*[part for layer in layers for part in (layer, nn.Tanh())][:-1]).double()
    start = torch.tensor(ours.init(data, seed))
    nn.utils.vector_to_parameters(start, net.parameters())
    return net


@pytest.fixture(scope="module")
def few():
    whole = sim.load_data("digits", samples=24)
    return sim.Data(whole.x[:, 20:28], whole.y)


@pytest.fixture(scope="module")
def both(few):
    return sim.from_torch(twin(few), half_mse), OURS


def test_our_mlp_in_pytorch_is_ours(both, few):
    model, _ = both
    theta, v = OURS.init(few), np.random.default_rng(0).standard_normal(OURS.init(few).size)
    np.testing.assert_array_equal(model.init(few), theta)
    assert model.loss(theta, few) == pytest.approx(OURS.loss(theta, few), rel=1e-12)
    for ours, theirs in (
        (model.gradient(theta, few), OURS.gradient(theta, few)),
        (model.hvp(theta, v, few), OURS.hvp(theta, v, few)),
    ):
        np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-12)
    expected = sim.sharpness(OURS, theta, few)
    assert sim.sharpness(model, theta, few) == pytest.approx(expected, rel=1e-9)
    found = sim.check_model(model, few)
    assert max(found.gradient, found.hvp, found.asymmetry) < 1e-9


@pytest.mark.parametrize("optimizer", [sim.GD(), sim.Nesterov(), sim.Adam()], ids=lambda o: o.name)
def test_it_trains_and_is_measured_as_ours(both, few, optimizer):
    eta = 0.5 * sim.eta_critical(OURS, few, optimizer)
    one, other = (
        sim.simulate(
            model, few, optimizer=optimizer, schedule=sim.Warmup(eta_trgt=eta, t_wrm=8), steps=20,
            sharpness_every=4, batch_size=10, sharpness_tol=1e-10,
            measure=("sharpness", "directional", "batch", "full"), batches=4,
        )
        for model in both
    )  # fmt: skip
    np.testing.assert_allclose(one.loss, other.loss, rtol=1e-9)
    np.testing.assert_allclose(one.theta, other.theta, rtol=1e-7, atol=1e-9)
    for name in ("sharpness", "directional_sharpness", "batch_sharpness", "full_sharpness"):
        np.testing.assert_allclose(getattr(one, name), getattr(other, name), rtol=1e-7)
    assert one.accuracy_final == other.accuracy_final


def test_searches_and_flows_are_those_of_ours(both, few):
    one, other = (sim.critical_learning_rate(m, few, steps=16, failure="diverged") for m in both)
    assert one.eta_c == pytest.approx(other.eta_c, rel=1e-6)
    assert one.eta_max == pytest.approx(other.eta_max, rel=1e-6)
    unit = sim.eta_critical(OURS, few, sim.GD())
    one, other = (
        sim.central_flow(m, few, schedule=sim.Warmup(eta_trgt=1.5 * unit), steps=12) for m in both
    )
    np.testing.assert_allclose(one.loss, other.loss, rtol=1e-4)
    np.testing.assert_array_equal(one.rank, other.rank)
    assert other.rank.max() > 0


def test_a_sweep_on_threads_is_the_runs_one_by_one(both, few):
    before = torch.get_num_threads()
    grid = {"eta_trgt": [0.1, 0.4], "seeds": 2, "steps": 6, "curves": True}
    alone, together = (sim.sweep(both[0], few, **grid, workers=n) for n in (1, 3))
    xr.testing.assert_equal(alone, together)
    assert torch.get_num_threads() == before
    assert torch.backends.cuda.flash_sdp_enabled()


def test_while_it_computes_pytorch_has_one_thread(few):
    seen = set()

    def loss(z, y):
        seen.add((torch.get_num_threads(), torch.backends.cuda.flash_sdp_enabled()))
        return half_mse(z, y)

    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        sim.simulate(sim.from_torch(twin(few), loss), few, steps=2)
        assert seen == {(1, False)}
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


# --- other modules ------------------------------------------------------------------------------


class Attention(nn.Module):
    """Rows of an image as tokens: LayerNorm, attention by the fused function, tied projections."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Linear(8, 6)
        self.register_buffer("position", torch.linspace(-1, 1, 8)[:, None])
        self.layer = nn.TransformerEncoderLayer(6, 2, 8, dropout=0.5, batch_first=True)
        self.norm, self.query = nn.LayerNorm(6), nn.Linear(6, 6)
        self.key = self.query
        self.out = nn.Linear(6, 10)

    def forward(self, images):
        h = self.layer(self.embed(images[:, 0]) + self.position)
        q, k, v = (made(self.norm(h))[:, None] for made in (self.query, self.key, nn.Identity()))
        h = nn.functional.scaled_dot_product_attention(q, k, v)[:, 0]
        return self.out(nn.functional.dropout(h, 0.5, self.training).mean(1))


def convolutional():
    return nn.Sequential(
        nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.GELU(), nn.Dropout(0.5), nn.MaxPool2d(2),
        nn.Conv2d(3, 4, 2), nn.GroupNorm(2, 4), nn.SiLU(), nn.Flatten(), nn.Linear(16, 10),
    )  # fmt: skip


@pytest.fixture(scope="module")
def images():
    whole = sim.load_data("digits", samples=16)
    return torch.tensor(whole.x).reshape(-1, 1, 8, 8).float(), torch.tensor(whole.y)


@pytest.mark.parametrize("make", [convolutional, Attention])
def test_a_network_of_many_layers_agrees_with_its_dense_hessian(make, images):
    """In training mode with dropout at 0, by an algorithm and a way of holding them of its own."""
    torch.manual_seed(0)
    module = make()
    model = sim.from_torch(module, nn.CrossEntropyLoss(label_smoothing=0.1), images)
    objective, theta = model.bind(), model.init()
    assert theta.size == sum(p.numel() for p in module.parameters())
    plain = make().double()
    plain.load_state_dict(module.state_dict())
    for part in plain.modules():
        if isinstance(part, nn.Dropout):
            part.p = 0.0
        if isinstance(part, nn.MultiheadAttention):
            part.dropout = 0.0
    plain.train(make is convolutional)
    names = [name for name, _ in plain.named_parameters()]
    shapes = [p.shape for p in plain.parameters()]
    x, y = images[0].double(), images[1]

    def loss(flat):
        parts = flat.split([shape.numel() for shape in shapes])
        held = {n: p.reshape(s) for n, p, s in zip(names, parts, shapes, strict=True)}
        state = {name: buffer.clone() for name, buffer in plain.named_buffers()}
        outputs = torch.func.functional_call(plain, {**state, **held}, (x,))
        return nn.functional.cross_entropy(outputs, y, label_smoothing=0.1)

    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        hessian = torch.autograd.functional.hessian(loss, torch.tensor(theta)).numpy()
    assert objective.loss(theta) == pytest.approx(float(loss(torch.tensor(theta))), rel=1e-12)
    v = np.random.default_rng(0).standard_normal(theta.size)
    np.testing.assert_allclose(model.hvp(theta, v), hessian @ v, atol=1e-10 * abs(hessian).max())
    top = np.linalg.eigvalsh(hessian)[-1]
    assert sim.sharpness(model, theta) == pytest.approx(top, rel=1e-9)
    g = model.gradient(theta)
    assert sim.directional_sharpness(model, theta) == pytest.approx(g @ hessian @ g / (g @ g))
    # And the module is what it was.
    assert all(p.requires_grad for p in module.parameters())
    assert module.training


def test_its_own_samples_are_batched_and_single_precision_is_near(images):
    torch.manual_seed(0)
    model = sim.from_torch(convolutional(), nn.CrossEntropyLoss(), images)
    double, single = (
        sim.simulate(model, steps=6, batch_size=6, sharpness_every=3, dtype=dtype)
        for dtype in ("float64", "float32")
    )
    assert double.updates_per_epoch == 3
    assert single.theta.dtype == np.float32
    np.testing.assert_allclose(single.loss, double.loss, rtol=1e-4)
    np.testing.assert_allclose(single.sharpness, double.sharpness, rtol=1e-3)


def test_frozen_parameters_are_constants(few):
    net = twin(few)
    net[0].requires_grad_(False)
    model, whole = sim.from_torch(net, half_mse), sim.from_torch(twin(few), half_mse)
    frozen = sum(p.numel() for p in net[0].parameters())
    theta = whole.init(few)
    np.testing.assert_array_equal(model.init(few), theta[frozen:])
    expected = whole.gradient(theta, few)[frozen:]
    np.testing.assert_allclose(model.gradient(theta[frozen:], few), expected, rtol=1e-12)


def test_a_function_draws_parameters_for_each_seed_and_a_module_has_its_own(few):
    torch.manual_seed(5)
    state = torch.random.get_rng_state()
    drawn = sim.from_torch(lambda: nn.Linear(8, 10), half_mse, few, name="drawn")
    first, again, other = (drawn.init(seed=seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert abs(first - other).max() > 0.1
    assert torch.equal(torch.random.get_rng_state(), state)
    net = nn.Linear(8, 10)
    fixed = sim.from_torch(net, half_mse, few)
    before = fixed.init(seed=0)
    with torch.no_grad():
        net.weight.zero_()
    np.testing.assert_array_equal(fixed.init(seed=1), before)


# --- stores -------------------------------------------------------------------------------------


def test_a_store_is_resumed_with_the_same_module_and_no_other(few):
    def model(width=4, bias=True, smoothing=0.0, samples=few):
        torch.manual_seed(0)
        net = nn.Sequential(nn.Linear(8, width, bias=bias), nn.Tanh(), nn.Linear(width, 10))
        return sim.from_torch(net, nn.CrossEntropyLoss(label_smoothing=smoothing), samples)

    grid = {"eta_trgt": [0.1, 0.2], "steps": 2, "output": "store.zarr"}
    made = sim.sweep(model(), **grid)
    xr.testing.assert_equal(made, sim.sweep(model(), **grid, resume=True))
    fewer = sim.Data(few.x[:-1], few.y[:-1])
    for changed in ({"width": 5}, {"bias": False}, {"smoothing": 0.1}, {"samples": fewer}):
        with pytest.raises(sim.InputError, match="was made with model source"):
            sim.sweep(model(**changed), **grid, resume=True)
    with torch.no_grad():
        other = model()
        next(other.module.parameters())[0, 0] += 1e-3
    with pytest.raises(sim.InputError, match="was made with model source"):
        sim.sweep(other, **grid, resume=True)


# --- what is refused ----------------------------------------------------------------------------


PAIR = (torch.zeros(3, 8), torch.zeros(3, 10))


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((3, half_mse), "module 3: give a torch.nn.Module"),
        ((nn.Linear(8, 10), "mse"), "loss mse: give a function"),
        ((nn.Linear(8, 10), half_mse, 3), r"data int: give Data, or two tensors \(x, y\)"),
        ((nn.Linear(8, 10), half_mse, (PAIR[0], PAIR[1][:2])), r"shapes \(3, 8\) and \(2, 10\)"),
        ((nn.Linear(8, 10), half_mse), "data None: the module needs data"),
        ((lambda: 3, half_mse, PAIR), "module made a int: return a torch.nn.Module"),
        ((nn.Flatten(), half_mse, PAIR), "init returned nothing"),
        ((nn.Linear(8, 10), lambda z, y: z, PAIR), r"loss returned shape \(3, 10\): .* one real"),
        ((nn.Linear(8, 10), lambda z, y: z.mean().float(), PAIR), "loss returned type float32"),
        ((nn.Linear(8, 10), lambda z, y: 1j, PAIR), "loss returned type complex128"),
    ],
)
def test_what_cannot_be_a_model_is_refused_by_name(arguments, sentence):
    with pytest.raises(sim.InputError, match=sentence):
        sim.simulate(sim.from_torch(*arguments), steps=1)


def test_without_pytorch_it_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(sim.InputError, match=r"torch not installed: pip install .*\[torch\]"):
        sim.from_torch(nn.Linear(2, 2), half_mse)


def test_it_is_imported_only_when_it_is_asked_for():
    code = (
        "import sys, simulator as sim; sim.from_torch, sim.from_jax, sim.simulate;"
        "sim.simulate(sim.Quadratic([1.0]), steps=2); print({'torch', 'jax'} & set(sys.modules))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "set()"
