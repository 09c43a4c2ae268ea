/* What `await` calls of the engine's classes, and the StopIteration it is told the result by. */
#ifndef CEDE_AWAIT_H
#define CEDE_AWAIT_H

#include "memory.h"

typedef PySendResult (*cede_send_t)(PyObject *, PyObject *, PyObject **);

/* Replace the slots that `await` uses; type attributes stay as they are. So does what `iter` gives: a generator, which
   can be sent to, thrown into and closed. */
static void cede_install_await(PyTypeObject *type, unaryfunc await, cede_send_t send, iternextfunc next) {
    type->tp_as_async->am_await = await;
    type->tp_as_async->am_send = (sendfunc)send;
    type->tp_iternext = next;
    PyType_Modified(type);
}

/* Raise `exc` as it is. */
static void cede_set_error(PyObject *exc) {
    PyErr_SetObject((PyObject *)Py_TYPE(exc), exc);
}

/* What says to an `await` that its value is there is an exception, StopIteration, made and freed each time. This one is
   the same but for its memory, which is kept for the next. */
static PyObject *cede_stop_args(PyObject *self, void *unused) {
    PyObject *value = ((PyStopIterationObject *)self)->value;
    (void)unused;
    return PyTuple_Pack(1, value ? value : Py_None);
}
static PyGetSetDef cede_stop_fields[] = {
    {"args", cede_stop_args, NULL, "The value, as with any StopIteration.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};
static PyTypeObject cede_stop_type = {
    .ob_base = {PyObject_HEAD_INIT(NULL) 0},
    .tp_name = "StopIteration",
    .tp_basicsize = sizeof(PyStopIterationObject),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .tp_getset = cede_stop_fields,
};

static int cede_stop_is_own = 0; /* whether objects of that class are raised; see cede_prepare_stop */

/* Raise StopIteration(value); or MemoryError. */
static void cede_set_stop(PyObject *value) {
    PyStopIterationObject *stop;
    if (!cede_stop_is_own) {
        PyObject *usual = PyObject_CallOneArg(PyExc_StopIteration, value);
        if (usual) PyErr_SetObject(PyExc_StopIteration, usual);
        Py_XDECREF(usual);
        return;
    }
    stop = (PyStopIterationObject *)cede_stop_type.tp_alloc(&cede_stop_type, 0);
    if (stop == NULL) return;
    stop->args = PyTuple_New(0); /* the one there is: it cannot fail */
    stop->value = Py_NewRef(value);
#if PY_VERSION_HEX >= 0x030C0000
    PyErr_SetRaisedException((PyObject *)stop);
#else
    PyErr_Restore(Py_NewRef((PyObject *)&cede_stop_type), (PyObject *)stop, NULL);
#endif
}

/* "own StopIteration": the value is where it is looked for, in one of the interpreter's and in one of ours. */
static int cede_stop_is_known(void) {
    PyTypeObject *base = (PyTypeObject *)PyExc_StopIteration;
    PyObject *usual = PyObject_CallOneArg(PyExc_StopIteration, Py_True), *type, *ours, *traceback;
    int holds = usual && base->tp_basicsize == sizeof(PyStopIterationObject) && (base->tp_flags & Py_TPFLAGS_HAVE_GC);
    holds = holds && ((PyStopIterationObject *)usual)->value == Py_True;
    Py_XDECREF(usual);
    if (!holds) return PyErr_Clear(), 0;
    cede_stop_is_own = 1;
    cede_set_stop(Py_True);
    cede_stop_is_own = 0;
    holds = PyErr_ExceptionMatches(PyExc_StopIteration);
    PyErr_Fetch(&type, &ours, &traceback);
    PyErr_NormalizeException(&type, &ours, &traceback);
    usual = ours ? PyObject_GetAttrString(ours, "value") : NULL;
    holds = holds && usual == Py_True;
    Py_XDECREF(usual);
    Py_XDECREF(type);
    Py_XDECREF(ours);
    Py_XDECREF(traceback);
    PyErr_Clear();
    return holds;
}

/* Make the class ready, and use it if the interpreter is as assumed. 0, or -1 with an error set. */
static int cede_prepare_stop(void) {
    int allowed;
    PyTypeObject *base = (PyTypeObject *)PyExc_StopIteration;
    cede_stop_type.tp_base = base;
    cede_stop_type.tp_dealloc = base->tp_dealloc;
    cede_stop_type.tp_traverse = base->tp_traverse;
    cede_stop_type.tp_clear = base->tp_clear;
    if (PyType_Ready(&cede_stop_type) < 0) return -1;
    if (cede_keep_memory((PyObject *)&cede_stop_type, 0) < 0) return -1;
    allowed = cede_allows("own StopIteration", cede_stop_is_known());
    cede_stop_is_own = allowed > 0;
    return allowed < 0 ? -1 : 0;
}

/* The method `send` of futures. Since 3.12 a value that is sent into a coroutine is handed to the method `send` of what
   it awaits. There is no `throw` and no `close`: without them the interpreter does what they would, and with them every
   future would be a `collections.abc.Coroutine`. */
static cede_send_t cede_future_send;
static PyObject *cede_send_method(PyObject *self, PyObject *value) {
    PyObject *result = NULL;
    if (cede_future_send(self, value, &result) != PYGEN_RETURN) return result;
    cede_set_stop(result);
    Py_DECREF(result);
    return NULL;
}
static PyMethodDef cede_send_definition = {"send", cede_send_method, METH_O, "Go on, as `await` does."};

/* Give the class that method, which does what `send` does; -1 with an error set. */
static int cede_install_send(PyTypeObject *type, cede_send_t send) {
    PyObject *method = PyDescr_NewMethod(type, &cede_send_definition);
    int failed = method == NULL || PyDict_SetItemString(type->tp_dict, "send", method) < 0;
    Py_XDECREF(method);
    cede_future_send = send;
    PyType_Modified(type);
    return failed ? -1 : 0;
}

#endif
