from . cimport native

cdef class Runnable:
    cdef void _run(self) except *

cdef class Watcher:
    cdef public int _interest

    cdef void _on_ready(self, int events) except *
    cdef void _flush(self) except *

cdef class Handle(Runnable):
    cdef readonly object _callback
    cdef readonly tuple _args
    cdef readonly object _loop
    cdef readonly object _context
    cdef readonly bint _cancelled
    cdef public object _source_traceback
    cdef readonly object _repr
    cdef object __weakref__

    cdef void _init(self, object callback, tuple args, object loop, object context) except *
    cdef void _run(self) except *
    cdef void _cancel(self) except *

cdef class ThreadSafeHandle(Handle):
    cdef unsigned long _running_thread
    cdef object _finished

    cdef void _init_threadsafe(self, object callback, tuple args, object loop, object context) except *
    cdef void _run(self) except *

cdef class TimerHandle(Handle):
    cdef double _deadline
    cdef readonly object _when
    cdef Py_ssize_t _place
    cdef long long _order

    cdef void _init_timer(self, object when) except *
    cdef void _cancel(self) except *
