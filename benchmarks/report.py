"""The tables: on the terminal row by row, and in docs/performance.md.

The page above the marker is written by hand and kept; everything below it is made anew from
every JSON file in docs/performance/, with the pictures beside them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from . import pictures, results
from .bars import shortfalls
from .catalogue import SECTIONS, all_rows
from .clients import REPOSITORY
from .peers import BY_NAME, PEERS
from .recording import budget
from .rounds import Result

PAGE = REPOSITORY / "docs" / "performance.md"
MARKER = "<!-- Everything below is written by `python -m benchmarks`. -->"
CEDE = [peer.name for peer in PEERS if peer.kind == "cede"]
HEADINGS = {"package-pure": "package, interpreted", "loop-pure": "loop, interpreted"}


def number(value: float | None, unit: str) -> str:
    """Write a measured value in the unit of its row: three digits that count."""
    if value is None:
        return "-"
    if unit == "us":
        value /= 1000
    return f"{value:.0f}" if value >= 100 or unit != "us" else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def times_better(result: Result, peer: str, metric: str) -> float | None:
    """Return how many times less than the best peer's this peer's value is."""
    best = result.best_peer(metric)
    return result.ratio(best[0], peer, metric) if best else None


def label(result: Result, metric: str) -> str:
    """Return what the row is called in a table, with its unit."""
    if metric == "bytes":
        return f"{result.title} (B)"
    unit = {"us": "µs", "ns": "ns", "bytes": "B"}[result.unit]
    return f"{result.title}{', ' + metric if metric else ''} ({unit})"


def _table(head: Sequence[str], lines: Iterable[Sequence[str]]) -> list[str]:
    rule = ["---", *("---:" for _ in head[1:])]
    return ["| " + " | ".join(cells) + " |" for cells in (head, rule, *lines)] + [""]


def _cede_cell(result: Result, peer: str, metric: str) -> str:
    times = times_better(result, peer, metric)
    if times is None:
        return number(result.value(peer, metric), result.unit)
    return f"{number(result.value(peer, metric), result.unit)} ({times:.2f})"


def _limit_cell(result: Result, metric: str) -> str:
    values = [result.value(peer.name, metric) for peer in PEERS if peer.kind == "limit"]
    return " / ".join(number(value, result.unit) for value in values if value is not None)


def beside_the_best(found: Sequence[Result]) -> list[str]:
    """Return the table of cede's columns beside the best peer's."""
    lines = []
    for result in found:
        for metric in result.metrics:
            best = result.best_peer(metric)
            name, value = best if best else ("", None)
            stdlib = number(result.value("asyncio", metric), result.unit)
            cede = [_cede_cell(result, peer, metric) for peer in CEDE]
            head = [label(result, metric), _limit_cell(result, metric), stdlib]
            lines.append([*head, f"{name} {number(value, result.unit)}", *cede])
    return _table(["row", "limit", "asyncio", "best peer", *(HEADINGS.get(name, name) for name in CEDE)], lines)


def every_peer(found: Sequence[Result]) -> list[str]:
    """Return the table of all peers' values."""
    measured = {peer for result in found for peer in (*result.samples, *result.failures)}
    names = [peer.name for peer in PEERS if peer.kind == "peer" and peer.name in measured]
    lines = [
        [label(result, metric), *(_peer_cell(result, name, metric) for name in names)]
        for result in found
        for metric in result.metrics
    ]
    return _table(["row", *names], lines)


def _peer_cell(result: Result, peer: str, metric: str) -> str:
    if peer not in result.samples and peer not in result.failures:
        return ""
    return number(result.value(peer, metric), result.unit)


def dashes(found: Iterable[Result]) -> list[str]:
    """Return a line for each reason behind a dash, with the rows it stands for."""
    rows: dict[tuple[str, str], list[str]] = {}
    for result in found:
        for peer, reason in result.failures.items():
            rows.setdefault((peer, reason), []).append(result.name)
    order = [peer.name for peer in PEERS]
    return [
        f"- {peer}: {', '.join(names)}: `{reason}`"
        for (peer, reason), names in sorted(rows.items(), key=lambda item: order.index(item[0][0]))
    ]


def _measured(found: Iterable[Result]) -> str:
    """Return the line that says when and what: rows may have been measured anew one by one."""
    times = {(result.date, result.commit, result.rounds, result.scale) for result in found}
    return "- measured: " + "; ".join(
        f"{date}, cede {commit or 'of an unknown commit'}, {rounds} round{'s' * (rounds > 1)}"
        + (f" at {scale:.0%} of the work" if scale != 1 else "")
        for date, commit, rounds, scale in sorted(times)
    )


def _version_part(file: Path) -> list[str]:
    environment, measured = results.read(file)
    rows = {row.name: measured[row.name] for row in all_rows() if row.name in measured}
    python = file.stem.removeprefix("python-")
    lines = [f"## Python {python}", ""]
    lines += [f"- {name}: {value}" for name, value in environment.items() if value]
    lines += [_measured(rows.values()), "", *pictures.draw(file)]
    for section in SECTIONS:
        found = [result for result in rows.values() if result.section == section]
        if found:
            lines += [f"### {section}", "", *beside_the_best(found), *every_peer(found)]
    lines += _recording_part(results.recording(file), rows, python)
    short = [f"- {line}" for result in rows.values() for line in shortfalls(result, python)]
    for heading, notes in (("Dashes", dashes(rows.values())), ("Short of the bar", short)):
        if notes:
            lines += [f"### {heading}", "", *notes, ""]
    return lines


def _recording_part(counted: dict[str, tuple[float, float]], rows: dict[str, Result], python: str) -> list[str]:
    if not counted:
        return []
    lines = []
    for name, (off, on) in counted.items():
        most = budget(name, tuple(map(int, python.split("."))))
        allowed = "" if most is None else f"{most:.0%}"
        title = rows[name].title if name in rows else name
        lines.append([title, f"{off:.0f}", f"{on:.0f}", f"{on / off - 1:+.1%}", allowed])
    words = "What it takes that a program is recorded, in instructions an operation, counted by `--budget`:"
    return ["### Recording", "", words, "", *_table(["row", "off", "recording", "more", "budget"], lines)]


def write_page() -> None:
    """Make the page's tables anew."""
    above = PAGE.read_text().partition(MARKER)[0]
    parts = [line for file in sorted(results.DIRECTORY.glob("python-*.json")) for line in _version_part(file)]
    PAGE.write_text(above + MARKER + "\n\n" + "\n".join(parts))


def on_terminal(result: Result) -> str:
    """Return the lines that say a row's result to a person at a terminal."""
    lines = []
    for metric in result.metrics:
        lines.append(f"{result.name} {metric}".strip() + f"  ·  {label(result, metric)}")
        for peer in [*result.samples, *result.failures]:
            times = times_better(result, peer, metric)
            note = result.failures.get(peer) or (f"{times:6.2f} x the best peer" if times else "")
            name = HEADINGS.get(peer, peer) if BY_NAME[peer].kind != "cede" else f"cede {HEADINGS.get(peer, peer)}"
            lines.append(f"    {name:28}{number(result.value(peer, metric), result.unit):>9}  {note}")
    return "\n".join(lines)
