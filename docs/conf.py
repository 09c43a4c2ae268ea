"""How Sphinx makes the site of docs/: Markdown pages, the furo theme, every warning an error (`make docs`)."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent

project = "cede"
author = "The cede authors"
project_copyright = "The cede authors"
release = version = re.search(r'"(.+)"', (ROOT / "src/cede/_version.py").read_text().partition("__version__")[2])[1]

# The API is read from the sources: nothing is built, nothing compiled imported.
os.environ["CEDE_PURE"] = "1"
sys.path.insert(0, str(ROOT / "src"))

extensions = ["myst_parser", "sphinx.ext.autodoc"]
autodoc_member_order = "bysource"
autodoc_typehints = "none"
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
exclude_patterns = ["_build"]
highlight_language = "python"

html_theme = "furo"
html_title = f"cede {release}"
html_copy_source = False
html_show_sphinx = False


def as_restructured_text(app: Any, what: str, name: str, object: Any, options: Any, lines: list[str]) -> None:
    """Turn a docstring, which is plain text with `code` in it, into what Sphinx reads as the same."""
    text = "\n".join(lines)
    pieces = re.split(r"(?<!`)(`[^`]+`)(?!`)", text.replace("\\", "\\\\"))
    lines[:] = "".join(
        f"`{piece}`" if piece.startswith("`") else piece.replace("*", "\\*").replace("|", "\\|") for piece in pieces
    ).split("\n")


def setup(app: Any) -> None:
    app.connect("autodoc-process-docstring", as_restructured_text)
