"""What models, optimizers and schedules have in common: a name, and options."""

from __future__ import annotations

from abc import ABC
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Self

__all__ = ["Named"]


@dataclass(frozen=True)
class Named(ABC):
    """A frozen dataclass whose fields are its options."""

    name: ClassVar[str]

    def options(self) -> dict[str, Any]:
        """The arguments that make this object again."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def with_options(self, **changes: Any) -> Self:
        """The same object with other values of some of its options."""
        return type(self)(**{**self.options(), **changes})
