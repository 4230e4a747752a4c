"""Sphinx: MyST pages and numpydoc docstrings. No intersphinx: it would need a network."""

import re
import warnings

from sklearn.exceptions import ConvergenceWarning

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
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["_build", "examples", "generated_examples/**/*.ipynb"]
templates_path = ["_templates"]
html_static_path = ["_static"]
html_css_files = ["pages.css"]

# MathJax 3, one file that draws by SVG and so asks for no fonts: a page makes no request.
mathjax_path = "mathjax/tex-svg.js"

myst_enable_extensions = ["amsmath", "dollarmath"]
myst_heading_anchors = 4

autodoc_member_order = "bysource"
autodoc_typehints = "none"
autosummary_generate = True
numpydoc_show_class_members = False

html_theme = "furo"
html_title = f"skvae {release}"

# Examples train for a few passes only; their index says that the warning of this is left out.
warnings.filterwarnings("ignore", category=ConvergenceWarning)

sphinx_gallery_conf = {
    "examples_dirs": "examples",
    "gallery_dirs": "generated_examples",
    "filename_pattern": r"/\w+\.py$",  # all of them run
    "within_subsection_order": "FileNameSortKey",
    "remove_config_comments": True,
    "show_memory": False,
    "show_signature": False,
    "plot_gallery": True,
    "abort_on_example_error": True,
    "image_scrapers": ("matplotlib",),
    "reset_modules": ("matplotlib",),
    "write_computation_times": False,
}


def skip_requests(app, what, name, obj, skip, options):
    """Leave out the setters of metadata routing, whose text refers to scikit-learn's pages."""
    return True if re.fullmatch(r"set_\w+_request", name) else None


def escape_shapes(app, what, name, obj, options, lines):
    """Escape names such as n_features_in_ in a shape, which would be read as links."""
    lines[:] = [re.sub(r"(?<=\w)_(?=[,)])", r"\\_", line) for line in lines]


def setup(app):
    app.connect("autodoc-skip-member", skip_requests)
    app.connect("autodoc-process-docstring", escape_shapes, priority=100)  # before numpydoc
