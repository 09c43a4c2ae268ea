"""The watcher: one thread a process that sees when a loop does not go on, and says why while it lasts.

It sleeps in C, without Python's lock, and reads a counter that each loop moves when it goes to the kernel and when it
comes back (`engine.pulse`): one that stands still at an even number is busy. Only when it has been for too long does
the watcher ask for the lock. C code that keeps it hides nothing: CPython hands it over at the check after that very
call. Where other threads want it, too, they may get it first, and the loop may have gone on when the watcher does: so
the loop itself notes each stretch that was too long, and those that were not looked at are told of from that.

A stall is a warning on the logger `asyncio`, one a place and minute; an audit event `cede.stall` (loop, seconds); a
call of `on_stall`. While a watcher is there, why tasks are cancelled is noted as well (`cancels`).

Law: nothing here raises into the program; and what was looked at is let go in its loop's thread, as by `snapshot`.
"""

from __future__ import annotations

import _thread
import atexit
import gc
import logging
import os
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from ..engine import forks
from ..engine.watch import wait_for_stall
from . import cancels, stalls
from .ages import moment, seconds_busy
from .handing_over import hand_over
from .recorder import dump_of_itself
from .stalls import Blame, Stall

THRESHOLD = 0.1
"""Seconds that a loop may be busy before it is told of."""

_PATIENCE = 0.5  # seconds after which new loops are looked for
_NO_LOOPS = 0.1  # the same, while none runs
_QUIET = 60.0  # seconds after a warning in which none follows of the same place
_MOMENT = 0.02  # seconds, at most, between two looks at what a loop does
_ENOUGH = 0.9  # of the threshold, from which on a loop notes a stretch: it is measured when it is told of
_CERTAIN = 1.3  # thresholds from which on a stall is told of that raised no suspicion: five looks are in one
_AGAIN = 10  # a second warning comes when it has lasted so many thresholds

logger = logging.getLogger("asyncio")

Times = tuple[int, int, float]  # of a thread: nanoseconds on a processor, and waiting for one; seconds of collecting
OnStall = Callable[[Stall], Any]


