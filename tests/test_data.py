"""Data sets: what they are, that they are the same again, and what is refused."""

import builtins
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from simulator import Data, InputError, load_data
from simulator.data import LOADERS

quick = settings(max_examples=50, deadline=None)

X = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
LABELS = np.array([0, 2, 1])


def rows(*arrays):
    return sorted(np.concatenate(arrays).tolist())


# --- the data sets ------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "inputs", "total"), [("digits", 64, 1797), ("mnist1d", 40, 5000)])
def test_classified_data_is_standardised_has_ten_classes_and_512_samples(name, inputs, total):
    data = load_data(name)
    for x in (data.x, data.x_test):
        np.testing.assert_allclose(x.mean(axis=1), 0, atol=1e-14)
        np.testing.assert_allclose(x.std(axis=1), 1, rtol=1e-14)
    assert (data.samples, data.inputs, data.outputs, data.classes) == (512, inputs, 10, 10)
    assert data.samples + data.test.samples == total


@settings(max_examples=20, deadline=None)
@given(samples=st.integers(1, 1796), data_seed=st.integers(0, 2**32))
def test_digits_have_ten_classes_however_few_samples_are_taken(samples, data_seed):
    data = load_data("digits", samples, data_seed)
    assert (data.samples, data.outputs, data.test.samples) == (samples, 10, 1797 - samples)


@settings(max_examples=10, deadline=None)
@given(samples=st.integers(100, 1700), data_seed=st.integers(0, 2**32))
def test_the_split_is_disjoint_and_complete(samples, data_seed):
    data, whole = load_data("digits", samples, data_seed), load_data("digits", 1797)
    assert whole.x_test is None
    assert rows(data.x, data.x_test) == rows(whole.x)
    assert len(np.unique(whole.x, axis=0)) == 1797
    assert sorted([*data.y, *data.y_test]) == sorted(whole.y)


def test_labels_stay_with_their_images():
    whole, data = load_data("digits", 1797), load_data("digits", 500, 3)
    label = {x.tobytes(): y for x, y in zip(whole.x, whole.y, strict=True)}
    assert [label[x.tobytes()] for x in data.x] == data.y.tolist()
    assert [label[x.tobytes()] for x in data.x_test] == data.y_test.tolist()


@pytest.mark.parametrize("name", LOADERS)
def test_the_same_seed_or_source_is_the_same_data_and_another_is_another(name):
    data = load_data(name, 64, 1)
    assert data.source == {"name": name, "samples": 64, "data_seed": 1}
    assert load_data(**data.source).digest == data.digest
    assert load_data(name, 64, 2).digest != data.digest


def test_the_teacher_is_linear_and_of_unit_length():
    data = load_data("teacher", 100)
    assert (data.x.shape, data.y.shape) == ((100, 8), (100, 1))
    assert (data.test.samples, data.classes) == (100, 0)
    teacher = np.linalg.lstsq(data.x, data.y, rcond=None)[0]
    np.testing.assert_allclose(np.linalg.norm(teacher), 1, rtol=1e-12)
    np.testing.assert_allclose(data.x_test @ teacher, data.y_test, atol=1e-12)


def test_teacher_inputs_are_standard_normal():
    x = load_data("teacher", 5000).x
    assert abs(x.mean()) < 0.03
    assert abs(x.var() - 1) < 0.04


def test_mnist1d_is_made_without_a_network(monkeypatch):
    def refuse(*arguments, **options):
        raise AssertionError("a connection was tried")

    monkeypatch.setattr("socket.socket.connect", refuse)
    monkeypatch.setattr("socket.create_connection", refuse)
    assert load_data("mnist1d", 100).inputs == 40


