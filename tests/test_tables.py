"""Data from tables: what is learned, what is refused."""

import contextlib

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from simulator import Data, InputError, load_data

X = np.array([[1.0, 2.0], [3.0, 4.5], [5.0, -6.0], [0.5, 0.25]])


def table(label, name="label"):
    return pd.DataFrame({"a": X[:, 0], name: label, "b": X[:, 1]})


@pytest.mark.parametrize("name", ["label", "y", "Target", "class"])
@pytest.mark.parametrize(
    ("label", "y"),
    [
        ([0, 2, 1, 1], [0, 2, 1, 1]),
        (["no", "yes", "no", "maybe"], [1, 2, 1, 0]),
        ([0.5, 1.0, -2.0, 3.0], [[0.5], [1.0], [-2.0], [3.0]]),
    ],
)
def test_a_file_and_a_frame_are_the_same_data(tmp_path, monkeypatch, name, label, y):
    monkeypatch.chdir(tmp_path)
    table(label, name).to_csv("own.csv", index=False)
    assert load_data("own.csv") == load_data(table(label, name)) == Data(X, y)


def test_the_rest_of_a_table_is_the_test_split():
    data = load_data(table([0, 1, 1, 0]), samples=3, data_seed=2)
    assert (data.samples, data.test.samples) == (3, 1)
    assert sorted([*data.x[:, 0], *data.x_test[:, 0]]) == sorted(X[:, 0])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is not a table"),
        ("a,b\n1,2\n", "no column to learn; name one with label"),
        ("y,label\n1,2\n", "has the columns y, label"),
        ("label\n1\n2\n", "no column of inputs"),
        ("a,label\nx,1\n", "its column a holds no numbers"),
        ("a,label\n1,0\n,1\n", "NaN"),
        ("a,label\n", "no numbers"),
        ("a,label\n1,0,5,6,7\n2,3\n", "no table|no numbers|NaN|shape"),
    ],
)
def test_what_is_no_data_is_refused_in_a_sentence(tmp_path, text, message):
    file = tmp_path / "own.csv"
    file.write_text(text)
    with pytest.raises(InputError, match=message) as refusal:
        load_data(str(file))
    assert refusal.value.option == "data"


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(content=st.binary(max_size=200) | st.text(alphabet='a1,."\n;labely- ', max_size=80))
@example(b"a,label\n1,0\n" + b"\xff\xfe,1\n")
@example(b"a,label\n" + b"9" * 400 + b",1\n")
@pytest.mark.filterwarnings("ignore:of the classes:UserWarning")
def test_any_file_is_data_or_refused(tmp_path, content):
    file = tmp_path / "own.csv"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    with contextlib.suppress(InputError):
        assert load_data(str(file)).samples


@pytest.mark.parametrize("missing", [{0}, {1}])
def test_a_class_without_samples_is_mentioned(missing):
    labels = [label for label in range(4) if label not in missing]
    with pytest.warns(UserWarning, match=f"no samples of {min(missing)}"):
        assert Data(X[: len(labels)], labels).classes == 4


@pytest.mark.parametrize("ours", ["digits", "teacher"])
def test_small_parts_of_our_own_data_are_not(ours):
    load_data(ours, samples=4)


def test_a_mask_is_refused():
    with pytest.raises(InputError, match="mask"):
        Data(np.ma.masked_greater(X, 4), [0, 1, 1, 0])


def test_whole_numbers_in_a_column_may_mean_two_things():
    with pytest.raises(InputError, match="labels the shape"):
        Data(X, np.array([[0], [1], [1], [0]]))


def test_a_column_can_be_named(tmp_path):
    frame = table([0, 2, 1, 1], "species")
    frame.to_csv(tmp_path / "own.csv", index=False)
    data = load_data(tmp_path / "own.csv", label="species")
    assert data == load_data(frame, label="species") == Data(X, [0, 2, 1, 1])
    assert data.source["label"] == "species"
    with pytest.raises(InputError, match="did you mean species"):
        load_data(frame, label="specie")
    with pytest.raises(InputError, match="column of a table"):
        load_data("digits", label="species")