class Watcher:
    """Watches all loops of the process until `stop` is called. `watch` makes it.

    `stalls` and `descheduled` count: those of the program, and those in which the thread mostly waited for a processor.
    """

    def __init__(self, threshold: float, on_stall: OnStall | None) -> None:
        self.threshold = threshold
        self.stalls = 0
        self.descheduled = 0
        self._on_stall = on_stall
        self._stopped = False
        self._told: dict[tuple[str, int], float] = {}  # when there was a warning of a place
        self._unsaid: dict[tuple[str, int], int] = {}  # how often there was none since
        self._collecting: dict[int, float] = {}  # by thread: since when the collector runs there
        self._collected: dict[int, float] = {}  # by thread: seconds that it has run
        self._files: dict[int, int] = {}  # by thread of the system: a descriptor of what it says of it
        self._overlong: list[tuple[int, int, int, int]] = []  # what the loops noted: see `Pulse`
        self._attended = (0, 0)  # the latest stall that was looked at while it lasted: id of the loop, its looks
        self._glimpsed: tuple[int, int, Any] = (0, 0, None)  # the latest in whose midst it began to watch; what it saw
        self._tick = 0.0  # seconds
        self._ended = _thread.allocate_lock()
        self._telling = _thread.allocate_lock()  # held from when a stall is seen until it is told

    def __enter__(self) -> Watcher:
        return self

    def __exit__(self, *args: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Watch no more. It returns when the thread has ended, which takes half a second at most."""
        global _watcher
        if self._stopped:
            return
        self._stopped = True
        if _watcher is self:
            _watcher = None
        cancels.stop()
        atexit.unregister(self._at_exit)
        gc.callbacks.remove(self._on_collection)
        for loop in forks.loops():
            loop._want_stretches(None, 0)
        if threading.get_ident() != self._ident:
            self._ended.acquire()

    def _start(self) -> None:
        cancels.start()
        gc.callbacks.append(self._on_collection)
        atexit.register(self._at_exit)
        self._begin()

    def _begin(self) -> None:
        # Not threading.Thread: the program did not make it, and need not find it when it counts its own.
        self._ended = _thread.allocate_lock()
        self._telling = _thread.allocate_lock()  # Order: anew in a forked child, whose parent may have held it
        self._ended.acquire()
        self._ident = _thread.start_new_thread(self._run, ())

    def _at_exit(self) -> None:
        """Let a stall be told at which the program ended."""
        if self._telling.acquire(timeout=1.0):
            self._telling.release()
            self._tell_of_missed([], [], [], -1)

    def _on_collection(self, phase: str, info: dict[str, int]) -> None:
        here = threading.get_ident()
        if phase == "start":
            self._collecting[here] = time.monotonic()
        else:
            since = self._collecting.pop(here, None)
            if since is not None:
                self._collected[here] = self._collected.get(here, 0.0) + time.monotonic() - since

    # --- The thread -----------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            _take_no_signals()
            while not self._stopped:
                loops = [loop for loop in forks.loops() if loop._thread_id is not None]
                if loops:
                    self._watch(loops)
                else:
                    self._open_files([])  # closes those of loops that have ended
                    self._tell_of_missed([], [], [], -1)
                    time.sleep(_NO_LOOPS)
                del loops  # else one that ended would live on meanwhile
        except Exception:
            logger.exception("The watcher of event loops has ended by an error of its own; the program goes on")
        finally:
            for file in self._files.values():
                os.close(file)
            self._files.clear()
            self._ended.release()

    def _watch(self, loops: list[Any]) -> None:
        files = self._open_files(loops)
        interval = self.threshold / 5
        for loop in loops:
            self._want_stretches(loop)
        before = [(*_schedstat(file), self._collected.get(loop._thread_id, 0.0)) for loop, file in zip(loops, files)]
        self._glimpse(loops)
        index, noted = wait_for_stall(loops, files, self.threshold, interval, _PATIENCE)
        if index < 0:
            index = self._overdue(loops)
        if index >= 0 and not self._stopped:
            self._attend(loops[index], files[index], (*noted[index], before[index][2]))
        if not self._stopped:
            self._tell_of_missed(loops, files, before, index)

    def _overdue(self, loops: list[Any]) -> int:
        """Return the index of a loop that is busy for too long, -1 if none is.

        Nobody suspected it, and then Python's lock could not be had until what the loop runs let go of it.
        """
        for index, loop in enumerate(loops):
            if not loop._looks & 1 and seconds_busy(loop) >= self.threshold:
                return index
        return -1

    def _glimpse(self, loops: list[Any]) -> None:
        """Look at one that is busy for too long already, for the case that it goes on before it is looked at again."""
        index = self._overdue(loops)
        if index >= 0:
            loop = loops[index]
            looks = loop._looks
            things: list[Any] = []
            self._glimpsed = id(loop), looks, stalls.look(loop, things)
            hand_over(loop, things)

    def _want_stretches(self, loop: Any) -> None:
        _, self._tick = moment(loop)
        loop._want_stretches(self._overlong, int(self.threshold / self._tick * _ENOUGH))

    def _open_files(self, loops: list[Any]) -> list[int]:
        """Return descriptors of what Linux says of the loops' threads, -1 where it does not; close those of others."""
        natives = {thread.ident: thread.native_id for thread in threading.enumerate()}
        wanted = [natives.get(loop._thread_id) or 0 for loop in loops]
        for thread in self._files.keys() - wanted:
            os.close(self._files.pop(thread))
        for thread in wanted:
            if thread and thread not in self._files:
                try:
                    self._files[thread] = os.open(f"/proc/self/task/{thread}/schedstat", os.O_RDONLY | os.O_CLOEXEC)
                except OSError:
                    pass
        return [self._files.get(thread, -1) for thread in wanted]

    # --- A stall --------------------------------------------------------------------------------

    def _attend(self, loop: Any, file: int, before: Times) -> None:
        """Tell of a loop that stands still, again if it goes on for long, and of its end."""
        looks = loop._looks
        if looks & 1:
            return
        with self._telling:
            stall = self._describe(loop, looks, file, before)
            if stall is None:
                return
            while stall.descheduled and loop._looks == looks and not self._stopped:
                time.sleep(self.threshold / 5)
                stall = self._describe(loop, looks, file, before) or stall
            self._attended = id(loop), looks
            told = self._tell(loop, stall)
        kept = stall
        if loop._ring is not None and not stall.descheduled:
            self._note_in_recording(loop, looks)
        while loop._looks == looks and not self._stopped:
            time.sleep(self.threshold / 5)
            if loop._ring is not None and seconds_busy(loop) >= self.threshold * _AGAIN:
                dump_of_itself("stall")
            if told and stall.seconds < self.threshold * _AGAIN <= seconds_busy(loop):
                again = self._describe(loop, looks, file, before)
                if again is not None:
                    stall = again
                    self._warn(str(stall))
        if kept.lasted is None:
            kept.lasted = time.monotonic() - kept.began
        if told and not self._stopped:
            self._say_end(stall, time.monotonic() - stall.began)

    def _tell_of_missed(self, loops: list[Any], files: list[int], before: list[Times], suspected: int) -> None:
        """Tell of the stalls that loops have noted, and that were over before they could be looked at."""
        while self._overlong:
            try:
                number, looks, began, ticks = self._overlong.pop(0)
            except IndexError:
                break  # another thread tells of it
            index = next((index for index, loop in enumerate(loops) if id(loop) == number), -1)
            if (number, looks) == self._attended:
                continue
            loop = loops[index] if index >= 0 else None  # it has ended
            if loop is not None:
                _, self._tick = moment(loop)
            seconds = ticks * self._tick
            if seconds >= self.threshold * (1 if index == suspected >= 0 else _CERTAIN):
                things: list[Any] = []
                with self._telling:
                    seen = self._glimpsed[2] if (number, looks) == self._glimpsed[:2] else None
                    seen = seen or stalls.look_back(loop, began, things)
                    blame = None if loop is None else self._blame(loop, files[index], before[index], seconds)
                    stall = Stall(seconds, self.threshold, seen, blame, crowded=False, over=True)
                    if loop is not None:
                        stall.began = time.monotonic() - (moment(loop)[0] - began) * self._tick
                    self._tell(loop, stall)
                    hand_over(loop, things)

    def _note_in_recording(self, loop: Any, looks: int) -> None:
        """A record is written by the loop, when it goes on; its memory tells of the stall at once."""
        since = loop._look_ticks
        if loop._looks == looks:
            loop._ring.stalled(since)

    def _say_end(self, stall: Stall, seconds: float) -> None:
        level = logging.WARNING if seconds >= self.threshold * _AGAIN else logging.INFO
        _log(level, f"Event loop goes on after {seconds:.2f} s")

    def _describe(self, loop: Any, looks: int, file: int, before: Times) -> Stall | None:
        """Look at what a loop does, and again a moment later; another step, and then another, make a crowded turn."""
        things: list[Any] = []
        try:
            seconds = seconds_busy(loop)
            seen = stalls.look(loop, things)
            if seen is None or loop._looks != looks or seconds < self.threshold / 2:
                return None  # it was over before Python's lock could be had
            crowded = self._moves_on(loop, seen, things)
            if crowded:  # Order: of a step in which C kept Python's lock the end is seen, and then what follows
                crowded = self._moves_on(loop, stalls.look(loop, things), things)
            over = loop._looks != looks
            if over and not seen.task and not seen.stack:
                return None  # the turn was at its end when Python's lock could be had
            crowded = crowded and not over
            return Stall(seconds, self.threshold, seen, self._blame(loop, file, before, seconds), crowded, over)
        finally:
            hand_over(loop, things)

    def _moves_on(self, loop: Any, seen: Any, things: list[Any]) -> bool:
        """Whether a loop does something else a moment after it was `seen`."""
        time.sleep(min(self.threshold / 10, _MOMENT))
        later = stalls.look(loop, things)
        return seen is not None and later is not None and later.key != seen.key

    def _blame(self, loop: Any, file: int, before: Times, seconds: float) -> Blame | None:
        on_processor, waited = _schedstat(file)
        if not on_processor:
            return None
        thread = loop._thread_id
        collected = self._collected.get(thread, 0.0) - before[2]
        if (since := self._collecting.get(thread)) is not None:
            collected += time.monotonic() - since
        parts = ((on_processor - before[0]) / 1e9, (waited - before[1]) / 1e9, collected)
        return Blame(*(min(part, seconds) for part in parts))

    def _tell(self, loop: Any, stall: Stall) -> bool:
        """Tell of a stall; return whether in the log."""
        kind = "descheduled" if stall.descheduled else "stalls"
        setattr(self, kind, getattr(self, kind) + 1)
        _totals[kind] += 1
        if not stall.descheduled:
            stalls.keep(stall)
        try:
            sys.audit("cede.stall", loop, stall.seconds)
        except Exception:
            pass  # a hook that does not like it has nobody to tell
        if self._on_stall is not None:
            try:
                self._on_stall(stall)
            except Exception:
                logger.exception("on_stall failed")
            _leave_no_name()
        if stall.descheduled:
            _log(logging.INFO, str(stall))
            return False
        return self._warn_once(stall)

    def _warn_once(self, stall: Stall) -> bool:
        now = time.monotonic()
        if now - self._told.get(stall.place, -_QUIET) < _QUIET:
            self._unsaid[stall.place] = self._unsaid.get(stall.place, 0) + 1
            return False
        self._told[stall.place] = now
        unsaid = self._unsaid.pop(stall.place, 0)
        self._warn(str(stall) + (f"\n  and {unsaid} times before, which were not told" if unsaid else ""))
        return True

    def _warn(self, text: str) -> None:
        _log(logging.WARNING, text)


def _schedstat(file: int) -> tuple[int, int]:
    """Return for how many nanoseconds a thread was on a processor, and waited for one; zeros where that is not told."""
    try:
        on_processor, waited, _ = map(int, os.pread(file, 100, 0).split())
    except (OSError, ValueError):
        return 0, 0
    return on_processor, waited


def _log(level: int, text: str) -> None:
    try:
        logger.log(level, "%s", text)
    except Exception:
        pass  # a handler of the program's
    _leave_no_name()


def _leave_no_name() -> None:
    """Take this thread out of `threading.enumerate()`: who asks there for the current one (logging) puts a dummy in."""
    known = getattr(threading, "_active", {})
    if isinstance(known.get(threading.get_ident()), threading._DummyThread):
        known.pop(threading.get_ident(), None)


def _take_no_signals() -> None:
    import signal

    faults = {signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL}  # these come to the thread that made them
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals() - faults)