def test_without_its_package_mnist1d_says_what_to_install(monkeypatch):
    real = builtins.__import__

    def without(name, *arguments, **options):
        if name.startswith("mnist1d"):
            raise ImportError(name)
        return real(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(InputError, match=r"pip install 'warmup-simulator\[mnist1d\]'"):
        load_data("mnist1d")


@pytest.mark.parametrize("name", LOADERS)
@pytest.mark.parametrize("samples", [0, -1])
def test_a_data_set_of_no_samples_is_refused(name, samples):
    with pytest.raises(InputError, match=f"samples {samples}"):
        load_data(name, samples)


@pytest.mark.parametrize(("name", "samples"), [("digits", 1798), ("mnist1d", 5001)])
def test_more_samples_than_there_are_is_refused_with_their_number(name, samples):
    with pytest.raises(InputError, match=f"samples {samples}: {name} has {samples - 1}"):
        load_data(name, samples)


@pytest.mark.parametrize("name", LOADERS)
def test_a_negative_data_seed_is_refused_by_its_name(name):
    with pytest.raises(InputError) as refusal:
        load_data(name, 64, -1)
    assert (refusal.value.option, refusal.value.value) == ("data_seed", -1)


def test_an_unknown_data_set_is_refused_with_the_known_ones():
    with pytest.raises(InputError, match=r"cifar: .*teacher, or a file: \.npz, \.csv"):
        load_data("cifar")


# --- Data ---------------------------------------------------------------------------------------


def test_labels_become_one_hot_targets():
    data = Data(X, LABELS)
    assert data.targets.tolist() == [[1, 0, 0], [0, 0, 1], [0, 1, 0]]
    assert (data.classes, data.outputs, data.is_distribution) == (3, 3, True)


def test_real_targets_stay_as_they_are():
    y = np.array([[0.5], [-1.0], [2.0]])
    data = Data(X, y)
    assert data.targets.tolist() == y.tolist()
    assert (data.classes, data.outputs, data.is_distribution) == (0, 1, False)


def test_rows_of_probabilities_are_distributions():
    assert Data(X, [[0.25, 0.75], [1, 0], [0.5, 0.5]]).is_distribution
    assert not Data(X, [[0.25, 0.75], [1, 0], [1.5, -0.5]]).is_distribution


def test_a_test_split_that_lacks_the_last_class_keeps_the_outputs():
    data = Data(X, LABELS, X[:1], [0])
    assert data.test.targets.tolist() == [[1, 0, 0]]


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint16", "float16", "float32"])
def test_any_kind_of_number_is_taken_as_float64(dtype):
    assert Data(np.ones((2, 3), dtype), np.zeros(2, "uint8")).x.dtype == np.float64


@pytest.mark.parametrize(
    "same",
    [
        np.asfortranarray(X), np.repeat(X, 2, axis=1)[:, ::2], X.astype("f4"), X.astype(">f8"),
        X.astype(int), X.astype("uint8"), X.tolist(), np.ma.array(X), X[::-1][::-1],
    ],
)  # fmt: skip
def test_however_numbers_lie_in_memory_they_are_the_same_data(same):
    data = Data(same, LABELS)
    assert data.digest == Data(X, LABELS).digest
    assert data.x.flags.c_contiguous
    assert data.x.dtype == np.float64


def test_arrays_that_may_not_be_written_to_are_taken_and_left_alone():
    x, y = X.copy(), LABELS.copy()
    x.flags.writeable = y.flags.writeable = False
    assert Data(x, y, x, y).digest == Data(X, LABELS, X, LABELS).digest


@pytest.mark.parametrize("scale", [1e300, 1e-310, 0.0])
def test_numbers_of_any_size_are_data(scale):
    data = Data(X * scale, LABELS)
    assert data.largest == max(6 * scale, 2)
    assert Data(X[:1] * scale, LABELS[:1]).samples == 1


@quick
@given(
    x=hnp.arrays("f8", st.tuples(st.integers(1, 5), st.integers(1, 4)), elements=st.floats(-9, 9)),
    pick=st.data(),
)
def test_any_number_that_changes_changes_the_digest(x, pick):
    y = np.arange(len(x))
    row, column = (pick.draw(st.integers(0, length - 1)) for length in x.shape)
    other = x.copy()
    other[row, column] = np.nextafter(x[row, column], np.inf)
    assert Data(x, y).digest == Data(x.copy(), y).digest
    assert Data(x, y).digest != Data(other, y).digest
    assert Data(x, y).digest != Data(x, y, x, y).digest


@pytest.mark.parametrize(
    ("option", "arguments"),
    [
        ("x", ([1.0, 2.0], [0, 1])),
        ("x", (np.zeros((0, 2)), np.zeros(0, int))),
        ("x", (np.zeros((2, 0)), [0, 1])),
        ("x", (np.zeros((2, 2, 2)), [0, 1])),
        ("x", ([["a"], ["b"]], [0, 1])),
        ("x", (np.array([[1j], [2j]]), [0, 1])),
        ("x", (np.array([[1], [None]], object), [0, 1])),
        ("x", ([[1.0], [1.0, 2.0]], [0, 1])),
        ("x", ([[10**400], [1]], [0, 1])),
        ("x", (np.array([[np.longdouble("1e4000")], [1]]), [0, 1])),
        ("x", (np.zeros((2, 1), "M8[s]"), [0, 1])),
        ("x", (np.zeros((2, 1), "f4,i4"), [0, 1])),
        ("y", (X, [0, 1])),
        ("y", (X, 3)),
        ("y", (X, np.zeros((3, 0)))),
        ("y", (X, np.zeros((3, 1, 1)))),
        ("y", (X, [0.0, 1.0, 2.0])),
        ("y", (X, [0, 1, -1])),
        ("y", (X, [0, 1, 1_000_000])),
        ("y", (X, [0, 1, 2**63])),
        ("y", (X, [True, False, True])),
        ("y", (X, [[0], [1, 2], [3]])),
        ("y", (np.ones((2000, 1)), np.arange(2000) + 997_000)),
        ("y_test", (X, LABELS, None, LABELS)),
        ("x_test", (X, LABELS, X, None)),
        ("x_test", (X, LABELS, X[:, :1], LABELS)),
        ("y_test", (X, LABELS, X, LABELS[:2])),
        ("y_test", (X, LABELS, X, np.zeros((3, 3)))),
        ("y_test", (X, np.zeros((3, 2)), X, np.zeros((3, 3)))),
    ],
)
def test_arrays_that_make_no_problem_are_refused_by_name(option, arguments):
    with pytest.raises(InputError) as refusal:
        Data(*arguments)
    assert refusal.value.option == option


@quick
@given(where=st.sampled_from(["x", "y", "x_test", "y_test"]), bad=st.sampled_from([np.nan, np.inf]))
def test_numbers_that_are_not_finite_are_refused_wherever_they_are(where, bad):
    arrays = {"x": X, "y": X, "x_test": X, "y_test": X}
    arrays[where] = np.where(X == 4.0, bad, X)
    with pytest.raises(InputError, match="NaN or infinite") as refusal:
        Data(**arrays)
    assert refusal.value.option == where


@pytest.mark.parametrize("label", [-1, -7, 1_000_000])
def test_the_label_that_is_out_of_range_is_the_one_that_is_named(label):
    with pytest.raises(InputError, match=f"with label {label}:"):
        Data(X, [0, label, 1])


# --- files --------------------------------------------------------------------------------------


@pytest.fixture
def file(tmp_path):
    return tmp_path / "mine.npz"


def test_a_file_is_taken_whole(file):
    np.savez(file, x=X, y=LABELS, other=[1])
    data = load_data(str(file))
    assert data.digest == Data(X, LABELS).digest
    assert data.source["path"] == str(file)


def test_a_file_brings_its_own_test_split(file):
    np.savez_compressed(file, x=X, y=LABELS, x_test=X[:2], y_test=[1, 1])
    assert load_data(str(file)).digest == Data(X, LABELS, X[:2], [1, 1]).digest
    assert load_data(str(file), 2).test.targets.argmax(axis=1).tolist() == [1, 1]


def test_samples_of_a_file_leave_the_rest_for_testing(file):
    x = np.arange(20.0).reshape(10, 2)
    np.savez(file, x=x, y=x)
    data = load_data(str(file), 7, 1)
    assert (data.samples, data.test.samples) == (7, 3)
    assert rows(data.x, data.x_test) == x.tolist()
    assert data.digest == load_data(str(file), 7, 1).digest != load_data(str(file), 7, 2).digest


def test_a_file_with_too_few_samples_is_refused(file):
    np.savez(file, x=X, y=LABELS)
    with pytest.raises(InputError, match=r"samples 4: .*mine\.npz has 3"):
        load_data(str(file), 4)


def test_a_file_with_objects_is_refused_and_never_unpickled(file):
    class Trap:
        def __reduce__(self):
            return (exec, ("raise SystemExit('unpickled')",))

    np.savez(file, x=np.array([[Trap()]], object), y=[0])
    with pytest.raises(InputError, match="holds Python objects"):
        load_data(str(file))


def test_what_else_lies_in_a_file_is_not_looked_at(file):
    np.savez(file, x=X, y=LABELS, more=np.array([print], object), large=np.zeros(9))
    assert load_data(str(file)).digest == Data(X, LABELS).digest


def test_a_file_with_a_long_list_of_arrays_is_refused_before_the_list_is_read(file):
    with zipfile.ZipFile(file, "w") as archive:
        for name in ("x", "y"):
            archive.writestr(f"{name}.npy", b"")
        for number in range(1000):
            archive.writestr(f"{number:01000d}", b"")
    with pytest.raises(InputError, match="holds thousands of arrays"):
        load_data(str(file))


@settings(max_examples=50, deadline=None)
@given(pick=st.data(), packed=st.booleans())
def test_a_damaged_file_is_refused_or_read_as_it_was(tmp_path_factory, pick, packed):
    file = tmp_path_factory.mktemp("damaged") / "mine.npz"
    x = np.random.default_rng(0).standard_normal((20, 3))
    (np.savez_compressed if packed else np.savez)(file, x=x, y=np.arange(20) % 2)
    whole = load_data(str(file)).digest
    content = bytearray(file.read_bytes())
    content[pick.draw(st.integers(0, len(content) - 1))] ^= 1 << pick.draw(st.integers(0, 7))
    file.write_bytes(content)
    try:
        assert load_data(str(file)).digest == whole
    except InputError as refusal:
        assert refusal.option == "data"  # noqa: PT017


@settings(max_examples=20, deadline=None)
@given(fraction=st.floats(0, 0.99))
def test_a_file_that_was_cut_short_is_refused(tmp_path_factory, fraction):
    file = tmp_path_factory.mktemp("cut") / "mine.npz"
    np.savez(file, x=X, y=LABELS)
    content = file.read_bytes()
    file.write_bytes(content[: int(fraction * len(content))])
    with pytest.raises(InputError, match=r"data .*mine\.npz: is not a complete \.npz file"):
        load_data(str(file))
