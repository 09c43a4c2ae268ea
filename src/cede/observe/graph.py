"""The graph of who waits for whom, as Graphviz's dot, as Mermaid, and as a page with a drawing. Circles are red."""

from __future__ import annotations

import html
from collections.abc import Iterator

from .waits import Edge, edges, find
from .words import Answer, Names, place


class Graph:
    """Boxes and arrows: the tasks that wait for another or are waited for, and what others wait for."""

    def __init__(self, answer: Answer) -> None:
        names = Names(answer)
        self.edges = list(edges(answer))
        self.red = {
            (task["id"], circle.tasks[(n + 1) % len(circle.tasks)]["id"])
            for circle in find(answer)
            for n, task in enumerate(circle.tasks)
        }
        self._red_boxes = {number for pair in self.red for number in pair}
        self.boxes: dict[int, list[str]] = {}  # by id: the lines in a box
        shown = {edge.waiter for edge in self.edges}  # what these wait for is an arrow
        for task in answer["tasks"]:
            others = "" if task["id"] in shown else names.wait(task)
            self.boxes[task["id"]] = [line for line in (task["name"], place(task["stack"]), others) if line]
        self.title = f"process {answer['pid']}: who waits for whom"

    def is_red(self, edge: Edge) -> bool:
        """Tell whether an edge is one of a circle."""
        return (edge.waiter, edge.owing) in self.red

    def is_red_box(self, number: int) -> bool:
        """Tell whether a task is one of a circle."""
        return number in self._red_boxes


def as_dot(answer: Answer) -> str:
    """Return the graph in Graphviz's language."""
    graph = Graph(answer)
    lines = ["digraph {", f"  label={_quoted(graph.title)}", "  node [shape=box]"]
    for number, words in graph.boxes.items():
        red = ", color=red" if graph.is_red_box(number) else ""
        lines.append(f"  t{number} [label={_quoted(*words)}{red}]")
    for edge in graph.edges:
        red = ", color=red" if graph.is_red(edge) else ""
        lines.append(f"  t{edge.waiter} -> t{edge.owing} [label={_quoted(edge.label)}{red}]")
    return "\n".join([*lines, "}", ""])


