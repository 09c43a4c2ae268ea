cimport cython

from .engine cimport await_slots, native
from .engine.awaitables cimport Done, Waiting
from .engine.futures cimport Future, new_future, number_of_current
from .engine.loop cimport Loop

cdef int _PENDING, _SPARSE
cdef unsigned int _BITS, _LOCK, _SEMAPHORE, _CONDITION, _QUEUE_GET, _QUEUE_PUT
cdef str _FREE, _HELD, _PROMISED
cdef object _THERE, _append, _popleft, _nothing, get_running_loop

cdef class WaitLine:
    cdef list _places
    cdef Py_ssize_t _head
    cdef Py_ssize_t _left

    @cython.locals(waiter=Future)
    cdef bint _wake_next(self) except -1
    @cython.locals(places=list, count=Py_ssize_t, waiter=Future)
    cpdef wake_all(self)
    @cython.locals(places=list, index=Py_ssize_t)
    cdef object _leave(self, Future waiter)
    cdef object _clear_away(self)

cdef class LoopBound:
    cdef public object _loop
    cdef Loop _engine
    cdef unsigned int _resource

    @cython.locals(waiter=Future)
    cdef Future _new_place(self, WaitLine line, unsigned int what)

cdef bint _is_recorded(LoopBound thing) noexcept

cdef class TurnCore(LoopBound):
    cdef readonly WaitLine _waiters
    cdef unsigned char _what
    cdef bint _plain
    cdef bint _wakes
    cdef readonly unsigned int _taken_by

    cpdef bint _take(self) except -1
    cdef bint _take_now(self) except -1
    cdef Future _take_place(self)
    cdef object _note_holding(self, bint lets_go)
    cdef unsigned int _number_of_current(self) noexcept
    cdef object _arrive(self)
    cdef object _give_up(self, Future waiter)
    cdef object _release(self)
    @cython.locals(turn=Turn)
    cdef Turn _new_turn(self)

cdef class Turn(Waiting):
    cdef readonly TurnCore _core

cdef class LockCore(TurnCore):
    cdef str _state

    cdef object _hand_over(self)
    @cython.locals(line=WaitLine)
    cdef object _hand_over_by_name(self)
    cdef bint _take_now(self) except -1

cdef class ConditionCore(LoopBound):
    cdef LockCore _plain
    cdef readonly WaitLine _waiters

    @cython.locals(plain=LockCore)
    cpdef _step_back(self)
    cpdef bint _retake(self) except -1

cdef class SemaphoreCore(TurnCore):
    cdef public object _value
    cdef readonly Py_ssize_t _promised

    cdef bint _take_now(self) except -1
    @cython.locals(line=WaitLine)
    cdef bint _wake_by_name(self) except -1
    cdef object _share_out(self)

cdef class QueueCore(LoopBound):
    cdef public object _maxsize
    cdef public object _queue
    cdef readonly WaitLine _getters
    cdef readonly WaitLine _putters
    cdef public Py_ssize_t _unfinished_tasks
    cdef public object _all_done
    cdef public bint _is_shutdown
    cdef bint _plain
    cdef bint _fifo
    cdef bint _wakes

    cdef object _store(self, object item)
    cdef object _fetch(self)
