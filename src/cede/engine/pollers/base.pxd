from .. cimport native
from ..handles cimport Watcher
from ..pulse cimport Pulse

cdef class Poller:
    cdef Pulse _pulse

    cdef object _add(self, int fd, Watcher watcher, int interest)
    cdef object _modify(self, int fd, Watcher watcher, int interest)
    cdef object _remove(self, int fd)
    cdef object _wait(self, double timeout)
