# The second twin: see await_slots.py.
from cpython.object cimport PyObject, PyTypeObject

from . cimport native  # for its keeping of memory
from .awaitables cimport Done, Waiting
from .futures cimport Future

cdef extern from *:
    """
    typedef PySendResult (*cede_send_t)(PyObject *, PyObject *, PyObject **);

    /* Replaces the slots that `await` uses; type attributes stay as they are. So does what `iter` gives: a generator,
       which can be sent to, thrown into and closed. */
    static void cede_install_await(PyTypeObject *type, unaryfunc await, cede_send_t send, iternextfunc next) {
        type->tp_as_async->am_await = await;
        type->tp_as_async->am_send = (sendfunc)send;
        type->tp_iternext = next;
        PyType_Modified(type);
    }
    static void cede_set_error(PyObject *exc) {
        PyErr_SetObject((PyObject *)Py_TYPE(exc), exc);
    }
    """
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
    void Py_INCREF "Py_INCREF" (object)


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


cdef extern from *:
    """
    /* What says to an `await` that its value is there is an exception, StopIteration, made and freed each time. This
       one is the same but for its memory, which is kept for the next. */
    static PyObject *cede_stop_args(PyObject *self, void *unused) {
        PyObject *value = ((PyStopIterationObject *)self)->value;
        return PyTuple_Pack(1, value ? value : Py_None);
    }
    static PyGetSetDef cede_stop_fields[] = {
        {"args", cede_stop_args, NULL, "The value, as with any StopIteration.", NULL},
        {NULL, NULL, NULL, NULL, NULL},
    };
    static PyTypeObject cede_stop_type = {
        PyVarObject_HEAD_INIT(NULL, 0)
        .tp_name = "StopIteration",
        .tp_basicsize = sizeof(PyStopIterationObject),
        .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
        .tp_getset = cede_stop_fields,
    };
    static int cede_prepare_stop(void) {
        PyTypeObject *base = (PyTypeObject *)PyExc_StopIteration;
        cede_stop_type.tp_base = base;
        cede_stop_type.tp_dealloc = base->tp_dealloc;
        cede_stop_type.tp_traverse = base->tp_traverse;
        cede_stop_type.tp_clear = base->tp_clear;
        if (PyType_Ready(&cede_stop_type) < 0) return -1;
        cede_keep_memory((PyObject *)&cede_stop_type, 0);
        return 0;
    }

    static void cede_set_stop(PyObject *value) {
        PyStopIterationObject *stop = (PyStopIterationObject *)cede_stop_type.tp_alloc(&cede_stop_type, 0);
        if (stop == NULL) return;
        stop->args = PyTuple_New(0);  /* the one there is: it cannot fail */
        stop->value = Py_NewRef(value);
    #if PY_VERSION_HEX >= 0x030C0000
        PyErr_SetRaisedException((PyObject *)stop);
    #else
        PyErr_Restore(Py_NewRef((PyObject *)&cede_stop_type), (PyObject *)stop, NULL);
    #endif
    }
    """
    void cede_set_stop(object)
    int cede_prepare_stop() except -1


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


cdef extern from *:
    """
    /* Since 3.12 a value that is sent into a coroutine is handed to the method `send` of what it awaits. There is no
       `throw` and no `close`: without them the interpreter does what they would, and with them every future would be a
       `collections.abc.Coroutine`. */
    static cede_send_t cede_future_send;
    static PyObject *cede_send_method(PyObject *self, PyObject *value) {
        PyObject *result = NULL;
        if (cede_future_send(self, value, &result) != PYGEN_RETURN) return result;
        cede_set_stop(result);
        Py_DECREF(result);
        return NULL;
    }
    static PyMethodDef cede_send_definition = {"send", cede_send_method, METH_O, "Go on, as `await` does."};

    static int cede_install_send(PyTypeObject *type, cede_send_t send) {
        PyObject *method = PyDescr_NewMethod(type, &cede_send_definition);
        int failed = method == NULL || PyDict_SetItemString(type->tp_dict, "send", method) < 0;
        Py_XDECREF(method);
        cede_future_send = send;
        PyType_Modified(type);
        return failed ? -1 : 0;
    }
    """
    int cede_install_send(PyTypeObject *, cede_send_t) except -1


cdef extern from *:
    """
    /* Calling a finalizer costs more than all else at the end of an object, and a future's or task's nearly never has
       anything to say: it is called if `talks` says so. One of a subclass in Python was called before this. The
       collector may see the object again, if the finalizer keeps it. */
    typedef int (*cede_talks_t)(PyObject *);
    typedef struct { PyTypeObject *type; cede_talks_t talks; destructor dealloc; } cede_quiet;

    static CYTHON_INLINE void cede_end(cede_quiet *kind, PyObject *o) {
        if (Py_TYPE(o) == kind->type && kind->talks(o)) {
            cede_track(o);
            if (PyObject_CallFinalizerFromDealloc(o)) return;
        }
        kind->dealloc(o);
    }
    #define CEDE_QUIET(name) \
        static cede_quiet name##_kind; \
        static void name(PyObject *o) { cede_end(&name##_kind, o); } \
        static void name##_of(PyTypeObject *type, cede_talks_t talks) { \
            name##_kind = (cede_quiet){type, talks, type->tp_dealloc}; \
            type->tp_dealloc = name; \
        }
    CEDE_QUIET(cede_end_future)
    CEDE_QUIET(cede_end_task)
    CEDE_QUIET(cede_end_waiting)
    """
    ctypedef int (*cede_talks_t)(PyObject *) noexcept
    void cede_end_future_of(PyTypeObject *, cede_talks_t)
    void cede_end_task_of(PyTypeObject *, cede_talks_t)
    void cede_end_waiting_of(PyTypeObject *, cede_talks_t)


cdef inline int _talks(PyObject *self) noexcept:
    """Nothing holds it any more: no reference to it may be made and dropped here."""
    return (<Future>self)._has_last_words()


cdef inline int _waits(PyObject *self) noexcept:
    """As `_talks`."""
    return (<Waiting>self)._future is not None


cdef inline int install_end(object waiting_type) except -1:
    cede_end_waiting_of(<PyTypeObject *>waiting_type, _waits)
    return 0


cdef extern from *:
    void Py_DECREF "Py_DECREF" (object)


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
