cdef class Poller:
    cdef object _wait(self, double timeout)
