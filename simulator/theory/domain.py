"""The domain of a closed form: declared once, shown in its docstring, checked at each call.

``@domain("0 <= beta < 1", "0 < eta")`` has one condition for each argument, as Python writes it:

- ``"lower <= name <= upper"``, with ``<`` for an open end. Without an upper end a value is finite.
  A bound may use the arguments of earlier conditions; it then allows for rounding if it is closed.
- ``"lower <= abs(name)"`` is about the size of a number of either sign.
- ``"0 <= x(m, d)"`` also gives the shape of an array; ``...`` first stands for more dimensions.
- ``"kind in ('sp', 'ntp')"`` lists names, and ``"any(x)"`` admits every number, NaN too.
- ``"definite(x)"`` or another name of `PROPERTIES` adds to what another condition says of x.

Numbers become NumPy's, so that dividing by 0 gives inf, and floating-point warnings are off: a
formula must itself be right at the ends of its domain, which ``tests/theory/test_domains.py``
checks.
"""

from __future__ import annotations

import ast
import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from types import CodeType
from typing import Any, ParamSpec, TypeVar

import numpy as np

from simulator.arrays import Array
from simulator.checks import InputError, at_least, one_of

__all__ = ["PROPERTIES", "Condition", "domain"]

P = ParamSpec("P")
R = TypeVar("R")

# Relative tolerance of closed bounds that depend on other arguments.
_ROUNDING = 1e-9


def _symmetric(matrix: Array) -> bool:
    return bool(np.allclose(matrix, matrix.mT, rtol=1e-9, atol=1e-12 * np.abs(matrix).max()))


def _eigenvalue_ratio(matrix: Array) -> float:
    values = np.linalg.eigvalsh(matrix)
    return float((values[..., 0] / np.maximum(values[..., -1], np.finfo(float).tiny)).min())


# Properties of arrays, and their error messages.
PROPERTIES: dict[str, tuple[Callable[[Array], bool], str]] = {
    "symmetric": (_symmetric, "give a symmetric matrix"),
    "definite": (
        lambda matrix: _symmetric(matrix) and _eigenvalue_ratio(matrix) > 1e-12,
        "give a symmetric matrix of full rank, with eigenvalues above 0",
    ),
    "semidefinite": (
        lambda matrix: _symmetric(matrix) and _eigenvalue_ratio(matrix) > -1e-9,
        "give a symmetric matrix without negative eigenvalues",
    ),
    "nonzero_rows": (
        lambda matrix: bool((np.abs(matrix).max(axis=-1) >= 1e-40).all()),
        "give rows with an entry of at least 1e-40 in size",
    ),
}


@dataclass(frozen=True, eq=False)
class Condition:
    """One condition on one argument.

    Attributes
    ----------
    text, name : str
        The condition as written, and its argument.
    lower, upper : float, code, or None
        The bounds; code where they use other arguments.
    open_below, open_above : bool
        Whether a bound itself is excluded.
    shape : tuple of str, or None
        Expressions of the dimensions; None for arguments that broadcast.
    size : bool
        Whether it bounds the absolute value.
    choices : tuple of str
        The names that are allowed.
    property : str
        Key of ``PROPERTIES``, or "any".
    """

    text: str
    name: str
    lower: float | CodeType = -np.inf
    upper: float | CodeType | None = None
    open_below: bool = False
    open_above: bool = False
    shape: tuple[str, ...] | None = None
    size: bool = False
    choices: tuple[str, ...] = ()
    property: str = ""

    def bounds(self, scope: dict[str, Any], names: dict[str, Any]) -> tuple[Any, Any]:
        """Lower and upper end, where the arguments are as in ``scope``."""
        lower, upper = (
            eval(bound, names, scope) if isinstance(bound, CodeType) else bound
            for bound in (self.lower, np.inf if self.upper is None else self.upper)
        )
        return lower, upper

    def check(self, scope: dict[str, Any], names: dict[str, Any]) -> None:
        """Raise `InputError` unless the argument meets the condition."""
        value = scope[self.name]
        if self.choices:
            one_of(self.name, value, self.choices)
        elif self.property:
            if self.property != "any" and not PROPERTIES[self.property][0](value):
                shown = np.array2string(value, separator=", ").replace("\n", "")
                raise InputError(self.name, shown, PROPERTIES[self.property][1])
        else:
            self._check_range(value, *self.bounds(scope, names))

    def _check_range(self, value: Any, lower: Any, upper: Any) -> None:
        if isinstance(self.lower, CodeType) and not self.open_below:
            lower = lower - _ROUNDING * np.abs(lower)
        if isinstance(self.upper, CodeType) and not self.open_above:
            upper = upper + _ROUNDING * np.abs(upper)
        value = np.asarray(value, dtype=float) if isinstance(value, tuple) else value
        number = np.abs(value) if self.size else value
        inside = number > lower if self.open_below else number >= lower
        # Without an upper bound all finite numbers are allowed.
        open_above = self.open_above or self.upper is None
        inside = inside & (number < upper if open_above else number <= upper)
        if not np.all(inside):
            worst = np.broadcast_to(value, np.shape(inside))[~np.asarray(inside)].flat[0]
            raise InputError(self.name, worst, f"give {self.text}")


