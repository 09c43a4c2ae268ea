cdef class Done:
    cdef object _result

    cdef object _end(self)
