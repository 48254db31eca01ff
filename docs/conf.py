"""The site: every Markdown page of the repository, built by Sphinx (make site). A dead link
fails.
"""

from importlib import metadata

project = "graphreid"
author = "the graphreid authors"
release = metadata.version("graphreid")
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
# the source folder is the repository, so that links are the same in a checkout and on the site
root_doc = "docs/index"
include_patterns = ["*.md", "docs/**.md", "results/**.md"]
html_theme = "furo"
html_title = f"graphreid {release}"
myst_heading_anchors = 4
myst_enable_extensions = ["colon_fence"]
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True
# a results page is reached from the table that it belongs to
suppress_warnings = ["toc.not_included"]
