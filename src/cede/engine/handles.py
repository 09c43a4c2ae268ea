"""Handle, TimerHandle: a callback that waits for its turn.

Two bases stand here because everything above shares them. `Runnable` is what the ready list holds:
handles and tasks alike, so that waking a task costs no handle. `Watcher` is what a poller reports
to: a transport, a listener, or the pair of callbacks that `add_reader` and `add_writer` keep.

Law: a cancelled handle never calls its callback, and drops it at once with its arguments.
"""

import asyncio
import sys
import threading
import types

from . import native, reports

_AT_ONCE = float("-inf")
_LOOK_AGAIN = 0.05  # seconds; how often one who waits in `ThreadSafeHandle.cancel` asks whether that can end
_waits = {}  # thread: the ThreadSafeHandle whose callback it waits for


class Runnable:
    """Anything that the ready list can hold."""

    def _run(self):
        """Do this turn's work. Only KeyboardInterrupt and SystemExit may leave it. True: it failed, which was told."""
        raise NotImplementedError

    def _track(self):
        """Let the cycle collector see again what was hidden from it."""

    # While the loop records what it does (`ring`), it calls these.

    def _identity(self):
        """The number of the task that it is, else 0."""
        return 0

    def _woken(self, ring):
        """It is about to stand in the ready list."""

    def _run_recorded(self, ring):
        """`_run`, and write that into the ring."""
        self._run()
        ring._call(False, ring._number_of(type(self)))

    def __getstate__(self):
        # A copy would stand where the other stands, in a loop's lists and a heap's links, without being there.
        raise TypeError(f"cannot pickle {type(self).__name__!r} object")


class Watcher(Runnable):
    """Anything that a poller can report to. A subclass in Python overrides `on_ready`.

    One that may not act at once on what it was told stands in the ready list itself, and acts when it is run.
    """

    def __init__(self):
        """Watch nothing yet."""
        self._interest = 0  # what the poller is asked, bits of `pollers.base`

    def _on_ready(self, events):
        """Act on `events`. Only KeyboardInterrupt and SystemExit may leave it."""
        self.on_ready(events)

    def on_ready(self, events):
        """Act on `events`; this is what a subclass in Python overrides."""
        raise NotImplementedError

    def _displaced(self):
        """The descriptor was closed behind our back, and its number given to another file, which somebody watches."""
        self._interest = 0


def deliver(watcher, events):
    """Tell `watcher` that `events` came; for pollers written in Python."""
    watcher._on_ready(events)


def displace(watcher):
    """Tell `watcher` that another one has the number of its descriptor now; for pollers written in Python."""
    watcher._displaced()


def run_one(entry):
    """Do what a Runnable has to do this turn; for what is written in Python."""
    entry._run()


def shown_as_handle(entry, loop):
    """The Handle that asyncio would have in place of a Runnable: itself, or one that runs it."""
    if type(entry) is Handle or type(entry) is TimerHandle:
        return entry
    return Handle(types.MethodType(run_one, entry), (), loop)


def run_by(run, entry, loop):
    """Let `run(handle)`, which takes the place of asyncio's `Handle._run`, run a Runnable."""
    handle = shown_as_handle(entry, loop)
    if not handle._cancelled:
        run(handle)


def forget_contexts():
    """Keep the value of no variable alive for handles to come, of which none may come for a while."""
    native.forget_contexts()  # here, because each module has its own


