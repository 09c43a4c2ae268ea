cimport cython

from . cimport records, ticks
from .pulse cimport Pulse, by_two_clocks

from libc.stdint cimport int64_t, uint32_t, uint64_t, uintptr_t

cdef Py_ssize_t _HEADER, _RECORD, _NAMES, _HEAD, _NAMES_LENGTH, _LATEST, _COUNTERS, _STALLED
cdef uint64_t _FIRST_MOMENT, _MOMENT, _MOST
cdef int _STEP, _CALL, _BIRTH, _DEATH, _NAME, _SLEEP, _DELIVER, _GC, _MARK
cdef int _BYTES, _WAIT, _HOLD, _LET_GO, _CANCEL, _STALL, _INCOMING
cdef uint32_t _BITS, _RESOURCE
cdef Py_ssize_t _PARTS
cdef object _BUILTIN, _COROUTINE, _PARTIAL

@cython.final
cdef class Ring:
    cdef bint _begun
    cdef object _view
    cdef uintptr_t _address
    cdef object _clock
    cdef uint64_t _slept
    cdef uint64_t _mask
    cdef uint64_t _count
    cdef uint64_t _last
    cdef unsigned int _turn
    cdef int _canceller
    cdef uint64_t _stalled_since
    cdef uint32_t _stalled_by
    cdef uint32_t _running
    cdef uint64_t _idle
    cdef Py_ssize_t _popped
    cdef uint64_t _moment
    cdef uint64_t _pause
    cdef bint _with_names
    cdef dict _stock_waits
    cdef dict _stock_cancels
    cdef unsigned char _stock_slots[256]
    cdef dict _numbers
    cdef list _lately
    cdef uint32_t _lately_numbers[256]
    cdef list _named
    cdef Py_ssize_t _names_length

    @cython.locals(at=Py_ssize_t)
    cdef void _put(
        self, uint64_t end, int kind, int how, uint32_t who, uint64_t ran, uint32_t woken_by, uint32_t queued,
        uint64_t on
    ) noexcept
    cdef uint64_t _now(self) noexcept
    cdef uint64_t _own_time(self) noexcept
    @cython.locals(now=uint64_t, ran=uint64_t)
    cdef uint64_t _passed(self) noexcept
    @cython.locals(at=Py_ssize_t, part=Py_ssize_t, size=Py_ssize_t)
    cdef object _put_text(self, uint64_t end, int kind, uint32_t who, str text)
    cdef void _begin_turn(self, uint64_t turn) noexcept
    @cython.locals(begin=uint64_t, ran=uint64_t, queued=uint32_t)
    cdef void _step(self, int how, uint32_t who, uint32_t on, uint32_t woken_by, uint32_t ready_at) noexcept
    @cython.locals(ran=uint64_t)
    cdef void _call(self, int failed, uint32_t name) noexcept
    cdef void _wait(self, uint32_t who, uint32_t note) noexcept
    cdef void _bytes(self, int how, int64_t descriptor, uint64_t size) noexcept
    cdef void _incoming(self, uint64_t count) noexcept
    @cython.locals(how=int)
    cdef object _cancel(self, uint32_t who)
    @cython.locals(ran=uint64_t)
    cdef void _stall_over(self, uint64_t end) noexcept
    cdef void _hold(self, bint lets_go, int what, uint32_t who, uint32_t resource) noexcept
    @cython.locals(code=uintptr_t)
    cdef uint32_t _stock_wait(self) except? 0
    cdef object _call_name(self, uint32_t who, str name)
    cdef void _birth(self, int eager, uint32_t who, uint32_t parent, uint32_t number, uint32_t name) noexcept
    cdef void _death(self, uint32_t who, uint32_t parent, uint32_t number, uint32_t name) noexcept
    @cython.locals(asleep=uint64_t, delivering=uint64_t, timers=Py_ssize_t)
    cdef void _look(self, Pulse pulse, Py_ssize_t popped) noexcept
    cdef void _put_counters(self, Pulse pulse) noexcept
    cdef uint32_t _short(self) noexcept
    cdef uint32_t _name_of_coroutine(self, object coro) except? 0
    cdef uint32_t _name_of_callback(self, object callback) except? 0
    @cython.locals(slot=Py_ssize_t)
    cdef uint32_t _number_of(self, object named) except? 0
    @cython.locals(at=Py_ssize_t)
    cdef uint32_t _new_name(self, object key, object named, str name) except? 0
