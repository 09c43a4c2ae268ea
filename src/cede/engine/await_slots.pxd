# A twin: see await_slots.py.
from cpython.object cimport PyObject, PyTypeObject

from . cimport native  # for its keeping of memory
from .awaitables cimport Done, Waiting
from .futures cimport Future

cdef extern from "cede/engine/await.h":
    ctypedef enum PySendResult:
        PYGEN_RETURN
        PYGEN_ERROR
        PYGEN_NEXT
    # Law: what is `noexcept` here calls nothing that raises in Cython's way: such an error would be printed and gone. C
    # that sets an error and says so leaves it as it is, without a frame of ours in its traceback.
    ctypedef PySendResult (*cede_send_t)(PyObject *, PyObject *, PyObject **) noexcept
    ctypedef PyObject *(*unaryfunc)(PyObject *) noexcept
    ctypedef PyObject *(*iternextfunc)(PyObject *) noexcept
    void cede_install_await(PyTypeObject *, unaryfunc, cede_send_t, iternextfunc)
    void cede_set_error(object)
    void cede_set_stop(object)
    int cede_prepare_stop() except -1
    int cede_install_send(PyTypeObject *, cede_send_t) except -1

cdef extern from "cede/engine/endings.h":
    ctypedef int (*cede_talks_t)(PyObject *) noexcept
    int cede_end_future_of(PyTypeObject *, cede_talks_t) except -1
    int cede_end_task_of(PyTypeObject *, cede_talks_t) except -1
    int cede_end_waiting_of(PyTypeObject *, cede_talks_t) except -1

cdef extern from *:
    void Py_INCREF "Py_INCREF" (object)
    void Py_DECREF "Py_DECREF" (object)


cdef inline PyObject *_await(PyObject *self) noexcept:
    """The iterator of an await is the future itself."""
    Py_INCREF(<object>self)
    return self


cdef inline PySendResult _send(PyObject *self, PyObject *value, PyObject **result) except PYGEN_ERROR:
    """Yield the future while it is pending; then return its result, or raise."""
    cdef Future future = <Future>self
    result[0] = NULL
    if future._phase == 1 and future._exception is None:
        Py_INCREF(future._result)
        result[0] = <PyObject *>future._result
        return PYGEN_RETURN
    if future._phase == 0:
        if not future._asyncio_future_blocking:
            future._asyncio_future_blocking = True
            Py_INCREF(future)
            result[0] = self
            return PYGEN_NEXT
        cede_set_error(RuntimeError("await wasn't used with future"))
    else:
        cede_set_error(future._take_error())
    return PYGEN_ERROR


cdef inline PyObject *_iterate(PyObject *self, cede_send_t send) noexcept:
    """What `send` does, for whoever iterates instead of sending."""
    cdef PyObject *result = NULL
    if send(self, NULL, &result) == PYGEN_RETURN:
        # NULL without an error says the same as StopIteration(None), and is cheaper.
        if result != <PyObject *>None:
            cede_set_stop(<object>result)
        Py_DECREF(<object>result)
        return NULL
    return result


cdef inline PyObject *_next(PyObject *self) noexcept:
    return _iterate(self, <cede_send_t>_send)


cdef inline int _talks(PyObject *self) noexcept:
    """Nothing holds it any more: no reference to it may be made and dropped here."""
    return (<Future>self)._has_last_words()


cdef inline int _waits(PyObject *self) noexcept:
    """As `_talks`."""
    return (<Waiting>self)._future is not None


cdef inline int install_end(object waiting_type) except -1:
    cede_end_waiting_of(<PyTypeObject *>waiting_type, _waits)
    return 0


cdef inline PySendResult _send_done(PyObject *self, PyObject *value, PyObject **result) except PYGEN_ERROR:
    """Return the result, or raise."""
    cdef object answer
    result[0] = NULL
    if type(<object>self) is Done:
        Py_INCREF((<Done>self)._result)
        result[0] = <PyObject *>(<Done>self)._result
        return PYGEN_RETURN
    answer = (<Done>self)._end()
    Py_INCREF(answer)
    result[0] = <PyObject *>answer
    return PYGEN_RETURN


cdef inline PyObject *_next_done(PyObject *self) noexcept:
    return _iterate(self, <cede_send_t>_send_done)


cdef inline PySendResult _send_waiting(PyObject *self, PyObject *value, PyObject **result) except PYGEN_ERROR:
    """Yield the future while it is pending; then end."""
    cdef Future future
    result[0] = NULL
    future = (<Waiting>self)._step()
    Py_INCREF(future)
    result[0] = <PyObject *>future
    return PYGEN_RETURN if future is None else PYGEN_NEXT


cdef inline PyObject *_next_waiting(PyObject *self) noexcept:
    return _iterate(self, <cede_send_t>_send_waiting)


cdef inline int install_awaitables(object done_type, object waiting_type) except -1:
    cede_install_await(<PyTypeObject *>done_type, _await, <cede_send_t>_send_done, _next_done)
    cede_install_await(<PyTypeObject *>waiting_type, _await, <cede_send_t>_send_waiting, _next_waiting)
    return 0


cdef inline int install(object future_type, object task_type) except -1:
    cede_prepare_stop()
    cede_install_await(<PyTypeObject *>future_type, _await, <cede_send_t>_send, _next)
    cede_install_await(<PyTypeObject *>task_type, _await, <cede_send_t>_send, _next)
    cede_install_send(<PyTypeObject *>future_type, <cede_send_t>_send)
    cede_end_future_of(<PyTypeObject *>future_type, _talks)
    cede_end_task_of(<PyTypeObject *>task_type, _talks)
    # Order: around those. A finalizer, too, is called inside of the trashcan.
    native.end_one_by_one(future_type)
    native.end_one_by_one(task_type)
    return 0
