"""Spectra, against dense linear algebra and JAX; stated errors, against the truth."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracle import gauss_newton
from scipy.stats import t as student

import simulator as sim
from simulator.curvature.spectra import SUMMARIES
from simulator.theory import uv

RNG = np.random.default_rng(0)
SIZE = 100
# Eigenvalues of several shapes: what is estimated depends on nothing else.
SHAPES = {
    "power law": 10.0 * np.arange(1, SIZE + 1) ** -1.5,
    "normal": RNG.standard_normal(SIZE),
    "outliers at both ends": np.r_[20, 15, -12, 0.5 * RNG.standard_normal(SIZE - 3)],
    "low rank": np.where(np.arange(SIZE) < 20, np.arange(SIZE) + 1.0, 0.0),
    "heavy tails": np.sign(RNG.standard_normal(SIZE)) * np.exp(2 * RNG.standard_normal(SIZE)),
}


def _of(curvatures, **options):
    model = sim.Quadratic(tuple(curvatures))
    return sim.spectrum(model, np.ones(len(curvatures)), **options)


MODELS = [
    sim.MLP(5, 3, "tanh", "mup", "xent", bias=True),
    sim.MLP(5, 2, "relu", "sp", "mse"),
    sim.MLP(4, 4, "gelu", "ntp", "mse", bias=True),
    sim.MLP(4, 4, "tanh", norm="preactivation", norm_eps=0.1),
    sim.MLP(4, 4, "gelu", loss="xent", norm="activation", residual=True, affine=True, norm_eps=0.1),
    sim.MLP(4, 3, "tanh", norm="after", residual=True, affine=True),
    sim.UV(6, s=0.5, representation="parameters"),
]


@pytest.mark.parametrize("model", MODELS, ids=lambda model: f"{model.name} {model.options()}")
def test_parts_and_layers_are_those_of_autograd(model):
    """The Hessian is held to JAX's in ``test_models``; here its parts and blocks are."""
    rng = np.random.default_rng(1)
    data = sim.Data(rng.standard_normal((7, 4)), np.arange(7) % 3)
    theta = model.init(data) + 0.1 * rng.standard_normal(model.init(data).size)
    whole, gn = model.hessian(theta, data), gauss_newton(model, data, theta)
    atol = 1e-12 * np.abs(whole).max() * theta.size
    matrices = {"hessian": whole, "gauss-newton": gn, "residual": whole - gn}
    for part, matrix in matrices.items():
        found = sim.spectrum(model, theta, data, part=part)
        np.testing.assert_allclose(found.values, np.linalg.eigvalsh(matrix)[::-1], atol=atol)
        assert found.is_exact
        assert found.converged
        assert found.top_k == 3
        assert found.products == theta.size * (2 if part == "residual" else 1)
        start = 0
        for layer in range(getattr(model, "depth", 2)):
            block = sim.spectrum(model, theta, data, part=part, layer=layer)
            rows = slice(start, start := start + int(block.size))
            np.testing.assert_allclose(
                block.values, np.linalg.eigvalsh(matrix[rows, rows])[::-1], atol=atol
            )
        # Gains and shifts of norms are of no layer.
        plain = model.with_options(affine=False) if "affine" in model.options() else model
        assert start == plain.init(data).size


def test_summaries_are_what_they_say():
    values = np.array([4.0, 3.0, 0.0, -1.0, -2.0])
    found = _of(values, top_k=2)
    assert found.trace == 4.0
    assert found.trace_of_square == 30.0
    assert found.bulk == pytest.approx(np.sqrt(5 / 3))
    assert found.top_to_bulk == pytest.approx(4 / np.sqrt(5 / 3))
    assert found.effective_rank == pytest.approx(900 / (256 + 81 + 1 + 16))
    gradient = values  # at theta = 1
    assert found.gradient_share == pytest.approx((gradient[:2] ** 2).sum() / (gradient**2).sum())
    assert all(getattr(found, f"{name}_error") == 0.0 for name in SUMMARIES)
    assert [found.count_above(level)[0] for level in (3.5, 3.0, -1.5)] == [1, 2, 4]
    assert found.histogram(np.array([-3, -0.5, 0.5, 5])).tolist() == [2, 1, 2]
    rank = _of(np.r_[np.full(6, 2.0), np.full(3, -2.0), np.zeros(20)])
    assert rank.effective_rank == pytest.approx(9.0)


