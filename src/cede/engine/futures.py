"""Future: a result that is not there yet, and those who wait for it.

    state      set by                            then
    PENDING    creation                          it may be awaited, cancelled, resolved
    FINISHED   set_result, set_exception         `_result` or `_exception` holds the outcome
    CANCELLED  cancel                            awaiting it raises CancelledError; `_exception` is the one that ended a
                                                 task, until it is raised once, else None

PENDING is left once and for good. Leaving it makes everyone who waits ready to run, in the order in
which they asked.

Who waits: nearly always exactly one task. It stands in `_waiter`, and is made ready without a
handle, a bound method or a tuple. A done callback is a Handle from the start, and gets its argument when
the future is done. Who asks while somebody stands in `_waiter` stands in `_others`.
Invariant: `_waiter` is only ever set while `_others` is empty, so it asked first.

A future belongs to a loop. On one of cede's it puts the waiting task straight into the ready list;
on any other loop (`_engine` is None) it goes through that loop's `call_soon`.
"""

import asyncio
from asyncio import CancelledError, InvalidStateError
from types import CoroutineType, GenericAlias

from . import native, reports, running
from .handles import Handle, Runnable
from .loop import Loop
from .waited import BITS, SLEEP

_PENDING = 0
_FINISHED = 1
_CANCELLED = 2

NOBODY = native.nobody()
_NOBODY = NOBODY  # who awaits a future that nobody awaits
_get_running_loop = running._get_running_loop

_STATE_NAMES = ("PENDING", "FINISHED", "CANCELLED")


