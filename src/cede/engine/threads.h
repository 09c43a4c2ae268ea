/* What the threads of this interpreter do. `sys._current_frames` tells of those of all interpreters of the process, and
   CPython dies of that while another thread makes one (seen on 3.13). */
#ifndef CEDE_THREADS_H
#define CEDE_THREADS_H

#include <Python.h>

/* The innermost frames of this interpreter's threads by their numbers, as a new dict; NULL with an error set (no
   memory). The caller holds the global lock, so none of these threads moves. Where there is none, the interpreter stops
   them. */
static inline PyObject *cede_thread_frames(void) {
#ifdef Py_GIL_DISABLED
    PyObject *current = PySys_GetObject("_current_frames"); /* borrowed */
    if (current == NULL) return PyDict_New();
    return PyObject_CallNoArgs(current);
#else
    PyObject *frames = PyDict_New();
    PyThreadState *thread;
    int collects;
    if (frames == NULL) return NULL;
    collects = PyGC_Disable(); /* Order: a finalizer would let other threads run, and end, in the midst of their list */
    for (thread = PyInterpreterState_ThreadHead(PyInterpreterState_Get()); thread;
         thread = PyThreadState_Next(thread)) {
        PyObject *frame = (PyObject *)PyThreadState_GetFrame(thread), *number;
        if (frame == NULL) continue;
        number = PyLong_FromUnsignedLong(thread->thread_id);
        if (number == NULL || PyDict_SetItem(frames, number, frame) < 0) Py_CLEAR(frames);
        Py_XDECREF(number);
        Py_DECREF(frame);
        if (frames == NULL) break;
    }
    if (collects) PyGC_Enable();
    return frames;
#endif
}

#endif
