"""Runs, flows and data as values: what is accepted, how they compare, print and are kept."""

import contextlib
import inspect
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import simulator as sim
from simulator.models import MODELS
from simulator.optimizers import OPTIMIZERS
from simulator.schedules import SCHEDULES

DATA = sim.load_data(samples=32)
MODEL = sim.MLP(width=4, depth=2)


def short(**changes):
    return sim.simulate(MODEL, DATA, steps=8, **changes)


@pytest.fixture(scope="module")
def results():
    flow = sim.central_flow(MODEL, DATA, schedule=0.1, steps=8)
    run = short(measure=("sharpness", "directional"))
    return [run, flow, DATA, sim.checkpoint(run, 4), sim.explain(run).curves]


# --- what is accepted ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "meant"),
    [
        ({"optimizer": "adam"}, {"optimizer": sim.Adam()}),
        ({"optimizer": sim.Momentum}, {"optimizer": sim.Momentum()}),
        ({"schedule": 0.25}, {"schedule": sim.Warmup(eta_trgt=0.25)}),
        ({"schedule": np.float32(0.25)}, {"schedule": sim.Warmup(eta_trgt=0.25)}),
        ({"schedule": "modified"}, {"schedule": sim.ModifiedWarmup()}),
        ({"dtype": np.float32}, {"dtype": "float32"}),
        ({"dtype": np.dtype("f8")}, {}),
    ],
)
def test_a_plain_meaning_is_understood(changes, meant):
    assert short(**changes) == short(**meant)


def test_a_model_may_be_a_class_or_a_name():
    assert sim.Experiment("mlp") == sim.Experiment(sim.MLP) == sim.Experiment(sim.MLP())
    assert sim.eta_critical("mlp", DATA, "gd") == sim.eta_critical(sim.MLP(), DATA, sim.GD())


THETA = sim.MLP().init(DATA)
# Every public function of a model.
OF_A_MODEL = {
    "batch_sharpness": lambda model, data: sim.batch_sharpness(model, THETA, data, 8, 2),
    "central_flow": lambda model, data: sim.central_flow(model, data, schedule=0.1, steps=2).loss[
        0
    ],
    "check_model": lambda model, data: sim.check_model(model, data).components,
    "critical_learning_rate": lambda model, data: (
        sim.critical_learning_rate(model, data, steps=0).eta_c
    ),
    "directional_sharpness": lambda model, data: sim.directional_sharpness(model, THETA, data),
    "eta_critical": lambda model, data: sim.eta_critical(model, data, "gd"),
    "natural_phase": lambda model, data: sim.natural_phase(model, data, optimizer="gd", steps=16),
    "safe_learning_rate": lambda model, data: sim.safe_learning_rate(model, data),
    "sharpness": lambda model, data: sim.sharpness(model, THETA, data),
    "shortest_warmup": lambda model, data: (
        sim.shortest_warmup(model, data, eta_trgt=0.1, steps=8).t_wrm
    ),
    "simulate": lambda model, data: sim.simulate(model, data, steps=2),
    "spectrum": lambda model, data: sim.spectrum(model, THETA, data, probes=2, depth=8).trace,
    "sweep": lambda model, data: sim.sweep(model, data, eta_trgt=[0.1], steps=2).loss_final.item(),
}


def test_no_function_of_a_model_is_left_out():
    public = {name: getattr(sim, name) for name in sim.__all__}
    functions = {name for name, value in public.items() if inspect.isfunction(value)}
    assert {n for n in functions if "model" in inspect.signature(public[n]).parameters} == {
        *OF_A_MODEL
    }


@pytest.mark.parametrize("name", OF_A_MODEL)
def test_each_takes_a_model_by_its_name_or_class_and_nothing_else(name):
    call = OF_A_MODEL[name]
    assert call("mlp", DATA) == call(sim.MLP, DATA) == call(sim.MLP(), DATA)
    with pytest.raises(sim.InputError, match="model None"):
        call(None, DATA)


@pytest.mark.parametrize("name", OF_A_MODEL)
def test_each_takes_data_by_what_loads_them_and_nothing_else(name, tmp_path):
    call, file = OF_A_MODEL[name], tmp_path / "mine.npz"
    np.savez(file, x=DATA.x, y=DATA.y)
    assert call("mlp", file) == call("mlp", str(file)) == call("mlp", sim.load_data(file))
    with pytest.raises(sim.InputError, match="data digit: unknown; did you mean digits"):
        call("mlp", "digit")
    with pytest.raises(sim.InputError, match="data ndarray: is no Data; give one"):
        call("mlp", DATA.x)


