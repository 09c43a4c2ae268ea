"""Why a task was cancelled: noted when somebody cancels it, put into words where the exception leaves the program.

The reason is a dict of plain values (it may be pickled with its exception), and travels in the exception's `__dict__`:

    kind          "task", "callback", "timeout", "group", "runner", "signal"
    who           the name of the task that cancelled; "" if a callback did
    at            place of the call: file, line, function; None if it is not the program's
    message       what `cancel` was given, as text, or None
    limit, late   of a timeout: seconds, or None where it has no length; how much too late it expired
    failed        of a group: name of the task that failed, type of its exception, place
    entered       of a timeout: the place of its `async with`; of a group: where the function was that is in it; or None
    cause         the reason of the cancellation that led to this one, or None

Law: identity, class, args and `str()` of an exception stay as they are; nothing here raises, and no frame is kept.
Notes are strings, as tools that print or join them expect.
"""

from __future__ import annotations

import asyncio
import linecache
import os
import sys
from types import FrameType, TracebackType
from typing import Any

from .. import timeouts
from ..engine import tasks
from .stacks import entered_in, is_own

Reason = dict[str, Any]
Place = tuple[str, int, str]  # file, line, function

_KEY = "_cede_reason"
_RUNS_LOOP = {"run_until_complete", "run_forever", "_run_once"}  # beyond them it is not the callback's stack
_watching = 0  # how often `start` was called, less the calls of `stop`


def start() -> None:
    """Note from now on why tasks are cancelled, until `stop` has been called as often."""
    global _watching
    _watching += 1
    tasks.explain_to(_EXPLAINER)
    timeouts.explain_to(_EXPLAINER)


def stop() -> None:
    """Note it no more."""
    global _watching
    _watching = max(_watching - 1, 0)
    if _watching == 0:
        tasks.explain_to(None)
        timeouts.explain_to(None)


def why_cancelled(exc: BaseException) -> str | None:
    """Return why a CancelledError, or a TimeoutError that came of one, was raised, in lines; None if that is unknown.

    It is known of tasks of cede's that were cancelled while a watcher was running: `cede run`, CEDE_WATCH, `watch()`.
    """
    seen: set[int] = set()
    error: BaseException | None = exc
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        reason = _reason_of(error)
        if reason is not None:
            lines = [in_words(reason)]
            place = _innermost(_interruption(error))
            if place is not None:
                source = linecache.getline(place[0], place[1]).strip()
                lines.append(f"it interrupted {_text(place)}" + (f": {source}" if source else ""))
            while (reason := reason.get("cause")) is not None:
                lines.append(f"because of this: {in_words(reason)}")
            return "\n".join(lines)
        error = error.__cause__ or error.__context__
    return None


def _reason_of(exc: BaseException) -> Reason | None:
    try:
        reason = exc.__dict__.get(_KEY)
    except Exception:
        return None  # a class with a `__dict__` of its own
    return reason if type(reason) is dict else None


def _interruption(error: BaseException) -> TracebackType | None:
    """Return the traceback that leads to where a task was interrupted."""
    if isinstance(error, TimeoutError) and error.__cause__ is not None:
        error = error.__cause__
    return error.__traceback__


# --- In words -----------------------------------------------------------------------------------


def in_words(reason: Reason) -> str:
    """Return a reason as one line, without its cause."""
    kind = reason["kind"]
    entered = f" entered at {_text(reason['entered'])}" if reason["entered"] else ""
    if kind == "timeout":
        limit, late = reason["limit"], reason["late"]
        length = "" if limit is None else f" of {limit:g} s"
        return f"timeout{length}{entered}" + ("" if late is None else f", expired {max(late, 0) * 1000:.0f} ms late")
    if kind == "group":
        place = reason["entered"]
        where = f" in {place[2]} ({_text(place, short=True)})" if place else ""
        return f"cancelled by the task group{where}{_group_cause(reason)}"
    if kind == "runner":
        return "cancelled at the end of the program: what run() had been given was done"
    if kind == "signal":
        return "cancelled by Ctrl-C"
    by = f"by task {reason['who']!r}" if kind == "task" else "by a callback"
    message = f", saying {reason['message']!r}" if reason["message"] is not None else ""
    return f"cancelled {by}" + (f" at {_text(reason['at'])}" if reason["at"] else "") + message


def _group_cause(reason: Reason) -> str:
    if reason["failed"] is None:
        return ", because it was cancelled itself" if reason["cause"] else ""
    name, error, place = reason["failed"]
    what = f"its task {name!r}" if name else "its body"
    return f", because {what} failed with {error}" + (f" ({_text(place, short=True)})" if place else "")


def _text(place: Place, short: bool = False) -> str:
    file, line, function = place
    at = f"{os.path.basename(file)}:{line}"
    return at if short else f"{at} in {function}"


# --- Noting -------------------------------------------------------------------------------------


