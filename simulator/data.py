"""Data sets and where they come from. Nothing is downloaded or unpickled."""

from __future__ import annotations

import hashlib
import importlib.util
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simulator.arrays import Array
from simulator.checks import InputError
from simulator.nearest import did_you_mean
from simulator.npz import MOST_NUMBERS
from simulator.seeding import generator
from simulator.tables import READERS, columns_of
from simulator.value import Value

__all__ = ["LOADERS", "Data", "as_data", "load_data"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Data(Value):
    """Inputs and targets of a training problem, validated once.

    Parameters
    ----------
    x : array, shape (m, d)
        Inputs.
    y : array, shape (m,) or (m, k)
        Integer labels 0 ... k-1, or k real targets per sample.
    x_test, y_test : arrays, optional
        A test split in the same form.
    source : mapping, optional
        How to reproduce the data; stores keep it.

    Raises
    ------
    InputError
        If shapes do not match, values are not finite, or labels are not 0 ... k-1.
    """

    x: Floats
    y: Array
    x_test: Floats | None = None
    y_test: Array | None = None
    source: Mapping[str, Any] = field(default_factory=lambda: {"name": "arrays"}, compare=False)

    def __post_init__(self) -> None:
        set_ = object.__setattr__
        set_(self, "x", _inputs("x", self.x))
        set_(self, "y", _targets("y", self.y, self.samples))
        if (self.x_test is None) != (self.y_test is None):
            given = "y_test" if self.x_test is None else "x_test"
            raise InputError(given, "alone", "a test split needs both x_test and y_test")
        if self.x_test is not None and self.y_test is not None:
            set_(self, "x_test", _inputs("x_test", self.x_test))
            set_(self, "y_test", _targets("y_test", self.y_test, len(self.x_test)))
            self._check_test_split()
        self._mention_empty_classes()

    def _mention_empty_classes(self) -> None:
        """Warn about classes without samples; small parts of built-in data may lack some."""
        if not self.classes or self.source["name"] not in ("arrays", "file"):
            return
        splits = [labels for labels in (self.y, self.y_test) if labels is not None]
        empty = np.setdiff1d(np.arange(self.classes), np.concatenate(splits))
        if empty.size:
            some = ", ".join(map(str, empty[:5])) + (" ..." if empty.size > 5 else "")
            warnings.warn(
                f"of the classes 0 to {self.classes - 1}, there are no samples of {some}",
                UserWarning, stacklevel=4,
            )  # fmt: skip

    def __repr__(self) -> str:
        targets = f"{self.classes} classes" if self.classes else f"{self.outputs} targets"
        tests = 0 if self.x_test is None else len(self.x_test)
        return (
            f"<Data {self.source['name']}: {self.samples} samples of {self.inputs} inputs, "
            f"{targets}, {tests} test samples>"
        )

    def _check_test_split(self) -> None:
        assert self.x_test is not None
        assert self.y_test is not None
        if self.x_test.shape[1] != self.inputs:
            raise InputError(
                "x_test",
                f"of shape {self.x_test.shape}",
                f"x has {self.inputs} columns; give as many",
            )
        same_kind = self.y_test.ndim == self.y.ndim
        if not same_kind or (self.y.ndim == 2 and self.y_test.shape[1] != self.outputs):
            raise InputError(
                "y_test", f"of shape {self.y_test.shape}", f"y has shape {self.y.shape}; match it"
            )

    @property
    def samples(self) -> int:
        """Number of training samples m."""
        return len(self.x)

    @property
    def inputs(self) -> int:
        """Input dimension d."""
        return self.x.shape[1]

    @property
    def outputs(self) -> int:
        """Output dimension k: the number of classes, or of targets per sample."""
        return self.classes or self.y.shape[1]

    @cached_property
    def classes(self) -> int:
        """Number of classes; 0 if the targets are real numbers."""
        if self.y.ndim != 1:
            return 0
        # A small training set may lack the last class, and so may a test split.
        return int(max(labels.max() for labels in (self.y, self.y_test) if labels is not None)) + 1

    @property
    def largest(self) -> float:
        """The largest absolute value."""
        arrays = (self.x, self.y, self.x_test, self.y_test)
        return max(float(np.abs(array).max()) for array in arrays if array is not None)

    @property
    def is_distribution(self) -> bool:
        """Whether every row of targets is a probability distribution, as xent needs."""
        rows = self.targets
        return bool((rows >= 0).all() and np.allclose(rows.sum(axis=1), 1.0, rtol=0, atol=1e-12))

    @cached_property
    def targets(self) -> Floats:
        """Targets (m, k), one-hot for classes."""
        return _one_hot(self.y, self.classes) if self.classes else self.y

    @cached_property
    def test(self) -> Data | None:
        """The test split as a data set."""
        if self.x_test is None or self.y_test is None:
            return None
        y = _one_hot(self.y_test, self.classes) if self.classes else self.y_test
        return Data(self.x_test, y)  # one-hot: the test split may lack the last class

    @cached_property
    def digest(self) -> str:
        """A digest of all numbers."""
        sha = hashlib.sha256()
        for array in (self.x, self.y, self.x_test, self.y_test):
            if array is not None:
                sha.update(f"{array.shape}{array.dtype.str}".encode())
                sha.update(np.ascontiguousarray(array).tobytes())
        return sha.hexdigest()


def _one_hot(labels: Array, classes: int) -> Floats:
    rows = np.zeros((len(labels), classes))
    rows[np.arange(len(labels)), labels] = 1.0
    return rows


def _array(name: str, value: ArrayLike) -> Array:
    if np.ma.is_masked(value):
        raise InputError(name, "with a mask", "fill in or remove the masked entries")
    try:
        return np.asarray(value)
    except ValueError:
        raise InputError(name, "with rows of several lengths", "give them one length") from None


def _inputs(name: str, value: ArrayLike) -> Floats:
    array = _array(name, value)
    if array.ndim != 2 or 0 in array.shape:
        raise InputError(name, f"of shape {array.shape}", "give shape (samples, inputs)")
    return _finite(name, array)


def _targets(name: str, value: ArrayLike, samples: int) -> Array:
    array = _array(name, value)
    if array.ndim not in (1, 2) or 0 in array.shape:
        raise InputError(
            name, f"of shape {array.shape}", "give labels (samples,) or targets (samples, outputs)"
        )
    if len(array) != samples:
        raise InputError(
            name, f"of length {len(array)}", f"x has {samples} samples; give one row for each"
        )
    if array.ndim == 2:
        if array.shape[1] == 1 and array.dtype.kind in "iu":
            raise InputError(
                name, f"of shape {array.shape} and whole numbers",
                "give labels the shape (samples,), or real targets as floats",
            )  # fmt: skip
        return _finite(name, array)
    if array.dtype.kind not in "iu":
        raise InputError(
            name, f"of type {array.dtype}",
            "labels are integers; give real targets the shape (samples, outputs)",
        )  # fmt: skip
    least, most = int(array.min()), int(array.max())
    if least < 0 or most >= 1_000_000:
        wrong = least if least < 0 else most
        raise InputError(name, f"with label {wrong}", "labels are 0, 1, ... below a million")
    if (most + 1) * samples > MOST_NUMBERS:
        raise InputError(
            name, f"with label {most}",
            f"takes too much memory for {samples} samples; number the classes from 0, without gaps",
        )  # fmt: skip
    return array.astype(np.int64)


def _finite(name: str, array: Array) -> Floats:
    if array.dtype.kind not in "fiub":
        raise InputError(name, f"of type {array.dtype}", "give numbers")
    # A copy, so that the digest stays valid.
    with np.errstate(over="ignore"):  # a longer float may overflow as a double
        result = np.array(array, dtype=np.float64, order="C")
    if not np.isfinite(result).all():
        raise InputError(name, "with NaN or infinite values", "remove or replace them")
    return result


def standardize(images: Floats) -> Floats:
    """Scale each sample to mean 0 and standard deviation 1, as the paper's code does."""
    centred = images - images.mean(axis=1, keepdims=True)
    return centred / centred.std(axis=1, keepdims=True)


def _split(
    x: Floats, y: Array, samples: int, name: str, data_seed: int
) -> tuple[Floats, Array, Floats | None, Array | None]:
    """A shuffled training set of ``samples``, and the rest as the test split."""
    if samples > len(x):
        raise InputError("samples", samples, f"{name} has {len(x)}; ask for at most that many")
    order = generator(data_seed, "split").permutation(len(x))
    train, test = order[:samples], order[samples:]
    if not test.size:
        return x[train], y[train], None, None
    return x[train], y[train], x[test], y[test]


def _bundled_digits() -> Floats:
    """The file that scikit-learn bundles; importing scikit-learn takes longer than training."""
    package = importlib.util.find_spec("sklearn")
    assert package is not None
    assert package.submodule_search_locations is not None
    file = Path(package.submodule_search_locations[0], "datasets", "data", "digits.csv.gz")
    return np.loadtxt(file, delimiter=",")


def load_digits(samples: int, data_seed: int) -> Data:
    """scikit-learn's handwritten digits: 1797 images of 8 x 8, 10 classes, standardised."""
    table = _bundled_digits()
    images, labels = table[:, :-1], table[:, -1].astype(int)
    split = _split(standardize(images), labels, samples, "digits", data_seed)
    return Data(*split, source={"name": "digits", "samples": samples, "data_seed": data_seed})


def load_mnist1d(samples: int, data_seed: int) -> Data:
    """MNIST-1D (Greydanus & Kobak 2020), generated: signals of 40 points, 10 classes."""
    try:
        from mnist1d.data import get_dataset_args, make_dataset
    except ImportError:
        raise InputError(
            "data", "mnist1d", "needs the package mnist1d: pip install 'warmup-simulator[mnist1d]'"
        ) from None
    arguments = get_dataset_args()
    arguments.num_samples, arguments.seed = 5000, data_seed
    made = make_dataset(arguments)
    x = np.concatenate([made["x"], made["x_test"]])
    y = np.concatenate([made["y"], made["y_test"]])
    split = _split(standardize(x), y, samples, "mnist1d", data_seed)
    return Data(*split, source={"name": "mnist1d", "samples": samples, "data_seed": data_seed})


def gaussian_teacher(samples: int, data_seed: int, inputs: int = 8) -> Data:
    """Inputs x ~ N(0, I) in 8 dimensions, one target w.x / |w| of a random linear teacher w.

    The test split is as large as the training set.
    """
    if 2 * samples * inputs > MOST_NUMBERS:
        most = MOST_NUMBERS // (2 * inputs)
        raise InputError("samples", samples, f"takes too much memory; give at most {most}")
    draw = generator(data_seed, "teacher")
    teacher = draw.standard_normal(inputs)
    teacher /= np.linalg.norm(teacher)
    x = draw.standard_normal((2 * samples, inputs))
    y = (x @ teacher)[:, None]
    source = {"name": "teacher", "samples": samples, "data_seed": data_seed}
    return Data(x[:samples], y[:samples], x[samples:], y[samples:], source=source)


LOADERS = {"digits": load_digits, "mnist1d": load_mnist1d, "teacher": gaussian_teacher}


def _part_of(data: Data, name: str, samples: int | None, data_seed: int) -> Data:
    """A training set of ``samples``; the rest is the test split if there is none."""
    if samples is None:
        return data
    x, y, x_test, y_test = _split(data.x, data.y, samples, name, data_seed)
    if data.x_test is not None:
        x_test, y_test = data.x_test, data.y_test
    return Data(x, y, x_test, y_test, source=data.source)


def load_data(
    name: str | Path | Any = "digits",
    samples: int | None = None,
    data_seed: int = 0,
    *,
    label: str | None = None,
) -> Data:
    """Make or read a data set.

    Parameters
    ----------
    name : str, path or data frame
        ``digits``, ``mnist1d``, ``teacher``; the path of a ``.npz`` file with ``x`` (m, d), ``y``
        (m,) or (m, k), and optionally ``x_test``, ``y_test``; the path of a ``.csv`` file with a
        header; or a data frame of pandas or polars. All columns of a table but one are inputs.
    samples : int, optional
        Size of the training set (default 512, or all samples of a file). The rest becomes the test
        split.
    data_seed : int
        Seed of the split, or of the generated data.
    label : str, optional
        The target column of a table. Default: the one named ``label``, ``y``, ``target`` or
        ``class``. Integers and texts are classes, texts in alphabetical order; real numbers are a
        target.

    Returns
    -------
    Data

    Raises
    ------
    InputError
        If the name is unknown, the file is missing or damaged, or ``samples`` is too large.
    """
    if samples is not None and samples < 1:
        raise InputError("samples", samples, "give at least 1")
    if not 0 <= data_seed < 2**32:
        raise InputError("data_seed", data_seed, "give a whole number from 0 to 2^32 - 1")
    if hasattr(name, "columns"):
        data = Data(**columns_of("a table", name, label))  # type: ignore[arg-type]
        return _part_of(data, "the table", samples, data_seed)
    name = str(name)
    if label is not None and not name.endswith(".csv"):
        raise InputError("label", label, "is a column of a table; leave it out")
    if name in LOADERS:
        return LOADERS[name](512 if samples is None else samples, data_seed)
    reader = READERS.get(Path(name).suffix)
    if reader is None:
        known = f"{', '.join(LOADERS)}, or a file: {', '.join(READERS)}"
        near = did_you_mean(name, LOADERS)
        raise InputError("data", name, f"unknown; {near}give {known}")
    source = {"name": "file", "path": name, "samples": samples, "data_seed": data_seed}
    if label is not None:
        source["label"] = label
    try:
        data = Data(**reader(Path(name), label), source=source)
    except InputError as error:
        option = error.option
        raise (
            error if option in ("data", "label") else InputError("data", name, f"its {error}")
        ) from None
    return _part_of(data, name, samples, data_seed)


def as_data(given: object) -> Data | None:
    """Data, from itself or what `load_data` takes; None is none. `InputError` for all else."""
    if given is None or isinstance(given, Data):
        return given
    if isinstance(given, (str, Path)) or hasattr(given, "columns"):
        return load_data(given)
    known = f"{', '.join(LOADERS)}, or a file: {', '.join(READERS)}"
    raise InputError("data", type(given).__name__, f"is no Data; give one, or its name: {known}")
