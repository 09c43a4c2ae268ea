"""The screen of `cede top`, on Textual: tables of tasks, groups, resources, …, filled anew at each look."""

from __future__ import annotations

import json
import os
import threading
import time
from typing import Any, ClassVar

from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import Binding
from textual.message import Message
from textual.widgets import DataTable, Footer, Input, OptionList, Static, TabbedContent, TabPane
from textual.widgets.option_list import Option

from ..observe import describe
from ..observe.layout import cut, harmless
from . import columns
from .ask import NoAnswer
from .looking import Looker, View
from .screens import HelpScreen, ProcessScreen, TaskScreen, fill

_PAGES = ("tasks", "groups", "resources", "cancels", "warnings")
_SLOW = 1.5  # seconds that an answer may take before that is said


class Console(App[int]):
    """What `cede top` shows. `pid` None: first a list of processes."""

    CSS = """
    #head { height: auto; padding: 0 1; background: $panel; }
    #notice { height: auto; padding: 0 1; color: $text-warning; text-style: bold; }
    #filter { display: none; height: 3; }
    TabbedContent { height: 1fr; }
    TabPane { padding: 0; }
    DataTable, OptionList { height: 1fr; border: none; }
    #one { padding: 0 1; }
    HelpScreen { align: center middle; }
    #help { width: 78; max-width: 100%; height: auto; max-height: 100%; padding: 1 2; background: $panel; }
    DataTable:nocolor > .datatable--cursor { text-style: reverse; }
    OptionList:nocolor > .option-list--option-highlighted { text-style: reverse; }
    Tab:nocolor.-active { text-style: reverse; }
    """
    ENABLE_COMMAND_PALETTE = False
    TITLE = "cede top"
    BINDINGS: ClassVar[list[Any]] = [
        Binding("t", "page('tasks')", "tasks"),
        Binding("g", "page('groups')", "groups"),
        Binding("r", "page('resources')", "resources"),
        Binding("x", "page('cancels')", "cancels"),
        Binding("w", "page('warnings')", "warnings"),
        Binding("f,slash", "filter", "filter"),
        Binding("s", "sort", "sort"),
        Binding("S,shift+s", "backwards", "other way", show=False),
        Binding("p", "pause", "pause"),
        Binding("space", "look", "look now", show=False),
        Binding("l", "leaks", "leaks"),
        Binding("d", "dump", "dump"),
        Binding("o", "processes", "processes"),
        Binding("c", "colours", "light", show=False),
        Binding("question_mark", "help", "keys"),
        Binding("q", "quit", "quit"),
        Binding("escape", "no_filter", show=False),
    ]

    class Seen(Message):
        """There was an answer."""

        def __init__(self, looker: Looker, view: View) -> None:
            super().__init__()
            self.looker = looker
            self.view = view

    class NotSeen(Message):
        """There was none."""

        def __init__(self, looker: Looker, words: str) -> None:
            super().__init__()
            self.looker = looker
            self.words = words

    def __init__(self, pid: int | None, interval: float = 1.0, theme: str = "dark") -> None:
        super().__init__()
        self.theme = f"textual-{theme}"
        self.looker: Looker | None = None
        self.view: View | None = None
        self._pid = pid
        self._interval = interval
        self._filter = ""
        self._sort = columns.WORST
        self._backwards = False
        self._paused = False
        self._leaks = False  # asked for, at the next look
        self._trouble = ""
        self._asked_at: float | None = None  # since when an answer is waited for
        self._over = threading.Event()
        self._wake = threading.Event()
        self.thread: threading.Thread | None = None

    def show(self) -> int:
        """Show it until the user ends it; return the exit status."""
        import cede

        cede.run(self.run_async())
        return self.return_code or 0

    def compose(self) -> ComposeResult:
        """Make its parts."""
        yield Static(id="head")
        yield Static(id="notice")
        with TabbedContent(id="pages"):
            for page in _PAGES:
                with TabPane(page.capitalize(), id=page):
                    if page == "warnings":
                        yield OptionList(id="list-warnings")
                    else:
                        yield DataTable(id=f"table-{page}", cursor_type="row")
        yield Input(id="filter", placeholder="part of a name, state, stack or wait; Enter keeps it, Esc ends it")
        yield Footer()

    def on_mount(self) -> None:
        """Begin to look."""
        self.set_interval(0.5, self._say_if_slow)
        if self._pid is None:
            self.push_screen(ProcessScreen(), self._choose)
        else:
            self._choose(self._pid)
        self._focus_page()

    def on_unmount(self) -> None:
        """Stop looking."""
        self._stop()

    # --- Looking --------------------------------------------------------------------------------

    def _choose(self, pid: int | None) -> None:
        if pid is None:
            return
        self._stop()
        self.looker = Looker(pid, self._interval)
        self.view = None
        self._trouble, self._paused = "", False
        self._over, self._wake = threading.Event(), threading.Event()
        self.query_one("#head", Static).update(f"process {pid}: asking what its tasks do …")
        arguments = (self.looker, self._over, self._wake)
        self.thread = threading.Thread(target=self._keep_looking, args=arguments, name="cede-top", daemon=True)
        self.thread.start()

    def _stop(self) -> None:
        self._over.set()
        self._wake.set()

    def _keep_looking(self, looker: Looker, over: threading.Event, wake: threading.Event) -> None:
        """The thread that asks: an answer may take seconds, and the screen must not wait for it."""
        while not over.is_set():
            if not self._paused:
                leaks, self._leaks = self._leaks, False
                self._asked_at = time.monotonic()
                try:
                    message: Message = self.Seen(looker, looker.look(leaks))
                except NoAnswer as error:
                    message = self.NotSeen(looker, str(error))
                self._asked_at = None
                if over.is_set():
                    return
                self.post_message(message)
            wake.wait(looker.pause)
            wake.clear()

    def on_console_seen(self, message: Seen) -> None:
        """Show what was seen."""
        if message.looker is self.looker:
            self.view, self._trouble = message.view, ""
            self._draw()

    def on_console_not_seen(self, message: NotSeen) -> None:
        """Say why nothing was seen; the last that was stays on the screen."""
        if message.looker is self.looker:
            self._trouble = message.words
            self._draw_notice()

    def _say_if_slow(self) -> None:
        if self._asked_at is not None and time.monotonic() - self._asked_at > _SLOW and self.looker is not None:
            waited = time.monotonic() - self._asked_at
            self._draw_notice(f"no answer for {waited:.0f} s: {self.looker.why_silent()}")

    # --- Drawing --------------------------------------------------------------------------------

    def on_resize(self) -> None:
        """Fit into the terminal."""
        self._draw()

    def _draw(self) -> None:
        view = self.view
        if view is None or not self._stands():
            return
        width = self.size.width
        tasks = view.answer["tasks"]
        shown = describe.matching(tasks, self._filter) if self._filter else tasks
        heads = [cut(line, width - 2) for line in (describe.head(view.answer), *view.heads)]
        self.screen_stack[0].query_one("#head", Static).update(Text("\n".join(heads), no_wrap=True))
        fill(self._table("tasks"), columns.tasks_of(view, shown, self._sort, self._backwards, width))
        fill(self._table("groups"), columns.groups_of(view, shown, width))
        fill(self._table("resources"), columns.resources_of(view, width))
        fill(self._table("cancels"), columns.cancels_of(view, width))
        self._draw_warnings(view)
        self._draw_notice()
        if isinstance(self.screen, TaskScreen):
            self.screen.show(view)

    def _stands(self) -> bool:
        """Whether there is a screen to draw on: not before its parts are made, and not when it is about to end."""
        return bool(self.screen_stack and self.screen_stack[0].query("#head"))

    def _table(self, page: str) -> DataTable[Text]:
        return self.screen_stack[0].query_one(f"#table-{page}", DataTable)

    def _draw_warnings(self, view: View) -> None:
        warnings = self.screen_stack[0].query_one("#list-warnings", OptionList)
        texts = [harmless(f"{finding.mark} {finding.text}") + f"\n  {finding.cure}" for finding in view.findings]
        current = warnings.highlighted or 0
        warnings.clear_options()
        warnings.add_options([Option(Text(text)) for text in texts] or [Option(Text("nothing is wrong"))])
        warnings.highlighted = min(current, len(texts) - 1) if texts else None
        count = f" ({len(texts)})" if texts else ""
        self.screen_stack[0].query_one("#pages", TabbedContent).get_tab("warnings").label = f"Warnings{count}"

    def _draw_notice(self, now: str = "") -> None:
        if not self._stands():
            return
        view = self.view
        words = [now or self._trouble]
        if self._paused:
            words.append("paused: p goes on")
        if view is not None:
            total = len(view.answer["tasks"])
            found = len(describe.matching(view.answer["tasks"], self._filter)) if self._filter else total
            if self._filter:
                words.append(f"{found} of {total} tasks with {self._filter!r}: Esc shows all")
            if found > columns.MOST:
                words.append(f"the first {columns.MOST} of {found:,}: filter (f) or group (g) them")
            if self._sort != columns.WORST or self._backwards:
                words.append(f"sorted by {self._sort}{', the other way round' if self._backwards else ''}")
        if self.looker is not None and self.looker.pause > self._interval:
            words.append(f"a look each {self.looker.pause:.0f} s, so as not to cost the process more")
        notice = self.screen_stack[0].query_one("#notice", Static)
        text = " · ".join(filter(None, map(harmless, words)))
        notice.update(Text(text))
        notice.display = bool(text)

    # --- What the keys do -----------------------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Whether a key means something on the screen that is shown."""
        beneath = ("page", "filter", "sort", "backwards", "leaks", "dump", "processes", "no_filter")
        if action == "pause" and isinstance(self.screen, ProcessScreen):
            return False
        return not (action in beneath and len(self.screen_stack) > 1)

    def _focus_page(self) -> None:
        page = self.screen_stack[0].query_one("#pages", TabbedContent).active or "tasks"
        name = "#list-warnings" if page == "warnings" else f"#table-{page}"
        self.screen_stack[0].query_one(name).focus()

    def action_page(self, page: str) -> None:
        """Show another page."""
        self.query_one("#pages", TabbedContent).active = page
        self._focus_page()

    def on_data_table_row_selected(self, event: DataTable.RowSelected) -> None:
        """Show the task, or of a resource the first that holds it or waits for it."""
        if event.data_table.id == "table-cancels":
            self._show_task_with(number=int(str(event.row_key.value).split()[0]))
            return
        key = int(event.row_key.value or 0)
        if event.data_table.id == "table-resources" and self.view is not None:
            rows = {row["id"]: row for row in self.view.answer["resources"]}
            key = next(iter([*rows[key]["holders"], *rows[key]["waiters"]] if key in rows else ()), 0)
        self._show_task(key)

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Show the task of a warning."""
        if self.view is not None and event.option_index < len(self.view.findings):
            self._show_task(self.view.findings[event.option_index].task)

    def _show_task(self, identity: int) -> None:
        self._show_task_with(id=identity)

    def _show_task_with(self, **wanted: int) -> None:
        """Show the task of which that is true; none, if it has ended."""
        view = self.view
        tasks = view.answer["tasks"] if view else ()
        task = next((task for task in tasks if all(task[field] == value for field, value in wanted.items())), None)
        if task is not None and view is not None:
            self.push_screen(TaskScreen(task, view))

    def action_filter(self) -> None:
        """Ask for a text."""
        entry = self.query_one("#filter", Input)
        entry.display = True  # Order: what is not displayed takes no focus
        entry.focus()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Filter while it is typed."""
        self._filter = event.value
        self._draw()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Go back to the table, which stays filtered."""
        event.input.display = False
        self._focus_page()

    def action_no_filter(self) -> None:
        """Show all tasks again."""
        entry = self.query_one("#filter", Input)
        entry.value = ""
        entry.display = False
        self._focus_page()

    def action_sort(self) -> None:
        """Sort by the next thing."""
        names = [columns.WORST, *columns.SORTS]
        self._sort = names[(names.index(self._sort) + 1) % len(names)]
        self._draw()

    def action_backwards(self) -> None:
        """Sort the other way round."""
        self._backwards = not self._backwards
        self._draw()

    def action_pause(self) -> None:
        """Stop looking, or go on."""
        self._paused = not self._paused
        self._wake.set()
        self._draw_notice()

    def action_look(self) -> None:
        """Look now, however long it is until the next time."""
        self._wake.set()

    def action_leaks(self) -> None:
        """Have the next look find tasks that can never go on."""
        self._leaks = True
        self._wake.set()
        self.notify("looking for tasks that can never go on …")

    def action_dump(self) -> None:
        """Write what was seen to a file."""
        if self.view is None:
            return
        path = os.path.abspath(f"{self.view.answer['pid']}-{time.strftime('%Y%m%dT%H%M%S')}.json")
        try:
            with open(path, "w", encoding="utf-8") as file:
                json.dump(self.view.answer, file, indent=2)
        except OSError as error:
            self.notify(f"cannot write {path}: {error.strerror}", severity="error")
            return
        self.notify(f"written: {path}")

    def action_processes(self) -> None:
        """Choose another process."""
        self.push_screen(ProcessScreen(), self._choose)

    def action_colours(self) -> None:
        """Change from dark to light, and back."""
        self.theme = "textual-light" if self.theme == "textual-dark" else "textual-dark"

    def action_help(self) -> None:
        """Show the keys."""
        if not isinstance(self.screen, HelpScreen):
            self.push_screen(HelpScreen())
