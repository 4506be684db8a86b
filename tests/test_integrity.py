"""What a store has lost, or what was swapped or edited in it, is noticed, named, and mended."""

import json
import shutil
import sys
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
import zarr
from program import QUADRATIC, chunks, content

from simulator import GD, Quadratic
from simulator.sweeps import Destination, Spec, execute, open_store
from simulator.sweeps.store import ResultStore

pytestmark = pytest.mark.usefixtures("folder", "undrawn")

GRID = "--eta-trgt 0.25,2.5 --t-wrm 1,4 --seeds 3 --curves"
LINE = f"sweep {QUADRATIC} {GRID} -o store.zarr"
LARGER = f"sweep {QUADRATIC} {GRID.replace('2.5', '1,2.5')} -o store.zarr --grow"
STORE = Path("store.zarr")
CELL = "--cell eta_trgt=0.25,t_wrm=1,seed=0"
READERS = (
    "info store.zarr", "plot store.zarr --figure a.png", "report store.zarr -o a.html",
    f"run --replay store.zarr {CELL} --figure a.png", f"explain store.zarr {CELL} --figure a.png",
)  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Six chunks of two runs; and the same grid under another spec."""
    from simulator.commands import main

    folder = tmp_path_factory.mktemp("made")
    for name, more in (("store", ""), ("other", "--curvatures 1,2")):
        with pytest.raises(SystemExit, match="0"):
            main(f"sweep {QUADRATIC} {GRID} {more} -o {folder / name}.zarr".split())
    return folder


@pytest.fixture
def whole(made, folder):
    """A store to damage; its files as they were."""
    shutil.copytree(made / "store.zarr", STORE)
    return chunks(STORE)


def assert_named(run, part, remedy="--resume", readers=READERS):
    """Every reader refuses in one sentence that names the part and what would do."""
    before = content(STORE)
    for line in readers:
        result = run(line)
        assert (result.code, result.out, result.err.count("\n")) == (2, "", 1), (line, result)
        assert part in result.err
        assert remedy in result.err
    assert content(STORE) == before


def assert_mended(run, whole):
    assert run(f"{LINE} --resume").code == 0
    assert chunks(STORE) == whole
    assert "store.zarr: complete" in run("info store.zarr").out


def file(name, *place):
    more = (0,) if name in ("loss", "sharpness", "eta", "threshold") else ()
    return STORE.joinpath(name, "c", *map(str, (*place, *more)))


def edit(path, change):
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


# --- lost ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["outcome", "loss_final", "loss"])
def test_a_lost_chunk_is_named_and_computed_anew(run, whole, name):
    lost = file(name, 1, 0, 0, 1)
    lost.unlink()
    assert_named(run, f"lacks a part of {name}, {lost.relative_to(STORE)}")
    assert_mended(run, whole)


@pytest.mark.parametrize("lost", ["status/c/1/0/0/1", "digests/1.0.0.1"])
def test_a_chunk_that_lost_its_status_or_its_digests_is_not_run(run, whole, lost):
    (STORE / lost).unlink()
    shown = json.loads(run("info store.zarr --json").out)
    assert (shown["complete"], shown["status"]) == (False, {"done": 10, "not_run": 2})
    assert sum(shown["outcomes"].values()) == 10
    dataset = open_store(STORE)[0].load()
    assert (dataset["status"][1, 0, :, 1] == "not_run").all()
    assert dataset["loss_final"][1, 0, :, 1].isnull().all()
    result = run(READERS[3].replace("t_wrm=1,seed=0", "t_wrm=4,seed=1"))
    assert (result.code, "has status not_run" in result.err) == (2, True)
    for line in READERS[1:3]:
        assert run(line).code == 0
    assert_mended(run, whole)


def test_a_store_that_lost_all_digests_is_computed_anew(run, whole):
    shutil.rmtree(STORE / "digests")
    assert json.loads(run("info store.zarr --json").out)["status"] == {"not_run": 12}
    assert_mended(run, whole)


@pytest.mark.parametrize("name", ["seed", "eta_trgt", "t_wrm", "step"])
@pytest.mark.parametrize("how", ["lost", "edited", "flipped"])
def test_a_coordinate_that_is_not_the_spec_s_is_named_and_written_anew(run, whole, name, how):
    part = STORE / name / "c" / "0"
    if how == "lost":
        part.unlink()
    elif how == "edited":
        axis = zarr.open_group(STORE, mode="r+")[name]
        axis[-1] = axis[-1] * 2
    else:
        part.write_bytes(bytes([part.read_bytes()[0] ^ 1]) + part.read_bytes()[1:])
    readers = READERS if (name, how) == ("eta_trgt", "lost") else READERS[:1]
    assert_named(run, f"its {name} differs from what was written", readers=readers)
    assert_mended(run, whole)


def test_chunks_are_compared_by_place(run, whole):
    """One that has all but its status makes up for no other that lost a part."""
    file("status", 2, 0, 0, 1).unlink()
    file("loss_final", 0, 0, 0, 0).unlink()
    assert_named(run, "lacks a part of loss_final")
    assert_mended(run, whole)


# --- swapped ------------------------------------------------------------------------------------


def swap(one, two):
    first, second = one.read_bytes(), two.read_bytes()
    assert first != second
    one.write_bytes(second)
    two.write_bytes(first)


@pytest.mark.parametrize(
    ("one", "two"),
    [
        (("loss_final", 0, 0, 0, 0), ("loss_final", 2, 0, 0, 1)),
        (("loss_final", 0, 0, 0, 0), ("loss_init", 0, 0, 0, 0)),
        (("loss", 0, 0, 0, 0), ("loss", 1, 0, 0, 0)),
        (("loss", 0, 0, 0, 0), ("sharpness", 0, 0, 0, 0)),
    ],
)
def test_chunks_that_are_swapped_are_not_believed(run, whole, one, two):
    swap(file(*one), file(*two))
    result = run(READERS[2] if one[0] == "loss" else READERS[1])
    assert (result.code, result.out, result.err.count("\n")) == (2, "", 1)
    assert any("/".join(map(str, (name, "c", *place))) in result.err for name, *place in (one, two))
    assert "differs from what was written); warmup sweep --resume repairs it" in result.err
    assert_mended(run, whole)


def test_whole_chunks_that_are_swapped_are_not_believed(run, whole):
    """All files of two places, their digests among them."""
    for name in ("digests", *(p.parent.name for p in STORE.glob("*/zarr.json"))):
        if name not in ("origin", "seed", "eta_init", "eta_trgt", "t_wrm", "step"):
            places = ["0.0.0.0", "1.0.0.0"]
            ends = [p if name == "digests" else f"c/{p.replace('.', '/')}" for p in places]
            between = STORE / "between"
            for source, target in zip(
                (STORE / name / ends[0], STORE / name / ends[1], between),
                (between, STORE / name / ends[0], STORE / name / ends[1]),
                strict=True,
            ):
                source.rename(target)
    assert_named(run, "/0/0/0 differs from what was written")
    assert_mended(run, whole)


def test_a_chunk_of_another_store_is_not_believed(run, made, whole):
    """Also one that brings its digests."""
    for name in (p.parent.name for p in (made / "other.zarr").glob("*/zarr.json")):
        here = file(name, 1, 0, 0, 0)
        if here.exists():
            shutil.copy(made / "other.zarr" / here.relative_to(STORE), here)
    shutil.copy(made / "other.zarr/digests/1.0.0.0", STORE / "digests")
    for line in READERS[:3]:
        assert "c/1/0/0/0 differs from what was written" in run(line).err
    assert_mended(run, whole)


def test_chunks_of_the_same_sweep_are_the_same(run, whole):
    """Whoever made them, and whatever was typed."""
    assert run(f"{LINE.replace('store', 'again')} --workers 1").code == 0
    shutil.rmtree(STORE / "digests")
    shutil.copytree("again.zarr/digests", STORE / "digests")
    shutil.copytree("again.zarr/loss/c", STORE / "loss/c", dirs_exist_ok=True)
    assert "store.zarr: complete" in run("info store.zarr").out
    assert run(READERS[2]).code == 0


# --- edited -------------------------------------------------------------------------------------

EDITS = {
    "the spec": ("zarr.json", lambda d: d["attributes"].update(
        spec=d["attributes"]["spec"].replace('"steps": 8', '"steps": 9'))),
    "the versions": ("zarr.json", lambda d: d["attributes"].update(versions='{"numpy": "1.0"}')),
    "a copy of metadata": ("zarr.json", lambda d: d["consolidated_metadata"]["metadata"]
        ["loss_final"]["attributes"].update(scale_factor=2.0)),
    "a shape": ("loss_final/zarr.json", lambda d: d.update(shape=[3, 1, 2, 3])),
    "a shape of status": ("status/zarr.json", lambda d: d.update(shape=[2, 1, 2, 2])),
    "a chunk of 0": ("loss_final/zarr.json", lambda d: d["chunk_grid"]["configuration"].update(
        chunk_shape=[0, 1, 2, 1])),
    "other chunks": ("loss_final/zarr.json", lambda d: d["chunk_grid"]["configuration"].update(
        chunk_shape=[3, 1, 2, 2])),
    "a type": ("loss_final/zarr.json", lambda d: d.update(data_type="float32")),
    "no type at all": ("diverged/zarr.json", lambda d: d.update(data_type="horse")),
    "a fill value": ("diverged/zarr.json", lambda d: d.update(fill_value=True)),
    "no codecs": ("loss/zarr.json", lambda d: d.update(codecs=[])),
    "an axis's type": ("eta_trgt/zarr.json", lambda d: d.update(data_type="int64")),
    "names of dimensions": ("loss_final/zarr.json", lambda d: d.update(
        dimension_names=["t_wrm", "eta_init", "eta_trgt", "seed"])),
}  # fmt: skip


@pytest.mark.parametrize(
    ("what", "both"),
    sorted(
        {(what, both) for what, (part, _) in EDITS.items() for both in (False, part != "zarr.json")}
    ),
)
def test_edited_metadata_is_named_by_every_command(run, whole, what, both):
    part, change = EDITS[what]
    edit(STORE / part, change)
    if both:
        name = Path(part).parent.name
        edit(STORE / "zarr.json", lambda d: change(d["consolidated_metadata"]["metadata"][name]))
    readers = READERS if what in ("the spec", "a type") else READERS[:1]
    assert_named(run, "zarr.json differs from what was written", "--overwrite", readers)
    before = content(STORE)
    for line in (f"{LINE} --resume", LARGER, f"{LINE} --shard 1/2"):
        result = run(line)
        assert (result.code, result.out, result.err.count("\n")) == (2, "", 1), (line, result)
        assert "zarr.json differs from what was written" in result.err
    assert content(STORE) == before
    if what in ("the spec", "a type"):
        assert run(f"{LINE} --overwrite").code == 0
        assert chunks(STORE) == whole


def test_a_flag_that_claims_too_much_or_too_little_is_not_asked(run, whole):
    edit(STORE / "zarr.json", lambda document: document["attributes"].update(complete=False))
    assert json.loads(run("info store.zarr --json").out)["complete"] is True
    edit(STORE / "zarr.json", lambda document: document["attributes"].update(complete=True))
    (STORE / "digests" / "0.0.0.0").unlink()
    assert json.loads(run("info store.zarr --json").out)["complete"] is False


# --- added --------------------------------------------------------------------------------------


def like_a_result(dataset):
    return dataset["loss_final"].rename("mine").to_dataset() * 2.0


def averaged(dataset):
    return dataset["loss_final"].mean("seed").rename("mine").to_dataset()


def beside_all_results(dataset):
    return dataset.assign(mine=dataset["loss_final"] * 2.0)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("add", [like_a_result, averaged, beside_all_results])
def test_a_variable_that_a_user_adds_is_tolerated_and_kept(run, whole, add, caplog):
    values = xr.open_zarr(STORE, chunks=None).load()
    add(values).to_zarr(STORE, mode="a")
    mine = xr.open_zarr(STORE, chunks=None)["mine"].load()
    for line in READERS:
        result = run(line)
        assert (result.code, result.err) == (0, ""), line
    file("loss_final", 0, 0, 0, 0).unlink()
    assert run(f"{LINE} --resume").code == 0
    dataset = xr.open_zarr(STORE, chunks=None).load()
    xr.testing.assert_identical(dataset["mine"], mine)
    assert dataset.drop_vars("mine").identical(values)
    # Files of nothing but missing values are xarray's to remove.
    assert all(whole[name] == found for name, found in chunks(STORE).items() if name in whole)
    grown = run(LARGER)
    assert grown.code == 0
    assert "does not contain mine, which warmup sweep did not write" in caplog.text
    assert "mine" not in xr.open_zarr(STORE)


def test_what_is_no_array_is_passed_by(run, whole):
    for name, text in (("mine", "{}"), ("yours", "not even JSON")):
        (STORE / name).mkdir()
        (STORE / name / "zarr.json").write_text(text)
    (STORE / "notes.txt").write_text("kept")
    for line in READERS:
        assert run(line).code == 0, line
    file("status", 0, 0, 0, 0).unlink()
    assert run(f"{LINE} --resume").code == 0
    assert (STORE / "notes.txt").read_text() == "kept"
    assert (STORE / "yours" / "zarr.json").read_text() == "not even JSON"


# --- killed -------------------------------------------------------------------------------------

SPEC = Spec(
    model=Quadratic((1.0, 3.0)), optimizer=GD(), eta_trgt=(0.25, 0.5), seeds=(0, 1), steps=4
)


@pytest.mark.parametrize("moment", ["revoke", "commit"])
def test_a_writer_that_dies_around_its_digests_leaves_no_doubt(run, moment, monkeypatch):
    """Before the first: a chunk that is not begun. Before the last: one that is not finished."""
    from simulator.sweeps.verified import VerifiedStore

    expected = execute(SPEC, None).load()
    with monkeypatch.context() as patch:
        calls, original = [], getattr(VerifiedStore, moment)

        def dying(store, *arguments):
            calls.append(arguments)
            if len(calls) >= 2:
                raise KeyboardInterrupt
            return original(store, *arguments)

        patch.setattr(VerifiedStore, moment, dying)
        with pytest.raises(KeyboardInterrupt):
            execute(SPEC, None, Destination(STORE), workers=1, chunk_cells=1)
    assert int((open_store(STORE)[0]["status"] == "done").sum()) == 1
    assert run("info store.zarr").code == 0
    again = execute(SPEC, None, Destination(STORE, resume=True)).load()
    assert again.drop_attrs().equals(expected.drop_attrs())


def test_a_reader_of_a_chunk_that_is_written_meanwhile_looks_again(whole):
    """It has seen the digests of before, and finds the files of after."""
    dataset = open_store(STORE)[0]
    assert (dataset["status"].load() == "done").all()
    spec, data = open_store(STORE)[1], None
    with closing(ResultStore.reopen(STORE, spec, data)) as store:
        region = next(store.regions())
        chunk = store.read(region)
        chunk["loss_final"] = chunk["loss_final"] + 1.0
        store.write(region, chunk)
    np.testing.assert_array_equal(
        dataset["loss_final"][0, 0, :, 0].load(), chunk["loss_final"][0, 0, :, 0]
    )


def test_a_store_of_another_set_of_variables_is_not_resumed(run, whole, monkeypatch):
    module = sys.modules["simulator.sweeps.layout"]
    fewer = tuple(v for v in module.VARIABLES if v.name != "trainable")
    monkeypatch.setattr(module, "VARIABLES", fewer)
    result = run(f"{LINE} --resume")
    assert (result.code, result.out) == (2, "")
    assert "has trainable, unlike this version's" in result.err
