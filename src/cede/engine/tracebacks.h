/* Exceptions as the engine's C takes and shows them. */
#ifndef CEDE_TRACEBACKS_H
#define CEDE_TRACEBACKS_H

#include <Python.h>

/* Add `frame` to the traceback of the exception that is set, if that is empty; -1 if there is no memory.
   Cython adds a frame for each function that an exception leaves. Ours would stand between the user's, and above them,
   where asyncio's own C leaves none; so only where an exception began it is said. */
static inline int cede_trace(PyFrameObject *frame) {
    PyObject *type, *value, *tb;
    PyErr_Fetch(&type, &value, &tb);
    PyErr_Restore(type, value, tb);
    return tb == NULL ? PyTraceBack_Here(frame) : 0;
}
#if !defined(CYTHON_TRACE) || !CYTHON_TRACE
#define PyTraceBack_Here cede_trace
#endif

/* The exception that is set, which it takes: a new reference, normalized, with its traceback. Whoever says that there
   is one and sets none gets a SystemError. */
static PyObject *cede_raised(void) {
    PyObject *type, *exc, *tb;
    if (!PyErr_Occurred()) PyErr_SetString(PyExc_SystemError, "an error without an exception set");
    PyErr_Fetch(&type, &exc, &tb);
    PyErr_NormalizeException(&type, &exc, &tb);
    if (tb) PyException_SetTraceback(exc, tb);
    Py_XDECREF(type);
    Py_XDECREF(tb);
    return exc;
}

/* NULL, with the TypeError set that `raise o` sets. */
static PyObject *cede_not_raisable(PyObject *o) {
    PyErr_Format(PyExc_TypeError, "exceptions must derive from BaseException, not '%.200s'", Py_TYPE(o)->tp_name);
    return NULL;
}

/* The traceback of `exc`, or None: a new reference; NULL with an error set if it is no exception. It is read through
   the slots of the interpreter, whatever methods the class of an exception has of its own. */
static PyObject *cede_traceback_of(PyObject *exc) {
    PyObject *tb;
    if (!PyExceptionInstance_Check(exc)) return cede_not_raisable(exc);
    tb = PyException_GetTraceback(exc);
    return tb ? tb : Py_NewRef(Py_None);
}

/* `exc`, which has `tb` for its traceback now: a new reference; NULL with an error set if either is not what it is to
   be. */
static PyObject *cede_with_traceback(PyObject *exc, PyObject *tb) {
    if (!PyExceptionInstance_Check(exc)) return cede_not_raisable(exc);
    return PyException_SetTraceback(exc, tb) < 0 ? NULL : Py_NewRef(exc);
}

#endif
