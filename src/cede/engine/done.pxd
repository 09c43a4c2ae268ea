cdef class Done:
    cdef object _result
