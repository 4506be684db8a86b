"""Stores damaged at random: every command that takes one refuses it, or is right about it.

``pytest tests/test_damaged_stores.py --stores 2000`` damages so many; without it, a few.
"""

import hashlib
import io
import json
import random
import shutil
import warnings
from contextlib import redirect_stderr, redirect_stdout, suppress

import numpy as np
import pytest
import xarray as xr
from program import QUADRATIC, forge

from simulator import figures, reporting
from simulator.commands import main
from simulator.sweeps import open_store

GRID = "--t-wrm 1,4 --seeds 3 --curves"
SMALL, LARGE = f"{GRID} --eta-trgt 0.25,2.5", f"{GRID} --eta-trgt 0.25,1,2.5"
CELL = "eta_trgt=2.5,t_wrm=1,seed=2"


def call(line):
    """Exit code, stdout and stderr; no exception may leave the program."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(SystemExit) as leaving:
            main(line.split())
    code = leaving.value.code
    assert code in (0, 1, 2), (line, err.getvalue())
    assert "Traceback" not in err.getvalue(), (line, err.getvalue())
    assert code == 0 or err.getvalue().strip(), line
    return code, out.getvalue(), err.getvalue()


def pytest_generate_tests(metafunc):
    if "number" in metafunc.fixturenames:
        metafunc.parametrize("number", range(metafunc.config.getoption("--stores")))


@pytest.fixture(scope="module")
def undamaged(tmp_path_factory):
    """The store, one of another spec on the same grid, and all values of it and the grown one."""
    folder = tmp_path_factory.mktemp("undamaged")
    made = {"small": f"{QUADRATIC} {SMALL}", "large": f"{QUADRATIC} {LARGE}"}
    made["other"] = f"{QUADRATIC} {SMALL} --curvatures 1,2"
    for name, line in made.items():
        assert call(f"sweep {line} -o {folder}/{name}.zarr")[0] == 0
    told = json.loads(call(f"info {folder}/small.zarr --json")[1])
    values = {name: xr.open_zarr(folder / f"{name}.zarr", chunks=None).load() for name in made}
    return folder, values, told


@pytest.fixture
def seen(monkeypatch):
    """What figures and pages are given, in their place."""
    found = []

    def diagram(dataset, *arguments, **options):
        found.append(dataset)

    def page(dataset, spec, data, chunks, **about):
        found.append(dataset)
        for region, chunk in chunks or ():
            sides = dict(zip(("seed", "eta_init", "eta_trgt", "t_wrm"), region, strict=True))
            part = dataset[["status"]].isel(sides)
            curves = {name: ((*part["status"].dims, "step"), v) for name, v in chunk.items()}
            found.append(part.assign(curves))
        return "<html>"

    monkeypatch.setattr(figures, "phase_diagram", diagram)
    monkeypatch.setattr(figures, "trajectory", lambda run, **options: None)
    monkeypatch.setattr(figures, "save", lambda figure, path, *about: None)
    monkeypatch.setattr(reporting, "page", page)
    return found


def assert_right(dataset, expected):
    """What it calls done is as it would have been."""
    at = {name: dataset[name].values for name in dataset.dims if name in dataset.coords}
    for name, values in at.items():
        assert np.isin(values, expected[name].values).all(), name
    whole = expected.sel({name: values for name, values in at.items() if name != "step"})
    done = (dataset["status"] == "done").values
    for name in dataset.data_vars:
        found, right = dataset[name].values, whole[name].transpose(*dataset[name].dims).values
        np.testing.assert_array_equal(found[done], right[done], str(name))


def contents(folder):
    return {
        p.relative_to(folder): hashlib.sha256(p.read_bytes()).digest()
        for p in sorted(folder.rglob("*"))
        if p.is_file() and p.name != ".lock"
    }


# --- what may happen to a store -----------------------------------------------------------------


def files(draw, store, count=1):
    whole = sorted(p for p in store.rglob("*") if p.is_file() and p.name != ".lock")
    metadata = [p for p in whole if p.name == "zarr.json"]
    return [draw.choice(whole if draw.random() < 0.8 else metadata) for _ in range(count)]


def delete(draw, store, other):
    files(draw, store)[0].unlink()


def delete_a_folder(draw, store, other):
    shutil.rmtree(draw.choice([p for p in sorted(store.rglob("*")) if p.is_dir()]))


def truncate(draw, store, other):
    (file,) = files(draw, store)
    content = file.read_bytes()
    file.write_bytes(content[: draw.randrange(len(content) + 1)])


def flip(draw, store, other):
    (file,) = files(draw, store)
    content = bytearray(file.read_bytes() or b"0")
    content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
    file.write_bytes(content)


def fill_with_noise(draw, store, other):
    files(draw, store)[0].write_bytes(draw.randbytes(draw.randrange(200)))


def swap(draw, store, other):
    """Two files: of anything, of a variable, or of a place."""
    one, two = files(draw, store, 2)
    like = draw.choice(["anything", "variable", "place"])
    if like != "anything" and "c" in one.relative_to(store).parts:
        name, *place = one.relative_to(store).parts
        pattern = f"{name}/c/**/*" if like == "variable" else "/".join(["*", *place])
        two = draw.choice([p for p in sorted(store.glob(pattern)) if p.is_file()])
    first, second = one.read_bytes(), two.read_bytes()
    one.write_bytes(second)
    two.write_bytes(first)


def swap_folders(draw, store, other):
    one, two = draw.sample([p for p in sorted(store.iterdir()) if p.is_dir()], 2)
    between = store / "between"
    for source, target in ((one, between), (two, one), (between, two)):
        source.rename(target)


def put_from_another_store(draw, store, other):
    (file,) = files(draw, other)
    if draw.random() < 0.5:
        target = store / file.relative_to(other)
        target.parent.mkdir(parents=True, exist_ok=True)
    else:
        (target,) = files(draw, store)
    shutil.copy(file, target)


def put_a_folder_from_another_store(draw, store, other):
    folder = draw.choice([p for p in sorted(other.rglob("*")) if p.is_dir()])
    shutil.rmtree(store / folder.relative_to(other), ignore_errors=True)
    shutil.copytree(folder, store / folder.relative_to(other))


VALUES = (None, True, False, 0, 1, 2, 3, -1, 0.5, 1e400, 10**20, "", "done", "float32", [], {}, [1])


def edit(draw, store, other):
    """Some value in some metadata."""
    file = draw.choice(sorted(store.rglob("zarr.json")))
    try:
        place = meta = json.loads(file.read_bytes())
    except ValueError:
        return
    # JSON in JSON: the spec is an attribute that is a text.
    attributes = meta.get("attributes") if isinstance(meta, dict) else None
    if isinstance(attributes, dict) and draw.random() < 0.5:
        texts = [k for k, v in attributes.items() if isinstance(v, str) and v[:1] == "{"]
        if texts:
            name = draw.choice(texts)
            try:
                inner = json.loads(attributes[name])
                inner[draw.choice(sorted(inner))] = draw.choice(VALUES)
                attributes[name] = json.dumps(inner)
            except (ValueError, TypeError, IndexError):
                return
            file.write_text(json.dumps(meta))
            return
    while isinstance(place, (dict, list)) and place:
        key = draw.choice(sorted(place) if isinstance(place, dict) else range(len(place)))
        if not isinstance(place[key], (dict, list)) or not place[key] or draw.random() < 0.2:
            if draw.random() < 0.2:
                del place[key]
            elif isinstance(place[key], int) and draw.random() < 0.5:
                place[key] += draw.choice([-1, 1])
            else:
                place[key] = draw.choice(VALUES)
            break
        place = place[key]
    file.write_text(json.dumps(meta))


def add_files(draw, store, other):
    folder = draw.choice([p for p in sorted(store.rglob("*")) if p.is_dir()])
    for name in draw.sample(["notes.txt", "zarr.json", "0.0.0.9", "x.partial", "c"], 2):
        if not (folder / name).exists():
            (folder / name).write_bytes(draw.randbytes(9))


def add_an_array(draw, store, other):
    """As users do, who add what they make of the results."""
    with suppress(Exception):  # a store that is damaged already: xarray's affair
        dataset = xr.open_zarr(store, chunks=None).load()
        new = draw.choice(["like", "mean", "one", "all"])
        if new == "all":
            dataset.assign(mine=dataset["loss_final"] * 2).to_zarr(store, mode="a")
        elif new == "one":
            xr.Dataset({"mine": 1.0}).to_zarr(store, mode="a")
        else:
            mine = dataset["loss_final"].mean("seed") if new == "mean" else dataset["loss_final"]
            mine.rename("mine").to_dataset().to_zarr(store, mode="a")


def add_a_broken_array(draw, store, other):
    (store / "mine").mkdir(exist_ok=True)
    (store / "mine" / "zarr.json").write_bytes(draw.choice([b"", b"{}", b"[1]", b"\xff"]))


DAMAGES = (
    delete, delete, delete_a_folder, truncate, flip, fill_with_noise, swap, swap, swap_folders,
    put_from_another_store, put_a_folder_from_another_store, edit, edit, edit, add_files,
    add_an_array, add_a_broken_array,
)  # fmt: skip


# --- and what commands make of it ---------------------------------------------------------------


@pytest.mark.slow
def test_a_damaged_store_is_refused_or_right(undamaged, seen, tmp_path, number):
    kept, values, told = undamaged
    draw = random.Random(number)
    inside, store = tmp_path / "inside", tmp_path / "inside" / "store.zarr"
    shutil.copytree(kept / "small.zarr", store)
    shutil.copytree(kept / "other.zarr", inside / "beside.zarr")
    (inside / "notes.txt").write_text("kept")
    # One that was stopped may have chunks that are not finished.
    stopped = draw.random() < 0.3
    if stopped:
        for file in draw.sample(sorted((store / "digests").iterdir()), 3):
            file.unlink()
        meta = json.loads((store / "zarr.json").read_text())
        meta["attributes"]["complete"] = False
        (store / "zarr.json").write_text(json.dumps(meta))
    for damage in draw.choices(DAMAGES, k=draw.choice([1, 1, 1, 2, 3])):
        damage(draw, store, kept / "other.zarr")
    if draw.random() < 0.1:
        # A forged store is another store: it is refused or read, and that is all.
        values, told = None, None
        with suppress(Exception):  # what cannot be read cannot be forged
            forge(store)
    before = contents(inside)
    _check_readers(store, seen, values, told)
    assert contents(inside) == before, "a reader wrote"
    for name, line, grown, share in (
        ("resume", SMALL, "small", 1.0), ("grow", LARGE, "large", 0.5),
        ("overwrite", SMALL, "small", 0.2),
    ):  # fmt: skip
        if draw.random() > share:
            continue
        copy = shutil.copytree(store, inside / f"{name}.zarr")
        code, out, err = call(f"sweep {QUADRATIC} {line} -o {copy} --{name}")
        if code == 0 and (values is not None or name == "overwrite"):
            dataset = open_store(copy)[0].load()
            assert (dataset["status"] == "done").all(), (name, out, err)
            assert dict(dataset.sizes) == dict(undamaged[1][grown].sizes)
            assert_right(dataset, undamaged[1][grown])
        shutil.rmtree(copy)
    assert contents(inside) == before, "something besides the store was written"


def _check_readers(store, seen, values, told):
    """Readers: what they show is right, or they refuse."""
    code, out, _ = call(f"info {store} --json")
    if code == 0 and told is not None:
        document = json.loads(out)
        for name in told.keys() - {"store", "status", "outcomes", "complete"}:
            assert document[name] == told[name], name
        done = document["status"].get("done", 0)
        assert document["complete"] is (done == 12)
        assert sum(document["outcomes"].values()) == done
    for line in (
        f"plot {store}", f"report {store} -o {store.parent.parent}/page.html",
        f"run --replay {store} --cell {CELL} --json", f"explain {store} --cell {CELL} --json",
    ):  # fmt: skip
        seen.clear()
        code, out, err = call(line)
        if code == 0 and values is not None:
            for dataset in seen:
                assert_right(dataset, values["small"])
            if line.startswith("run"):
                assert json.loads(out)["result"]["identical"] is True, err