def test_data_of_a_run_that_left_them_out_may_be_a_file(tmp_path):
    np.savez(tmp_path / "mine.npz", x=DATA.x, y=DATA.y)
    file = tmp_path / "mine.npz"
    run = sim.simulate(MODEL, file, steps=8)
    kept = pickle.loads(pickle.dumps(run))
    assert sim.checkpoint(kept, 4, data=file) == sim.checkpoint(run, 4)
    assert sim.fork(kept, at=4, data=file) == run
    assert (sim.spectra(kept, 4, data=file).top == sim.spectra(run, 4).top).all()


@pytest.mark.parametrize("optimizer", [sim.GD(), sim.Adam()])
def test_learning_rates_in_units_of_the_critical_one_are_those_of_a_sweep(optimizer):
    options = {"optimizer": optimizer, "eta_unit": "critical", "sharpness_every": 2}
    run = short(schedule=sim.Warmup(eta_trgt=4, t_wrm=4), seed=1, **options)
    grid = {"eta_trgt": [4], "t_wrm": [4], "seeds": [1], "steps": 8, "sharpness_tol": 1e-5}
    cell = sim.sweep(MODEL, DATA, **grid, **options).squeeze()
    assert run.loss_final == cell.loss_final
    unit = sim.eta_critical(MODEL, DATA, optimizer, seed=1)
    assert run.eta.tolist() == sim.Warmup(eta_trgt=4 * unit, t_wrm=4).values(8).tolist()


def test_units_that_cannot_be_are_refused():
    with pytest.raises(sim.InputError, match="eta_unit relative"):
        short(eta_unit="relative")
    with pytest.raises(sim.InputError, match="leave out theta0"):
        short(eta_unit="critical", theta0=MODEL.init(DATA))
    with pytest.raises(sim.InputError, match="eta_unit critical: the sharpness at init"):
        sim.simulate(sim.Quadratic([-1.0]), eta_unit="critical")


def test_something_user_defined_has_the_name_of_its_class():
    class Root(sim.Warmup):
        def values(self, steps):
            return np.sqrt(super().values(steps))

    assert Root.name == Root().name == "Root"
    assert sim.Warmup.name == "warmup"
    found = sim.sweep(MODEL, DATA, eta_trgt=[1], steps=2, over={"schedule": [sim.Warmup(), Root()]})
    assert found.schedule.values.tolist() == ["warmup", "Root"]


@pytest.mark.parametrize(
    ("kind", "names", "wrong"),
    [
        ("model", MODELS, [None, 3, object(), "mpl", sim.GD()]),
        ("optimizer", OPTIMIZERS, [3, object(), "adma", sim.MLP]),
        ("schedule", SCHEDULES, [0.0, -1, float("nan"), True, "warmpu", sim.GD]),
        ("dtype", ("float64", "float32"), [None, int, np.float16, "double", 3]),
    ],
)
def test_all_else_is_refused_by_a_sentence(kind, names, wrong):
    for value in wrong:
        with pytest.raises(sim.InputError) as refusal:
            sim.Experiment(**{"model": MODEL, kind: value})
        assert refusal.value.option == kind


@pytest.mark.parametrize("wrong", [None, 3, DATA, [1.0, 0.5]])
def test_what_is_no_run_has_no_story(wrong):
    with pytest.raises(sim.InputError, match="is not a run"):
        sim.explain(wrong)


# --- how they compare and print -----------------------------------------------------------------


def test_equal_numbers_are_equal_values(results):
    for value in results:
        again = pickle.loads(pickle.dumps(value))
        assert again == value
        assert hash(again) == hash(value)
        assert value != 3
    assert short() == short()


def test_other_numbers_are_other_values():
    run = short()
    assert run != short(seed=1)
    assert run != short(schedule=0.5)
    assert sim.load_data(samples=32, data_seed=1) != DATA


def test_each_prints_in_a_line_and_shows_a_picture(results):
    for value in results:
        assert len(repr(value)) < 250
        assert "\n" not in repr(value)
        page = value._repr_html_()
        assert page.startswith("<code>&lt;")
        assert ("data:image/png" in page) == hasattr(value, "loss") or value is DATA
    assert "seed 0; 8 steps, loss" in repr(results[0])
    assert repr(DATA) == "<Data digits: 32 samples of 64 inputs, 10 classes, 1765 test samples>"


