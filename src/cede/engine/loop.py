"""Loop: callbacks take turns on one thread.

One turn, `_turn`, is the whole of it: ask the kernel what is ready, make due timers ready, run what is ready. What
becomes ready during a turn waits for the next one, so neither a busy callback chain nor busy I/O starves the other.

    call_soon                  -> _upcoming            \
    a timer's deadline         -> _timers -> _upcoming  >  run in this order, each once
    a descriptor               -> _poller -> _upcoming /   (transports are told directly)
    another thread, a signal   -> _incoming -> _upcoming, and the waker's bell

Looking at the kernel costs more than a callback. While callbacks are ready turn after turn, the loop
therefore looks at each of the first `_EAGER_TURNS`, and then only every `_TURNS_PER_LOOK` turns or
`_SECONDS_PER_LOOK`, whichever comes first. With nothing ready it sleeps in the poller.

It knows no sockets, futures or coroutines. Its clock and its poller alone read the time and ask the kernel.
"""

import logging
import signal
import sys
import threading
from asyncio import Handle as _StockHandle
from math import inf as _INF
from math import ulp

from . import forks, native, reports, syscalls
from .clock import ForeignClock, as_clock
from .descriptors import Descriptors
from .handles import Handle, ThreadSafeHandle, TimerHandle, entrust, forget_contexts, run_by
from .pollers.base import READABLE, Poller
from .running import _get_running_loop, _set_running_loop, current_tasks, release, swap_current_task
from .timers import TimerHeap
from .waker import Waker

try:
    from .pollers.epoll import EpollPoller as DefaultPoller
except ImportError:
    from .pollers.select import SelectorPoller as DefaultPoller

logger = logging.getLogger("asyncio")

_EAGER_TURNS = 16
_TURNS_PER_LOOK = 64
_TURNS_PER_CLOCK = 8  # in a busy stretch the clock is read this often; a power of two, as a division takes 5 ns
_SECONDS_PER_LOOK = 100e-6
_LONGEST_WAIT = 24 * 3600.0  # seconds; longer ones overflow some pollers
_WAIT_BY_HAND = 1.0  # seconds; who turns a loop that was not set up to run waits no longer for what may never come
_current_tasks = current_tasks
_swap_current_task = swap_current_task
_run_of_stock = _StockHandle._run
native.trust_versions()  # by which it notices that a program replaced `time` or `_run`