class Future(Runnable):
    """A result that will be there later. Not thread-safe.

    `loop` is the event loop it belongs to; without one it is the running loop, else the thread's
    current one (RuntimeError if there is none).
    """

    def __init__(self, *, loop=None):
        """Begin pending. RuntimeError if it has begun already."""
        if getattr(self, "_loop", None) is not None:
            raise RuntimeError(f"{type(self).__name__} object is already initialized")
        native.drop_empty_dict(self)
        self._init(running.get_event_loop() if loop is None else loop)

    # The fields. What `_init` does not set is None or zero by nature (`await_slots.install`): writing that into each
    # future would take half the time of making it.
    #
    #   _loop                     the event loop
    #   _engine                   the loop again, if it is cede's and schedules as cede does
    #   _phase                    _PENDING, _FINISHED or _CANCELLED
    #   _result, _exception       the outcome; the exception also of a task that was cancelled
    #   _exception_tb             the traceback `_exception` had when it was set
    #   _log_unretrieved          true iff an exception was set and nobody has asked for it
    #   _cancel_message           what `cancel` was given
    #   _waiter                   who asked first: a Task, a Link or the Handle of a callback; or None
    #   _others                   those who asked after it, a list, or None
    #   _awaited_by               who waits, for call graphs: _NOBODY, one awaiter, or a set of them
    #   _is_awaited_by_set        false iff that is one awaiter: tools read nobody as an empty set
    #   _asyncio_future_blocking  asyncio: true between an await's yield and its task's suspending
    #   _noted                    of a task: when it became ready last (`ring`), while its loop records only;
    #                             of all others: for what it stands (`waited`), and of which resource
    #
    # What only tasks use (see `tasks`), here for their place: _stage, _passes_cancel and _number. In debug mode also,
    # in the object's dict, `_made_in`: the stack where it was made.

    def __cinit__(self, *args, **kwargs):
        # Compiled, what is not zero or None by nature. Interpreted: `await_slots.install`.
        self._awaited_by = _NOBODY
        self._is_awaited_by_set = True

    def _init(self, loop):
        self._loop = loop
        if isinstance(loop, Loop):
            engine = loop
            if engine._own_scheduling:
                self._engine = engine
        if loop.get_debug() if self._engine is None else self._engine._debug:
            setattr(self, "_made_in", reports.callers_stack())  # noqa: B010 - compiled there is no such field

    # asyncio: isinstance(future, asyncio.Future) is asked by libraries.
    @property
    def __class__(self):
        return asyncio.Future

    __class_getitem__ = classmethod(GenericAlias)

    def __repr__(self):
        return reports.future_repr(self)

    # --- What it is ---------------------------------------------------------------------------

    def done(self):
        """Return True if the result is there, or the future was cancelled."""
        return self._phase != _PENDING

    def cancelled(self):
        """Return True if the future was cancelled."""
        return self._phase == _CANCELLED

    def get_loop(self):
        """Return the event loop the future belongs to."""
        if self._loop is None:
            raise RuntimeError("Future object is not initialized.")
        return self._loop

    def result(self):
        """Return the result; raise the exception that was set.

        CancelledError if it was cancelled, InvalidStateError if it is not done.
        """
        if self._phase == _FINISHED and self._exception is None:
            return self._result
        try:
            raise self._take_error()
        finally:
            self = None  # as in `__await__`

    def _take_error(self):
        """What asking for the result raises, unless there is one. A set exception counts as retrieved."""
        if self._phase == _CANCELLED:
            return self._cancelled_error()
        if self._phase == _PENDING:
            return InvalidStateError("Result is not set.")
        self._log_unretrieved = False
        return native.with_traceback(self._exception, self._exception_tb)

    def exception(self):
        """Return the exception that was set, or None.

        CancelledError if it was cancelled, InvalidStateError if it is not done.
        """
        if self._phase == _CANCELLED:
            raise self._cancelled_error()
        if self._phase == _PENDING:
            raise InvalidStateError("Exception is not set.")
        self._log_unretrieved = False
        return self._exception

    def _make_cancelled_error(self):
        return self._cancelled_error()

    def _cancelled_error(self):
        """The CancelledError to raise. The one that ended a task is raised once, then let go."""
        if self._phase == _CANCELLED and self._exception is not None:
            exc = self._exception
            self._exception = None
            return exc
        if self._cancel_message is None:
            return CancelledError()
        return CancelledError(self._cancel_message)

    # --- Resolving ------------------------------------------------------------------------------

    def set_result(self, result):
        """Mark the future done with `result`. InvalidStateError if it is done already."""
        self._resolve(result)

    def _resolve(self, result):
        if self._phase != _PENDING or self._loop is None:
            raise self._refusal()
        self._result = result
        self._phase = _FINISHED
        if self._waiter is not None or self._others is not None:
            self._wake_all()

    def set_exception(self, exception):
        """Mark the future done with an exception (an instance, or a class to call).

        InvalidStateError if it is done already. A StopIteration becomes the cause of a RuntimeError.
        """
        self._fail(exception)

    def _fail(self, exception):
        if self._phase != _PENDING or self._loop is None:
            raise self._refusal()
        if isinstance(exception, type):
            exception = exception()
            if self._phase != _PENDING:  # that may have run anything
                raise self._refusal()
        if not native.is_exception(exception):
            raise TypeError(f"invalid exception object: an exception was expected, got {exception!r}")
        if isinstance(exception, StopIteration):
            stop = exception
            exception = RuntimeError("StopIteration interacts badly with generators and cannot be raised into a Future")
            exception.__cause__ = stop
            exception.__context__ = stop
        self._exception = exception
        self._exception_tb = native.traceback_of(exception)
        self._phase = _FINISHED
        self._wake_all()
        self._log_unretrieved = True

    def cancel(self, msg=None):
        """Cancel the future and wake those who wait. Return False if it was done already."""
        return self._cancel(msg)

    def _cancel(self, msg):
        self._log_unretrieved = False
        if self._phase != _PENDING:
            return False
        if self._loop is None:
            raise self._refusal()
        self._phase = _CANCELLED
        self._cancel_message = msg
        self._wake_all()
        return True

    def _refusal(self):
        """The error for resolving a future that is done, or that was never initialized."""
        if self._loop is None:
            return RuntimeError("Future object is not initialized.")
        return InvalidStateError(f"{self._state}: {self!r}")

    def _wake_all(self):
        """Make everyone who waits ready to run."""
        waiter = self._waiter
        if waiter is not None:
            self._waiter = None
            engine = self._engine
            if engine is not None and engine._direct and type(waiter) is not Handle:
                engine._upcoming.append(waiter)  # nearly always
            else:
                self._ready(waiter)
        others = self._others
        if others is not None:
            self._others = None
            for waiter in others:
                self._ready(waiter)

    def _ready(self, waiter):
        """Put one who waits among those about to run."""
        engine = self._engine
        if type(waiter) is Handle:
            handle = waiter
            if engine is not None and engine._direct:
                engine._schedule(handle, (self,))
            else:
                self._loop.call_soon(handle._callback, self, context=handle.get_context())
        elif engine is not None and engine._direct:
            engine._upcoming.append(waiter)
        else:
            self._ready_slowly(waiter)

    def _ready_slowly(self, task):
        engine = self._engine
        if engine is None:
            self._loop.call_soon(task._step_by_callback)
            return
        if engine._closed:
            engine._check_closed()
        if engine._debug:
            engine._check_thread()
        if engine._ring is not None:
            task._woken(engine._ring)
        engine._upcoming.append(task)

    # --- Waiting --------------------------------------------------------------------------------

    def add_done_callback(self, fn, *, context=None):
        """Call `fn(future)` soon after the future is done, in `context` (default: a copy of this one)."""
        if self._phase != _PENDING:
            self._loop.call_soon(fn, self, context=context)
        else:
            self._add_callback(fn, context)

    def _add_callback(self, fn, context):
        if self._loop is None:
            raise self._refusal()
        handle = Handle.__new__(Handle)
        handle._init(fn, None, self._loop, context)
        if native.COMPILED:
            native.track(handle)
        self._add_waiter(handle)

    def remove_done_callback(self, fn):
        """Remove every callback that equals `fn`; return how many there were."""
        if self._loop is None:
            raise self._refusal()
        first = self._waiter
        others = self._others
        kept = [waiter for waiter in others or () if _calls_another(waiter, fn)]
        removed = len(others or ()) - len(kept)
        # Order: `!=` may have run anything, even a resolving of this very future.
        if removed and self._others is others:
            self._others = kept or None
        if not _calls_another(first, fn):
            removed += 1
            if self._waiter is first:
                self._waiter = None
        return removed

    def _add_waiter(self, waiter):
        """Let `waiter` run when this future is done, which it may be: finalizers run where they like."""
        if self._phase != _PENDING:
            self._ready(waiter)
        elif self._others is not None:
            self._others.append(waiter)
        elif self._waiter is None:
            self._waiter = waiter
        else:
            self._others = [waiter]

    def _remove_waiter(self, waiter):
        """Take out one who waits, if it still does."""
        if self._waiter is waiter:
            self._waiter = None
        elif self._others is not None:
            self._others = [other for other in self._others if other is not waiter] or None

    def _add_edge(self, waiter):
        """Note for call graphs that `waiter` waits: nearly always there is only one."""
        known = self._awaited_by
        if known is _NOBODY:
            self._awaited_by = waiter
            self._is_awaited_by_set = False
        elif type(known) is set:
            known.add(waiter)
        elif known is not waiter:
            self._awaited_by = {known, waiter}
            self._is_awaited_by_set = True

    def _discard_edge(self, waiter):
        known = self._awaited_by
        if known is waiter:
            self._awaited_by = _NOBODY
            self._is_awaited_by_set = True
        elif type(known) is set:
            known.discard(waiter)
            if not known:
                self._awaited_by = _NOBODY

    def __await__(self):
        # Compiled, `await` does not come here but goes through `await_slots`, which says the same.
        try:
            if self._phase == _PENDING:
                self._asyncio_future_blocking = True
                yield self
                if self._phase == _PENDING:
                    raise RuntimeError("await wasn't used with future")
            if self._phase == _FINISHED and self._exception is None:
                return self._result
            raise self._take_error()
        finally:
            self = None  # interpreted, this frame is in the traceback: no cycle of it, the error and the future

    def __iter__(self):
        return self.__await__()

    def __del__(self):
        if self._log_unretrieved:
            self._report_unretrieved()

    def _has_last_words(self):
        return self._log_unretrieved

    def _report_unretrieved(self):
        self._log_unretrieved = False
        reports.never_retrieved(self, self._exception)

    # --- asyncio: what libraries read although it is private --------------------------------------

    @property
    def _state(self):
        return _STATE_NAMES[self._phase]

    @property
    def _callbacks(self):
        waiting = [] if self._waiter is None else [self._waiter]
        waiting += self._others or ()
        return [(getattr(entry, "_wakeup", None) or entry._callback, entry.get_context()) for entry in waiting]

    @property
    def _log_traceback(self):
        return bool(self._log_unretrieved)

    @_log_traceback.setter
    def _log_traceback(self, value):
        if value:
            raise ValueError("_log_traceback can only be set to False")
        self._log_unretrieved = False

    @property
    def _source_traceback(self):
        return getattr(self, "_made_in", None)

    @property
    def _asyncio_awaited_by(self):
        if self._awaited_by is _NOBODY:
            return None
        if type(self._awaited_by) is set:
            return frozenset(self._awaited_by)
        return frozenset((self._awaited_by,))