class _Explainer:
    """What the engine tells of cancellations."""

    def __init__(self) -> None:
        self._expiring: Any = None  # the timeout that cancels its task just now

    def expires(self, limit: Any) -> None:
        self._expiring = limit

    def cancelled(self, task: Any) -> None:
        """Note on a task why it is being cancelled."""
        expiring, self._expiring = self._expiring, None
        try:
            reason = _new("callback")
            if expiring is not None:
                _fill_from_timeout(reason, expiring, task)
            else:
                _fill_from_stack(reason, sys._getframe(1), task)
            task.__dict__[_KEY] = reason
        except Exception:
            pass  # Law: nothing of this is the program's business

    def thrown(self, task: Any, error: BaseException) -> None:
        """Give the reason to the CancelledError that the task gets; one that has its own keeps it."""
        try:
            if isinstance(error, asyncio.CancelledError):
                reason = task.__dict__.pop(_KEY, None)
                if reason is not None and _KEY not in error.__dict__:
                    reason["message"] = str(error.args[0]) if error.args and error.args[0] is not None else None
                    error.__dict__[_KEY] = reason
        except Exception:
            pass

    def ended(self, error: BaseException) -> None:
        """Add a note to what ends a task: a CancelledError that no other task will get, or any other error."""
        try:
            reason = _reason_of(error)
            if isinstance(error, asyncio.CancelledError):
                if reason is not None and not getattr(error, "__notes__", None):
                    error.add_note(in_words(reason))
            elif isinstance(error, TimeoutError) and reason is None and error.__cause__ is not None:
                reason = _reason_of(error.__cause__)  # asyncio's own timeouts raise it in a frame of theirs
                if reason is not None and reason["kind"] == "timeout":
                    _say_which(error, error.__cause__, reason, _innermost(error.__traceback__))
        except Exception:
            pass

    def timed_out(self, limit: Any, error: BaseException, cause: BaseException) -> None:
        """Add a note to a TimeoutError, which is about to be raised from the frame that entered the timeout."""
        try:
            _say_which(error, cause, _reason_of(cause) or _new("timeout"), _outermost_place(sys._getframe(1)))
        except Exception:
            pass


def _say_which(error: BaseException, cause: BaseException, reason: Reason, entered: Place | None) -> None:
    """Give a TimeoutError its reason and a note: which timeout it was, and what it interrupted."""
    reason["entered"] = entered
    error.__dict__[_KEY] = reason
    place = _innermost(cause.__traceback__)
    where = f"; it interrupted {_text(place)}" if place else ""
    error.add_note(in_words(reason) + where)


def _new(kind: str) -> Reason:
    fields = ("at", "message", "limit", "late", "failed", "entered", "cause")
    return {"kind": kind, "who": "", **dict.fromkeys(fields)}


def _fill_from_timeout(reason: Reason, limit: Any, task: Any) -> None:
    reason["kind"] = "timeout"
    when = limit.when()
    reason["late"] = None if when is None else task.get_loop().time() - when
    reason["limit"] = getattr(limit, "_delay", None)


def _fill_from_stack(reason: Reason, frame: FrameType | None, task: Any) -> None:
    """Read off the stack who calls `cancel`: the program, or asyncio's API for it."""
    while frame is not None:
        code = frame.f_code
        if not is_own(code.co_filename):
            reason["at"] = _place_of(frame)
            break
        file, name = os.path.basename(code.co_filename), code.co_name
        if name in _RUNS_LOOP:
            break
        if _fill_from_api(reason, frame, file, name, task):
            return
        frame = frame.f_back
    current = asyncio.current_task(task.get_loop())
    if current is not None:
        reason["kind"] = "task"
        reason["who"] = str(current.get_name())
        reason["cause"] = None


def _fill_from_api(reason: Reason, frame: FrameType, file: str, name: str, task: Any) -> bool:
    """Note what a function of cede's or asyncio's cancels for; False if it does so for who called it."""
    if (file, name) == ("timeouts.py", "_on_timeout"):  # asyncio's own
        _fill_from_timeout(reason, frame.f_locals["self"], task)
    elif file == "taskgroups.py" and name in ("_task_failed", "_on_task_done", "_aexit", "__aexit__", "cancel"):
        _fill_from_group(reason, frame)
    elif (file, name) == ("runners.py", "_on_sigint"):
        reason["kind"] = "signal"
    elif (file, name) == ("runners.py", "_cancel_all_tasks"):
        reason["kind"] = "runner"
    else:
        return False
    return True


def _fill_from_group(reason: Reason, frame: FrameType) -> None:
    reason["kind"] = "group"
    there = frame.f_locals
    parent = there["self"]._parent_task
    reason["entered"] = _entered_by(parent, there["self"])
    failed = there.get("task")
    error = there.get("exc")
    if failed is not None:
        error = error or failed.exception()
        reason["failed"] = (str(failed.get_name()), type(error).__name__, _innermost(error.__traceback__))
    elif error is not None and not isinstance(error, asyncio.CancelledError):
        reason["failed"] = ("", type(error).__name__, _innermost(error.__traceback__))
    elif error is not None:
        reason["cause"] = _reason_of(error)


# --- Places -------------------------------------------------------------------------------------


def _place_of(frame: FrameType) -> Place:
    code = frame.f_code
    return code.co_filename, frame.f_lineno or 0, code.co_qualname


def _outermost_place(frame: FrameType | None) -> Place | None:
    """Return the first place of the program's, from a frame of ours outwards."""
    first = frame
    while frame is not None and is_own(frame.f_code.co_filename):
        frame = frame.f_back
    frame = frame or first
    return None if frame is None else _place_of(frame)


def _innermost(traceback: TracebackType | None) -> Place | None:
    """Return the innermost place of the program's in a traceback."""
    found = None
    while traceback is not None:
        code = traceback.tb_frame.f_code
        if not is_own(code.co_filename):
            found = code.co_filename, traceback.tb_lineno, code.co_qualname
        traceback = traceback.tb_next
    return found


def _entered_by(task: Any, manager: Any) -> Place | None:
    """Return the function in whose `async with` of this manager a task is, and the line in which that is just now."""
    frame = entered_in(task.get_coro(), manager)
    return None if frame is None else _place_of(frame)


_EXPLAINER = _Explainer()
