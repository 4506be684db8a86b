"""The result store: its layout, its integrity, and that no value depends on how it was computed."""

import json
import shutil
import sys
import warnings
from contextlib import closing
from itertools import product

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator import GD, MLP, UV, InputError, Momentum, Quadratic, load_data, sweep
from simulator.models import DTYPES
from simulator.sweeps import AXES, Destination, Spec, execute, open_store, run_cell
from simulator.sweeps.boundary import boundary, median
from simulator.sweeps.spec import ETA_UNITS
from simulator.sweeps.store import ResultStore
from simulator.training import eta_critical

MODEL = MLP(width=4, depth=2, activation="linear")
SPEC = Spec(
    model=MODEL,
    optimizer=GD(),
    seeds=(0, 1),
    eta_trgt=(0.25, 0.5, 1.0, 400.0),
    t_wrm=(1, 4, 8),
    steps=12,
    eta_unit="critical",
    sharpness_every=4,
)
CURVES = Spec(
    model=MODEL,
    optimizer=GD(),
    seeds=(0, 1),
    eta_trgt=(0.25, 400.0),
    t_wrm=(1, 4),
    steps=12,
    eta_unit="critical",
    sharpness_every=4,
    curves=True,
)
PER_RUN = {
    "eta_critical", "loss_init", "loss_max", "loss_final", "sharpness_init", "sharpness_max",
    "sharpness_final", "diverged", "diverged_step", "n_catapults", "n_unconverged",
    "natural_phase", "outcome",
    "trainable", "status",
}  # fmt: skip
SCORES = {"accuracy_final", "test_loss_final", "test_accuracy_final"}


@pytest.fixture(scope="module")
def data():
    return load_data("digits", samples=16)


@pytest.fixture(scope="module")
def whole(data):
    return execute(SPEC, data).load()


@pytest.fixture(scope="module")
def kept(data, tmp_path_factory):
    """A store with curves, one cell a chunk; tests put back what they change."""
    path = tmp_path_factory.mktemp("kept") / "kept.zarr"
    execute(CURVES, data, Destination(path), chunk_cells=1)
    return path


@pytest.fixture
def store(kept, tmp_path):
    return shutil.copytree(kept, tmp_path / "store.zarr")


def bits(dataset):
    """Every value, to the last bit."""
    return {
        name: array.values.tolist() if array.dtype.kind == "T" else array.values.tobytes()
        for name, array in dataset.variables.items()
    }


def complete(path, data, cell):
    region = tuple(slice(i, i + 1) for i in cell)
    with closing(ResultStore.reopen(path, CURVES, data)) as store:
        return bool((store.read(region)["status"] == "done").all())


def chunk(path, variable, cell):
    tail = (0,) if len(xr.open_zarr(path)[variable].dims) > len(AXES) else ()
    return path.joinpath(variable, "c", *map(str, (*cell, *tail)))


# --- layout -------------------------------------------------------------------------------------


def test_plain_xarray_opens_it_without_a_warning(kept):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        xr.open_zarr(kept).load()


def test_one_value_a_run_lies_on_the_four_axes(kept):
    dataset = xr.open_zarr(kept)
    assert dict(dataset.sizes) == {"seed": 2, "eta_init": 1, "eta_trgt": 2, "t_wrm": 2, "step": 12}
    for name, values in CURVES.coordinates().items():
        assert dataset[name].values.tolist() == list(values)
    assert set(dataset.data_vars) == PER_RUN | SCORES | {"loss", "sharpness", "eta", "threshold"}
    for name in PER_RUN | SCORES:
        assert dataset[name].dims == AXES
    kinds = {name: dataset[name].dtype.kind for name in PER_RUN | SCORES}
    assert {name for name in kinds if kinds[name] == "b"} == {"diverged", "trainable"}
    assert {name for name in kinds if kinds[name] == "i"} == {
        "diverged_step", "n_catapults", "n_unconverged",
    }  # fmt: skip
    assert {name for name in kinds if kinds[name] == "T"} == {"natural_phase", "outcome", "status"}
    assert all(kinds[name] in "fbiT" for name in kinds)


def test_every_variable_and_coordinate_says_its_unit_and_meaning(kept):
    for name, array in xr.open_zarr(kept).variables.items():
        assert array.attrs["units"], name
        assert array.attrs["long_name"], name


def test_the_coordinates_in_critical_units_say_so(kept, data):
    units = {name: xr.open_zarr(kept)[name].attrs["units"] for name in ("eta_init", "eta_trgt")}
    assert set(units.values()) == {"eta_critical"}
    absolute = sweep(MODEL, data, eta_trgt=[0.1], steps=2)
    assert absolute["eta_trgt"].attrs["units"] == "1"


