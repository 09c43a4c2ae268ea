"""Tables of text that fit into a terminal: which column gives way first, and where words are cut."""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections.abc import Iterator, Sequence
from typing import NamedTuple

_GAP = "  "


class Column(NamedTuple):
    """A column of a table."""

    title: str
    least: int  # characters that it keeps at least, if it has so many
    right: bool = False  # whether its cells stand at the right, as numbers do
    tail: bool = False  # whether the end of a cell says more than its beginning, as of a path


def terminal_width() -> int | None:
    """Return how wide a line may be; None where nobody cuts it: a pipe, a file."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def table(columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int | None) -> Iterator[str]:
    """Yield the lines of a table: the titles, then the rows. Empty columns are left out, the last ones cut first."""
    kept = [n for n in range(len(columns)) if any(row[n] for row in rows)]
    widths = {n: max(len(columns[n].title), *(len(row[n]) for row in rows)) for n in kept}
    if width is not None:
        fit(columns, widths, width - len(_GAP) * (len(kept) - 1))
    yield _line(columns, widths, [column.title for column in columns])
    for row in rows:
        yield _line(columns, widths, row)


def fit(columns: Sequence[Column], widths: dict[int, int], width: int) -> None:
    """Make columns narrower until they have a width together; the last ones give way first, none below its least."""
    for n in reversed(widths):
        excess = sum(widths.values()) - width
        if excess > 0:
            widths[n] = max(widths[n] - excess, min(widths[n], max(columns[n].least, len(columns[n].title))))


def _line(columns: Sequence[Column], widths: dict[int, int], row: Sequence[str]) -> str:
    cells = [
        f"{cut(row[n], width, columns[n].tail):{'>' if columns[n].right else '<'}{width}}"
        for n, width in widths.items()
    ]
    return _GAP.join(cells).rstrip()


def fill(text: str, width: int | None) -> list[str]:
    """Return the lines of a text, the later ones indented; a single one where nobody cuts it."""
    text = harmless(text)
    return [text] if width is None else textwrap.wrap(text, max(width, 20), subsequent_indent="    ")


def harmless(text: str) -> str:
    """Return a text without control characters."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def cut(text: str, width: int, tail: bool = False) -> str:
    """Return a text of at most `width` characters; what is missing is marked. Control characters are made harmless."""
    text = harmless(text)
    if len(text) <= width:
        return text
    return f"…{text[len(text) - width + 1 :]}" if tail else f"{text[: width - 1]}…"