class Loop(Descriptors):
    """Callbacks, timers and readiness. `EventLoop` adds asyncio's futures, tasks and I/O.

    `clock` has `time()` in seconds (default: the machine's monotonic clock); `poller` is a `Poller`
    (default: epoll, elsewhere the best selector). The loop owns the poller.
    """

    # Interpreted, with over 30 fields CPython 3.13 has a short way to each of them, and with a few less it has none.
    def __init__(self, clock=None, poller=None):
        if poller is not None and not isinstance(poller, Poller):
            raise TypeError(f"poller must derive from cede.engine.pollers.base.Poller, got {poller!r}")
        super().__init__(DefaultPoller() if poller is None else poller)
        self._spare = []  # an empty list, which takes the place of `_upcoming` while that one is run; None meanwhile
        self._batch = None  # interpreted: the list that is run, None in the place of each that ran; else None
        self._live = set()  # its tasks that are not done
        self._timers = TimerHeap()
        self._own_clock = as_clock(clock)  # what time() reads
        self._clock = self._own_clock  # what timers go by: the same, unless somebody replaced time()
        self._time_version = 0  # compiled: of the loop's class, when it was last looked at for that
        self._recorded = False  # True iff what is ready is run by `_run_ready_recorded`, whatever the next one says
        self._watched = False  # True iff `_run_ready_watched` is to run what is ready
        self._arrange = None  # puts the list of what is ready into another order before it is run; simulations set it
        self._run_handle = _run_of_stock  # asyncio's Handle._run, when it was last looked at
        self._handle_version = 0  # compiled: of asyncio's Handle, when it was last looked at for that
        self._looked = 0.0  # when the kernel was last asked, by that clock; kept in busy stretches only
        self._busy_turns = 0  # turns since the loop last had nothing to do
        self._stopping = False
        # True iff no subclass has a call_soon or call_at of its own, so that what is below may go past them.
        self._own_scheduling = type(self).call_soon is Loop.call_soon and type(self).call_at is Loop.call_at
        self._direct = self._own_scheduling  # the same, and neither in debug mode nor closed nor recorded
        self._thread_id = None  # the thread that runs the loop, else None
        self._thread = 0  # the same number, else 0; for comparing in C
        self._entered = None  # the task that the registry of current tasks still names, else None
        self._current_handle = None  # what runs now; debug mode only
        self._exception_handler = None
        self._task_factory = None  # what makes the tasks instead of Task, else None; EventLoop's
        self._eager = False  # True iff that is the eager task factory: then it is Task that makes them, begun at once
        self._saved_origin_depth = None  # what to restore after tracking coroutine origins, else None
        self._saved_hooks = None  # the thread's async generator hooks, while the loop runs
        self._wants_signals = False  # True iff signals are to be noticed even when the loop does not run
        self.slow_callback_duration = 0.1  # seconds; a longer step is logged in debug mode
        self._waker = Waker(self._handle_signals, self._poller)
        self._poller.add(self._waker.watched_fileno(), self._waker, READABLE)
        self._poller._pulse = self
        self._follow_time()
        self.set_debug(reports.debug_mode())
        forks.note(self)

    # --- The turn ---------------------------------------------------------------------------------

    def _turn(self):
        """One turn: look outside, unless it is too early to; then run what was ready by then."""
        if not self._upcoming or self._is_time_to_look():
            if self._entered is not None:
                self._leave_task()
            patience = self._patience()
            self._go_to_look()
            self._poller._wait(patience)
            if self._looks & 1:
                self._come_back(0)
            self._waker._wanted = False
            if self._incoming:
                self._accept_incoming()  # asyncio: before the timers that came due meanwhile
            if self._timers._count:
                self._promote_due_timers()
            if self._ring is not None:
                self._ring._look(self, self._timers._popped)
        elif self._incoming:
            self._accept_incoming()
        self._turns += 1
        if self._watched:
            if self._recorded:
                self._run_ready_recorded()
            else:
                self._run_ready_watched()
        elif self._upcoming:
            self._run_ready()

    def _is_time_to_look(self):
        """Whether a loop with something to do should ask the kernel in this turn."""
        self._busy_turns += 1
        if self._busy_turns < _EAGER_TURNS:
            return True
        if self._busy_turns & (_TURNS_PER_CLOCK - 1):
            return False
        now = self._clock._now()
        late = now - self._looked >= _SECONDS_PER_LOOK
        if late and self._busy_turns > _EAGER_TURNS:
            self._busy_turns = 1  # these turns take long: look at each of them for a while
        elif not late and self._busy_turns % _TURNS_PER_LOOK:
            return False
        self._looked = now
        return True

    def _patience(self):
        """How long the poller may sleep, in seconds: 0 if something is ready, negative for ever."""
        if self._upcoming or self._stopping:
            return 0.0
        self._busy_turns = 0
        # Order: first ask to be woken, then look at what came. Whoever puts something there does the opposite.
        self._waker._wanted = True
        if self._incoming:
            return 0.0
        if native.COMPILED:
            forget_contexts()
            if native.class_version(_StockHandle) != self._handle_version:
                self._follow_handles()
        elif _StockHandle._run is not self._run_handle:
            self._follow_handles()
        deadline = self._timers._next_deadline()
        if deadline == _INF:
            self._timers._popped = 0
            return -1.0 if self._thread else _WAIT_BY_HAND
        if native.COMPILED:
            if native.class_version(type(self)) != self._time_version:
                self._follow_time()
        elif self._clock is not self._own_clock or type(self).time is not Loop.time or "time" in self.__dict__:
            self._follow_time()
        delay = self._clock._wait_until(deadline, self._timers._popped)
        self._timers._popped = 0
        return delay if delay < _LONGEST_WAIT else _LONGEST_WAIT

    def _promote_due_timers(self):
        """Make ready every timer whose deadline has come."""
        if native.COMPILED:
            now = self._now()
        else:
            now = self.time()
        limit = now + self._clock.resolution  # asyncio: a deadline within that counts as come
        if limit <= now:
            limit = now + ulp(now)  # floats are farther apart here
        # asyncio: by a clock that gives no number every timer is due.
        self._timers._pop_due(limit if limit == limit else _INF, self._upcoming)

    def _run_after_ready(self, watcher):
        """Run a watcher that the poller told something after all that was ready before the kernel was asked."""
        if self._incoming:
            self._accept_incoming()
            self._busy_turns += 1  # the others whom the poller tells come after it too
        self._upcoming.append(watcher)

    def _run_ready(self):
        """Run what is ready now. What becomes ready meanwhile waits for the next turn."""
        batch = self._upcoming
        if not native.COMPILED:
            self._batch = batch  # code of C is not interrupted where that would help
        self._upcoming = [] if self._spare is None else self._spare
        self._spare = None
        # Order: counted last, as a finalizer may come with the call and make something ready.
        index, count = 0, len(batch)
        try:
            while index < count:
                entry = batch[index]
                batch[index] = None
                index += 1
                # From one task to the next it is not said that none is running: the next one takes its place.
                if self._entered is not None and type(entry) is not type(self._entered):
                    self._leave_task()
                entry._run()
                if native.COMPILED and isinstance(entry, Handle) and native.is_shared(entry):
                    entry._track()
        finally:
            if index < count:  # an interrupt: the rest runs first when the loop goes on
                self._upcoming[:0], batch[index:] = batch[index:], []
            if not native.COMPILED:
                self._batch = None
            native.clear(batch)
            self._spare = batch
            entry = None  # interpreted, the frames of a traceback lead back to this one

    def _put_back(self):
        # After interrupts that the `finally` above missed: since 3.12 CPython leaves a loop's jump back, where it heeds
        # signals, out of the `try` around the loop. So the loops below stand in calls of their own.
        self._upcoming[:0] = [entry for entry in self._batch if entry is not None]
        self._batch = None

    def _run_ready_watched(self):
        """`_run_ready` for debug mode, and for programs that watch each callback."""
        if self._arrange is not None:
            self._arrange(self._upcoming)
        batch = self._upcoming
        self._upcoming = []
        if self._ring is not None:
            self._ring._begin_turn(self._turns)
        try:
            batch.reverse()
            self._run_batch_watched(batch)
        finally:
            self._current_handle = None
            batch.reverse()
            self._upcoming[:0] = batch

    def _run_ready_recorded(self):
        """`_run_ready`, which writes into the ring what ran."""
        ring, batch = self._ring, self._upcoming
        self._batch = batch
        self._upcoming, self._spare = [] if self._spare is None else self._spare, None
        ring._begin_turn(self._turns)
        index, count = 0, len(batch)
        try:
            while index < count:
                entry, batch[index] = batch[index], None
                index += 1
                if self._entered is not None and type(entry) is not type(self._entered):
                    self._leave_task()
                entry._run_recorded(ring)
        finally:
            if index < count:  # an interrupt, as in `_run_ready`
                self._upcoming[:0], batch[index:] = batch[index:], []
            self._batch = None
            native.clear(batch)
            self._spare = batch
            entry = None

    def _arrange_by(self, arrange):
        """Have `arrange(ready)` put what is ready into another order, in place, before it is run."""
        self._arrange = arrange
        self._follow_handles()

    def _record_into(self, ring):
        """Write what the loop does into a ring from the next turn on; None: do not."""
        self._ring, self._told_of = ring, -1
        self._follow_handles()

    def _run_batch_watched(self, batch):
        while batch:
            self._run_watched(batch.pop())

    def _run_watched(self, entry):
        self._current_handle = entry
        began = self._clock._now()
        try:
            if self._run_handle is not _run_of_stock:
                run_by(self._run_handle, entry, self)
            elif self._ring is not None:
                entry._run_recorded(self._ring)
            else:
                entry._run()
        finally:
            if self._entered is not None:
                self._leave_task()
            entry._track()
        duration = self._clock._now() - began
        if self._debug and duration >= self.slow_callback_duration:
            logger.warning("Executing %s took %.3f seconds", reports.slow_step(entry), duration)
        entry = None  # as in `_run_ready`

    def _leave_task(self):
        """Say that no task is running."""
        self._entered = None
        if _current_tasks is None:
            _swap_current_task(self, None)
        else:
            _current_tasks.pop(self, None)  # a program may have left it by hand

    # --- Running ----------------------------------------------------------------------------------

    def run_forever(self):
        """Run until `stop` is called. RuntimeError if this or another loop runs in the thread already."""
        self._check_closed()
        self._check_running()
        try:
            self._run_forever_setup()
            self._run_until_stopped()
        finally:
            if self._batch is not None:
                self._put_back()
            self._run_forever_cleanup()

    def _run_until_stopped(self):
        # Who cleans up in the middle of it ends it, too.
        if self._run_once == Loop._run_once.__get__(self):
            while self._thread:  # in a call of its own, as above
                self._turn()
                if self._stopping:
                    break
        else:
            while self._thread:
                self._run_once()
                if self._stopping:
                    break

    # asyncio: programs that give the thread to a loop of another kind have a `run_forever` made of these three.

    def _run_once(self):
        """Do one turn."""
        self._turn()

    def _run_forever_setup(self):
        """Begin to run; RuntimeError as `run_forever` says."""
        self._check_closed()
        self._check_running()
        if self._batch is not None:
            self._put_back()
        self._busy_turns = 0  # however busy the run before was: its turns do not count
        self._begin()
        self._follow_time()
        self._follow_handles()
        self._track_origins(self._debug)
        self._saved_hooks = sys.get_asyncgen_hooks()
        self._thread = self._thread_id = threading.get_ident()
        firstiter, finalizer = self._asyncgen_hooks()
        sys.set_asyncgen_hooks(firstiter=firstiter, finalizer=finalizer)
        self._notice_signals(True)
        syscalls.precise_waits(True)
        _set_running_loop(self)

    def _run_forever_cleanup(self):
        """Run no longer."""
        self._end_turns()
        self._track_all(self._upcoming + self._incoming + self._timers.waiting())
        forget_contexts()
        syscalls.precise_waits(False)
        self._notice_signals(False)
        self._track_origins(False)
        if self._saved_hooks is not None:
            sys.set_asyncgen_hooks(*self._saved_hooks)
            self._saved_hooks = None

    # Who drives several loops on one thread does so turn by turn.
    def turn(self):
        """Do one turn as `run_forever` would, and return: True if somebody called `stop`.

        The loop is the running one during the turn only, heeds no signals, and leaves the thread's hooks for async
        generators alone: who drives it sets them. It asks its poller as always, so a loop that shares its thread is
        given one that does not wait.
        """
        self._begin_turns()
        try:
            self._run_once()
        finally:
            self._waker._wanted = True  # between turns it sleeps
            if self._batch is not None:
                self._put_back()
            stopped = self._end_turns()
        return stopped

    def _begin_turns(self):
        """Become the running loop; who does so has turns by `_turn`, and ends with `_end_turns`."""
        self._check_closed()
        self._check_running()
        if self._batch is not None:
            self._put_back()
        self._thread = self._thread_id = native.get_ident()
        _set_running_loop(self)
        self._begin()

    def _end_turns(self):
        """Stand still; return True if somebody called `stop`."""
        stopped, self._stopping = self._stopping, False
        self._thread_id, self._thread = None, 0
        if self._entered is not None:
            self._leave_task()
        _set_running_loop(None)
        # Order: what takes long comes after what an interrupt must not leave undone.
        self._go_to_look()
        return stopped

    def can_run(self):
        """Whether a turn would run something, whatever the poller has to say."""
        return bool(self._upcoming or self._incoming or self._stopping)

    def next_deadline(self):
        """Return the earliest deadline of a timer, by the loop's clock; inf if there is none."""
        return self._timers._next_deadline()

    def _track_all(self, entries):
        """Show Runnables to the cycle collector: a loop that stands still may be garbage."""
        for entry in entries:
            entry._track()

    def _asyncgen_hooks(self):
        """The (firstiter, finalizer) of async generators while the loop runs."""
        return (None, None)

    def _notice_signals(self, enable):
        """Let a signal wake the poller, so that none waits for the next event; main thread only."""
        if threading.get_ident() != threading.main_thread().ident:
            return
        mine = self._waker.fileno()
        try:
            if enable:
                previous = signal.set_wakeup_fd(mine, warn_on_full_buffer=False)
                if previous not in (-1, mine):
                    signal.set_wakeup_fd(previous)  # somebody else's: leave it
            elif not self._wants_signals:
                previous = signal.set_wakeup_fd(-1)
                if previous not in (-1, mine):
                    signal.set_wakeup_fd(previous)
        except ValueError:
            pass  # not the main interpreter: it gets no signals

    def _handle_signals(self, data):
        """Act on the numbers of signals (bytes) that came. The engine knows no handlers."""

    def stop(self):
        """Let `run_forever` return at the end of this turn, or of its first one if it does not run."""
        self._stopping = True

    def close(self):
        """Drop what waits, and give the poller back. RuntimeError while the loop runs."""
        if self.is_running():
            raise RuntimeError("Cannot close a running event loop")
        if self._closed:
            return
        if self._debug:
            logger.debug("Close %r", self)
        self._closed = True
        self._direct = False
        self._waker.leave(self._poller)
        self._waker.close()
        self._poller._pulse = None
        self._poller.close()
        self._callbacks.clear()
        self._displaced_files.clear()
        self._waits.clear()
        self._timers._clear()
        handles, tasks = self._upcoming + self._incoming, list(self._live)
        self._incoming.clear()
        self._upcoming.clear()
        self._live.clear()
        if not self._own_scheduling:
            tasks += release(self)
        if (handles or tasks) and not sys.is_finalizing():  # then no thread is left, and nothing can be imported
            from .farewell import tell_threads  # here, because most loops have nothing left

            tell_threads(handles, tasks)

    def _forked(self):
        """In a forked child: leave alone what the kernel shares with the parent (`forks`)."""
        self._record_into(None)
        self._poller.forked()
        for reference in list(self._transports.values()):
            transport = reference()
            if transport is not None:
                transport._forked()
        inherited = self._waker
        inherited.leave(self._poller)
        self._waker = Waker(self._handle_signals, self._poller)
        self._poller.add(self._waker.watched_fileno(), self._waker, READABLE)
        try:
            # The interpreter would write the child's signals into the parent's bell.
            previous = signal.set_wakeup_fd(self._waker.fileno(), warn_on_full_buffer=False)
            if previous != inherited.fileno():
                signal.set_wakeup_fd(previous)
        except ValueError:
            pass  # not the main interpreter: it gets no signals
        inherited.close()

    def is_running(self):
        """Return True if the loop runs, in whatever thread."""
        return self._thread_id is not None

    def _check_running(self):
        if self.is_running():
            raise RuntimeError("This event loop is already running")
        if _get_running_loop() is not None:
            raise RuntimeError("Cannot run the event loop while another loop is running")

    # --- Time -------------------------------------------------------------------------------------

    def time(self):
        """Return the time by the loop's clock, in seconds; only differences mean something."""
        return self._own_clock._now()

    def _follow_time(self):
        """asyncio: a program may replace `time`, in a subclass or on the loop; timers then go by it."""
        if self.time == Loop.time.__get__(self):
            self._clock = self._own_clock
        elif self._clock is self._own_clock:
            self._clock = ForeignClock(self)
            if not hasattr(self, "resolution"):
                self._clock.resolution = self._own_clock.resolution
        if native.COMPILED:
            self._time_version = native.class_version(type(self)) or 1  # without one, look each time

    def _now(self):
        """The time that timers go by; compiled. It may be another one since the loop last looked.

        Interpreted, `time` is called instead. Replaced in the class, the class has another version; replaced on
        the loop, `EventLoop` says so.
        """
        if native.class_version(type(self)) != self._time_version:
            self._follow_time()
        return self._clock._now()

    def _follow_handles(self):
        """asyncio: a program may replace the `_run` of asyncio's Handle, to see each callback run."""
        self._run_handle = _StockHandle._run
        one_by_one = self._debug or self._run_handle is not _run_of_stock or self._arrange is not None
        self._recorded = self._ring is not None and not one_by_one
        self._watched = self._ring is not None or one_by_one
        self._direct = self._own_scheduling and not self._debug and not self._closed and self._ring is None
        if native.COMPILED:
            self._handle_version = native.class_version(_StockHandle) or 1

    # --- Scheduling -------------------------------------------------------------------------------

    def call_soon(self, callback, *args, context=None):
        """Call `callback(*args)` in the next turn, after what was asked for before; return a Handle.

        It runs in `context`, by default a copy of the current one. Not thread-safe.
        """
        if not self._direct:
            self._check_call(callback, "call_soon")
        return self._call_soon(callback, args, context)

    def _call_soon(self, callback, args, context):
        handle = Handle.__new__(Handle)
        handle._init(callback, args, self, context)
        if self._debug:
            handle._source_traceback = reports.callers_stack()
        if self._incoming:
            self._accept_incoming()  # asyncio: what another thread asked for before goes first
        self._upcoming.append(handle)
        if native.COMPILED:
            entrust(handle, self._thread)
        return handle

    def _schedule(self, handle, args):
        """Make the handle of a done callback ready, which gets its arguments only now."""
        handle._args = args
        if self._incoming:
            self._accept_incoming()  # as in `_call_soon`; one function for both costs a call_soon 6 % interpreted
        self._upcoming.append(handle)
        if native.COMPILED:
            entrust(handle, self._thread)

    def call_soon_threadsafe(self, callback, *args, context=None):
        """`call_soon` from any thread, or from a signal handler."""
        if self._closed:
            self._check_closed()
        if self._debug:
            reports.check_callback(callback, "call_soon_threadsafe")
        return self._call_soon_threadsafe(callback, args, context)

    def _call_soon_threadsafe(self, callback, args, context):
        handle = ThreadSafeHandle.__new__(ThreadSafeHandle)
        handle._init_threadsafe(callback, args, self, context)
        if self._debug:
            handle._source_traceback = reports.callers_stack()
        if self._thread == native.get_ident():
            self._upcoming.append(handle)
        else:
            self._incoming.append(handle)
        if native.COMPILED:
            entrust(handle, self._thread)
        self._waker._notify()
        return handle

    def call_later(self, delay, callback, *args, context=None):
        """Call `callback(*args)` after `delay` seconds, never earlier; return a TimerHandle."""
        if delay is None:
            raise TypeError("delay must not be None")
        if not self._direct:
            self._check_call(callback, "call_later")
            if not self._own_scheduling:
                return self.call_at(self.time() + delay, callback, *args, context=context)
        if native.COMPILED:
            return self._call_at(self._now() + native.seconds(delay), None, callback, args, context)
        return self._call_at(self.time() + native.seconds(delay), None, callback, args, context)

    def call_at(self, when, callback, *args, context=None):
        """Call `callback(*args)` at the time `when` of the loop's clock; return a TimerHandle."""
        if when is None:
            raise TypeError("when cannot be None")
        if not self._direct:
            self._check_call(callback, "call_at")
        return self._call_at(native.seconds(when), when, callback, args, context)

    def _call_at(self, deadline, given, callback, args, context):
        handle = TimerHandle.__new__(TimerHandle)
        handle._init(callback, args, self, context)
        handle._init_timer(deadline, given)
        if self._debug:
            handle._source_traceback = reports.callers_stack()
        self._timers._add(handle)
        if native.COMPILED:
            entrust(handle, self._thread)
        return handle

    def _arm(self, timer, deadline):
        """Let a timer without a callback, which its class replaces, run at `deadline`."""
        timer._init(None, (), self, None)
        timer._init_timer(deadline, deadline)
        self._timers._add(timer)
        if native.COMPILED:
            entrust(timer, self._thread)

    def _check_call(self, callback, method):
        """What `call_*` refuse: a closed loop, and in debug mode a wrong thread or a wrong callback."""
        self._check_closed()
        if self._debug:
            self._check_thread()
            reports.check_callback(callback, method)

    def _check_thread(self):
        if self._debug and self._thread_id is not None and self._thread_id != threading.get_ident():
            raise RuntimeError("Non-thread-safe operation invoked on an event loop other than the current one")

    # --- Debug mode -------------------------------------------------------------------------------

    def get_debug(self):
        """Return True in debug mode."""
        return self._debug

    def set_debug(self, enabled):
        """Turn debug mode on or off."""
        self._debug = bool(enabled)
        self._follow_handles()
        if self.is_running():
            self.call_soon_threadsafe(self._track_origins, enabled)

    def _track_origins(self, enabled):
        """Let coroutines remember where they were made; the interpreter's setting is restored later."""
        if bool(enabled) == (self._saved_origin_depth is not None):
            return
        if enabled:
            self._saved_origin_depth = sys.get_coroutine_origin_tracking_depth()
            sys.set_coroutine_origin_tracking_depth(reports.STACK_DEPTH)
        else:
            sys.set_coroutine_origin_tracking_depth(self._saved_origin_depth)
            self._saved_origin_depth = None

    # --- Errors that nobody caught ----------------------------------------------------------------

    def get_exception_handler(self):
        """Return the handler that was set, or None."""
        return self._exception_handler

    def set_exception_handler(self, handler):
        """Have `handler(loop, context)` called for errors nobody caught; None restores the default."""
        if handler is not None and not callable(handler):
            raise TypeError(f"A callable object or None is expected, got {handler!r}")
        self._exception_handler = handler

    def default_exception_handler(self, context):
        """Log `context["message"]`, the exception and what else the context says."""
        reports.log_error(self._current_handle, context)

    def call_exception_handler(self, context):
        """Report an error that nobody caught.

        `context` is a dict with "message" and, as far as they apply, "exception", "future", "task",
        "handle", "protocol", "transport", "socket", "source_traceback", "asyncgen".
        """
        reports.handle_error(self, self._exception_handler, context)
