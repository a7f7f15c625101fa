"""Sphinx configuration: ``make docs`` builds docs/_build/html. rosdoc2 builds on the same tools."""

import sys
from pathlib import Path
from xml.etree import ElementTree

DOCS = Path(__file__).resolve().parent
sys.path.insert(0, str(DOCS))

import reference_pages  # noqa: E402

project = "unipose_ros"
author = "the unipose_ros authors"
release = version = str(ElementTree.parse(DOCS.parent / "package.xml").findtext("version"))

extensions = ["myst_parser", "sphinx.ext.mathjax"]
myst_enable_extensions = ["dollarmath", "amsmath", "colon_fence"]
myst_heading_anchors = 4
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build"]
nitpicky = True

html_theme = "furo"
html_title = f"unipose_ros {version}"


def setup(app):  # type: ignore[no-untyped-def]  # Sphinx's hook
    """Write the pages that come from the code before Sphinx reads them."""
    app.connect("builder-inited", lambda _: reference_pages.write(DOCS / "reference" / "generated"))
