"""Sphinx: MyST pages and numpydoc docstrings. No intersphinx: it would need a network."""

import re

from skvae import __version__

project = "skvae"
author = "The skvae developers"
copyright = f"2026, {author}"
release = __version__

extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
]
exclude_patterns = ["_build"]

myst_enable_extensions = ["amsmath", "dollarmath"]
myst_heading_anchors = 4

autodoc_member_order = "bysource"
autodoc_typehints = "none"
autosummary_generate = False
numpydoc_show_class_members = False

html_theme = "furo"
html_title = f"skvae {release}"


def skip_requests(app, what, name, obj, skip, options):
    """Leave out the setters of metadata routing, whose text refers to scikit-learn's pages."""
    return True if re.fullmatch(r"set_\w+_request", name) else None


def escape_shapes(app, what, name, obj, options, lines):
    """Escape names such as n_features_in_ in a shape, which would be read as links."""
    lines[:] = [re.sub(r"(?<=\w)_(?=[,)])", r"\\_", line) for line in lines]


def setup(app):
    app.connect("autodoc-skip-member", skip_requests)
    app.connect("autodoc-process-docstring", escape_shapes, priority=100)  # before numpydoc
