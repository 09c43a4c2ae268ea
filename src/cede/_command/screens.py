"""The screens of `cede top` beside its tables: one task, the processes to choose from, and the keys. Textual's."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import VerticalScroll
from textual.coordinate import Coordinate
from textual.screen import ModalScreen, Screen
from textual.widgets import DataTable, Footer, Static

from ..observe.history import GROUND, TaskHistory
from ..observe.layout import harmless
from ..observe.lints import MARKS, span
from ..observe.schema import DESCRIPTOR, Event
from ..observe.words import short
from .columns import Table, clock, processes_of
from .looking import Task, View, label_of, who_waits_for
from .processes import can_be_looked_at

_STEPS = 20  # of a task, that are listed
_BAR = 30  # characters of the longest bar


def fill(table: DataTable[Text], made: Table) -> None:
    """Put a table on the screen; the cursor stays on its row, wherever that is now, and what is seen stays in place."""
    old = [str(key.value) for key in table.rows]
    keys = [key for key, _ in made.rows]
    titles = [str(column.label) for column in table.ordered_columns]
    widths = [column.width for column in table.ordered_columns]
    if titles == made.titles and widths == made.widths and old == keys:
        for row, (_, cells) in enumerate(made.rows):
            for column, cell in enumerate(cells):
                place = Coordinate(row, column)
                if table.get_cell_at(place).plain != cell:
                    table.update_cell_at(place, _styled(cell, made.titles[column]))
        return
    current = old[table.cursor_row] if table.cursor_row < len(old) else ""
    seen = table.scroll_y
    table.clear(columns=True)
    for title, width in zip(made.titles, made.widths, strict=True):
        table.add_column(Text(title), width=width)
    for key, cells in made.rows:
        table.add_row(*(_styled(cell, title) for cell, title in zip(cells, made.titles, strict=True)), key=key)
    if current in keys:
        table.move_cursor(row=keys.index(current), scroll=False)
        table.scroll_to(y=seen, animate=False, immediate=True)


def _styled(cell: str, title: str) -> Text:
    wrong = title == "!" and cell.strip() in MARKS
    return Text(cell, "bold red" if wrong else "bold" if cell.strip() in ("running", "▶") else "", no_wrap=True)


# --- One task -----------------------------------------------------------------------------------


class TaskScreen(Screen[None]):
    """All that is known of one task."""

    BINDINGS = [
        Binding("escape,q,enter,backspace", "app.pop_screen", "back"),
        Binding("p", "app.pause", "pause"),
        Binding("question_mark", "app.help", "keys"),
    ]

    def __init__(self, task: Task, view: View) -> None:
        super().__init__()
        self._subject = task
        self._view = view

    def compose(self) -> ComposeResult:
        """Make its parts."""
        with VerticalScroll(id="one"):
            yield Static(id="task")
        yield Footer()

    def on_mount(self) -> None:
        """Fill it."""
        self.show(self._view)
        self.query_one("#one").focus()

    def show(self, view: View) -> None:
        """Show what was seen of the task now; nothing happens before the screen stands, and when it is about to go."""
        if not self.query("#task"):
            return
        now = [task for task in view.answer["tasks"] if task["id"] == self._subject["id"]]
        ended = not now or now[0]["number"] != self._subject["number"]
        if not ended:
            self._subject, self._view = now[0], view
        text = Text("\n").join(_lines_of(self._subject, self._view, ended))
        self.query_one("#task", Static).update(text)


def _lines_of(task: Task, view: View, ended: bool) -> Iterator[Text]:
    yield Text(harmless(label_of(task)) + (" — it has ended; this is how it was seen last" if ended else ""), "bold")
    made = next((other["name"] for other in view.answer["tasks"] if other["number"] == task["parent"]), "")
    by = f"made by {made!r}" if made else f"made by task {task['parent']}" if task["parent"] else "made by no task"
    count = task["steps"]
    rate = view.rates.get(task["id"], 0.0)
    steps = "" if count is None else f"{count:,} step{'s' if count != 1 else ''}, {rate:,.1f} a second; "
    yield Text(harmless(f"{steps}{by}" + ("; a timeout will end its wait" if task["limited"] else "")))
    for finding in view.findings:
        if finding.task == task["id"]:
            yield Text("")
            yield Text(harmless(f"{finding.mark} {finding.text}"), "bold red")
            yield Text(f"  {finding.cure}")
    parts = (
        ("where it is, innermost first", _stack(task)),
        ("what it waits for, and that for", who_waits_for(view, task) if task["state"] == "waiting" else ()),
        ("who awaits it", (label_of(other) for other in view.answer["tasks"] if other["id"] in task["awaited_by"])),
        ("what it holds", _held(task, view)),
        ("how it was cancelled, and whom it cancelled", _cancels(task, view)),
        ("its recorded steps", _recorded(view.history.get(task["number"]))),
        ("its latest steps, the newest first", _steps(view.history.get(task["number"]), view)),
    )
    for title, lines in parts:
        shown = [harmless(line) for line in lines]
        if shown:
            yield Text("")
            yield Text(title.upper(), "bold")
            yield from (Text(f"  {line}") for line in shown)
    if not view.recorded:
        yield Text("")
        yield Text("Nothing is recorded: with CEDE_RECORD=16MiB its steps would stand here.", "italic")
    elif task["number"] not in view.history:
        yield Text("")
        yield Text("It took no step in what was recorded lately.", "italic")


def _stack(task: Task) -> Iterator[str]:
    width = max((len(f"{short(file)}:{line}") for _, file, line in task["stack"]), default=0)
    for function, file, line in task["stack"]:
        yield f"{short(file)}:{line}".ljust(width) + f"  {function}  ({file})"


def _held(task: Task, view: View) -> Iterator[str]:
    for row in view.answer["resources"]:
        if task["id"] in row["holders"]:
            count = len(row["waiters"])
            yield f"{view.names.resource(row)}, for which {count} task{' waits' if count == 1 else 's wait'}"


def _cancels(task: Task, view: View) -> Iterator[str]:
    for cancel in reversed(view.cancels):
        if task["number"] in (cancel.task, cancel.by_task):
            what = f"by {cancel.by}" if cancel.task == task["number"] else f"it cancelled {cancel.name}"
            yield f"at {clock(cancel.when)}  {what}" + (f"  in {cancel.place}" if cancel.place else "")


def _recorded(history: TaskHistory | None) -> Iterator[str]:
    if history is None:
        return
    yield f"{history.steps:,} steps, busy for {span(history.busy)}, in line up to {span(history.queued(1))}"
    names = [*(f"up to {span(bound)}" for bound in GROUND), f"more than {span(GROUND[-1])}"]
    most = max(history.spread)
    for name, count in zip(names, history.spread, strict=True):
        if count:
            yield f"{name:>14}  {'█' * max(1, count * _BAR // most):<{_BAR}}  {count:,}"


def _steps(history: TaskHistory | None, view: View) -> Iterator[str]:
    if history is None:
        return
    names = {task["number"]: task["name"] for task in view.answer["tasks"]}
    for step in list(history.latest)[: -_STEPS - 1 : -1]:
        yield f"at {step.begin:11.6f} s  ran {span(step.ran):>7}  in line {span(step.queued):>7}  {_then(step, names)}"


def _then(step: Event, names: dict[Any, str]) -> str:
    then = {"scheduled": "is ready again", "waiting": "waits"}.get(step.how, step.how)
    if step.how == "waiting":
        on = names.get(step.on, f"task {step.on}") if step.on else step.text
        then += f" for {on}" if on else ""
    if step.woken_by & DESCRIPTOR:
        return f"{then}; woken by descriptor {step.woken_by & ~DESCRIPTOR}"
    return f"{then}; woken by {names.get(step.woken_by, f'task {step.woken_by}')}" if step.woken_by else then


# --- The processes ------------------------------------------------------------------------------


class ProcessScreen(Screen[int]):
    """The processes that can be looked at, to choose one."""

    BINDINGS = [
        Binding("r", "refresh_list", "look again"),
        Binding("question_mark", "app.help", "keys"),
        Binding("q,escape", "leave", "back"),
    ]

    def compose(self) -> ComposeResult:
        """Make its parts."""
        yield Static(Text("Which process? Enter chooses; r looks again", "bold"), id="head")
        yield DataTable(id="processes", cursor_type="row")
        yield Static("", id="notice")
        yield Footer()

    def on_mount(self) -> None:
        """Fill it, and again when the terminal changes."""
        self.action_refresh_list()

    def on_resize(self) -> None:
        """Fill it anew."""
        self.action_refresh_list()

    def action_refresh_list(self) -> None:
        """Look which processes there are."""
        found = can_be_looked_at()
        table: DataTable[Text] = self.query_one("#processes", DataTable)
        fill(table, processes_of(found, self.app.size.width))
        nothing = "No process on cede that you may look at: start one with `cede run --inspect`, or CEDE_INSPECT=1."
        self.query_one("#notice", Static).update(Text("" if found else nothing))
        table.focus()

    def on_data_table_row_selected(self, event: DataTable.RowSelected) -> None:
        """Choose."""
        self.dismiss(int(event.row_key.value or 0))

    def action_leave(self) -> None:
        """Go back, or end if there is nothing to go back to."""
        if getattr(self.app, "looker", None) is None:
            self.app.exit()
        else:
            self.app.pop_screen()


# --- The keys -----------------------------------------------------------------------------------

_KEYS = """\
arrows …    move; PgUp, PgDn, Home, End
Enter       what is known of the task: stack, whom it waits for, history
Esc         back; without the filter
t g r x w   tasks, groups with the same stack, resources, who was cancelled, warnings
f or /      only tasks with a text in name, state, stack or wait
s  S        sort by the next thing; the other way round
p           pause, and go on
Space       look now
l           look for tasks that can never go on (takes seconds)
d           dump what was seen to a file of JSON
o           another process
c           light or dark
?           this
q  Ctrl+Q   end"""


class HelpScreen(ModalScreen[None]):
    """The keys and the marks."""

    BINDINGS = [Binding("escape,q,question_mark,enter,space", "app.pop_screen", "back")]

    def compose(self) -> ComposeResult:
        """Make its parts."""
        marks = "\n".join(f"{mark}           {words}" for mark, words in {"▶": "runs just now", **MARKS}.items())
        with VerticalScroll(id="help"):
            yield Static(Text(f"{_KEYS}\n\n{marks}"))

    def on_mount(self) -> None:
        """Let the keys scroll it."""
        self.query_one("#help").focus()
