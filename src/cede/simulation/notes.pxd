cimport cython

from . cimport current

cdef Py_ssize_t _MOST
cdef object _running_loop, _current_task

cdef class Notes:
    cdef readonly object world
    cdef readonly list notes
    cdef dict _labels
    cdef dict _counts

    cpdef object turn(self, str host, double now)
    cpdef object add(self, str host, str kind, object detail=*)
    @cython.locals(known=tuple, labels=dict)
    cpdef str label(self, object task, str host)
    cdef str _new_label(self, object task, str host)

cdef class _Forgetting:
    cdef dict _labels
    cdef object _number