@pytest.mark.parametrize("shape", SHAPES)
def test_errors_cover_the_truth_at_their_nominal_rate(shape):
    """Of intervals of t standard errors 95 % cover; of 80 here between 68 and 79."""
    exact, probes, seeds = _of(SHAPES[shape], probes=0, top_k=3), 8, 80
    quantile = student.ppf(0.975, probes - 1)
    levels = (0.3 * exact.top[0], 0.05 * exact.top[0])
    covered = dict.fromkeys((*SUMMARIES, *levels), 0)
    for seed in range(seeds):
        found = _of(SHAPES[shape], probes=probes, depth=8, top_k=3, seed=seed)
        assert found.converged
        assert not found.is_exact
        np.testing.assert_allclose(found.top, exact.top, rtol=1e-5)
        for name in SUMMARIES:
            off = abs(getattr(found, name) - getattr(exact, name))
            covered[name] += off <= quantile * getattr(found, f"{name}_error")
        for level in levels:
            number, error = found.count_above(level)
            covered[level] += abs(number - exact.count_above(level)[0]) <= quantile * error + 1e-9
    for name in SUMMARIES:
        assert 68 <= covered[name] <= 79, (name, covered)
    # The bound on the quadrature makes these cautious.
    assert min(covered[level] for level in levels) >= 0.95 * seeds


@given(seed=st.integers(0, 500), size=st.integers(3, 60), probes=st.integers(2, 5))
def test_a_quadrature_has_every_eigenvalue_and_the_moments_of_its_probes(seed, size, probes):
    """As many eigenvalues as rows; with depth as large as the matrix, all counts are exact."""
    rng = np.random.default_rng(seed)
    curvatures = rng.standard_normal(size) * 10.0 ** rng.uniform(-100, 100)
    found = _of(curvatures, probes=probes, depth=size, seed=seed)
    assert found.size == pytest.approx(size)
    exact = np.sort(curvatures)[::-1]
    np.testing.assert_allclose(found.top, exact[:1], rtol=1e-6)
    edges = np.array([-np.inf, 0.0, np.inf])
    assert found.histogram(edges).sum() == pytest.approx(size)
    number, error = found.count_above(0.0)
    assert abs(number - (curvatures >= 0).sum()) <= 8 * error + 1e-6


@pytest.mark.parametrize("part", ["hessian", "gauss-newton"])
def test_a_network_by_quadrature_is_itself_densely(part, digits):
    model = sim.MLP(12, 3, "tanh")
    theta = model.init(digits)
    exact = sim.spectrum(model, theta, digits, part=part, probes=0)
    found = sim.spectrum(model, theta, digits, part=part, probes=12, depth=24)
    assert exact.is_exact
    assert not found.is_exact
    assert found.products < exact.products
    np.testing.assert_allclose(found.top, exact.top, rtol=1e-6)
    assert found.top[0] == pytest.approx(
        sim.sharpness(model, theta, digits) if part == "hessian" else exact.top[0], rel=1e-6
    )
    assert found.gradient_share == pytest.approx(exact.gradient_share, abs=1e-4)
    for name in SUMMARIES:
        error = getattr(found, f"{name}_error")
        assert abs(getattr(found, name) - getattr(exact, name)) < 4 * error
    assert abs(found.bulk_error / found.bulk) < 0.1


@given(st.integers(0, 500))
def test_a_uv_model_of_any_width_has_the_spectrum_of_its_closed_form(seed):
    rng = np.random.default_rng(seed)
    data = sim.Data(rng.standard_normal((1, 4)), rng.standard_normal((1, 1)))
    model = sim.UV(width=int(rng.integers(1, 40)), s=rng.uniform())
    theta = model.init(data, seed)
    delta, lam, kappa, y = model.one_example(theta, data)
    exact = uv.hessian_spectrum(delta, lam, kappa, y, model.width, data.inputs)[::-1]
    found = sim.spectrum(model, theta, data, top_k=2)
    atol = 1e-12 * np.abs(exact).max()
    np.testing.assert_allclose(np.repeat(found.values, found.counts.astype(int)), exact, atol=atol)
    assert found.trace == pytest.approx(exact.sum(), abs=atol * exact.size)
    gn = sim.spectrum(model, theta, data, part="gauss-newton")
    assert gn.top[0] == pytest.approx(lam)
    assert np.abs(gn.values[1:]).max(initial=0.0) <= 1e-12 * lam
    # What is not Gauss-Newton: kappa |delta| as often as there are units, and its opposite.
    rest = sim.spectrum(model, theta, data, part="residual")
    n, width = rest.values.size, kappa * abs(delta)
    assert rest.size == model.width * 5
    assert rest.counts[np.isclose(rest.values, width, rtol=1e-9)].sum() == model.width
    assert rest.counts[np.isclose(rest.values, -width, rtol=1e-9)].sum() == model.width
    assert n == rest.counts.size


def test_width_is_no_limit():
    data = sim.load_data("teacher", samples=4)
    model = sim.UV(width=10**12)
    found = sim.spectrum(model, model.init(data), data)
    assert found.size == 9 * 10**12
    assert found.top[0] == pytest.approx(sim.sharpness(model, model.init(data), data))


