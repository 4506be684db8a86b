"""Stores that may be anybody's: opened, or refused in one line; soon, and in little memory."""

import json
import shutil
from contextlib import suppress

import pytest
from fuzzing import damaged, folder, imported, numbers, read, seldom, told, words  # noqa: F401
from hypothesis import given
from hypothesis import strategies as st
from program import forge
from test_fuzz_typed import json_values, specs

from simulator.sweeps import AXES, Spec, open_store


def used(spec):
    """What is done of a spec that was read."""
    spec.as_dict(), spec.shape, spec.cells, spec.probes, spec.preconditions
    hash(spec.model)


@seldom
@given(plain=json_values)
def test_any_json_is_a_spec_or_refused(plain):
    read(Spec.from_dict, plain)


@pytest.fixture(scope="module")
def kept(stored):
    return shutil.copytree(stored, folder() / "kept.zarr")


def attempt(kept, change):
    before = {p: p.read_bytes() for p in kept.rglob("zarr.json")}
    whole = {p: p.read_bytes() for p in kept.rglob("*") if p.is_file() and p not in before}
    try:
        change(kept)
        with suppress(Exception):  # what cannot be read cannot be forged
            forge(kept)
        found = read(open_store, kept)
        if found is not None:
            dataset, spec, description = found
            used(spec)
            assert isinstance(description, dict)
            assert set(dataset["status"].dims) == set(AXES)
        told("report", str(kept), "--no-curves", "-o", str(folder() / "page.html"))
    finally:
        for p, content in (before | whole).items():
            if p.read_bytes() != content:
                p.write_bytes(content)


@seldom
@given(pick=st.data())
def test_any_attributes_are_read_or_refused(kept, pick):
    def change(path):
        meta = json.loads((path / "zarr.json").read_text())
        attributes = meta["attributes"]
        for _ in range(pick.draw(st.integers(1, 2))):
            name = pick.draw(
                st.sampled_from(
                    ["spec", "data", "conventions", "versions", "chunk_shape", "format", "complete"]
                )
            )
            attributes[name] = pick.draw(
                st.one_of(
                    json_values,
                    json_values.map(json.dumps),
                    specs().map(json.dumps),
                    st.lists(numbers, max_size=5),
                    st.just("[" * 5000),
                    st.just('{"a":' * 5000),
                )
            )
            if pick.draw(st.integers(0, 5)) == 0:
                del attributes[name]
        try:
            text = json.dumps(meta)
        except ValueError:
            return
        (path / "zarr.json").write_text(text, encoding="utf-8", errors="surrogatepass")

    attempt(kept, change)


@seldom
@given(pick=st.data())
def test_any_file_of_a_store_is_read_or_refused(kept, pick):
    def change(path):
        files = sorted(p for p in path.rglob("*") if p.is_file())
        file = pick.draw(st.sampled_from([path / "zarr.json", path / "zarr.json", *files]))
        file.write_bytes(pick.draw(damaged(st.just(file.read_bytes()))))

    attempt(kept, change)


@seldom
@given(pick=st.data())
def test_any_metadata_is_read_or_refused(kept, pick):
    def change(path):
        file = pick.draw(st.sampled_from(sorted(path.rglob("zarr.json"))))
        meta = json.loads(file.read_text())
        place = meta
        if "consolidated_metadata" in meta and pick.draw(st.booleans()):
            place = pick.draw(
                st.sampled_from(list(meta["consolidated_metadata"]["metadata"].values()))
            )
        for _ in range(3):
            key = pick.draw(
                st.sampled_from(sorted(place) if isinstance(place, dict) and place else ["a"])
            )
            if (
                isinstance(place, dict)
                and isinstance(place.get(key), dict)
                and pick.draw(st.booleans())
            ):
                place = place[key]
            else:
                break
        place[key] = pick.draw(
            st.one_of(
                json_values, st.lists(st.sampled_from([1, 2, 0, -1, 10**12, 2**63]), max_size=5)
            )
        )
        try:
            text = json.dumps(meta)
        except ValueError:
            return
        file.write_text(text, encoding="utf-8", errors="surrogatepass")

    attempt(kept, change)