def domain(
    *conditions: str, gives: str = "-inf <= result <= inf"
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Declare the domain of a closed form and the range of its values."""
    parsed = tuple(_parse(text) for text in conditions)
    result = _parse(gives)

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        signature = inspect.signature(function)
        kinds = {name: str(of.annotation) for name, of in signature.parameters.items()}
        if set(kinds) != {condition.name for condition in parsed}:
            raise TypeError(f"{function.__name__} does not state the domain of each argument")
        defaults = {n: p.default for n, p in signature.parameters.items()
                    if p.default is not p.empty}  # fmt: skip
        shapes = [condition for condition in parsed if condition.shape is not None]

        @functools.wraps(function)
        def checked(*args: P.args, **kwargs: P.kwargs) -> R:
            given = defaults | dict(zip(kinds, args, strict=False)) | kwargs
            traced = False
            for name, kind in kinds.items():
                if name in given:
                    if hasattr(given[name], "aval"):  # JAX traces, and has no numbers to check
                        traced = True
                    else:
                        given[name] = _as_numbers(name, given[name], kind)
            if len(args) + len(kwargs) > len(kinds) or set(given) != set(kinds):
                return function(*args, **kwargs)  # raises Python's own error
            with np.errstate(all="ignore"):
                if not traced:
                    _check_shapes(shapes, given)
                    scope = _FUNCTIONS | given
                    for condition in parsed:
                        condition.check(scope, function.__globals__)
                return function(**given)  # type: ignore[call-arg]

        stated = ", ".join(f"``{c.text}``" for c in parsed) or "no arguments"
        checked.__doc__ = f"{inspect.getdoc(function)}\n\nDomain: {stated}."
        checked.domain, checked.gives = parsed, result  # type: ignore[attr-defined]
        return checked

    return decorate


def _as_numbers(name: str, value: Any, kind: str) -> Any:
    """The argument as NumPy numbers; names, integers and named tuples are not changed."""
    if "str" in kind:
        return value
    if kind == "int":
        return at_least(name, value, 0)
    if "Sequence[int]" in kind:
        return tuple(at_least(name, one, 0) for one in value)
    if hasattr(value, "_fields"):
        return value
    try:
        return np.asarray(value, dtype=float)[()]
    except (TypeError, ValueError):
        raise InputError(name, value, "give a number or an array of numbers") from None


def _check_shapes(conditions: list[Condition], given: dict[str, Any]) -> None:
    sizes: dict[str, int] = {}
    for condition in conditions:
        assert condition.shape is not None
        wanted = [dim for dim in condition.shape if dim != "..."]
        found = np.shape(given[condition.name])
        fits = len(found) >= len(wanted) if "..." in condition.shape else len(found) == len(wanted)
        if fits:
            for dim, size in zip(wanted, found[len(found) - len(wanted) :], strict=True):
                fits = fits and size > 0 and sizes.setdefault(dim, size) == size
        if not fits:
            _refuse_shape(condition, found)
    for condition in conditions:
        for dim in condition.shape or ():
            terms = [sizes.get(term, term) for term in dim.split(" + ")]
            known = all(isinstance(term, int) or term.isdigit() for term in terms)
            if known and dim != "..." and sum(map(int, terms)) != sizes.get(dim, int(terms[0])):
                _refuse_shape(condition, np.shape(given[condition.name]))


def _refuse_shape(condition: Condition, found: tuple[int, ...]) -> None:
    assert condition.shape is not None
    comma = "," if len(condition.shape) == 1 else ""
    remedy = f"give an array of shape ({', '.join(condition.shape)}{comma})"
    raise InputError(condition.name, f"of shape {found}", remedy)


# What a bound may call, besides the functions of its formula's module.
_FUNCTIONS = {"inf": np.inf, "sqrt": np.sqrt, "max": np.maximum}


def _parse(text: str) -> Condition:
    tree = ast.parse(text, mode="eval").body
    if isinstance(tree, ast.Call):
        return Condition(text, ast.unparse(tree.args[0]), property=ast.unparse(tree.func))
    assert isinstance(tree, ast.Compare)
    if isinstance(tree.ops[0], ast.In):
        return Condition(
            text, ast.unparse(tree.left), choices=ast.literal_eval(tree.comparators[0])
        )
    subject, *upper = tree.comparators
    size, shape = False, None
    if isinstance(subject, ast.Call):
        size = ast.unparse(subject.func) == "abs"
        if not size:
            shape = tuple("..." if isinstance(one, ast.Constant) and one.value is ... else
                          ast.unparse(one) for one in subject.args)  # fmt: skip
        subject = subject.args[0] if size else subject.func
    return Condition(
        text, ast.unparse(subject), _bound(tree.left), _bound(*upper) if upper else None,
        isinstance(tree.ops[0], ast.Lt), bool(upper) and isinstance(tree.ops[1], ast.Lt),
        shape=shape, size=size,
    )  # fmt: skip


def _bound(expression: ast.expr) -> float | CodeType:
    """The bound's value, or its code where it depends on arguments."""
    code = compile(ast.Expression(expression), "<domain>", "eval")
    return code if set(code.co_names) - {"inf"} else float(eval(code, {"inf": np.inf}))
