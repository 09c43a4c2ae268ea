from libc.stdint cimport uint64_t
from libc.stdlib cimport free, malloc

from .pulse cimport Pulse

cdef extern from "cede/engine/sentry.h":
    ctypedef struct cede_watched:
        const uint64_t *looks
        int file
        unsigned long long on_processor
        unsigned long long waited
    Py_ssize_t cede_wait_for_stall(cede_watched *, Py_ssize_t, double, double, double) nogil

cdef inline tuple wait_for_stall(list pulses, list files, double threshold, double interval, double patience):
    cdef Py_ssize_t count = len(pulses), index, each
    cdef Pulse pulse
    cdef cede_watched *loops = <cede_watched *>malloc((count + 1) * sizeof(cede_watched))
    if loops == NULL:
        raise MemoryError
    try:
        for index in range(count):
            pulse = pulses[index]
            if pulse is None:
                raise TypeError("a pulse is wanted, not None")
            loops[index].looks = &pulse._looks
            loops[index].file = files[index]
            loops[index].on_processor = loops[index].waited = 0
        with nogil:
            index = cede_wait_for_stall(loops, count, threshold, interval, patience)
        return index, [(loops[each].on_processor, loops[each].waited) for each in range(count)]
    finally:
        free(loops)
