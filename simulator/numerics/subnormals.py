"""Single precision without subnormal numbers.

A saturated network has slopes and probabilities of every size, many of them below 1e-38: on x86 a
multiplication with one takes as long as a hundred others. Other processors take them in their
stride, and nothing is changed there.
"""

from __future__ import annotations

import platform
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from llvmlite import ir
from numba.core import config, types
from numba.core.extending import intrinsic

from simulator.numerics.jit import kernel

__all__ = ["flushed"]

_PROCESSOR = platform.machine().lower()
# Without the JIT there is no machine code to change the register with.
_FLUSHES = _PROCESSOR in ("x86_64", "amd64", "i386", "i686") and not config.DISABLE_JIT  # type: ignore[attr-defined]
# Bits of the control register MXCSR: results that are subnormal become zero, and operands.
_FLUSH = 0x8040


def _typed_control(context: Any, on: Any) -> Any:
    """Sets both bits, or clears them, for numba's code generator."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = ir.IntType(8).as_pointer()
        access = ir.FunctionType(ir.VoidType(), [pointer])
        load, store = (
            builder.module.declare_intrinsic(f"llvm.x86.sse.{name}mxcsr", (), access)
            for name in ("ld", "st")
        )
        register = builder.alloca(ir.IntType(32))
        address = builder.bitcast(register, pointer)
        builder.call(store, [address])
        value = builder.load(register)
        with_bits = builder.or_(value, ir.Constant(value.type, _FLUSH))
        without = builder.and_(value, ir.Constant(value.type, ~_FLUSH & 0xFFFFFFFF))
        builder.store(builder.select(arguments[0], with_bits, without), register)
        builder.call(load, [address])
        return context.get_dummy_value()

    return types.void(types.boolean), generate


_control: Any = intrinsic(_typed_control)


@kernel
def _set(on: bool) -> None:
    _control(on)


@contextmanager
def flushed() -> Iterator[None]:
    """Within it, this thread's kernels take numbers below the smallest normal one for zero."""
    if not _FLUSHES:
        yield
        return
    _set(True)
    try:
        yield
    finally:
        _set(False)
