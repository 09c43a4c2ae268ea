cimport cython

from . cimport native, syscalls
from .clock cimport Clock
from .descriptors cimport Descriptors
from .handles cimport Handle, Runnable, ThreadSafeHandle, TimerHandle, Watcher, entrust, forget_contexts, run_by
from .ring cimport Ring
from .timers cimport TimerHeap
from .waker cimport Waker

cdef int _EAGER_TURNS, _TURNS_PER_LOOK, _TURNS_PER_CLOCK
cdef double _SECONDS_PER_LOOK, _LONGEST_WAIT, _WAIT_BY_HAND, _INF
cdef dict _current_tasks
cdef object _swap_current_task, _StockHandle, _run_of_stock

cdef class Loop(Descriptors):
    cdef list _spare
    cdef list _batch
    cdef readonly set _live
    cdef readonly TimerHeap _timers
    cdef readonly Clock _own_clock
    cdef readonly Clock _clock
    cdef unsigned int _time_version
    cdef bint _watched
    cdef bint _recorded
    cdef object _arrange
    cdef object _run_handle
    cdef unsigned int _handle_version
    cdef double _looked
    cdef long long _busy_turns
    cdef public bint _stopping
    cdef bint _own_scheduling
    cdef bint _direct
    cdef readonly object _thread_id
    cdef unsigned long _thread
    cdef Runnable _entered
    cdef readonly object _current_handle
    cdef readonly object _exception_handler
    cdef public object _task_factory
    cdef public bint _eager
    cdef object _saved_origin_depth
    cdef object _saved_hooks
    cdef public bint _wants_signals
    cdef public object slow_callback_duration
    cdef readonly Waker _waker
    cdef object __weakref__

    cdef object _run_until_stopped(self)
    @cython.locals(patience=double)
    cdef object _turn(self)
    @cython.locals(now=double, late=bint)
    cdef bint _is_time_to_look(self) except -1
    @cython.locals(deadline=double, delay=double)
    cdef double _patience(self) except? -1.0
    @cython.locals(now=double, limit=double)
    cdef object _promote_due_timers(self)
    cdef object _begin_turns(self)
    cdef bint _end_turns(self) except -1
    cdef object _run_after_ready(self, Watcher watcher)
    @cython.locals(batch=list, index=Py_ssize_t, count=Py_ssize_t, entry=Runnable)
    cdef object _run_ready(self)
    @cython.locals(ring=Ring, batch=list, index=Py_ssize_t, count=Py_ssize_t, entry=Runnable)
    cdef object _run_ready_recorded(self)
    cpdef object _arrange_by(self, object arrange)
    cpdef object _record_into(self, Ring ring)
    cdef object _put_back(self)
    @cython.locals(batch=list)
    cdef object _run_ready_watched(self)
    cdef object _run_batch_watched(self, list batch)
    @cython.locals(began=double, duration=double)
    cdef object _run_watched(self, Runnable entry)
    cdef object _leave_task(self)
    @cython.locals(entry=Runnable)
    cdef object _track_all(self, list entries)
    @cython.locals(handle=Handle)
    cdef Handle _call_soon(self, object callback, tuple args, object context)
    cdef object _schedule(self, Handle handle, tuple args)
    cdef double _now(self) except? -1.0
    @cython.locals(handle=ThreadSafeHandle)
    cdef ThreadSafeHandle _call_soon_threadsafe(self, object callback, tuple args, object context)
    @cython.locals(handle=TimerHandle)
    cdef TimerHandle _call_at(self, double deadline, object given, object callback, tuple args, object context)
    cdef object _arm(self, TimerHandle timer, double deadline)
    cdef object _check_call(self, object callback, str method)
