"""The documentation as a site (`make site`). Which pages there are, and in which order, `docs/index.md` says.

Pages are built where they lie, so that a link works alike in a checkout and on the site. A built page asks nobody for anything:
no fonts, scripts or pictures from elsewhere.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

INDEX = "docs/index"
SECTION = re.compile(r"^## (.+?)$(.*?)(?=^## |\Z)", re.DOTALL | re.MULTILINE)
ENTRY = re.compile(r"^- \[([^\]]+)\]\(([^)#]+)\.md\)", re.MULTILINE)
TREE = "```{{toctree}}\n:hidden:\n:caption: {}\n\n{}\n```\n"
FRONT = '<!doctype html><html lang="en"><meta charset="utf-8"><meta http-equiv="refresh" content="0; url=docs/index.html"><title>Loci</title><a href="docs/index.html">Loci</a>'

project = "Loci"
extensions = ["myst_parser"]
root_doc = INDEX
include_patterns = ["*.md", "docs/**.md", "design/**.md", "bench/**.md"]
exclude_patterns = [".*", "build", "clients", "shared", "site", "src", "tests"]
suppress_warnings = [
    "toc.not_included"
]  # reports are reached from the page of results; tests/docs/test_site.py wants all others in the index
myst_heading_anchors = 4
nitpicky = True
highlight_language = "sh"
html_theme = "furo"
html_title = "Loci"
html_use_index = False
html_copy_source = False
html_show_sourcelink = False
html_show_copyright = False
html_show_sphinx = False


def contents(words: str) -> str:
    """The lists of the index as tables of contents: a section of it is a part of the site."""
    parts = [(title, ENTRY.findall(listed)) for title, listed in SECTION.findall(words)]
    return "\n".join(TREE.format(title, "\n".join(f"{name} <{page}>" for name, page in pages)) for title, pages in parts if pages)


def _with_contents(app: Any, page: str, source: list[str]) -> None:
    if page == INDEX:
        source[0] += "\n" + contents(source[0])


def _with_front_door(app: Any, error: Exception | None) -> None:
    if error is None and app.builder.format == "html":
        (Path(app.outdir) / "index.html").write_text(FRONT, "utf-8")


def setup(app: Any) -> None:
    app.connect("source-read", _with_contents)
    app.connect("build-finished", _with_front_door)
