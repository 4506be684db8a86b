"""Whether an object does what this package says of its class.

Kernels that train many runs at once, and closed forms, know the classes of this package only. They
must not speak for a subclass in a user's file, nor for an object with a replaced method. Every
shortcut that depends on a class asks `is_shipped`; what is not shipped takes the general way, where
each method is called.
"""

from __future__ import annotations

import sys
from dataclasses import fields, is_dataclass

from simulator.checks import InputError

__all__ = ["is_shipped", "refuse_overrides"]


def is_shipped(thing: object, kind: type = object) -> bool:
    """Whether ``thing`` is a ``kind`` whose class and methods are this package's own."""
    cls = type(thing)
    # A class can carry the name of another module, but not be what that module defines.
    module = sys.modules.get(cls.__module__)
    ours = cls.__module__.partition(".")[0] == __package__
    if not (isinstance(thing, kind) and ours and getattr(module, cls.__name__, None) is cls):
        return False
    options = {field.name for field in fields(thing)} if is_dataclass(thing) else set()
    return not any(hasattr(cls, name) for name in vars(thing).keys() - options)


def refuse_overrides(cls: type, contract: type, **source: str) -> None:
    """Refuse a subclass of ``contract`` that overrides a method which nothing calls.

    ``source`` gives, for each such method, the one that it follows from. An option may have the
    method's name.
    """
    for name, decisive in source.items():
        attribute = getattr(cls, name)
        if callable(attribute) and attribute is not getattr(contract, name):
            raise InputError(
                f"{cls.__name__}.{name}", "overridden", f"it follows from {decisive}; override that"
            )
