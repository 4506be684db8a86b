"""The documentation site: ``sphinx-build docs site`` in an environment with the extra ``docs``."""

import sys
from importlib.metadata import metadata
from pathlib import Path

import simulator

sys.path.insert(0, str(Path(__file__).parent / "building"))

project = "warmup"
author = "the authors of warmup"
release = version = simulator.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "numpydoc",
    "sphinx_copybutton",
    "docstrings",  # links and formulas in them
    "made",  # pages and pictures that the code makes
    "mathml",  # formulas that a browser draws by itself, offline
]
exclude_patterns = ["made/store.md", "made/words.md", "made/commands.md"]
nitpicky = True  # a link to a name that is not there is an error
nitpick_ignore_regex = [("py:class", ".*")]  # but for the types of signatures

smartquotes = False

myst_enable_extensions = ["dollarmath", "amsmath", "deflist"]
myst_heading_anchors = 3
myst_dmath_double_inline = True

autodoc_typehints = "signature"
maximum_signature_line_length = 80
autodoc_member_order = "bysource"
numpydoc_show_class_members = False
numpydoc_xref_param_type = False

html_theme = "furo"
html_title = f"{project} {version}"
# The addresses of the project, where its metadata has any.
links = [line.split(", ", 1) for line in metadata("warmup-simulator").get_all("Project-URL") or ()]
html_theme_options = {
    "navigation_with_keys": True,
    "footer_icons": [{"name": name, "url": url, "html": name, "class": ""} for name, url in links],
}
html_static_path = ["building/site.css"]
html_css_files = ["site.css"]
html_show_copyright = False
html_copy_source = html_show_sourcelink = False

# Of a terminal, what is typed: neither prompts nor what is printed.
copybutton_prompt_text = r"\$ |> "
copybutton_prompt_is_regexp = True
