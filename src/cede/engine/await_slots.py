"""What `await future` runs when the engine is compiled; a twin, as `native` is.

Compiled, `await_slots.pxd` gives the type of futures C slots: awaiting a future
hands back the future itself as its own iterator, and each `send` looks at its state, so no iterator is
made and no StopIteration is raised. Interpreted, there are no such slots: `Future.__await__` does the same
in Python, and so it does in both speeds for `iter(future)` and `future.__await__()`. `Done`
and `Waiting` get slots of their own.
"""


def install(future_type, task_type):
    """Give both types the slots, and an end that calls `__del__` only if it has something to say.

    Interpreted, give them what a compiled type has by nature: fields that nobody has set are None or zero. They are
    the object's own from the start, because one that the class has, too, takes CPython twice as long to read.
    """
    future_type.__new__ = _new_future
    task_type.__new__ = _new_task
    _new_future.__wrapped__, _new_task.__wrapped__ = (
        future_type.__init__,
        task_type.__init__,
    )  # what `inspect` is to tell
    # What `__del__` asks: an interrupt may come before an object has any field.
    future_type._log_unretrieved = False
    task_type._log_destroy_pending = False
    # asyncio: that the class has it says that it is one of futures.
    future_type._asyncio_future_blocking = False


def _new_future(kind, *args, **kwargs):
    self = object.__new__(kind)
    self._loop = self._engine = self._waiter = self._others = self._awaited_by = None
    self._result = self._exception = self._exception_tb = self._cancel_message = None
    self._phase = self._noted = 0
    return self


def _new_task(kind, *args, **kwargs):
    self = _new_future(kind)
    self._coro = self._context = self._name = self._fut_waiter = None
    self._stage = self._num_cancels_requested = self._number = 0
    self._id = self._parent = self._steps = self._since = self._woken_by = 0
    self._must_cancel = self._passes_cancel = False
    return self


def install_end(waiting_type):
    """Give a class derived from `Waiting` an end that calls `__del__` only of one that waits. Interpreted, all do."""


def install_awaitables(done_type, waiting_type):
    """Give `Done` and `Waiting` slots that do as their methods. Interpreted, the methods do."""
