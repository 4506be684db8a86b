"""A digest of user-defined code in sixteen digits, enough to detect a change.

The digest of a function covers its bytecode, constants, defaults, closure variables and the globals
that it reads. Functions and classes among these are included recursively, those of installed
packages by name only. Comments, spacing, the place in the file and the rest of the file do not
matter. Bytecode depends on the version of Python, so the digest names it.
"""

from __future__ import annotations

import dis
import functools
import hashlib
import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any

__all__ = ["fingerprint"]

_SCALARS = (bool, int, float, complex, str, bytes, type(None), type(...))
_CONTAINERS = (tuple, list, set, frozenset, dict)
_VALUES = (*_CONTAINERS, CodeType)
_METHODS = (FunctionType, property, classmethod, staticmethod)


def fingerprint(thing: object) -> str:
    """A digest of the code of a user-defined object, as in ``py3.11-0123456789abcdef``."""
    digest = hashlib.sha256()
    for piece in _pieces(thing, {}):
        digest.update(f"{len(piece)}:".encode() + piece)
    return "py{}.{}-{}".format(*sys.version_info[:2], digest.hexdigest()[:16])


def _pieces(thing: Any, seen: dict[int, object]) -> Iterator[bytes]:
    """The parts of an object, in a reproducible order."""
    if isinstance(thing, _SCALARS):
        yield f"{type(thing).__name__} {thing!r}".encode()
        return
    if id(thing) in seen:
        yield f"again {list(seen).index(id(thing))}".encode()
        return
    seen[id(thing)] = thing  # kept alive, so that no other takes its id
    length = len(thing) if isinstance(thing, _CONTAINERS) else 0
    yield f"{type(thing).__name__} {length}".encode()
    yield from _parts(thing, seen)
    if isinstance(thing, _VALUES):
        # Whether two that are equal are one object differs from process to process.
        del seen[id(thing)]


def _parts(thing: Any, seen: dict[int, object]) -> Iterator[bytes]:
    if isinstance(thing, ModuleType):
        yield thing.__name__.encode()
    elif isinstance(thing, (tuple, list)):
        yield from _all(thing, seen)
    elif isinstance(thing, (set, frozenset)):
        yield from sorted(b"".join(_pieces(entry, seen)) for entry in thing)
    elif isinstance(thing, dict):
        yield from _all(thing.items(), seen)
    elif isinstance(thing, CodeType):
        yield thing.co_code
        yield from _all((thing.co_names, thing.co_varnames, thing.co_consts), seen)
    elif isinstance(thing, FunctionType):
        yield from _of_a_function(thing, seen)
    elif isinstance(thing, type):
        yield from _of_a_class(thing, seen)
    elif isinstance(thing, MethodType):
        yield from _all((thing.__func__, thing.__self__), seen)
    elif isinstance(thing, functools.partial):
        yield from _all((thing.func, thing.args, thing.keywords), seen)
    elif isinstance(thing, property):
        yield from _pieces(thing.fget, seen)
    elif _is_torch_module(thing):  # of an installed class too: its layers and tensors are in it
        yield from _all((type(thing), vars(thing)), seen)
    elif hasattr(thing, "py_func"):  # compiled by Numba
        yield repr(sorted(thing.targetoptions.items())).encode()
        yield from _pieces(thing.py_func, seen)
    elif hasattr(thing, "__wrapped__"):  # compiled by JAX, a method of a class, or cached
        yield from _pieces(thing.__wrapped__, seen)
    elif hasattr(thing, "__array__"):
        import numpy as np

        array = np.asarray(thing.detach().cpu() if hasattr(thing, "detach") else thing)
        yield f"{array.dtype} {array.shape}".encode()
        yield np.ascontiguousarray(array).tobytes()
    elif is_dataclass(thing):
        entries = [(field.name, getattr(thing, field.name)) for field in fields(thing)]
        yield from _all((type(thing), entries), seen)
    else:
        yield from _name(thing if hasattr(thing, "__qualname__") else type(thing))
        if not _is_installed(type(thing)):
            yield from _all((type(thing), vars(thing)), seen)


def _all(things: Any, seen: dict[int, object]) -> Iterator[bytes]:
    for thing in things:
        yield from _pieces(thing, seen)


def _of_a_function(function: FunctionType, seen: dict[int, object]) -> Iterator[bytes]:
    if _is_installed(function):
        yield from _name(function)
        return
    code = function.__code__
    if function.__doc__ is not None and code.co_consts[:1] == (function.__doc__,):
        code = code.replace(co_consts=(None, *code.co_consts[1:]))
    yield from _pieces(code, seen)
    yield from _all((function.__defaults__, function.__kwdefaults__), seen)
    for cell in function.__closure__ or ():
        yield from _pieces(cell.cell_contents, seen)
    for name in sorted(_globals(code)):
        if name in function.__globals__:
            yield from _all((name, function.__globals__[name]), seen)


def _globals(code: CodeType) -> set[str]:
    """The global names that a function, and functions defined in it, read."""
    names = {i.argval for i in dis.get_instructions(code) if i.opname == "LOAD_GLOBAL"}
    return names.union(*(_globals(c) for c in code.co_consts if isinstance(c, CodeType)))


def _of_a_class(kind: type, seen: dict[int, object]) -> Iterator[bytes]:
    yield from _name(kind)
    if _is_installed(kind):
        return
    yield from _all(kind.__bases__, seen)
    for name, value in sorted(vars(kind).items()):
        # Attributes that Python, dataclass and pickle add to a class are not the user's code.
        made = isinstance(value, FunctionType) and value.__code__.co_filename == "<string>"
        theirs = name.startswith("__") and (made or not isinstance(value, _METHODS))
        if not theirs and name != "_abc_impl":
            yield from _all((name, value), seen)


def _is_torch_module(thing: Any) -> bool:
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(thing, torch.nn.Module)


def _name(thing: Any) -> Iterator[bytes]:
    yield f"{getattr(thing, '__module__', None)}.{thing.__qualname__}".encode()


def _is_installed(thing: Any) -> bool:
    """Whether an object belongs to Python, to this package, or to an installed one."""
    top = (getattr(thing, "__module__", None) or "builtins").partition(".")[0]
    if top in sys.stdlib_module_names or top == __name__.partition(".")[0]:
        return top != "__main__"
    file = getattr(sys.modules.get(top), "__file__", None)
    places = {Path(sysconfig.get_path(kind)) for kind in ("purelib", "platlib")}
    return file is not None and not places.isdisjoint(Path(file).parents)
