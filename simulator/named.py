"""The base of models, optimizers and schedules: a name and options."""

from __future__ import annotations

from abc import ABC
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, dataclass, fields
from typing import Any, ClassVar, Self

from simulator.checks import InputError, one_of

__all__ = ["Named", "instance"]


@dataclass(frozen=True)
class Named(ABC):
    """A frozen dataclass whose fields are its options. Without a name it has that of its class."""

    name: ClassVar[str]

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "name" not in vars(cls):
            cls.name = cls.__name__

    def options(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def with_options(self, **changes: Any) -> Self:
        """A copy with other values of some options."""
        return type(self)(**{**self.options(), **changes})

    def brief(self, without: Iterable[str] = ()) -> str:
        """The class and the options that differ from their defaults, ``without`` some."""
        defaults = {f.name: f.default for f in fields(self) if f.default is not MISSING}
        changed = [
            f"{name}={value!r}"
            for name, value in self.options().items()
            if name not in without
            if name not in defaults or repr(defaults[name]) != repr(value)
        ]
        return f"{type(self).__name__}({', '.join(changed)})"


def instance(option: str, value: object, kind: type[Any], ours: Mapping[str, type[Any]]) -> Any:
    """An object of a kind, from an object, a class, or the name of a built-in class.

    Raises
    ------
    InputError
        For anything else, and for a class with options that have no default.
    """
    if isinstance(value, str):
        value = ours[one_of(option, value, ours)]
    if isinstance(value, type) and issubclass(value, kind):
        try:
            return value()
        except TypeError:
            remedy = f"has options without a default; give {value.__name__}(...)"
            raise InputError(option, value.__name__, remedy) from None
    if isinstance(value, kind):
        return value
    raise InputError(
        option, value, f"is not a {kind.__name__}; give one, or its name: {', '.join(ours)}"
    )