@pytest.mark.parametrize("activation", ["relu", "linear"])
def test_the_residual_part_of_a_piecewise_linear_network_has_no_trace(activation, digits):
    """No layer's block has any: the outputs are linear in each. The trace is Gauss-Newton's."""
    model = sim.MLP(8, 3, activation)
    theta = model.init(digits)
    whole, gn = (sim.spectrum(model, theta, digits, part=p) for p in ("hessian", "gauss-newton"))
    assert whole.trace == pytest.approx(gn.trace, rel=1e-9)
    assert whole.trace_of_square > 1.05 * gn.trace_of_square
    for layer in range(3):
        block = sim.spectrum(model, theta, digits, part="residual", layer=layer)
        assert np.abs(block.values).max() < 1e-9 * whole.top[0]


@pytest.mark.parametrize(
    "options",
    [{"activation": "tanh"}]
    + [{"norm": norm, "affine": True} for norm in ("activation", "preactivation", "inner")]
    + [{"norm": "after", "residual": True, "activation": "gelu"}],
    ids=str,
)
def test_a_gauss_newton_matrix_is_the_hessian_where_the_targets_are_the_outputs(options, digits):
    model = sim.MLP(4, 3, **options)
    theta = model.init(digits)
    fitted = sim.Data(digits.x, model.bind(digits).outputs(theta, digits.x))
    gn = sim.spectrum(model, theta, digits, part="gauss-newton")
    np.testing.assert_allclose(
        gn.values, sim.spectrum(model, theta, fitted).values, atol=1e-12 * gn.top[0]
    )
    assert gn.values.min() > -1e-12 * gn.top[0]
    assert (gn.values > 1e-12 * gn.top[0]).sum() <= digits.samples * digits.outputs


def test_preconditioned_spectra_are_those_of_the_unsymmetric_product():
    rng = np.random.default_rng(3)
    curvatures, p = rng.standard_normal(20), rng.uniform(0.1, 10, 20)
    found = sim.spectrum(sim.Quadratic(tuple(curvatures)), np.ones(20), preconditioner=p)
    np.testing.assert_allclose(found.values, np.sort(curvatures / p)[::-1])


REFUSED = {
    "part": {"part": "fisher"},
    "layer": {"layer": 3},
    "probes": {"probes": 1},
    "depth": {"depth": 1},
    "top_k": {"top_k": 0},
    "preconditioner": {"preconditioner": -np.ones(832)},
    "theta": {"theta": np.zeros(3)},
}


@pytest.mark.parametrize("option", REFUSED)
def test_what_cannot_be_used_is_refused(option, digits):
    model = sim.MLP(8, 3)
    with pytest.raises(sim.InputError) as refused:
        sim.spectrum(model, data=digits, **{"theta": np.zeros(656), **REFUSED[option]})
    assert refused.value.option == option


def test_a_part_needs_outputs_and_a_layer_needs_weights(digits):
    with pytest.raises(sim.InputError, match="outputs"):
        _of(np.ones(3), part="gauss-newton")
    model = sim.UV(8)
    with pytest.raises(sim.InputError, match="representation"):
        sim.spectrum(model, model.init(digits), digits, layer=0)


def test_where_numbers_overflow_nothing_is_known(digits):
    model = sim.MLP(4, 2)
    theta = np.full(model.init(digits).size, 1e200)
    for probes in (0, 4):
        found = sim.spectrum(model, theta, digits, probes=probes)
        assert not found.converged
        assert np.isnan(found.trace)
        assert "not converged" in str(found)


RUNS = {
    "gd": {"optimizer": sim.GD(), "schedule": sim.Warmup(eta_trgt=1.0, t_wrm=10)},
    "adam in batches": {
        "optimizer": sim.Adam(),
        "schedule": sim.Warmup(eta_trgt=0.01, t_wrm=10),
        "batch_size": 16,
    },
    "an eta that depends on the sharpness": {"schedule": sim.AtThreshold()},
}


