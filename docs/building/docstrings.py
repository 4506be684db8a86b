"""Docstrings are plain text with formulas; here they become what Sphinx can typeset and link."""

import re
import sys
import typing
from types import SimpleNamespace

from sphinx.util import inspect as signatures
from sphinx.util import typing as attributes

import simulator

# Where a short name in a docstring is looked for, after the module that it stands in.
_HOMES = ("simulator", "simulator.theory", "simulator.testing")


def setup(app):
    """Rewrite before numpydoc reads (its priority is 500)."""
    app.connect("autodoc-process-docstring", rewrite, priority=100)
    app.connect("autodoc-process-signature", without_private_types)
    for module in (signatures, attributes):
        module.typing = SimpleNamespace(**{**vars(typing), "get_type_hints": _as_written})
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def without_private_types(app, what, name, obj, options, signature, returned):
    """Leave out types that a reader cannot look up."""
    return (re.sub(r": _\w+ = ", "=", signature), returned) if signature else None


def _as_written(*arguments, **options):
    """Sphinx then shows ``ArrayLike``, not the ten types that it stands for."""
    raise NameError


def rewrite(app, what, name, obj, options, lines):
    """`name` becomes a link if the reference has it; |x| and * stay what they are."""
    module = getattr(obj, "__module__", None) or name
    code = False
    for at, line in enumerate(lines):
        code = line.startswith("    ") if code or lines[max(at - 2, 0)].endswith("::") else False
        if not code:
            parts = re.split(r"(``.*?``|`[\w.]+`)", line)
            lines[at] = "".join(_part(part, module) for part in parts)


def _part(text, module):
    if text.startswith("``"):
        return text
    if text.startswith("`"):
        found = _full_name(text.strip("`"), module)
        return f":py:obj:`{text.strip('`')} <{found}>`" if found else f"`{text}`"
    return re.sub(r"([|*\\]|_\b)", r"\\\1", text)


def _full_name(short, module):
    """The name under which the reference has it; None where it has none."""
    for home in (module, *_HOMES):
        found = sys.modules.get(home)
        for part in short.split("."):
            found = getattr(found, part, None)
        home = getattr(found, "__module__", None) or ""
        if home.startswith(("simulator.theory", "simulator.testing")):
            return f"{home}.{found.__qualname__}"
        if home.startswith("simulator") and hasattr(simulator, short.split(".")[0]):
            return f"simulator.{short}"
    return None
