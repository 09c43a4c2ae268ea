cimport cython

from . cimport native
from .ring cimport Ring

cdef double _AT_ONCE
cdef double _LOOK_AGAIN
cdef dict _waits

cdef class Runnable:
    cdef object _run(self)
    cdef object _track(self)
    cdef unsigned int _identity(self) noexcept
    cdef object _woken(self, Ring ring)
    cdef object _run_recorded(self, Ring ring)

cdef class Watcher(Runnable):
    cdef public int _interest

    cdef object _on_ready(self, int events)
    cdef object _displaced(self)

cpdef object deliver(Watcher watcher, int events)
cpdef object displace(Watcher watcher)

cpdef object run_one(Runnable entry)
cpdef Handle shown_as_handle(Runnable entry, object loop)
@cython.locals(handle=Handle)
cpdef object run_by(object run, Runnable entry, object loop)

cpdef object forget_contexts()

cdef class Handle(Runnable):
    cdef readonly object _callback
    cdef readonly tuple _args
    cdef readonly object _loop
    cdef object _runs_in
    cdef public bint _cancelled
    cdef bint _shares_context
    cdef public object _source_traceback
    cdef readonly object _repr
    cdef object __weakref__

    cdef object _init(self, object callback, tuple args, object loop, object context)
    @cython.locals(failure=object)
    cdef object _run(self)
    cdef object _fail(self, object exc)
    cdef object _run_recorded(self, Ring ring)
    cdef object _track(self)
    cdef object _cancel(self)

cdef class ThreadSafeHandle(Handle):
    cdef unsigned long _running_thread
    cdef object _finished

    cdef object _init_threadsafe(self, object callback, tuple args, object loop, object context)
    cdef object _run(self)
    cdef object _wait(self)
    @cython.locals(runner="unsigned long", other=ThreadSafeHandle)
    cdef bint _can_end(self, unsigned long thread) except -1

cdef class Timers:
    cdef object _discard(self, TimerHandle handle)

cdef class TimerHandle(Handle):
    cdef double _deadline
    cdef object _given
    cdef Timers _heap
    cdef TimerHandle _child
    cdef TimerHandle _next
    cdef TimerHandle _before
    cdef long long _order

    cdef object _init_timer(self, double deadline, object given)
    cdef object _cancel(self)

cpdef object entrust(Handle handle, unsigned long thread)