class Handle(Runnable):
    """A callback, its arguments and the context they run in; what `call_soon` returns."""

    def __init__(self, callback, args, loop, context=None):
        """Hold a callback; nobody runs it yet."""
        self._cancelled = False
        self._source_traceback = None
        self._repr = None
        self._init(callback, args, loop, native.copy_context() if context is None else context)
        native.track(self)
        if loop.get_debug():
            self._source_traceback = reports.callers_stack()

    # The fields. What `_init` does not set is None or False by nature (declared below): writing that into each handle
    # costs what a hundredth of a callback does.

    def _init(self, callback, args, loop, context):
        self._callback = callback  # None once cancelled
        self._args = args  # a tuple, None once cancelled
        self._loop = loop
        self._runs_in = native.snapshot() if context is None else context
        if native.COMPILED:
            self._shares_context = context is None
        # _shares_context: whether `_runs_in` is shared with others; then it is copied before anything runs there
        # _cancelled
        # _source_traceback: where it was made; debug mode only
        # _repr: what it looked like when cancelled; debug mode only

    # asyncio: isinstance(handle, asyncio.Handle) is asked by libraries.
    @property
    def __class__(self):
        return asyncio.Handle

    def _run(self):
        if self._cancelled or self._args is None:  # a program may say that what was cancelled is not
            return
        if self._shares_context:
            self._runs_in = native.private_copy(self._runs_in)
            self._shares_context = False
        failed = None
        failure = native.attempt(self._runs_in, self._callback, self._args)
        if failure is not None:
            failed = True
            self._fail(failure)
        # Interpreted, the frames of a traceback lead back to this one: also those of a coroutine that ended in there,
        # whose task, of another kind, keeps its exception, and is what this handle calls.
        self = failure = None
        return failed

    def _fail(self, exc):
        if isinstance(exc, (SystemExit, KeyboardInterrupt)):
            if native.COMPILED:
                self._track()  # as the loop does with one that ran
            try:
                raise exc
            finally:
                self = exc = None  # as above
        reports.callback_failed(self, exc)

    def _run_recorded(self, ring):
        failed = self._run() is True
        ring._call(failed, 0 if self._callback is None else ring._name_of_callback(self._callback))
        if native.COMPILED and native.is_shared(self):
            self._track()  # as the loop does with one that ran

    def _track(self):
        # Until then the collector of cycles does not see it: what a running loop holds cannot be garbage.
        native.track(self)
        native.track(self._args)

    def cancel(self):
        """Cancel the callback. Does nothing if it was cancelled already or has run."""
        self._cancel()

    def _cancel(self):
        if not self._cancelled:
            self._cancelled = True
            if self._source_traceback is not None:
                self._repr = repr(self)
            if native.COMPILED:
                native.track(self._args)  # which somebody may hold
            self._callback = None
            self._args = None

    def cancelled(self):
        """Return True if the callback was cancelled."""
        return self._cancelled

    def get_context(self):
        """Return the `contextvars.Context` in which the callback runs."""
        if self._shares_context:
            self._runs_in = self._runs_in.copy()
            self._shares_context = False
        return self._runs_in

    @property
    def _context(self):
        return self.get_context()

    def _repr_info(self):
        return reports.handle_info(self)

    def __repr__(self):
        if self._repr is not None:
            return self._repr
        return f"<{' '.join(self._repr_info())}>"


class ThreadSafeHandle(Handle):
    """What `call_soon_threadsafe` returns: `cancel` from another thread waits for a callback that is running.

    After `cancel()` returned, the callback is not running and will not run (cpython gh-128340).
    """

    def __init__(self, callback, args, loop, context=None):
        """Hold a callback; nobody runs it yet."""
        self._init_threadsafe(callback, args, loop, native.copy_context() if context is None else context)
        native.track(self)

    def _init_threadsafe(self, callback, args, loop, context):
        self._init(callback, args, loop, context)
        # _running_thread: the thread now in the callback, else 0
        # _finished: the threading.Event of all who wait in cancel()

    def _run(self):
        self._running_thread = native.get_ident()
        try:
            return Handle._run(self)
        finally:
            # Order: first say "not running", then look for waiters; cancel() does the opposite.
            self._running_thread = 0
            if self._finished is not None:
                self._finished.set()

    def cancel(self):
        self._cancel()
        if self._running_thread and self._running_thread != native.get_ident():
            self._wait()

    def _wait(self):
        finished = threading.Event()
        # Order: nothing is called between these two, so all who wait take the same event.
        if self._finished is None:
            self._finished = finished
        thread = native.get_ident()
        outer = _waits.get(thread)  # of a signal's handler, or a finalizer, that came while it waited
        _waits[thread] = self
        try:
            while self._running_thread and self._can_end(thread):
                if self._finished.wait(_LOOK_AGAIN):
                    break
        finally:
            if outer is None:
                del _waits[thread]
            else:
                _waits[thread] = outer

    def _can_end(self, thread):
        """Return False if `thread` would wait for ever: who runs the callback is gone, or itself waits for `thread`.

        Gone are the other threads in a forked child, and those that the end of the interpreter does not wait for.
        """
        runner = self._running_thread
        if sys.is_finalizing() or runner not in native.thread_frames():
            return False
        for _ in range(len(_waits)):
            other = _waits.get(runner)
            if other is None:
                return True
            runner = other._running_thread
            if runner == thread:
                return False
        return True