def _calls_another(waiter, fn):
    """Whether one who waits is anything but a callback that equals `fn`."""
    return not isinstance(waiter, Handle) or waiter._callback != fn


def new_future(loop):
    """Make a Future of `loop`; the short road past the arguments of the class."""
    future = native.fresh(Future)
    future._init(loop)
    return future


def new_sleep(loop):
    """Make a Future that a timer will resolve."""
    future = new_future(loop)
    future._noted = SLEEP << BITS
    return future


def note_wait(future, what, resource=0):
    """Note for what a new future of cede's stands: one of `waited`, and the number of the lock or queue."""
    if isinstance(future, Future):
        ours = future
        ours._noted = what << BITS | resource


def release(future):
    """Resolve a future that somebody waits for with None, unless it is done already."""
    if not future.done():
        future.set_result(None)


def number_of_current():
    """Return the number of the task that takes a step in this thread; 0 if there is none, or that is not known."""
    loop = _get_running_loop()
    if not isinstance(loop, Loop):
        return 0
    engine = loop
    return 0 if engine._entered is None else engine._entered._identity()


def pass_over(future):
    """A cancellation that is the outcome of what nobody awaits any more is no error to report."""
    if not future.cancelled() and isinstance(getattr(future, "_exception", None), CancelledError):
        future.exception()


