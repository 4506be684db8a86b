"""The documentation site: ``sphinx-build docs site`` in an environment with the extra ``docs``."""

import sys
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
    "docstrings",  # links and formulas in them
    "made",  # pages and pictures that the code makes
    "mathml",  # formulas that a browser draws by itself, offline
]
exclude_patterns = ["made/store.md", "made/words.md", "made/commands.md"]
nitpicky = True  # a link to a name that is not there is an error

smartquotes = False

myst_enable_extensions = ["dollarmath", "amsmath", "deflist"]
myst_heading_anchors = 3
myst_dmath_double_inline = True

autodoc_typehints = "none"  # numpydoc's sections say them
autodoc_member_order = "bysource"
numpydoc_show_class_members = False
numpydoc_xref_param_type = False

html_theme = "furo"
html_title = "warmup"
html_theme_options = {"navigation_with_keys": True}
html_static_path = ["building"]
html_css_files = ["site.css"]
html_copy_source = html_show_sourcelink = False
