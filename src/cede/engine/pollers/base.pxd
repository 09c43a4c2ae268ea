cdef class Poller:
    cdef void _wait(self, double timeout) except *