def loop_of(future):
    """Return the loop of any kind of future."""
    get_loop = getattr(future, "get_loop", None)
    return future._loop if get_loop is None else get_loop()


def error_of_foreign(waited, task):
    """Return what a future of another library, which woke `task`, has to raise in it, or None."""
    future_discard_from_awaited_by(waited, task)
    kind, outcome = native.result_of(waited)
    return outcome if kind is BaseException else None


def isfuture(obj):
    """Return True if `obj` is a future, or says that it behaves as one.

    Its class has `_asyncio_future_blocking`, and the object's own is not None.
    """
    if type(obj) is Future:
        return True
    if type(obj) is CoroutineType:
        return False
    return hasattr(obj.__class__, "_asyncio_future_blocking") and obj._asyncio_future_blocking is not None


def future_add_to_awaited_by(fut, waiter, /):
    """Record that `waiter` waits for `fut`, for call graphs. Nothing happens unless both are futures."""
    if isinstance(fut, Future):
        if isfuture(waiter):
            _edge(fut, waiter, True)
    elif _stock_add is not None and isfuture(fut):
        _stock_add(fut, waiter)


def future_discard_from_awaited_by(fut, waiter, /):
    """Record that `waiter` waits for `fut` no more."""
    if isinstance(fut, Future):
        if isfuture(waiter):
            _edge(fut, waiter, False)
    elif _stock_discard is not None and isfuture(fut):
        _stock_discard(fut, waiter)


def _edge(fut, waiter, add):
    if add:
        fut._add_edge(waiter)
    else:
        fut._discard_edge(waiter)


_stock_add = getattr(asyncio, "future_add_to_awaited_by", None)
_stock_discard = getattr(asyncio, "future_discard_from_awaited_by", None)

native.keep_memory(Future)
native.sign(globals())
