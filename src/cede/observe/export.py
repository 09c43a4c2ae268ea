"""A recording as a file that others open: Chrome's JSON, or one HTML page."""

from __future__ import annotations

from .schema import Recording


def write(recording: Recording, path: str) -> None:
    """Write it, as a page if the name ends in `.html`, else as JSON."""
    if path.endswith(".html"):
        from .page import as_html

        text = as_html(recording)
    else:
        from .chrome import as_json

        text = as_json(recording)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