def test_the_attributes_hold_spec_conventions_versions_data_and_the_flag(kept, data):
    attributes = xr.open_zarr(kept).attrs
    assert attributes["complete"] is True
    assert Spec.from_dict(json.loads(attributes["spec"])) == CURVES
    assert {"loss", "step"} <= set(json.loads(attributes["conventions"]))
    assert json.loads(attributes["versions"])["numpy"] == np.__version__
    described = json.loads(attributes["data"])
    assert described["digest"] == data.digest
    assert described["shape"] == [16, 64, 10]
    assert described["name"] == "digits"


def test_open_store_gives_back_what_was_asked(kept):
    dataset, spec, described = open_store(kept)
    assert spec == CURVES
    assert described["samples"] == 16
    assert set(dataset["status"].values.ravel()) == {"done"}


def test_scores_are_kept_only_where_the_data_has_them():
    asked = {"eta_trgt": [0.1], "steps": 2}
    assert SCORES & set(sweep(Quadratic(), **asked)) == set()
    assert SCORES & set(sweep(UV(width=8), load_data("teacher", 8), **asked)) == {"test_loss_final"}


def test_curves_hold_the_values_before_each_update(kept, data):
    dataset = xr.open_zarr(kept).load()
    assert dataset["step"].values.tolist() == list(range(12))
    assert dataset["loss"].dims == (*AXES, "step")
    np.testing.assert_array_equal(dataset["loss"][..., 0], dataset["loss_init"])
    np.testing.assert_array_equal(dataset["sharpness"][..., 0], dataset["sharpness_init"])
    measured = np.isfinite(dataset["sharpness"].sel(eta_trgt=0.25))
    assert measured[..., ::4].all()
    for cell in product(*map(range, CURVES.shape)):
        unit = float(dataset["eta_critical"][cell])
        assert unit == eta_critical(MODEL, data, GD(), seed=CURVES.seeds[cell[0]])
        eta = CURVES.at(cell, unit).schedule.values(12)
        np.testing.assert_array_equal(dataset["eta"][cell], eta)
        np.testing.assert_array_equal(dataset["threshold"][cell], 2 / eta)


def test_a_run_that_diverged_says_when(kept):
    dataset = xr.open_zarr(kept).load()
    assert dataset["diverged"].sel(eta_trgt=400.0).all()
    assert not dataset["diverged"].sel(eta_trgt=0.25).any()
    for run in dataset["loss"].stack(run=AXES).transpose("run", "step"):
        step = int(dataset["diverged_step"].stack(run=AXES).sel(run=run["run"]))
        finite = np.isfinite(run.values)
        assert finite.all() if step < 0 else not finite[step:].any() and finite[:step].all()


def test_the_dataset_in_memory_is_the_one_on_disk(kept, data):
    xr.testing.assert_identical(
        execute(CURVES, data, chunk_cells=1).load(), xr.open_zarr(kept).load()
    )


# --- integrity ----------------------------------------------------------------------------------


def test_a_missing_status_chunk_reads_as_not_run(store):
    chunk(store, "status", (1, 0, 0, 1)).unlink()
    status = xr.open_zarr(store)["status"]
    assert status[1, 0, 0, 1] == "not_run"
    assert (status == "not_run").sum() == 1


def test_a_store_in_which_nothing_ran_holds_no_data(tmp_path, data):
    ResultStore.create(tmp_path / "new.zarr", CURVES, data, (1, 1, 1, 1)).close()
    dataset = xr.open_zarr(tmp_path / "new.zarr").load()
    assert (dataset["status"] == "not_run").all()
    assert dataset.attrs["complete"] is False
    assert all(array.isnull().all() for array in dataset.values() if array.dtype.kind == "f")


@pytest.mark.parametrize("variable", ["status", "loss_final", "outcome", "diverged", "loss"])
def test_a_missing_chunk_is_never_taken_for_data(store, data, variable):
    cell, before = (0, 0, int(variable == "diverged"), 0), bits(xr.open_zarr(store))
    assert complete(store, data, cell)
    chunk(store, variable, cell).unlink()
    assert not complete(store, data, cell)
    assert bits(execute(CURVES, data, Destination(store, resume=True))) == before


@settings(max_examples=50, deadline=None)
@given(pick=st.data())
def test_a_flipped_bit_in_any_chunk_is_noticed(kept, data, pick):
    names = sorted(set(xr.open_zarr(kept).data_vars))
    files = [file for name in names for file in sorted((kept / name / "c").rglob("*"))]
    file = pick.draw(st.sampled_from([file for file in files if file.is_file()]))
    cell = tuple(map(int, file.relative_to(kept).parts[2:6]))
    content = file.read_bytes()
    broken = bytearray(content)
    broken[pick.draw(st.integers(0, len(content) - 1))] ^= 1 << pick.draw(st.integers(0, 7))
    try:
        file.write_bytes(broken)
        assert not complete(kept, data, cell)
    finally:
        file.write_bytes(content)
    assert complete(kept, data, cell)


