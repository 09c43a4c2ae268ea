# The twin of records.py: the same names and arguments, their bodies in C.
from libc.stdint cimport uint16_t, uint32_t, uint64_t, uintptr_t

cdef extern from "cede/engine/records.h":
    uintptr_t cede_memory_at(object memory) except 0
    void cede_put_record(
        uintptr_t at, uint64_t end, uint32_t who, uint32_t ran, uint32_t woken_by, uint32_t queued, uint32_t on,
        unsigned char kind, unsigned char how, uint16_t turn
    ) noexcept
    void cede_put_number(uintptr_t at, uint64_t number) noexcept
    void cede_put_text(uintptr_t at, object text, Py_ssize_t part) noexcept
    object cede_code_of(object callback)
    object cede_code_of_coroutine(object coro)
    int cede_slot(object obj) noexcept
    uintptr_t cede_calling_code() noexcept
    object cede_calling_code_object()
    object cede_calling_self()
    uintptr_t cede_function(object callback) noexcept

cdef inline uintptr_t address(object memory) except 0:
    return cede_memory_at(memory)

cdef inline void put_record(
    object view, uintptr_t address, Py_ssize_t at, uint64_t end, uint32_t who, uint32_t ran, uint32_t woken_by,
    uint32_t queued, uint32_t on, unsigned char kind, unsigned char how, uint16_t turn
) noexcept:
    cede_put_record(address + at, end, who, ran, woken_by, queued, on, kind, how, turn)

cdef inline void put_number(object view, uintptr_t address, Py_ssize_t at, uint64_t number) noexcept:
    cede_put_number(address + at, number)

cdef inline void put_text(object view, uintptr_t address, Py_ssize_t at, str text, Py_ssize_t part) noexcept:
    cede_put_text(address + at, text, part)

cdef inline object code_of(object callback):
    return cede_code_of(callback)

cdef inline object code_of_coroutine(object coro):
    return cede_code_of_coroutine(coro)

cdef inline uintptr_t calling_code() noexcept:
    return cede_calling_code()

cdef inline object calling_code_object(int depth):
    return cede_calling_code_object()

cdef inline object calling_self():
    return cede_calling_self()

cdef inline Py_ssize_t slot(object obj) noexcept:
    return cede_slot(obj)

cdef inline object function(object callback):
    return cede_function(callback)
