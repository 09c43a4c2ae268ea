from ..handles cimport Watcher

cdef class Poller:
    cdef object _add(self, int fd, Watcher watcher, int interest)
    cdef object _modify(self, int fd, Watcher watcher, int interest)
    cdef object _remove(self, int fd)
    cdef object _wait(self, double timeout)
