"""Parts of contiguous arrays as arrays of their own: a slice or ``reshape`` that compiles quickly.

Numba compiles the checks of each slice and each ``reshape`` into every kernel: a quarter of a
second for four of them. These functions check nothing: the part must lie within the array. It
shares the memory but does not own it, so it is used only as long as the array exists.
"""

from __future__ import annotations

from typing import Any

from numba.core import cgutils, config, types
from numba.core.errors import TypingError
from numba.core.extending import intrinsic
from numba.np.arrayobj import populate_array

__all__ = ["matrix", "require_contiguous", "vector"]


def _vector(array: Any, at: int, size: int) -> Any:
    return array.reshape(-1)[at : at + size]


def _matrix(array: Any, at: int, rows: int, columns: int) -> Any:
    return _vector(array, at, rows * columns).reshape(rows, columns)


def require_contiguous(array: Any) -> None:
    """Refuse to compile for an array type that is not known to be in C order."""
    if array.layout != "C":
        raise TypingError(f"{array} is not an array in C order")


def _view(array: Any, *shape: Any) -> Any:
    """Type and code of a view of this shape, for numba's code generator."""
    require_contiguous(array)
    view = array.copy(ndim=len(shape), layout="C")

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        whole = context.make_array(array)(context, builder, arguments[0])
        part = context.make_array(view)(context, builder)
        size = context.get_abi_sizeof(context.get_data_type(array.dtype))
        strides = [context.get_constant(types.intp, size)]
        for length in reversed(arguments[3:]):
            strides.insert(0, builder.mul(strides[0], length))
        populate_array(
            part, builder.gep(whole.data, [arguments[1]]),
            cgutils.pack_array(builder, arguments[2:]), cgutils.pack_array(builder, strides),
            strides[-1], None,
        )  # fmt: skip
        return part._getvalue()

    return view(array, types.intp, *shape), generate


def _typed_vector(context: Any, array: Any, at: Any, size: Any) -> Any:
    return _view(array, types.intp)


def _typed_matrix(context: Any, array: Any, at: Any, rows: Any, columns: Any) -> Any:
    return _view(array, types.intp, types.intp)


if config.DISABLE_JIT:  # type: ignore[attr-defined]
    vector: Any = _vector
    matrix: Any = _matrix
else:
    vector = intrinsic(_typed_vector)
    matrix = intrinsic(_typed_matrix)
