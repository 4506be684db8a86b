"""Products and eigenvectors of contiguous arrays by BLAS and LAPACK, into arrays of the caller.

Numba's ``np.dot`` and ``np.linalg.eigh`` call the same functions with the same arguments, so the
results have the same bits. They also compile copies of operands that may not be contiguous, checks
of all shapes, and error messages, once for each set of types. These functions check nothing: shapes
must fit, and lengths must be positive. ``turned`` is true for the transpose of a matrix.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import cgutils, config, types
from numba.core.extending import intrinsic
from numba.np.linalg import ensure_blas, ensure_lapack

from simulator.numerics.views import require_contiguous

__all__ = ["dot", "eigh", "matrix_matrix", "matrix_vector"]


def _dot(x: Any, y: Any) -> Any:
    return np.dot(x, y)


def _matrix_vector(a: Any, turned: bool, x: Any, out: Any) -> None:
    np.dot(a.T if turned else a, x, out)


def _matrix_matrix(a: Any, a_turned: bool, b: Any, b_turned: bool, out: Any) -> None:
    np.dot(a.T if a_turned else a, b.T if b_turned else b, out)


def _eigh(a: Any, values: Any) -> int:
    try:
        values[:], columns = np.linalg.eigh(a, "U")
    except np.linalg.LinAlgError:
        return 1
    a[:] = columns.T
    return 0


class _Call:
    """A call of one of the BLAS functions that Numba exports, while code is generated."""

    def __init__(self, context: Any, builder: Any, dtype: Any) -> None:
        self._context, self._builder, self._dtype = context, builder, dtype
        self.kind = self.letter("s" if dtype == types.float32 else "d")
        self.one, self.zero = self._slot(1.0), self._slot(0.0)

    def array(self, array_type: Any, value: Any) -> tuple[Any, list[Any]]:
        """Where its numbers are, and its lengths."""
        array = self._context.make_array(array_type)(self._context, self._builder, value)
        data = self._builder.bitcast(array.data, cgutils.voidptr_t)
        return data, cgutils.unpack_tuple(self._builder, array.shape)

    def transposed(self, turned: Any) -> Any:
        """BLAS takes columns for rows: a matrix in C order is transposed unless it is turned."""
        return self._builder.select(turned, self.letter("n"), self.letter("t"))

    def plain(self, turned: Any) -> Any:
        """The same where all matrices are transposed."""
        return self._builder.select(turned, self.letter("t"), self.letter("n"))

    def __call__(self, name: str, *arguments: Any) -> Any:
        """The error code (int32). Of BLAS it is for an unknown kind of number only."""
        function_type = ir.FunctionType(ir.IntType(32), [value.type for value in arguments])
        function = cgutils.get_or_insert_function(self._builder.module, function_type, name)
        return self._builder.call(function, arguments)

    def letter(self, letter: str) -> Any:
        return ir.Constant(ir.IntType(8), ord(letter))

    def _slot(self, number: float) -> Any:
        constant = self._context.get_constant(self._dtype, number)
        slot = cgutils.alloca_once_value(self._builder, constant)
        return self._builder.bitcast(slot, cgutils.voidptr_t)


def _prepare(*arrays: Any) -> None:
    """Load what is called, and refuse what it would misread."""
    ensure_blas()
    ensure_lapack()
    for array in arrays:
        require_contiguous(array)


def _typed_dot(context: Any, x: Any, y: Any) -> Any:
    _prepare(x, y)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        call = _Call(context, builder, x.dtype)
        (left, (length,)), (right, _) = map(call.array, signature.args, arguments)
        out = cgutils.alloca_once(builder, context.get_value_type(x.dtype))
        call(
            "numba_xxdot", call.kind, cgutils.int8_t(0), length, left, right,
            builder.bitcast(out, cgutils.voidptr_t),
        )  # fmt: skip
        return builder.load(out)

    return x.dtype(x, y), generate


def _typed_matrix_vector(context: Any, a: Any, turned: Any, x: Any, out: Any) -> Any:
    _prepare(a, x, out)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        call = _Call(context, builder, a.dtype)
        matrix, (rows, columns) = call.array(a, arguments[0])
        vector, _ = call.array(x, arguments[2])
        target, _ = call.array(out, arguments[3])
        call(
            "numba_xxgemv", call.kind, call.transposed(arguments[1]), columns, rows, call.one,
            matrix, columns, vector, call.zero, target,
        )  # fmt: skip
        return context.get_dummy_value()

    return types.void(a, types.boolean, x, out), generate


def _typed_matrix_matrix(
    context: Any, a: Any, a_turned: Any, b: Any, b_turned: Any, out: Any
) -> Any:
    _prepare(a, b, out)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        call = _Call(context, builder, a.dtype)
        left, (a_rows, a_columns) = call.array(a, arguments[0])
        right, (_, b_columns) = call.array(b, arguments[2])
        target, (rows, columns) = call.array(out, arguments[4])
        inner = builder.select(arguments[1], a_rows, a_columns)
        # In BLAS's order of columns this is out^T = b^T a^T.
        call(
            "numba_xxgemm", call.kind, call.plain(arguments[3]), call.plain(arguments[1]), columns,
            rows, inner, call.one, right, b_columns, left, a_columns, call.zero, target, columns,
        )  # fmt: skip
        return context.get_dummy_value()

    return types.void(a, types.boolean, b, types.boolean, out), generate


def _typed_eigh(context: Any, a: Any, values: Any) -> Any:
    """Eigenvalues, ascending, into ``values``; ``a`` becomes the eigenvectors, in rows.

    Reads the upper triangle. Returns 0, or another number where it did not converge.
    """
    _prepare(a, values)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        call = _Call(context, builder, a.dtype)
        matrix, (size, _) = call.array(a, arguments[0])
        target, _ = call.array(values, arguments[1])
        return call(
            "numba_ez_xxxevd", call.kind, call.letter("V"), call.letter("L"), size, matrix, size,
            target,
        )  # fmt: skip

    return types.int32(a, values), generate


if config.DISABLE_JIT:  # type: ignore[attr-defined]
    dot: Any = _dot
    matrix_vector: Any = _matrix_vector
    matrix_matrix: Any = _matrix_matrix
    eigh: Any = _eigh
else:
    dot = intrinsic(_typed_dot)
    matrix_vector = intrinsic(_typed_matrix_vector)
    matrix_matrix = intrinsic(_typed_matrix_matrix)
    eigh = intrinsic(_typed_eigh)
