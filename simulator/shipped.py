"""Whether an object uses this package's own code for its class.

Batched kernels and closed forms are written for the classes of this package. They may not hold for
a user's subclass or for an object with a replaced method. Every shortcut that depends on a class
asks `is_shipped`; other objects take the general path, which calls each method.
"""

from __future__ import annotations

import sys
from dataclasses import fields, is_dataclass

from simulator.checks import InputError

__all__ = ["is_shipped", "refuse_overrides"]


def is_shipped(thing: object, kind: type = object) -> bool:
    """Whether ``thing`` is a ``kind`` whose class and methods are this package's own."""
    cls = type(thing)
    # A class may set the name of another module, but that module does not define it.
    module = sys.modules.get(cls.__module__)
    ours = cls.__module__.partition(".")[0] == __package__
    if not (isinstance(thing, kind) and ours and getattr(module, cls.__name__, None) is cls):
        return False
    options = {field.name for field in fields(thing)} if is_dataclass(thing) else set()
    return not any(hasattr(cls, name) for name in vars(thing).keys() - options)


def refuse_overrides(cls: type, contract: type, **source: str) -> None:
    """Raise InputError if a subclass of ``contract`` overrides a method that nothing calls.

    ``source`` maps each such method to the method to override instead. An option may have the
    method's name.
    """
    for name, decisive in source.items():
        attribute = getattr(cls, name)
        if callable(attribute) and attribute is not getattr(contract, name):
            raise InputError(
                f"{cls.__name__}.{name}", "overridden", f"it follows from {decisive}; override that"
            )