def test_a_chunk_with_a_flipped_bit_is_computed_again(store, data):
    before = bits(xr.open_zarr(store))
    file = chunk(store, "loss_final", (0, 0, 0, 1))
    content = file.read_bytes()
    file.write_bytes(bytes([content[0] ^ 1]) + content[1:])
    with pytest.raises(ValueError, match="checksum"):
        xr.open_zarr(store)["loss_final"].load()
    assert bits(execute(CURVES, data, Destination(store, resume=True))) == before
    assert file.read_bytes() == content


def test_a_store_that_is_complete_is_resumed_without_a_run(store, data, monkeypatch):
    monkeypatch.setattr(sys.modules["simulator.sweeps.work"], "run_cell", None)
    told = []
    dataset = execute(CURVES, data, Destination(store, resume=True), progress=told.append)
    assert sum(told) == CURVES.cells
    assert dataset.attrs["complete"] is True
    assert (dataset["status"] == "done").all()


def test_a_store_of_another_sweep_or_other_data_is_not_resumed(store, data):
    other = Spec.from_dict({**CURVES.as_dict(), "steps": 13})
    with pytest.raises(InputError, match="was made with steps 12, not 13"):
        execute(other, data, Destination(store, resume=True))
    with pytest.raises(InputError, match="was made with digest"):
        execute(CURVES, load_data("digits", 16, 1), Destination(store, resume=True))


def test_a_run_that_fails_says_so_and_the_others_go_on(data, tmp_path, monkeypatch, caplog, whole):
    def fail_once(spec, data, cell, eta_critical, **options):
        if tuple(cell) == (1, 0, 2, 1):
            raise FloatingPointError("on purpose")
        return run_cell(spec, data, cell, eta_critical, **options)

    path = tmp_path / "store.zarr"
    with monkeypatch.context() as patch:
        patch.setattr(sys.modules["simulator.sweeps.work"], "run_cell", fail_once)
        dataset = execute(SPEC, data, Destination(path), chunk_cells=4).load()
    assert dataset["status"][1, 0, 2, 1] == "failed"
    assert (dataset["status"] == "done").sum() == SPEC.cells - 1
    assert dataset["loss_final"][1, 0, 2, 1].isnull()
    assert dataset.attrs["complete"] is False
    assert "on purpose" in caplog.text
    again = execute(SPEC, data, Destination(path, resume=True))
    assert again.attrs["complete"] is True
    assert bits(again) == bits(whole)


# --- values that depend on nothing but their cell -----------------------------------------------


@pytest.mark.parametrize("workers", [1, 2, 3])
@pytest.mark.parametrize("chunk_cells", [1, 2, 5, 1000])
def test_workers_and_chunks_change_no_bit(data, whole, workers, chunk_cells):
    other = execute(SPEC, data, workers=workers, chunk_cells=chunk_cells)
    assert bits(other) == bits(whole)


@settings(max_examples=15, deadline=None)
@given(pick=st.data())
def test_a_part_of_the_grid_has_the_bits_of_the_whole(data, whole, pick):
    part = {"eta_init": [0]}
    for axis in ("seed", "eta_trgt", "t_wrm"):
        places = st.integers(0, len(SPEC.coordinates()[axis]) - 1)
        part[axis] = sorted(pick.draw(st.sets(places, min_size=1)))
    values = {axis: [SPEC.coordinates()[axis][i] for i in part[axis]] for axis in part}
    arguments = {("seeds" if axis == "seed" else axis): values[axis] for axis in part}
    some = execute(Spec.from_dict({**SPEC.as_dict(), **arguments}), data)
    assert bits(some) == bits(whole.isel(part))


def test_keeping_curves_changes_no_bit_of_the_results(data, kept, whole):
    results = xr.open_zarr(kept).drop_vars(["loss", "sharpness", "eta", "threshold", "step"])
    assert bits(results) == bits(whole.isel(eta_trgt=[0, 3], t_wrm=[0, 1]))


# --- spec, chunks, boundary ---------------------------------------------------------------------

