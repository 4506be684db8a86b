"""Arrays in .npz files: reading untrusted ones is bounded in size, and unpickles nothing."""

from __future__ import annotations

import io
import math
import struct
import tokenize
import warnings
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy

from simulator.arrays import Array
from simulator.checks import InputError
from simulator.files import open_file, write_whole

__all__ = ["MOST_NUMBERS", "read_arrays", "write_arrays"]

# 0.8 GB as float64: MNIST twice over.
MOST_NUMBERS = 100_000_000
# A header of numbers has about 100 characters; a long one takes long to parse.
_LONGEST_HEADER = 1000
_HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
_PACKED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
# Exceptions of NumPy and zipfile for malformed bytes.
_BROKEN = (
    EOFError, ValueError, KeyError, TypeError, RuntimeError, OverflowError, SyntaxError,
    AttributeError, IndexError, struct.error, tokenize.TokenError, zipfile.BadZipFile, zlib.error,
)  # fmt: skip


def read_arrays(option: str, path: Path, names: Sequence[str] | None = None) -> dict[str, Array]:
    """Read the arrays with these names, or all arrays, of a file.

    Raises
    ------
    InputError
        If the file is missing or damaged, holds Python objects, or holds more than ``MOST_NUMBERS``
        numbers. The message names ``option``.
    """
    # Opened here because zipfile leaves a file open that is not an archive.
    try:
        with open_file(option, path) as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about the Python that wrote the file
            if file.read(len(npy.MAGIC_PREFIX)) == npy.MAGIC_PREFIX:
                raise InputError(option, path, "is a single array; save it with numpy.savez")
            if _has_large_directory(file):
                raise InputError(option, path, "holds thousands of arrays; save fewer")
            with zipfile.ZipFile(file) as archive:
                return _members(option, path, archive, names)
    except FileNotFoundError:
        raise InputError(option, path, "does not exist; name a .npz file") from None
    except InputError:
        raise
    except OSError as error:
        said = (
            f"cannot be read: {error.strerror}" if error.strerror else "is not a complete .npz file"
        )
        raise InputError(option, path, said) from None
    except _BROKEN:
        raise InputError(option, path, "is not a complete .npz file") from None


def write_arrays(path: Path, arrays: Mapping[str, Array]) -> None:
    """Write arrays by name; an existing file is replaced atomically.

    Raises `InputError` if the file cannot be written.
    """
    file = io.BytesIO()
    np.savez(file, **arrays)  # type: ignore[arg-type]
    write_whole("path", path, file.getvalue())


def _has_large_directory(file: IO[bytes]) -> bool:
    """Whether an archive lists so many files that zipfile would read for long."""
    file.seek(max(0, file.seek(0, 2) - 2**16 - 22))
    tail = file.read()
    at = tail[:-18].rfind(b"PK\5\6")
    size = int.from_bytes(tail[at + 12 : at + 16], "little")
    return at >= 0 and (size > 1_000_000 or tail[max(0, at - 20) :].startswith(b"PK\6\7"))


def _members(
    option: str, path: Path, archive: zipfile.ZipFile, names: Sequence[str] | None
) -> dict[str, Array]:
    """Read arrays after checking that their total size fits into memory."""
    held = [name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")]
    present = {name: f"{name}.npy" for name in (held if names is None else names) if name in held}
    numbers = 0
    for name, member in present.items():
        shape, dtype = _header(option, path, archive, member)
        if dtype.hasobject:
            raise InputError(option, path, "holds Python objects; save plain numbers")
        if dtype.kind not in "fiub":
            raise InputError(option, path, f"has {name} of type {dtype}; give numbers")
        numbers += math.prod(shape)
        if numbers > MOST_NUMBERS:
            raise InputError(option, path, f"holds more than {MOST_NUMBERS} numbers; save fewer")
    arrays = {}
    for name, member in present.items():
        with archive.open(member) as file:
            arrays[name] = npy.read_array(file, allow_pickle=False, max_header_size=_LONGEST_HEADER)
            if file.read(1):  # at the end, zipfile compares the checksum
                raise ValueError
    return arrays


def _header(
    option: str, path: Path, archive: zipfile.ZipFile, member: str
) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Shape and type of an array from its header, which must agree with the file's length."""
    entry = archive.getinfo(member)
    if entry.compress_type not in _PACKED:
        raise InputError(
            option, path, "has another compression; save it with numpy.savez_compressed"
        )
    with archive.open(entry) as file:
        try:
            shape, _, dtype = _HEADERS[npy.read_magic(file)](file, _LONGEST_HEADER)
        except MemoryError:  # Python's parser raises this for deep nesting
            raise ValueError from None
        length = entry.file_size - file.tell()
    claimed = math.prod(shape) * dtype.itemsize
    if not dtype.hasobject and claimed <= 8 * MOST_NUMBERS and claimed != length:
        raise ValueError
    return shape, dtype
