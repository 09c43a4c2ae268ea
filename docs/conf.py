"""How Sphinx makes the site of docs/: Markdown pages, the furo theme, every warning an error (`make docs`)."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

project = "cede"
author = "The cede authors"
project_copyright = "The cede authors"
release = version = re.search(r'"(.+)"', (ROOT / "src/cede/_version.py").read_text().partition("__version__")[2])[1]

extensions = ["myst_parser"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
exclude_patterns = ["_build"]
highlight_language = "python"

html_theme = "furo"
html_title = f"cede {release}"
html_copy_source = False
html_show_sphinx = False