# --- One a process ------------------------------------------------------------------------------

_watcher: Watcher | None = None
_totals = {"stalls": 0, "descheduled": 0}  # of all watchers that there were


def totals() -> tuple[int, int]:
    """Return how many stalls were seen in this process, and how many of which the machine was to blame."""
    return _totals["stalls"], _totals["descheduled"]


def watch(threshold: float = THRESHOLD, on_stall: OnStall | None = None) -> Watcher:
    """Watch all loops of this process: tell when one of them has been busy for `threshold` seconds without a pause.

    `on_stall(stall)` is called in the watcher's thread, in the midst of it, with a `Stall`. Return the Watcher, which
    is a context manager; it takes the place of the one before. ValueError if the threshold is not between 0.001 and
    3600.
    """
    global _watcher
    if not 0.001 <= threshold <= 3600:
        raise ValueError(f"the threshold must be between 0.001 and 3600 seconds, got {threshold!r}")
    if _watcher is not None:
        _watcher.stop()
    watcher = _watcher = Watcher(threshold, on_stall)
    watcher._start()
    return watcher


def is_watching() -> bool:
    """Tell whether there is a watcher."""
    return _watcher is not None


def _begin_in_child() -> None:
    stalls.forget()
    if _watcher is not None:
        _watcher._files.clear()
        _watcher._overlong.clear()
        _watcher._begin()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_in_child)