@pytest.mark.parametrize("setting", RUNS)
def test_spectra_along_a_run_are_those_of_its_checkpoints(setting, digits):
    model = sim.MLP(6, 2, "tanh")
    run = sim.simulate(model, digits, steps=24, **RUNS[setting])
    before = run.theta.copy()
    found = sim.spectra(run, every=10)
    np.testing.assert_array_equal(run.theta, before)
    assert found.step.tolist() == [0, 10, 20, 23]
    again = sim.simulate(model, digits, steps=24, **RUNS[setting])
    np.testing.assert_array_equal(again.theta, before)
    for step, one in zip(found.step, found.spectra, strict=True):
        theta = sim.checkpoint(run, int(step)).theta
        if not run.adaptive:
            expected = sim.sharpness(model, theta, digits)
            assert one.top[0] == pytest.approx(expected, rel=1e-9)
            assert one.top[0] == pytest.approx(run.sharpness[step], rel=1e-4)
    if run.adaptive:
        full = sim.simulate(
            model, digits, steps=24, optimizer=sim.Adam(), schedule=RUNS[setting]["schedule"]
        )
        for step, one in zip(*(lambda s: (s.step, s.spectra))(sim.spectra(full, 10)), strict=True):
            assert one.top[0] == pytest.approx(full.preconditioned_sharpness[step], rel=1e-4)
    arrays = found.arrays()
    assert arrays["top"].shape == (4, 10)
    assert arrays["bulk"].shape == (4,)
    assert all(len(array) == 4 for array in arrays.values())
    assert "nodes" not in found.arrays(nodes=False)


def test_spectra_of_a_run_that_diverges_end_before(digits):
    run = sim.simulate(
        sim.MLP(6, 2, "linear"), digits, steps=60, schedule=sim.Warmup(eta_trgt=20.0)
    )
    assert 0 < run.diverged_step < 60
    assert sim.spectra(run, every=1).step[-1] < run.diverged_step


def test_spectra_of_a_uv_run_and_of_a_fork():
    data = sim.Data(np.ones((1, 2)), np.ones((1, 1)))
    run = sim.simulate(sim.UV(64), data, steps=20, schedule=sim.Warmup(eta_trgt=0.3))
    found = sim.spectra(run, every=5)
    np.testing.assert_allclose(found.top[:, 0], run.sharpness[found.step], rtol=1e-9)
    fork = sim.fork(run, at=10, eta=0.5)
    later = sim.spectra(fork, every=5)
    assert later.step.tolist() == [10, 15, 19]
    np.testing.assert_allclose(later.top[:, 0], fork.sharpness[later.step], rtol=1e-9)


LINE = (
    "run --model uv --representation parameters --width 120 --data teacher --samples 16 --steps 8"
)


def test_the_command_measures_and_draws_them_and_training_keeps_its_bits(run, folder):
    plain = json.loads(run(f"{LINE} --json --curves").out)
    line = f"{LINE} --spectrum --spectrum-every 4"
    document = json.loads(run(f"{line} --json --curves").out)
    assert document["result"] == plain["result"]
    assert document["curves"] == plain["curves"]
    found = document["spectrum"]
    assert found["step"] == [0, 4, 7]
    sharpness = [document["curves"]["sharpness"][step] for step in found["step"]]
    assert [row[0] for row in found["top"]] == pytest.approx(sharpness, rel=1e-4)
    assert np.shape(found["nodes"]) == np.shape(found["weights"]) == (3, 16, 32)
    assert all(error > 0 for error in found["bulk_error"])
    assert np.sum(found["counts"][0]) + np.sum(found["weights"][0][0]) == pytest.approx(120 * 9)
    text = run(f"{line} --figure s.png").out
    assert "Effective rank" in text
    assert "+-" in text
    assert (folder / "s.png").stat().st_size > 10_000


@pytest.mark.usefixtures("folder", "undrawn")
@pytest.mark.parametrize(
    ("typed", "option"),
    [
        ("--spectrum-every 4", "spectrum-every"),
        ("--spectrum --spectrum-every 0", "spectrum-every"),
        ("--spectrum --t-wrm 1,4", "spectrum"),
        ("--spectrum --fork-at 2 --fork-eta 2", "spectrum"),
    ],
)
def test_the_command_refuses_what_it_cannot_measure(run, typed, option):
    refused = run(f"{LINE} {typed}")
    assert refused.code == 2
    assert f"--{option} " in refused.err


def test_the_figure_shows_each_spectrum_and_the_limit(digits):
    model = sim.MLP(4, 2, "tanh")
    trained = sim.simulate(model, digits, steps=12, schedule=sim.Warmup(eta_trgt=2.0, t_wrm=4))
    along = sim.spectra(trained, every=4)
    density, condition = sim.figures.spectra(along)
    mesh = density.collections[0]
    assert mesh.get_array().shape[1] == len(along.step)
    total = np.ma.filled(mesh.get_array(), 0.0)
    np.testing.assert_allclose(np.nansum(total, axis=0), trained.theta.size)
    lines = {line.get_label(): line for line in density.lines}
    np.testing.assert_array_equal(lines["sharpness $\\lambda(H)$"].get_ydata(), along.top[:, 0])
    assert "stability limit" in lines
    assert condition.get_ylabel().startswith("largest")
    assert len(sim.figures.with_spectra(along)) == 5
