"""Formulas as MathML, which browsers draw without a script and without a network."""

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.util.math import get_node_equation_number


def setup(app):
    """Register the renderer, and choose it."""
    app.add_html_math_renderer(
        "mathml", inline_renderers=(inline, None), block_renderers=(block, None)
    )
    app.config.html_math_renderer = "mathml"
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def mathml(formula, display):
    """A formula of LaTeX; latex2mathml knows ``split``, which is typeset as ``aligned`` is."""
    found = convert(formula.replace("{aligned}", "{split}"), display=display)
    # Bars and slashes of a term are no operators between two.
    for sign in ("|", "&#x0007C;", "/", "&#x0002F;"):
        found = found.replace(f'<mo stretchy="false">{sign}</mo>', _tight(sign))
        found = found.replace(f"<mo>{sign}</mo>", _tight(sign))
    return found


def _tight(sign):
    return f'<mo stretchy="false" lspace="0em" rspace="0em">{sign}</mo>'


def inline(writer, node):
    """A formula in a line of text."""
    writer.body.append(mathml(node.astext(), "inline"))
    raise nodes.SkipNode


def block(writer, node):
    """A formula on a line of its own, with its number if it has a label."""
    writer.body.append('<div class="math">')
    if node["number"]:
        number = get_node_equation_number(writer, node)
        writer.body.append(f'<span class="eqno">({number})')
        writer.add_permalink_ref(node, "Permalink to this equation")
        writer.body.append("</span>")
    writer.body.append(mathml(node.astext(), "block"))
    writer.body.append("</div>\n")
    raise nodes.SkipNode