class Timers:
    """Where timer handles wait; `timers.TimerHeap` is the one there is."""

    def _discard(self, handle):
        """Take a handle out; nothing happens if it is not in."""
        raise NotImplementedError


class TimerHandle(Handle):
    """A callback that waits for its deadline; what `call_later` and `call_at` return."""

    def __init__(self, when, callback, args, loop, context=None):
        """Hold a callback for the time `when`; it waits in no loop yet."""
        heap = self._heap if native.COMPILED else getattr(self, "_heap", None)
        if heap is not None:
            heap.discard(self)  # called again
        self._init(callback, args, loop, native.copy_context() if context is None else context)
        self._init_timer(native.seconds(when), when)
        native.track(self)
        if loop.get_debug():
            self._source_traceback = reports.callers_stack()

    def _init_timer(self, deadline, given):
        # The time of the loop's clock, in seconds. Not a number compares with nothing: it would break the heap's order.
        self._deadline = deadline if deadline >= _AT_ONCE else _AT_ONCE
        self._given = None if type(given) is float else given  # the same as the caller gave it, if that was no float
        if not native.COMPILED:  # where they are None and zero by nature
            self._heap = None  # the TimerHeap it waits in
            self._child = self._next = self._before = None  # its links there, see `timers`
            self._order = 0  # breaks ties: equal deadlines run in the order they were asked for

    @property
    def __class__(self):
        return asyncio.TimerHandle

    @property
    def _when(self):
        return self._deadline if self._given is None else self._given

    @property
    def _scheduled(self):
        """True iff the handle waits in a loop's heap."""
        return self._heap is not None

    def when(self):
        """Return the deadline: seconds of the loop's clock, a float."""
        return self._when

    def cancel(self):
        self._cancel()

    def _cancel(self):
        if not self._cancelled:
            if self._heap is not None:
                self._heap._discard(self)
                if native.COMPILED:
                    native.track(self)
            Handle._cancel(self)

    def _repr_info(self):
        info = reports.handle_info(self)
        info.insert(2 if self._cancelled else 1, f"when={self._when}")
        return info

    def __hash__(self):
        return hash(self._when)

    def __eq__(self, other):
        if not isinstance(other, TimerHandle):
            return NotImplemented
        return (
            self._when == other._when
            and self._callback == other._callback
            and self._args == other._args
            and self._cancelled == other._cancelled
        )

    def __lt__(self, other):
        return self._when < other._when if isinstance(other, TimerHandle) else NotImplemented

    def __le__(self, other):
        return self._when < other._when or self == other if isinstance(other, TimerHandle) else NotImplemented

    def __gt__(self, other):
        return self._when > other._when if isinstance(other, TimerHandle) else NotImplemented

    def __ge__(self, other):
        return self._when > other._when or self == other if isinstance(other, TimerHandle) else NotImplemented


def entrust(handle, thread):
    """Leave a new handle to its loop; one that runs, in `thread`, will run it, so it is no garbage to look for."""
    if thread:
        native.untrack(handle._args)
    else:
        handle._track()


# asyncio: programs that turn the loop themselves call it.
native.publish(Handle, "_run", run_one)

native.declare(Handle, {"_cancelled": False, "_shares_context": False, "_source_traceback": None, "_repr": None})
native.declare(ThreadSafeHandle, {"_running_thread": 0, "_finished": None})

# They come and go with every callback.
native.share_contexts()
native.keep_memory(Handle, True)
native.keep_memory(ThreadSafeHandle, True)
native.keep_memory(TimerHandle, True)
native.end_one_by_one(Handle)
native.end_one_by_one(ThreadSafeHandle)
native.end_one_by_one(TimerHandle)
native.sign(globals())