rising = st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=6, unique=True).map(sorted)
whole_numbers = st.lists(st.integers(1, 64), min_size=1, max_size=6, unique=True).map(sorted)
models = st.one_of(
    st.builds(MLP, width=st.integers(1, 99), depth=st.integers(2, 9), bias=st.booleans()),
    st.builds(UV, width=st.integers(1, 10**12), s=st.floats(0, 1)),
    st.builds(Quadratic, st.lists(st.floats(-9, 9), min_size=1).map(tuple)),
)
specs = st.builds(
    Spec,
    model=models,
    optimizer=st.one_of(st.just(GD()), st.builds(Momentum, st.floats(0, 0.999))),
    eta_init=rising,
    eta_trgt=rising,
    t_wrm=whole_numbers,
    seeds=whole_numbers,
    steps=st.integers(64, 10**6),
    eta_unit=st.sampled_from(ETA_UNITS),
    batch_size=st.none() | st.integers(1, 99),
    sharpness_every=st.integers(0, 99),
    curves=st.booleans(),
    dtype=st.sampled_from(DTYPES),
)
quick = settings(max_examples=50, deadline=None)


@quick
@given(spec=specs)
def test_a_spec_survives_being_written_as_json(spec):
    again = Spec.from_dict(json.loads(json.dumps(spec.as_dict())))
    assert again == spec
    assert again.as_dict() == spec.as_dict()


@quick
@given(spec=specs, pick=st.data())
def test_a_cell_is_found_by_its_coordinates(pick, spec):
    cell = tuple(pick.draw(st.integers(0, length - 1)) for length in spec.shape)
    found = spec.locate(spec.coordinates_of(cell))
    assert spec.coordinates_of(found) == spec.coordinates_of(cell)


@pytest.mark.parametrize(
    "change",
    [{"colour": 1}, {"model": {"name": "mlp", "colour": 1}}, {"model": None}, {"steps": 0},
     {"optimizer": {"name": "sgd"}}, {"model": {"name": "mlp", "width": -1}}],
)  # fmt: skip
def test_a_spec_of_another_version_is_refused(change):
    with pytest.raises(InputError):
        Spec.from_dict({**SPEC.as_dict(), **change})


@quick
@given(spec=specs, cells=st.integers(1, 2000))
def test_chunks_tile_the_grid_exactly(spec, cells):
    covered = np.zeros(spec.shape, int)
    shape = spec.chunk_shape(cells)
    for region in spec.regions(shape):
        assert covered[region].size
        covered[region] += 1
    assert (covered == 1).all()
    assert np.prod(shape) <= cells


def diagram(*trainable, outcome="stable"):
    """One seed a row: which of the eta_trgt 1, 2, 4, 8 train."""
    values = np.array(trainable, bool)[:, None, :, None]
    coordinates = {"seed": range(len(trainable)), "eta_init": [0.0], "t_wrm": [1]}
    return xr.Dataset(
        {
            "trainable": (AXES, values),
            "outcome": (AXES, np.where(values, outcome, "diverged")),
            "status": (AXES, np.full(values.shape, "done", dtype=object)),
        },
        {**coordinates, "eta_trgt": [1.0, 2.0, 4.0, 8.0]},
    )


def test_the_boundary_is_the_last_eta_trgt_before_the_first_that_does_not_train():
    edges = boundary(diagram([1, 1, 0, 0], [1, 1, 1, 1], [1, 0, 1, 1], [0, 1, 1, 1], [0, 0, 0, 0]))
    assert edges.dims == ("seed", "eta_init", "t_wrm")
    np.testing.assert_array_equal(edges[:, 0, 0], [2.0, 8.0, 1.0, 0.0, 0.0])


def test_the_boundary_is_found_for_each_t_wrm_on_its_own():
    both = xr.concat(
        [diagram([1, 0, 0, 0]), diagram([1, 1, 1, 0]).assign_coords(t_wrm=[64])], "t_wrm"
    )
    assert boundary(both).sel(seed=0, eta_init=0).to_series().to_dict() == {1: 1.0, 64: 4.0}


def test_a_run_that_is_stuck_has_not_survived():
    assert (boundary(diagram([1, 1, 1, 1], outcome="stuck")) == 0).all()
    assert (boundary(diagram([1, 1, 1, 1], outcome="edge_of_stability")) == 8.0).all()


def test_what_was_not_run_decides_no_boundary():
    """Not a cell: a gap before the first failure leaves it open, one behind it does not matter."""
    for gap, expected in ((0, np.nan), (1, np.nan), (2, np.nan), (3, 2.0)):
        dataset = diagram([1, 1, 0, 0])
        dataset["status"][0, 0, gap, 0] = "not_run"
        dataset["trainable"][0, 0, gap, 0] = False
        np.testing.assert_equal(boundary(dataset).item(), expected)


def test_the_median_counts_a_seed_that_trains_at_nothing_as_lowest():
    edges = boundary(diagram([1, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]))
    assert median(edges).item() == 0
    assert np.isnan(median(edges.where(False)).item())
    assert median(edges.where(edges > 0)).item() == 2