def _quoted(*lines: str) -> str:
    text = "\\n".join(line.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ") for line in lines)
    return f'"{text}"'


def as_mermaid(answer: Answer) -> str:
    """Return the graph in Mermaid's language."""
    graph = Graph(answer)
    lines = ["flowchart LR"]
    for number, words in graph.boxes.items():
        lines.append(f'  t{number}["{"<br>".join(_escaped(line) for line in words)}"]')
    for edge in graph.edges:
        label = f'|"{_escaped(edge.label)}"|' if edge.label else ""
        lines.append(f"  t{edge.waiter} -->{label} t{edge.owing}")
    red = [n for n, edge in enumerate(graph.edges) if graph.is_red(edge)]
    if red:
        lines.append(f"  linkStyle {','.join(map(str, red))} stroke:red")
    return "\n".join([*lines, ""])


def _escaped(text: str) -> str:
    for letter, code in (("#", "#35;"), ('"', "#quot;"), ("<", "#lt;"), (">", "#gt;"), ("\n", " ")):
        text = text.replace(letter, code)
    return text


# --- The page -----------------------------------------------------------------------------------

_BOX, _ROW, _GAP, _LINE = 230, 74, 130, 17  # pixels: a box's width, a row's height, between columns, of text

_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark; --ink: #1b1f24; --paper: #fff; --box: #eef1f5; --red: #c0182b }}
@media (prefers-color-scheme: dark) {{ :root {{ --ink: #e6e9ee; --paper: #15181d; --box: #262b33; --red: #ff6b78 }} }}
body {{ margin: 1rem; background: var(--paper); color: var(--ink); font: 13px system-ui, sans-serif }}
h1 {{ font-size: 1.1rem }}
svg text {{ fill: var(--ink); font: 12px system-ui, sans-serif }} svg text:first-of-type {{ font-weight: 600 }}
rect {{ fill: var(--box); stroke: var(--ink); stroke-width: .6 }}
path {{ fill: none; stroke: var(--ink) }} marker path {{ fill: var(--ink); stroke: none }}
.red rect, path.red {{ stroke: var(--red); stroke-width: 2 }} text.red {{ fill: var(--red) }}
</style>
<h1>{title}</h1>
<main>{drawing}</main>
<p>An arrow leads from a task to the one that it waits for. {legend}</p>
"""


def as_page(answer: Answer) -> str:
    """Return the graph as one HTML file that needs nothing else."""
    graph = Graph(answer)
    legend = "Red: these wait for each other, and can never go on." if graph.red else ""
    drawing = "\n".join(_drawing(graph)) if graph.boxes else "<p>There are no tasks.</p>"
    return _PAGE.format(title=html.escape(graph.title), drawing=drawing, legend=legend)


def _drawing(graph: Graph) -> Iterator[str]:
    at = _places(graph)
    width = (max(x for x, _ in at.values()) + 1) * (_BOX + _GAP)
    height = (max(y for _, y in at.values()) + 1) * _ROW
    yield f'<svg role="img" aria-label="{html.escape(graph.title)}" width="{width}" height="{height}">'
    yield '<marker id="tip" markerWidth="8" markerHeight="8" refX="7" refY="4" orient="auto">'
    yield '<path d="M0 0L8 4L0 8z"/></marker>'
    for edge in graph.edges:
        if edge.waiter in at and edge.owing in at:
            yield _arrow(edge, at[edge.waiter], at[edge.owing], graph.is_red(edge))
    for number, words in graph.boxes.items():
        x, y = at[number][0] * (_BOX + _GAP) + 1, at[number][1] * _ROW + 1
        text = "".join(
            f'<text x="8" y="{_LINE * (n + 1)}">{html.escape(line[:36])}</text>' for n, line in enumerate(words)
        )
        kind = ' class="red"' if graph.is_red_box(number) else ""
        yield f'<g{kind} transform="translate({x} {y})"><title>{html.escape("; ".join(words))}</title>'
        yield f'<rect width="{_BOX}" height="{_ROW - 16}" rx="4"/>{text}</g>'
    yield "</svg>"


def _arrow(edge: Edge, begin: tuple[int, int], end: tuple[int, int], red: bool) -> str:
    forward = end[0] > begin[0]
    x1 = begin[0] * (_BOX + _GAP) + (_BOX if forward or end[0] == begin[0] else 0)
    x2 = end[0] * (_BOX + _GAP) + (0 if forward else _BOX)
    y1, y2 = begin[1] * _ROW + _ROW // 2 - 12, end[1] * _ROW + _ROW // 2 - (12 if forward else 2)
    bend = _GAP // 2 if forward or end[0] == begin[0] else -_GAP // 2
    bend2 = -_GAP // 2 if forward else _GAP // 2
    kind = ' class="red"' if red else ""
    label = f'<text{kind} x="{(x1 + x2) // 2 - 30}" y="{(y1 + y2) // 2 - 5}">{html.escape(edge.label)}</text>'
    curve = f"M{x1} {y1}C{x1 + bend} {y1} {x2 + bend2} {y2} {x2} {y2}"
    return f'<path{kind} marker-end="url(#tip)" d="{curve}"/>' + (label if edge.label else "")


def _places(graph: Graph) -> dict[int, tuple[int, int]]:
    """Return column and row of each box: who waits for nobody stands furthest to the right."""
    owing: dict[int, list[int]] = {}
    waited = set()
    for edge in graph.edges:
        owing.setdefault(edge.waiter, []).append(edge.owing)
        waited.add(edge.owing)
    column: dict[int, int] = {}
    for root in [*(number for number in graph.boxes if number not in waited), *graph.boxes]:
        waiting = [] if root in column else [root]
        column.setdefault(root, 0)
        while waiting:
            number = waiting.pop()
            for other in owing.get(number, ()):
                if other in graph.boxes and other not in column:
                    column[other] = column[number] + 1
                    waiting.append(other)
    rows: dict[int, int] = {}
    places = {}
    for number in graph.boxes:
        x = column[number]
        places[number] = x, rows.get(x, 0)
        rows[x] = rows.get(x, 0) + 1
    return places