def test_a_diverged_run_prints_too():
    assert "diverged" in repr(sim.simulate(sim.MLP(4, 2, "linear"), DATA, steps=32, schedule=30.0))


# --- how they are kept --------------------------------------------------------------------------


def test_a_table_of_a_run_is_a_log_of_it(tmp_path, results):
    run = results[0]
    run.to_csv(tmp_path / "run.csv")
    log = sim.explain(tmp_path / "run.csv").curves
    for name in ("step", "loss", "eta", "sharpness"):
        np.testing.assert_array_equal(getattr(log, name), getattr(run, name))


def test_a_dataset_of_a_run_has_its_curves(results):
    run = results[0]
    dataset = run.to_xarray()
    assert dict(dataset.sizes) == {"step": 8, "index": 1}
    for name in ("loss", "eigenvalues", "directional_sharpness", "threshold"):
        np.testing.assert_array_equal(dataset[name], getattr(run, name))
    assert "critical_sharpness" not in dataset


def test_a_run_draws_itself(results, tmp_path):
    axes = results[0].plot(curvature_axis="absolute")
    assert len(axes) == 3
    sim.figures.save(axes, str(tmp_path / "run.png"))
    assert (tmp_path / "run.png").stat().st_size > 1000


def test_a_figure_without_a_known_ending_is_refused(results, tmp_path):
    with pytest.raises(sim.InputError, match="end the name in"):
        sim.figures.save(results[0].plot(), tmp_path / "run.bmp")


RUNS = {
    "plain": {},
    "adam in float32": {"optimizer": "adam", "dtype": "float32", "batch_size": 8},
    "measured": {"measure": ("sharpness", "directional", "batch"), "top_k": 2, "schedule": 0.5},
    "from a theta": {"theta0": np.linspace(-0.1, 0.1, 296), "rates": np.full(296, 0.5)},
    "chosen": {"schedule": "persistent-catapult"},
}


@pytest.mark.parametrize("changes", RUNS.values(), ids=RUNS.keys())
def test_a_saved_run_comes_back_and_can_be_forked(tmp_path, changes):
    run = short(**changes)
    run.save(tmp_path / "run.npz")
    again = sim.load_run(tmp_path / "run.npz")
    assert again == run
    assert (repr(again), again.outcome) == (repr(run), run.outcome)
    assert sim.fork(again, at=4, data=DATA, eta=0.5) == sim.fork(run, at=4, eta=0.5)


def test_a_saved_fork_is_a_fork(tmp_path):
    fork = sim.fork(short(), at=3, eta=0.5)
    fork.save(tmp_path / "run.npz")
    again = sim.load_run(tmp_path / "run.npz")
    assert (again, again.forked_at) == (fork, 3)
    assert again.given.start == fork.given.start


def test_a_diverged_run_is_saved_too(tmp_path):
    run = sim.simulate(sim.MLP(4, 2, "linear"), DATA, steps=32, schedule=30.0)
    run.save(tmp_path / "run.npz")
    assert sim.load_run(tmp_path / "run.npz") == run


def test_code_of_a_user_is_not_saved(tmp_path):
    class Mine(sim.GD):
        pass

    with pytest.raises(sim.InputError, match="pickle the run"):
        short(optimizer=Mine()).save(tmp_path / "run.npz")
    assert not [*tmp_path.iterdir()]


@settings(max_examples=60, deadline=None)
@given(at=st.floats(0, 1, exclude_max=True), change=st.integers(1, 255))
def test_a_damaged_file_is_refused_or_the_same(tmp_path_factory, at, change):
    file = tmp_path_factory.mktemp("damaged") / "run.npz"
    run = short()
    run.save(file)
    content = bytearray(file.read_bytes())
    content[int(at * len(content))] ^= change
    file.write_bytes(content)
    with contextlib.suppress(sim.InputError):
        assert sim.load_run(file) == run


@pytest.mark.parametrize(
    "document", ["[]", "{}", '{"format": 2}', '{"format": 1}', "nonsense", "1"]
)
def test_a_file_of_something_else_is_no_run(tmp_path, document):
    file = tmp_path / "run.npz"
    np.savez(file, run=np.frombuffer(document.encode(), np.uint8), loss=np.ones(3))
    with pytest.raises(sim.InputError, match=r"run\.npz"):
        sim.load_run(file)
