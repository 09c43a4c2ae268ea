/* Writing into memory that other processes read. There is one writer, and nothing here allocates, fails or waits. */
#ifndef CEDE_RECORDS_H
#define CEDE_RECORDS_H

#include <Python.h>
#include <stdint.h>
#include <string.h>

#define CEDE_TEXT 16 /* bytes of a text that one record holds */

typedef struct {
    uint64_t end;
    uint32_t who, ran, woken_by, queued, on;
    uint8_t kind, how;
    uint16_t turn;
} cede_record;

/* Where the bytes of a writable buffer are, which whoever asks keeps alive; 0 with an error set. */
static inline uintptr_t cede_memory_at(PyObject *memory) {
    Py_buffer buffer;
    uintptr_t address;
    if (PyObject_GetBuffer(memory, &buffer, PyBUF_WRITABLE) < 0) return 0;
    address = (uintptr_t)buffer.buf;
    PyBuffer_Release(&buffer);
    return address;
}

/* Write a record to `at`, which is the writer's. */
static inline void cede_put_record(uintptr_t at, uint64_t end, uint32_t who, uint32_t ran, uint32_t woken_by,
                                   uint32_t queued, uint32_t on, uint8_t kind, uint8_t how, uint16_t turn) {
    *(cede_record *)at = (cede_record){end, who, ran, woken_by, queued, on, kind, how, turn};
}

/* After all that was written before. */
static inline void cede_put_number(uintptr_t at, uint64_t number) {
    __atomic_store_n((uint64_t *)at, number, __ATOMIC_RELEASE);
}

/* One part of a text, in the four fields in the middle of a record. */
static inline void cede_put_text(uintptr_t at, PyObject *text, Py_ssize_t part) {
    Py_ssize_t size, begin = part * CEDE_TEXT;
    const char *bytes = PyUnicode_AsUTF8AndSize(text, &size);
    char *place = (char *)&((cede_record *)at)->ran;
    memset(place, 0, CEDE_TEXT);
    if (bytes == NULL) PyErr_Clear(); /* no memory, or a lone surrogate */
    else if (size > begin) memcpy(place, bytes + begin, (size_t)(size - begin < CEDE_TEXT ? size - begin : CEDE_TEXT));
}

/* The code of a function or of a method that is one; None for all else. A new reference. */
static inline PyObject *cede_code_of(PyObject *callback) {
    if (PyMethod_Check(callback)) callback = PyMethod_GET_FUNCTION(callback);
    return Py_NewRef(PyFunction_Check(callback) ? PyFunction_GET_CODE(callback) : Py_None);
}

/* The code of a coroutine. A new reference. */
static inline PyObject *cede_code_of_coroutine(PyObject *coro) {
#if PY_VERSION_HEX >= 0x030C0000
    return (PyObject *)PyGen_GetCode((PyGenObject *)coro); /* a coroutine is laid out as a generator */
#else
    return Py_NewRef(((PyCoroObject *)coro)->cr_code);
#endif
}

/* The code of Python that called C; None if there is none. A new reference. */
static inline PyObject *cede_calling_code_object(void) {
#if PY_VERSION_HEX >= 0x030C0000 && PY_VERSION_HEX < 0x03100000
    /* Without making a frame object, where it is known how. */
    PyThreadState *thread = PyThreadState_Get();
#if PY_VERSION_HEX >= 0x030D0000
    struct _PyInterpreterFrame *frame = thread->current_frame;
#else
    struct _PyInterpreterFrame *frame = thread->cframe->current_frame;
#endif
    PyObject *code = frame ? PyUnstable_InterpreterFrame_GetCode(frame) : NULL;
#else
    PyFrameObject *frame = PyEval_GetFrame();
    PyObject *code = frame ? (PyObject *)PyFrame_GetCode(frame) : NULL;
#endif
    if (code != NULL && PyCode_Check(code)) return code;
    Py_XDECREF(code);
    Py_RETURN_NONE;
}

/* Its address, which its function keeps alive; that of None if there is none. */
static inline uintptr_t cede_calling_code(void) {
    PyObject *code = cede_calling_code_object();
    Py_DECREF(code);
    return (uintptr_t)code;
}

/* The variable `self` of the same; None if it has none. A new reference. */
static inline PyObject *cede_calling_self(void) {
    PyFrameObject *frame = PyEval_GetFrame();
    PyObject *locals = frame ? PyObject_GetAttrString((PyObject *)frame, "f_locals") : NULL;
    PyObject *found = locals ? PyMapping_GetItemString(locals, "self") : NULL;
    Py_XDECREF(locals);
    if (found != NULL) return found;
    PyErr_Clear();
    Py_RETURN_NONE;
}

/* A number from 0 to 255 that an object has all its life. */
static inline int cede_slot(PyObject *obj) {
    return (int)((uintptr_t)obj >> 4 & 255);
}

/* What stands for a callback that is a function of C in a table of names: 0 for all others. */
static inline uintptr_t cede_function(PyObject *callback) {
    return PyCFunction_Check(callback) ? (uintptr_t)((PyCFunctionObject *)callback)->m_ml : 0;
}

#endif
